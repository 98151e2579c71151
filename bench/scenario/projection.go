package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// projection measures projections of the global sequence of a journal.
func projection() []part {
	return []part{
		{"catching up", measureCatchingUp},
		{"inline", measureInline},
		{"many", measureMany},
		{"following", measureFollowing},
	}
}

// projecting runs projections while body works.
func projecting(ctx context.Context, j persistence.Journal, all []projections.Projection, body func(context.Context, *projections.Runner) error) error {
	runner, err := projections.New(projections.Config{Journal: j, Projections: all})
	if err != nil {
		return err
	}
	group := lifecycle.Start(ctx, lifecycle.Component{Name: "projections", Run: runner.Run})
	err = body(ctx, runner)
	return errors.Join(err, group.Stop(context.WithoutCancel(ctx)))
}

// catchUp is the rate at which projections come to the end of a journal of so many
// events.
func catchUp(ctx context.Context, j persistence.Journal, events int, all ...projections.Projection) (rate float64, err error) {
	err = projecting(ctx, j, all, func(ctx context.Context, runner *projections.Runner) error {
		start := time.Now()
		if err := runner.CatchUp(ctx); err != nil {
			return err
		}
		rate = float64(events) / time.Since(start).Seconds()
		return nil
	})
	return rate, err
}

// counter counts events in memory.
func counter(name string) projections.Projection {
	return projections.Define(name, 1, projections.Any(func(_ context.Context, n *int, _ persistence.Recorded) error {
		*n++
		return nil
	})).Into(projections.InMemory(new(int)))
}

func measureCatchingUp(ctx context.Context, s *session) (err error) {
	const space = "projected"
	j, err := s.store.Open(ctx, space)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, j.Close(), s.store.Drop(context.WithoutCancel(ctx), space))
	}()
	if err := load.Fill(j, "bench", s.scale.rebuilt, s.rows.Event); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	events := s.scale.rebuilt * load.EventsEach
	rounds, err := measure.Beside(s.Sheet, func() (float64, error) { return catchUp(ctx, j, events, counter("counter")) },
		reading(s, func() (int, error) { return readAll(ctx, j, events, persistence.DefaultPageRows) }))
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: "catch-up-memory-vs-tail", Unit: "events/s", Aim: measure.AtLeast(0.7),
		Is: "events/s that a projection in memory applies, divided by those of only reading the sequence",
	}, measure.Compared(rounds[0], measure.Identity))
	postgres, ok := s.store.(*store.Postgres)
	if !ok {
		return nil
	}
	return withViews(ctx, postgres, func(v *views) error { return measureTables(ctx, s, j, space, events, v) })
}
