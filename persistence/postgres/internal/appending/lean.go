package appending

import (
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// The lean way to append: the server does not look for events that the link can prove.
//
// An append expects that its stream is at some version. Either an append of the same link
// has stored that version; then the newest event that the link has stored proves that the
// version still stands, because positions have no gap, ids are unique, and rows are never
// removed. Or the batch that was sent just before stores that version; then the last event
// of that batch is the proof. The server looks only for the other versions, such as those of
// a stream that was only read.

// proof names an event. When that event stands at its place, so do all that were stored
// before it. The zero proof proves nothing.
type proof struct {
	position        int64 // 0 when it is not known yet
	stream, version int64
	id              persistence.EventID
}

// whole reports whether the flight is one batch that is stored as a whole or not at all.
func (f *flight) whole() bool {
	return len(f.calls) == 1 && f.calls[0].op.alone() != f.calls[0].op && f.batch != nil
}

// alone returns the statement for the same appends that does not rest on other flights.
func (o op) alone() op {
	if o == opLean || o == opSingle {
		return opExact
	}
	return o
}

// lastEvent returns the place of the last event of a call.
func (c *call) lastEvent() proof {
	w := c.works[len(c.works)-1]
	n := len(w.item.Events)
	return proof{stream: w.stream.ID, version: int64(w.item.Expected) + int64(n), id: w.item.Events[n-1].ID}
}

// buildOn lets a flight that follows others prove the one before it. It reports whether that
// is possible: the one before is stored as a whole and has everything that the flight
// follows.
func (f *flight) buildOn(before *flight) bool {
	if before == nil || !before.whole() || !f.whole() {
		return false
	}
	for _, w := range f.calls[0].works {
		if w.item.Follows != nil && w.item.Follows != before.batch {
			return false
		}
	}
	f.before = before.calls[0].lastEvent()
	return true
}

// stopFollowing lets a flight go out for itself, once all flights before it are settled.
// Appends that were decided on an append that has failed are not stored.
func (f *flight) stopFollowing() {
	f.follows = false
	var calls []call
	for _, c := range f.calls {
		var works []*work
		for _, w := range c.works {
			if err := w.batch.Broken(w.index); err != nil {
				w.fail(err)
			} else {
				works = append(works, w)
			}
		}
		c.op = c.op.alone()
		if c.works = works; len(works) > 0 {
			calls = append(calls, c)
		}
	}
	f.calls = calls
}

// What the lean function may say.
const (
	leanStored      = 0
	leanOtherNewest = 1
)

// settleLean settles the appends that the lean function has stored. When it has refused
// them, the exact function is next.
func (f *flight) settleLean(c *Committer, works []*work, rows [][][]byte) (next []call) {
	refused, early, ok := int16(0), false, len(rows) == 1 && len(rows[0]) == 3 && len(rows[0][2]) == 1
	var base int64
	if ok {
		var ok1, ok2 bool
		base, ok1 = wire.ReadInt8(rows[0][0])
		refused, ok2 = wire.ReadInt2(rows[0][1])
		early, ok = rows[0][2][0] != 0, ok1 && ok2
	}
	if !ok {
		for _, w := range works {
			w.corrupt("the append function contradicts itself")
		}
		return nil
	}
	c.early.Store(early)
	c.noteLean(refused != leanStored)
	if refused != leanStored {
		if refused == leanOtherNewest {
			c.Forget()
		}
		return []call{{opExact, works}}
	}
	f.storedAll(c, works, base)
	return nil
}

// storedAll settles appends that stand one after the other behind a position.
func (f *flight) storedAll(c *Committer, works []*work, base int64) {
	if len(works) == 0 {
		return
	}
	newest := (&call{works: works}).lastEvent()
	newest.position = base
	for _, w := range works {
		newest.position += int64(len(w.item.Events))
	}
	c.prove(base, newest)
	for _, w := range works {
		first := int64(w.item.Expected) + 1
		w.stream.Stored.Store(int64(w.item.Expected) + int64(len(w.item.Events)))
		f.stored(w, first, base+1, false)
		base += int64(len(w.item.Events))
	}
}

// prove notes the newest event that the link has stored, and the position before the events
// that were stored with it. It comes before any caller learns what the event proves.
func (c *Committer) prove(base int64, newest proof) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.contention.note(c.newest.position > 0 && c.newest.position != base, time.Now())
	c.newest = newest
	c.host.Stored(newest.position, newest.id)
}

// Forget drops all that was known about the server's data, because the data have changed.
func (c *Committer) Forget() {
	c.mu.Lock()
	c.newest = proof{}
	c.mu.Unlock()
	c.host.Forget()
}

// fallback turns to the exact function for a while when the lean one refuses too often,
// because a refused batch costs the calls of both.
type fallback struct {
	began            time.Time
	batches, refused int
	until            time.Time
}

const (
	fallbackWindow = time.Second
	fallbackFew    = 3 // so many refused batches make a difference
)

// note counts a batch. More than a tenth of refused batches is too many.
func (c *fallback) note(refused bool, now time.Time) {
	if now.Sub(c.began) > fallbackWindow {
		*c = fallback{began: now, until: c.until}
	}
	c.batches++
	if !refused {
		return
	}
	if c.refused++; c.refused >= fallbackFew && 10*c.refused > c.batches {
		*c = fallback{began: now, until: now.Add(fallbackWindow)}
	}
}

// noteLean notes whether the lean function has refused a batch.
func (c *Committer) noteLean(refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fallback.note(refused, time.Now())
}

// exactOp returns the statement for appends that expect an exact version.
func (c *Committer) exactOp() op {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.fallback.until) {
		return opExact
	}
	return opLean
}

// knowsBehind reports whether the link has stored an event at a position or behind it. A
// server that gives such a position again has lost its newest data.
func (c *Committer) knowsBehind(position int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest.position >= position
}
