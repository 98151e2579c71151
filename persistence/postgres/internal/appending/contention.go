package appending

import (
	"time"
)

// contention watches whether events of other writers come between those of the link.
type contention struct {
	began            time.Time
	batches, between int
	last             time.Time // of the last event in between
	advice           advice
}

// advice says what would be better than the present release of the order lock.
type advice int

const (
	adviceNone advice = iota
	adviceEarly
	adviceLate
)

const (
	contentionWindow = time.Second
	contentionFew    = 5           // so many batches with others in between make a difference
	aloneAfter       = time.Minute // without events of others the late release is better
)

// note counts a batch. Several journals append when events of others come between more than
// a tenth of the batches.
func (r *contention) note(between bool, now time.Time) {
	if r.last.IsZero() || between {
		r.last = now
	}
	if now.Sub(r.began) > contentionWindow {
		r.began, r.batches, r.between = now, 0, 0
	}
	r.batches++
	if between {
		r.between++
	}
	switch {
	case r.between >= contentionFew && 10*r.between > r.batches:
		r.advice = adviceEarly
	case now.Sub(r.last) > aloneAfter:
		r.advice = adviceLate
	}
}

// change reports whether the advice differs from the present release, and forgets it.
func (r *contention) change(early bool) (wanted, differs bool) {
	w := r.advice
	r.advice = adviceNone
	return w == adviceEarly, w == adviceEarly && !early || w == adviceLate && early
}
