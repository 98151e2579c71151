package scenario

import (
	"context"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
)

// measureLatency measures one caller who waits for each reply, and all callers
// at a rate that they can easily keep.
func measureLatency(ctx context.Context, s *session) error {
	one := load.NewHistogram()
	err := withAccounts(ctx, s, 1, func(j store.Journal, node *stele.Node, ids []string) error {
		l, err := load.Single(s.scale.window, func(int) error { return deposit(ctx, node, ids[0]) })
		one.Merge(l.Latency)
		return err
	})
	if err != nil {
		return err
	}
	percentiles(s, "latency-1-caller", "time from Ask to the reply, one command after the other", one, 50, 99, 99.9)

	rate, err := halfRate(ctx, s)
	if err != nil {
		return err
	}
	open := load.NewHistogram()
	err = withAccounts(ctx, s, s.scale.many, func(_ store.Journal, node *stele.Node, ids []string) error {
		l, err := load.OpenLoop(ctx, s.scale.callers, rate, 2*s.scale.window, func(caller, i int) error {
			return deposit(ctx, node, ids[(caller+i*s.scale.callers)%len(ids)])
		})
		open.Merge(l.Latency)
		return err
	})
	if err != nil {
		return err
	}
	s.Value(measure.Metric{
		Name: "fixed-rate", Unit: "commands/s",
		Is: "half of the commands per second of callers who do not pause",
	}, rate)
	percentiles(s, "latency-at-fixed-rate", "time from when a command was due to its reply, at the fixed rate", open, 50, 99, 99.9)
	return nil
}

// halfRate is half of what the callers reach when they do not pause.
func halfRate(ctx context.Context, s *session) (float64, error) {
	l, _, err := deposits(ctx, s, s.scale.many)
	return l.Rate() / 2, err
}
