package actors

import (
	"cmp"
	"slices"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

func placeOf(event *persistence.Recorded) stored.Place {
	return stored.Place{Position: event.Position, Sub: event.Sub}
}

func comparePlaces(p, q stored.Place) int {
	return cmp.Or(cmp.Compare(p.Offset, q.Offset), cmp.Compare(p.Sub, q.Sub))
}

// reacted is the last event of others that an aggregate has reacted to, one of each
// partition. Events come to an aggregate in order, so all before it are done too: it
// takes the place of remembering each, for ever and in a few bytes. A nil one is none.
// It is not changed, because snapshots hold it.
type reacted []stored.Place

func (r reacted) covers(p stored.Place) bool {
	return slices.ContainsFunc(r, func(q stored.Place) bool { return q.Part == p.Part && comparePlaces(q, p) >= 0 })
}

// with is r after a reaction. One that came late changes nothing.
func (r reacted) with(p stored.Place) reacted {
	if r.covers(p) {
		return r
	}
	next := slices.DeleteFunc(slices.Clone(r), func(q stored.Place) bool { return q.Part == p.Part })
	return append(next, p)
}

// after returns r after an event of the aggregate, whose headers say what the event was a
// reaction to.
func (r reacted) after(recorded *persistence.Recorded, about *stored.About) (reacted, error) {
	place, found, err := about.Reacted()
	switch {
	case err != nil:
		return r, corrupt(recorded, "the headers cannot be decoded", err)
	case found:
		return r.with(place), nil
	}
	return r, nil
}
