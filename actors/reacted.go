package actors

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// place is where an event stands in the global sequence, and which it is of several
// that a stored one is read as.
type place struct {
	persistence.Position
	sub uint16
}

func placeOf(event *persistence.Recorded) place { return place{event.Position, event.Sub} }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.Offset, q.Offset), cmp.Compare(p.sub, q.sub))
}

// reacted is the last event of others that an aggregate has reacted to, one of each
// partition. Events come to an aggregate in order, so all before it are done too: it
// takes the place of remembering each, for ever and in a few bytes. A nil one is none.
// It is not changed, because snapshots hold it.
type reacted []place

func (r reacted) covers(p place) bool {
	return slices.ContainsFunc(r, func(q place) bool { return q.Part == p.Part && q.compare(p) >= 0 })
}

// with is r after a reaction. One that came late changes nothing.
func (r reacted) with(p place) reacted {
	if r.covers(p) {
		return r
	}
	next := slices.DeleteFunc(slices.Clone(r), func(q place) bool { return q.Part == p.Part })
	return append(next, p)
}

func (p place) stored() *stelev1.Place {
	return &stelev1.Place{Part: uint32(p.Part), Offset: p.Offset, Sub: uint32(p.sub)}
}

func placeFrom(stored *stelev1.Place) place {
	return place{persistence.Position{Part: uint16(stored.GetPart()), Offset: stored.GetOffset()}, uint16(stored.GetSub())} //nolint:gosec // as stored
}

// encode is the place as headers hold it.
func (p place) encode() []byte {
	data, _ := proto.Marshal(p.stored()) // numbers always can be
	return data
}

// reactedTo is r after an event of the aggregate, in whose headers it stands what that
// was a reaction to. They are known to be headers.
func (d *definition) reactedTo(r reacted, recorded *persistence.Recorded) (reacted, error) {
	if len(d.reactions) == 0 {
		return r, nil
	}
	for headers := recorded.Headers; len(headers) > 0; {
		field, kind, n := protowire.ConsumeTag(headers)
		headers = headers[n:]
		if field == headerReacted && kind == protowire.BytesType {
			data, _ := protowire.ConsumeBytes(headers)
			var stored stelev1.Place
			if err := proto.Unmarshal(data, &stored); err != nil {
				return r, corrupt(recorded, "the headers cannot be decoded", err)
			}
			r = r.with(placeFrom(&stored))
		}
		headers = headers[protowire.ConsumeFieldValue(field, kind, headers):]
	}
	return r, nil
}

// keptReacted is what a snapshot holds of it.
func keptReacted(r reacted) (kept []*stelev1.Place) {
	for _, p := range r {
		kept = append(kept, p.stored())
	}
	return kept
}

// reactedOf is the reverse of keptReacted.
func reactedOf(kept []*stelev1.Place) (r reacted) {
	for _, stored := range kept {
		r = r.with(placeFrom(stored))
	}
	return r
}
