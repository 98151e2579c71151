package scenario

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
)

// page is the number of events that recovery reads at a time.
const page = 1000

// measureLong measures the recovery of one aggregate with a very long history: the rate at
// which its events come back, divided by that of reading them and no more; and the memory
// that recovery takes, in pages of events.
func measureLong(ctx context.Context, s *session) error {
	return fresh(ctx, s, func(j store.Journal) error {
		stream := persistence.StreamID("tally-0")
		batch := make([]persistence.Event, page)
		for i := range batch {
			batch[i] = deposited(nil)
		}
		for n := 0; n < s.scale.long; n += page {
			outcomes, err := j.Append(ctx, persistence.Append{Stream: stream, Expected: persistence.Exact(persistence.Version(n)), Events: batch}) //nolint:gosec // small
			if err != nil {
				return err
			}
			if outcomes[0].Err != nil {
				return outcomes[0].Err
			}
		}
		rounds, err := measure.Beside(s.Sheet, func() (float64, error) { return comeBack(ctx, s, j, plainTallies, func() {}) },
			func() (float64, error) { return readOnly(ctx, s, j, stream) })
		if err != nil {
			return err
		}
		name := "recovery-of-" + strconv.Itoa(s.scale.long) + "-events"
		s.Against(measure.Metric{
			Name: name + "-vs-reading", Unit: "events/s",
			Is: "events/s that one aggregate comes back with, divided by those of reading its stream",
		}, measure.Compared(rounds[0], measure.Identity))

		w := &watch{every: max(s.scale.long/10, 1)}
		if _, err := comeBack(ctx, s, j, w.tallies(), w.begin); err != nil {
			return err
		}
		size, err := pageSize(ctx, j, stream)
		if err != nil {
			return err
		}
		s.Value(measure.Metric{
			Name: name + "-memory", Unit: "pages", Aim: measure.AtMost(3),
			Is: "the most heap while it comes back, divided by the heap of a page of 1,000 events",
		}, float64(w.most)/float64(size))
		return nil
	})
}

// comeBack returns how many events a second are applied when the aggregate is asked, on
// a node that has answered already.
func comeBack(ctx context.Context, s *session, j store.Journal, of actors.Definition, ready func()) (rate float64, err error) {
	err = tallying(ctx, j, of, func(node *stele.Node) error {
		if _, err := showIt.Ask(ctx, node, "none", &bankpb.Show{}); err != nil {
			return err
		}
		ready()
		began := time.Now()
		balance, err := showIt.Ask(ctx, node, "0", &bankpb.Show{})
		rate = float64(s.scale.long) / time.Since(began).Seconds()
		if err == nil && balance.Cents != int64(s.scale.long) {
			err = fmt.Errorf("the tally has %d cents", balance.Cents)
		}
		return err
	})
	return rate, err
}

// readOnly returns how many events a second are read.
func readOnly(ctx context.Context, s *session, j store.Journal, stream persistence.StreamID) (rate float64, err error) {
	began := time.Now()
	count := 0
	for from := persistence.Version(1); count < s.scale.long; from += page {
		for _, err := range j.Read(ctx, stream, persistence.ReadOptions{From: from, Limit: page}) {
			if err != nil {
				return 0, err
			}
			count++
		}
	}
	return float64(count) / time.Since(began).Seconds(), nil
}

// pageSize is the number of bytes that the events of one page take in memory.
func pageSize(ctx context.Context, j store.Journal, stream persistence.StreamID) (int64, error) {
	before := measure.LiveHeap()
	events := make([]persistence.Recorded, 0, page)
	for recorded, err := range j.Read(ctx, stream, persistence.ReadOptions{From: 1, Limit: page}) {
		if err != nil {
			return 0, err
		}
		events = append(events, recorded)
	}
	size := measure.LiveHeap() - before
	runtime.KeepAlive(events)
	return size, nil
}

// watch looks at the heap now and then while events are applied.
type watch struct {
	every, count int
	before, most int64
}

func (w *watch) begin() { w.before = measure.LiveHeap() }

// tallies are tallies whose events are watched.
func (w *watch) tallies() actors.Definition {
	return actors.Define("tally", tallies[0], tallies[1], actors.On(func(a *tally, e *bankpb.Deposited) {
		a.Cents += e.Cents
		if w.count++; w.count%w.every == w.every/2 {
			w.most = max(w.most, measure.LiveHeap()-w.before)
		}
	}))
}
