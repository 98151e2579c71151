package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// measureDelivery measures how long after its acknowledgement an event is in the
// hands of a subscription that follows, beside how long its append took, while
// writers append at a fixed rate: a part of what they can while they are followed.
func (s *session) measureDelivery(rows *rows) error {
	most, err := s.follow(rows, 0, func(do work) (load, error) { return closedLoop(s.scale.writers, s.scale.window, do) })
	if err != nil {
		return err
	}
	for _, part := range s.scale.loads {
		rate := part * most.rate
		rounds, err := alone(s, func() (followed, error) {
			return s.follow(rows, int(rate*s.scale.window.Seconds())+1, func(do work) (load, error) {
				return openLoop(s.ctx, s.scale.writers, rate, s.scale.window, do)
			})
		})
		if err != nil {
			return err
		}
		metric := fmt.Sprintf("delivery-at-%g%%", 100*part)
		for _, p := range []struct {
			percentile float64
			aim        aim
		}{{50, none}, {99, s.durable(atMost(2))}} {
			comparisons := make([]comparison, len(rounds))
			for i := range rounds {
				comparisons[i] = rounds[i].at(p.percentile)
			}
			s.against(fmt.Sprintf("%s-p%g-vs-append", metric, p.percentile), comparisons, "µs", p.aim)
		}
	}
	return nil
}

// writers are as many as append while a subscription follows. Each has a stream of
// its own, which exists.
func (s *session) writers(j journal, rows *rows) ([]writer, error) {
	writers := make([]writer, s.scale.writers)
	for i := range writers {
		writers[i] = newWriter(j, newLanes(fmt.Sprint("bench-", i), 1), rows.exactly)
	}
	_, err := once(len(writers), len(writers), func(i int) error { return writers[i].append(0) })
	return writers, err
}

// followed is how long appends took, how long after their acknowledgement the
// events were delivered, in nanoseconds, and how many events came through both in a
// second.
type followed struct {
	appended, delivered *hdrhistogram.Histogram
	rate                float64
}

// at compares a percentile of both in microseconds.
func (f followed) at(percentile float64) comparison {
	return comparison{
		ours:    float64(f.delivered.ValueAtQuantile(percentile)) / 1e3,
		ceiling: float64(f.appended.ValueAtQuantile(percentile)) / 1e3,
	}
}

// last is the type of the event behind which a follower leaves.
const last = "bench.v1.Last"

func appendLast(to persistence.Submitter) error {
	w := newWriter(to, newLanes("last", 1), func(l *lane) persistence.Append { return l.exactly(persistence.Event{Type: last}) })
	return w.append(0)
}

// follow lets a subscription follow what drive lets the writers append, and notes
// the times of as many events as there is room for.
func (s *session) follow(rows *rows, room int, drive func(work) (load, error)) (f followed, err error) {
	err = s.fresh(func(j journal) error {
		writers, err := s.writers(j, rows)
		if err != nil {
			return err
		}
		head, err := j.Head(s.ctx)
		if err != nil {
			return err
		}
		subscription, err := tail.Open(s.ctx, j, tail.Options{After: head})
		if err != nil {
			return err
		}
		ctx, leave := context.WithCancel(s.ctx)
		defer leave()
		t := newTimes(head.Of(0).Offset, room)
		for i := range writers {
			t.watch(&writers[i])
		}
		var following error
		var group sync.WaitGroup
		group.Go(func() { following = t.follow(ctx, subscription) }) // awaited below
		l, err := drive(func(caller, i int) error { return writers[caller].append(i) })
		if err == nil {
			err = appendLast(j)
		}
		if err != nil {
			leave()
		}
		group.Wait()
		f = t.histograms(l.count)
		return errors.Join(err, following)
	})
	return f, err
}

// times are those of the first events behind the base, by their place.
type times struct {
	base   int64
	start  time.Time
	events []moments
}

// moments of one event, each since the start. The writer writes the first two, the
// follower the third, and they are read when both are done.
type moments struct{ submitted, acknowledged, delivered time.Duration }

func newTimes(base int64, room int) *times {
	return &times{base: base, start: time.Now(), events: make([]moments, room)}
}

// note changes the moments of an event if there is room for it.
func (t *times) note(position persistence.Position, change func(*moments)) {
	if i := position.Offset - t.base - 1; 0 <= i && i < int64(len(t.events)) {
		change(&t.events[i])
	}
}

// watch notes what happens to the appends of a writer.
func (t *times) watch(w *writer) {
	next, done := w.next, w.done
	var submitted time.Duration
	w.next = func(l *lane) persistence.Append {
		a := next(l)
		submitted = time.Since(t.start)
		return a
	}
	w.done = func(o persistence.Outcome) {
		if o.Err == nil {
			acknowledged := time.Since(t.start)
			t.note(o.Position, func(m *moments) { m.submitted, m.acknowledged = submitted, acknowledged })
		}
		done(o)
	}
}

// follow notes when events are delivered, until the last one.
func (t *times) follow(ctx context.Context, subscription *tail.Subscription) error {
	for page, err := range subscription.Pages(ctx) {
		if err != nil {
			return err
		}
		delivered := time.Since(t.start)
		for i := range page.Events {
			if page.Events[i].Type == last {
				return nil
			}
			t.note(page.Events[i].Position, func(m *moments) { m.delivered = delivered })
		}
	}
	return nil
}

// histograms are those of the first so many events, all of which have been
// delivered. An event can be delivered before its acknowledgement has come here,
// which counts as at once.
func (t *times) histograms(count int) followed {
	f := followed{appended: newHistogram(), delivered: newHistogram(), rate: float64(count) / time.Since(t.start).Seconds()}
	for _, m := range t.events[:min(count, len(t.events))] {
		_ = f.appended.RecordValue(int64(m.acknowledged - m.submitted)) // fails above a minute, which no window allows
		_ = f.delivered.RecordValue(int64(max(0, m.delivered-m.acknowledged)))
	}
	return f
}
