package actors

import (
	"container/heap"
	"context"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// wake is a time at which an aggregate is woken to go on with what it has open.
type wake struct {
	at      time.Time
	of      key
	overdue stored.Open // as the search has found it, if it is
	i       int
}

type wakes []*wake

func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(i, j int) bool { return w[i].at.Before(w[j].at) }
func (w wakes) Swap(i, j int)      { w[i], w[j] = w[j], w[i]; w[i].i, w[j].i = i, j }
func (w *wakes) Push(x any) {
	next := x.(*wake) //nolint:forcetypeassert // ours
	next.i = len(*w)
	*w = append(*w, next)
}

func (w *wakes) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// look says how long before its time something is held for waking.
func (d *deliverer) look(ahead time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ahead = ahead
}

// wakeDue takes streams whose aggregates are to be woken by a time, the earliest first, and
// returns how many it has room for. What is held for later, since it was opened here
// before the search had come to it, takes no room: it would keep out what is late until
// its time.
func (d *deliverer) wakeDue(due []openStream, by time.Time, sender func(persistence.StreamID) key) int {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	room := maxWakes
	for _, w := range d.wakes {
		if !w.at.After(by) {
			room--
		}
	}
	for i, open := range due {
		if i >= room {
			return i
		}
		of, at := sender(open.stream), time.UnixMicro(open.next)
		if d.waking[of] == nil || at.After(now) { // else it is in hand, and rests
			d.wakeAt(of, at)
		}
		d.waking[of].overdue = open.overdue
	}
	return len(due)
}

// wakeAt has an aggregate woken at a time, if it is not woken before. The lock is
// held.
func (d *deliverer) wakeAt(of key, at time.Time) {
	w := d.waking[of]
	switch {
	case w == nil:
		w = &wake{at: at, of: of}
		d.waking[of] = w
		heap.Push(&d.wakes, w)
	case at.Before(w.at):
		w.at = at
		heap.Fix(&d.wakes, w.i)
	}
	if w.i == 0 {
		d.sound()
	}
}

// sound has the time looked at.
func (d *deliverer) sound() {
	select {
	case d.alarm <- struct{}{}:
	default:
	}
}

// keepTime wakes aggregates when it is time.
func (d *deliverer) keepTime(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(d.ring(time.Now()))
		select {
		case <-timer.C:
		case <-d.alarm:
		case <-ctx.Done():
			return nil
		}
	}
}

// ring wakes those whose time has come, the earliest first, and returns how long it
// is to the next.
func (d *deliverer) ring(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.wakes) > 0 && !d.wakes[0].at.After(now) {
		switch {
		case d.rousing >= maxRousing && d.slow(now) > 0:
			return d.slow(now) // or until the end of one sounds the alarm
		case d.queued >= maxDeliveryQueue:
			return shortestRedelivery
		}
		w := heap.Pop(&d.wakes).(*wake) //nolint:forcetypeassert // ours
		delete(d.waking, w.of)
		d.push(laneKey{from: w.of}, &sending{message: w.overdue}, true)
	}
	if len(d.wakes) == 0 {
		return time.Hour
	}
	return d.wakes[0].at.Sub(now)
}

// calm ends the counting of one that was woken. The lock is held.
func (d *deliverer) calm(s *sending) {
	if !s.roused.IsZero() {
		s.roused = time.Time{}
		d.rousing--
		d.sound()
	}
	for d.roused.Len() > 0 && (*d.roused.At(0)).roused.IsZero() {
		d.roused.Pop()
	}
}

// slow returns the time until the oldest delivery that counts is slow. Those that are
// slow do not count any more: they must not keep everybody waiting. The lock is held.
func (d *deliverer) slow(now time.Time) time.Duration {
	for d.roused.Len() > 0 {
		oldest := *d.roused.At(0)
		if left := oldest.roused.Add(slowRousing).Sub(now); left > 0 {
			return left
		}
		d.calm(oldest)
	}
	return 0
}
