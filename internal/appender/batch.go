package appender

import "github.com/stele-es/stele/persistence"

// Batch is what one commit stores: at most one append for each stream, in the
// order of arrival. Items and their events are read-only.
type Batch struct {
	Items  []Item
	Events int
	queue  *Queue
}

// Item is one append of a batch. All its events have ids.
type Item struct {
	persistence.Append
	// Named reports that the caller chose the ids, so that duplicates must be
	// looked for.
	Named   bool
	entries []entry
	lane    *lane
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

// form fills a batch from the lanes that are ready.
func (q *Queue) form() *Batch {
	batch := &Batch{queue: q}
	bytes := 0
	for q.ready.Len() > 0 && batch.Events < q.config.BatchEvents {
		l := *q.ready.At(0)
		if l.waiting.Len() == 0 {
			q.discard(q.ready.Pop())
			continue
		}
		first := l.waiting.At(0)
		turn := q.turn(first.chain, l)
		if turn == 0 {
			q.ready.Pop().held = true
			continue
		}
		if len(batch.Items) > 0 && (batch.Events+len(first.append.Events) > q.config.BatchEvents || bytes+first.size > q.config.BatchBytes) {
			break
		}
		if batch.Items == nil {
			batch.Items = make([]Item, 0, min(q.ready.Len(), q.config.BatchEvents))
		}
		item, size := q.ready.Pop().takeItem(turn, q.config.BatchEvents-batch.Events, q.config.BatchBytes-bytes)
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
	item := Item{Append: first.append, Named: first.named, entries: []entry{first}, lane: l}
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
	return item, size
}

func continues(item *Item, next *entry, count int) bool {
	if next.chain != item.entries[0].chain || item.Named || next.named || len(next.append.Events) == 0 || count == 0 {
		return false
	}
	version, exact := item.Expected.Version()
	return exact && next.append.Expected == persistence.Exact(version+persistence.Version(count))
}

// Settle tells the outcome of item i to all who wait for it, and then lets the
// next append of its stream go, so that a stream's outcomes are told in order. It
// is called once for each item, from any goroutine.
func (b *Batch) Settle(i int, o persistence.Outcome) {
	item := &b.Items[i]
	var broken []entry
	if o.Err != nil {
		broken = b.queue.breakChain(item.entries[0].chain, o.Err)
	}
	for j := range item.entries {
		e := &item.entries[j]
		part := o
		if o.Err == nil && len(item.entries) > 1 {
			part.Last = o.First + persistence.Version(len(e.append.Events)) - 1
			o.First = part.Last + 1
			o.Position.Offset += int64(len(e.append.Events))
		}
		e.done(part)
	}
	b.queue.answer(broken, o.Err)
	b.queue.finish(item)
}

// finish frees the lane and the room of a settled item.
func (q *Queue) finish(item *Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.endTurn(item.entries[0].chain, len(item.entries))
	if l := item.lane; l.waiting.Len() > 0 {
		q.makeReady(l)
	} else {
		q.discard(l)
	}
	q.giveBack(item.entries)
}
