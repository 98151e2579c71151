package postgres

import (
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// The lean way to append: the server looks for nothing that the link can prove.
// That a stream is at some version is known because an append of the link has
// stored it, and then the newest event that the link has stored proves that it
// still stands: positions have no gap, ids are unique, and rows are never removed.
// Or the batch that was sent just before has stored it, of which the last event is
// the proof. What nobody knows, such as of a stream that was only read, the server
// looks for.

// proof names an event: when it stands at its place, so does all that was stored
// before it. The zero proof proves nothing.
type proof struct {
	position        int64 // 0 when it is not known yet
	stream, version int64
	id              persistence.EventID
}

// whole reports whether the flight is one batch that is stored as a whole or not at
// all.
func (f *flight) whole() bool {
	return len(f.calls) == 1 && f.calls[0].op.alone() != f.calls[0].op && f.batch != nil
}

// alone is the statement for the same appends that rests on nothing sent before.
func (o op) alone() op {
	if o == opLean || o == opSingle {
		return opExact
	}
	return o
}

// lastEvent is the place of the last event of a call.
func (c *call) lastEvent() proof {
	w := c.works[len(c.works)-1]
	n := len(w.item.Events)
	return proof{stream: w.stream.id, version: int64(w.item.Expected) + int64(n), id: w.item.Events[n-1].ID}
}

// buildOn makes a flight that builds on another one prove it, and reports whether
// it can: all that it builds on is in that one, which is stored as a whole.
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

// standAlone ends that a flight builds on another one, once all before it is
// settled: what was decided on an append that failed is not stored.
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

// settleLean settles the appends of the lean function: all, or the exact function
// does it.
func (f *flight) settleLean(c *committer, works []*work, rows [][][]byte) (next []call) {
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
			c.forget()
		}
		return []call{{opExact, works}}
	}
	f.storedAll(c, works, base)
	return nil
}

// storedAll settles appends that stand behind a position, one behind the other.
func (f *flight) storedAll(c *committer, works []*work, base int64) {
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
		w.stream.stored.Store(int64(w.item.Expected) + int64(len(w.item.Events)))
		f.stored(w, first, base+1, false)
		base += int64(len(w.item.Events))
	}
}

// prove notes the newest event that the link has stored, and the position that was
// before those stored with it. It comes before what the event proves is told
// anybody.
func (c *committer) prove(base int64, newest proof) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.contention.note(c.newest.position > 0 && c.newest.position != base, time.Now())
	c.newest = newest
	c.journal.tail.wasStored(newest.position, newest.id)
}

// forget drops all that was known of the server's data: they are not what they
// were.
func (c *committer) forget() {
	c.mu.Lock()
	c.newest = proof{}
	c.mu.Unlock()
	c.journal.flushedTo.Store(0)
	c.journal.streams.reset()
}

// caution turns to the exact function for a while when the lean one refuses too
// often: a batch that it refuses costs both.
type fallback struct {
	began            time.Time
	batches, refused int
	until            time.Time
}

const (
	fallbackWindow = time.Second
	fallbackFew    = 3 // refused batches say nothing yet
)

// note counts a batch. More than a tenth refused is too many.
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

// judge notes how a batch fared.
func (c *committer) noteLean(refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fallback.note(refused, time.Now())
}

// group is the statement for appends that expect an exact version.
func (c *committer) exactOp() op {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.fallback.until) {
		return opExact
	}
	return opLean
}
