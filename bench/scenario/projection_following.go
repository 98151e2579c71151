package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
)

// measureFollowing measures how long after its acknowledgement an event is in the
// read model, while writers append at parts of what they can while it is made.
func measureFollowing(ctx context.Context, s *session) error {
	if on, ok := s.store.(*store.Postgres); ok {
		return withViews(ctx, on, func(v *views) error {
			return following(ctx, s, func(t *times) projections.Projection {
				stamped := &stamping{Target: postgres.Batched(v.target), times: t}
				return v.batchesInto(stamped, stamped.add)
			})
		})
	}
	return following(ctx, s, func(t *times) projections.Projection {
		return projections.Define("counter", 1, projections.Any(func(_ context.Context, n *int, recorded persistence.Recorded) error {
			*n++
			t.note(recorded.Position, func(m *moments) { m.delivered = time.Since(t.start) })
			return nil
		})).Into(projections.InMemory(new(int)))
	})
}

func following(ctx context.Context, s *session, make func(*times) projections.Projection) error {
	most, err := projected(ctx, s, 0, make, func(do load.Work) (load.Result, error) { return load.ClosedLoop(s.scale.writers, s.scale.window, do) })
	if err != nil {
		return err
	}
	for _, part := range []float64{0.1, 0.5, 0.9} {
		rate := part * most.rate
		rounds, err := measure.Alone(s.Sheet, func() (followed, error) {
			return projected(ctx, s, int(rate*s.scale.window.Seconds())+1, make, func(do load.Work) (load.Result, error) {
				return load.OpenLoop(ctx, s.scale.writers, rate, s.scale.window, do)
			})
		})
		if err != nil {
			return err
		}
		for _, percentile := range []float64{50, 99} {
			lags := []float64{}
			for _, found := range rounds {
				lags = append(lags, found.at(percentile).Ours)
			}
			s.Middle(measure.Metric{
				Name: fmt.Sprintf("lag-at-%g%%-p%g", 100*part, percentile), Unit: "µs",
				Is: fmt.Sprintf("time from an append's acknowledgement to the read model, which %g %% take at most", percentile),
			}, lags)
		}
	}
	return nil
}

// projected lets a projection follow what drive lets the writers append.
func projected(ctx context.Context, s *session, room int, make func(*times) projections.Projection, drive func(load.Work) (load.Result, error)) (f followed, err error) {
	err = fresh(ctx, s, func(j store.Journal) error {
		writers, err := newWriters(s, j)
		if err != nil {
			return err
		}
		head, err := j.Head(ctx)
		if err != nil {
			return err
		}
		t := newTimes(head.Of(0).Offset, room)
		return projecting(ctx, j, []projections.Projection{make(t)}, func(ctx context.Context, runner *projections.Runner) error {
			if err := runner.CatchUp(ctx); err != nil {
				return err
			}
			for i := range writers {
				t.watch(&writers[i])
			}
			t.start = time.Now()
			l, err := drive(func(caller, i int) error { return writers[caller].Append(i + 1) })
			if err == nil {
				err = runner.CatchUp(ctx)
			}
			f = t.histograms(l.Count)
			return err
		})
	})
	return f, err
}

// stamping notes when the transactions of a target were committed.
type stamping struct {
	projections.Target[*pgx.Batch]
	times *times

	mu      sync.Mutex // protects applied
	applied []persistence.Position
}

func (s *stamping) add(recorded *persistence.Recorded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = append(s.applied, recorded.Position)
}

// Transact fulfils [projections.Target].
func (s *stamping) Transact(ctx context.Context, body func(context.Context, *pgx.Batch, projections.Book) error) error {
	err := s.Target.Transact(ctx, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Since(s.times.start); err == nil {
		for _, position := range s.applied {
			s.times.note(position, func(m *moments) { m.delivered = now })
		}
	}
	s.applied = s.applied[:0]
	return err
}
