package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
)

// measureSingle measures the latency of one writer who waits for each append.
func measureSingle(ctx context.Context, s *session, writers int) error {
	latencies := load.NewHistogram()
	ours := func() (load.Result, error) {
		l, err := single(ctx, s, s.rows.Exactly, s.scale.window)
		if err == nil {
			latencies.Merge(l.Latency)
		}
		return l, err
	}
	if _, err := beat(ctx, s, measure.Metric{
		Name: "append-1-p50", Unit: "µs", Is: "median time of one append after the other, divided by that of",
	}, writers, ours, load.Result.Middle); err != nil {
		return err
	}
	percentiles(s, "append-1", "time from submitting an append to its outcome, one after the other", latencies, 99, 99.9)
	return nil
}

// measureExpectations measures appends that expect no version, and appends whose event ids
// the caller chose. Their time is divided by that of plain appends.
func measureExpectations(ctx context.Context, s *session) error {
	sampled := func(next func(*load.Lane) persistence.Append) measure.Sample[load.Result] {
		return func() (load.Result, error) { return single(ctx, s, next, s.scale.window/2) }
	}
	for _, kind := range []struct {
		metric, is string
		next       func(*load.Lane) persistence.Append
		aim        measure.Aim
	}{
		{"append-any", "that expects any version", func(l *load.Lane) persistence.Append {
			return persistence.Append{Stream: l.Stream, Expected: persistence.Any, Events: []persistence.Event{s.rows.Event(l)}}
		}, measure.AtMost(2)},
		{"append-named", "whose event id the caller chose", func(l *load.Lane) persistence.Append {
			event := s.rows.Event(l)
			event.ID = persistence.NewEventID()
			return l.Exactly(event)
		}, measure.AtMost(2.5)},
	} {
		rounds, err := measure.Beside(s.Sheet, sampled(kind.next), sampled(s.rows.Exactly))
		if err != nil {
			return fmt.Errorf("%s: %w", kind.metric, err)
		}
		s.Against(measure.Metric{
			Name: kind.metric + "-p50-vs-exact", Unit: "µs", Aim: kind.aim,
			Is: "median time of an append " + kind.is + ", divided by that of one with an exact version and no id",
		}, measure.Compared(rounds[0], load.Result.Middle))
	}
	return nil
}

// single lets one writer append to one stream, which exists already.
func single(ctx context.Context, s *session, next func(*load.Lane) persistence.Append, window time.Duration) (l load.Result, err error) {
	err = fresh(ctx, s, func(j store.Journal) error {
		w := load.NewWriter(j, load.NewLanes("bench", 1), next)
		if err := w.Append(0); err != nil {
			return err
		}
		l, err = load.Single(window, w.Append)
		return err
	})
	return l, err
}
