package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// measureDelivery measures the time from an event's acknowledgement to its delivery to a
// subscription that follows, divided by the time of its append. Meanwhile writers append at a
// fixed rate, a part of the highest at which they can be followed.
func measureDelivery(ctx context.Context, s *session) error {
	most, err := follow(ctx, s, 0, func(do load.Work) (load.Result, error) { return load.ClosedLoop(s.scale.writers, s.scale.window, do) })
	if err != nil {
		return err
	}
	for _, part := range s.scale.loads {
		rate := part * most.rate
		rounds, err := measure.Alone(s.Sheet, func() (followed, error) {
			return follow(ctx, s, int(rate*s.scale.window.Seconds())+1, func(do load.Work) (load.Result, error) {
				return load.OpenLoop(ctx, s.scale.writers, rate, s.scale.window, do)
			})
		})
		if err != nil {
			return err
		}
		metric := fmt.Sprintf("delivery-at-%g%%", 100*part)
		for _, p := range []struct {
			percentile float64
			aim        measure.Aim
		}{{50, measure.None}, {99, durable(s, measure.AtMost(2))}} {
			comparisons := make([]measure.Comparison, len(rounds))
			for i := range rounds {
				comparisons[i] = rounds[i].at(p.percentile)
			}
			s.Against(measure.Metric{
				Name: fmt.Sprintf("%s-p%g-vs-append", metric, p.percentile), Unit: "µs", Aim: p.aim,
				Is: fmt.Sprintf("time from acknowledgement to a subscriber, which %g %% take at most, divided by that of the appends", p.percentile),
			}, comparisons)
		}
	}
	return nil
}

// last is the type of the event behind which a follower leaves.
const last = "bench.v1.Last"

func appendLast(to persistence.Submitter) error {
	w := load.NewWriter(to, load.NewLanes("last", 1), func(l *load.Lane) persistence.Append { return l.Exactly(persistence.Event{Type: last}) })
	return w.Append(0)
}

// follow lets a subscription follow what drive lets the writers append, and notes
// the times of as many events as there is room for.
func follow(ctx context.Context, s *session, room int, drive func(load.Work) (load.Result, error)) (f followed, err error) {
	err = fresh(ctx, s, func(j store.Journal) error {
		writers, err := newWriters(s, j)
		if err != nil {
			return err
		}
		head, err := j.Head(ctx)
		if err != nil {
			return err
		}
		subscription, err := tail.Open(ctx, j, tail.Options{After: head})
		if err != nil {
			return err
		}
		following, leave := context.WithCancel(ctx)
		defer leave()
		t := newTimes(head.Of(0).Offset, room)
		for i := range writers {
			t.watch(&writers[i])
		}
		var failed error
		var group sync.WaitGroup
		group.Go(func() { failed = t.follow(following, subscription) }) // awaited below
		l, err := drive(func(caller, i int) error { return writers[caller].Append(i) })
		if err == nil {
			err = appendLast(j)
		}
		if err != nil {
			leave()
		}
		group.Wait()
		f = t.histograms(l.Count)
		return errors.Join(err, failed)
	})
	return f, err
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
