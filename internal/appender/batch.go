package appender

import (
	"math"

	"github.com/stele-es/stele/persistence"
)

// Batch holds the appends that one commit stores: at most one append for each stream, in the
// order of arrival. Items and their events are read-only.
type Batch struct {
	Items  []Item // at least one
	Events int    // of all items together
	queue  *Queue
}

// Item is one append of a batch. All its events have ids.
type Item struct {
	persistence.Append
	// Named reports that the caller chose the ids, so that duplicates must be
	// looked for.
	Named bool
	// Follows is the batch that the item was decided on and that is not settled yet,
	// or nil: see [Batch.LetFollow].
	Follows *Batch
	entries []entry
	lane    *lane
	settled bool
}

// take waits for work and forms the next batch; nil means closed and empty.
func (q *Queue) take() *Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if batch := q.form(); len(batch.Items) > 0 {
			return batch
		}
		if q.closed && q.appends == 0 {
			return nil
		}
		q.changed.Wait()
	}
}

// little is the number of appends that are not worth dividing: a batch costs the store about
// what so many appends in it do.
const little = 64

// form fills a batch from the lanes that are ready.
func (q *Queue) form() *Batch {
	batch := &Batch{queue: q}
	bytes := 0
	share := math.MaxInt
	if q.config.Underway > 1 {
		share = max(little, q.appends/q.config.Underway) // of all, also those in flight
	}
	for q.ready.Len() > 0 && batch.Events < q.config.BatchEvents && len(batch.Items) < share {
		l := *q.ready.At(0)
		if l.waiting.Len() == 0 || l.flying > 0 && !l.follows() {
			q.ready.Pop().ready = false
			q.rest(l)
			continue
		}
		first := l.waiting.At(0)
		turn := q.turn(first.chain, l) - l.flying // of which those in flight are a part
		if turn <= 0 {
			q.ready.Pop().ready = false
			l.held = l.flying == 0
			continue
		}
		if len(batch.Items) > 0 && (batch.Events+len(first.append.Events) > q.config.BatchEvents || bytes+first.size > q.config.BatchBytes) {
			break
		}
		if batch.Items == nil {
			batch.Items = make([]Item, 0, min(q.ready.Len(), q.config.BatchEvents))
		}
		q.ready.Pop().ready = false
		item, size := l.takeItem(turn, q.config.BatchEvents-batch.Events, q.config.BatchBytes-bytes)
		bytes += size
		batch.Events += len(item.Events)
		batch.Items = append(batch.Items, item)
	}
	return batch
}

// takeItem takes the first entry of a lane and joins those that continue it, as
// far as its chain's turn and the batch's room reach.
func (l *lane) takeItem(turn, events, bytes int) (Item, int) {
	first := l.waiting.Pop()
	item := Item{Append: first.append, Named: first.named, Follows: l.tail, entries: []entry{first}, lane: l}
	size, count := first.size, len(first.append.Events)
	for l.waiting.Len() > 0 && len(item.entries) < turn {
		next := l.waiting.At(0)
		if !continues(&item, next, count) || count+len(next.append.Events) > min(events, persistence.MaxAppendEvents) ||
			size+next.size > min(bytes, persistence.MaxAppendBytes) {
			break
		}
		count += len(next.append.Events)
		size += next.size
		item.entries = append(item.entries, l.waiting.Pop())
	}
	if len(item.entries) > 1 {
		item.Events = make([]persistence.Event, 0, count)
		for i := range item.entries {
			item.Events = append(item.Events, item.entries[i].append.Events...)
		}
	}
	l.flying += len(item.entries)
	l.tail, l.chain = nil, nil
	return item, size
}

func continues(item *Item, next *entry, count int) bool {
	if next.chain != item.entries[0].chain || item.Named || next.named || len(next.append.Events) == 0 || count == 0 {
		return false
	}
	version, exact := item.Expected.Version()
	// The first append to a stream may get another version than 1, when the stream was
	// deleted; those behind it then expect one that it does not have.
	return exact && version > 0 && next.append.Expected == persistence.Exact(version+persistence.Version(count))
}

// LetFollow lets the next batch hold appends that continue the chains of this one
// before it is settled. The committer may call it when it stores the next batch
// after this one and only if this one was stored as a whole: from Commit, before
// any item is settled. An item that follows one that failed then must be settled
// with what [Batch.Broken] returns, and not stored.
func (b *Batch) LetFollow() {
	q := b.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range b.Items {
		item := &b.Items[i]
		version, exact := item.Expected.Version()
		if l, chain := item.lane, item.entries[0].chain; chain != nil && exact && !item.Named && len(item.Events) > 0 {
			l.tail, l.chain, l.next = b, chain, persistence.Exact(version+persistence.Version(len(item.Events)))
			if l.follows() {
				q.makeReady(l)
			}
		}
	}
}

// Broken returns why item i must not be stored: an append that it was decided on
// has failed. Nil means that there is none such so far.
func (b *Batch) Broken(i int) error { return b.Items[i].entries[0].chain.Err() }

// Parts are the appends that item i was made of, in their order: one, unless several
// of a chain were joined.
func (b *Batch) Parts(i int) []Item {
	item := &b.Items[i]
	parts := make([]Item, len(item.entries))
	for k := range parts {
		parts[k] = Item{Append: item.entries[k].append, Named: item.Named}
	}
	return parts
}

// Settle tells the outcome of item i to all who wait for it, and then lets the
// next append of its stream go, so that a stream's outcomes are told in order. It
// is called for each item from any goroutine; only the first call counts, for [Again].
func (b *Batch) Settle(i int, o persistence.Outcome) {
	item := &b.Items[i]
	b.settle(item, o.Err, func(k int) persistence.Outcome {
		part := o
		if o.Err == nil && len(item.entries) > 1 {
			count := len(item.entries[k].append.Events)
			part.Last = o.First + persistence.Version(count) - 1
			o.First = part.Last + 1
			o.Position.Offset += int64(count)
		}
		return part
	})
}

// SettleParts is Settle for an item whose parts had a fate each. Those behind one
// that failed must have failed too.
func (b *Batch) SettleParts(i int, parts []persistence.Outcome) {
	b.settle(&b.Items[i], parts[len(parts)-1].Err, func(k int) persistence.Outcome { return parts[k] })
}

// settle asks for the outcome of each part, in order.
func (b *Batch) settle(item *Item, failure error, outcome func(part int) persistence.Outcome) {
	if item.settled {
		return
	}
	item.settled = true
	var broken []entry
	if failure != nil {
		broken = b.queue.breakChain(item.entries[0].chain, failure)
	}
	defer b.finish(item) // this and the next also when a callback ends the goroutine
	if len(broken) > 0 {
		defer b.queue.answer(broken, failure)
	}
	b.queue.tell(item.entries, outcome, 0)
}

// finish frees the lane and the room of a settled item.
func (b *Batch) finish(item *Item) {
	q := b.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.endTurn(item.entries[0].chain, len(item.entries))
	if item.lane.flying -= len(item.entries); item.lane.tail == b {
		item.lane.tail = nil
	}
	q.rest(item.lane)
	q.giveBack(item.entries)
}

// rest finds the place of a lane that is not in a batch for the moment.
func (q *Queue) rest(l *lane) {
	switch {
	case l.ready || l.held:
	case l.waiting.Len() == 0 && l.flying == 0:
		q.discard(l)
	case l.waiting.Len() > 0 && (l.flying == 0 || l.follows()):
		q.makeReady(l)
	}
}
