package scenario

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// counted counts the reads of a journal's sequence.
type counted struct {
	store.Journal
	reads atomic.Int64
}

// ReadAll fulfils [persistence.Reader].
func (c *counted) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		for page, err := range c.Journal.ReadAll(ctx, options) {
			c.reads.Add(1)
			if !yield(page, err) {
				return
			}
		}
	}
}

// Head fulfils [persistence.Reader].
func (c *counted) Head(ctx context.Context) (persistence.Positions, error) {
	c.reads.Add(1)
	return c.Journal.Head(ctx)
}

// measureMany counts what a hundred projections on one node read of the journal.
func measureMany(ctx context.Context, s *session) error {
	const many, pages = 100, 200
	return fresh(ctx, s, func(j store.Journal) error {
		c := &counted{Journal: j}
		var all []projections.Projection
		for i := range many {
			all = append(all, counter("counter-"+strconv.Itoa(i)))
		}
		return projecting(ctx, c, all, func(ctx context.Context, runner *projections.Runner) error {
			w := load.NewWriter(j, load.NewLanes("bench", 1), s.rows.Exactly)
			if err := errors.Join(w.Append(0), runner.CatchUp(ctx)); err != nil {
				return err
			}
			c.reads.Store(0)
			for i := range pages {
				if err := w.Append(i + 1); err != nil {
					return err
				}
				for n := range many {
					if err := runner.WaitFor(ctx, "counter-"+strconv.Itoa(n), persistence.Position{Offset: int64(i + 2)}); err != nil {
						return err
					}
				}
			}
			s.Value(measure.Metric{
				Name: "reads-per-page-of-100-projections", Unit: "reads", Aim: measure.AtMost(2),
				Is: "reads of the journal by 100 projections, divided by the events appended",
			}, float64(c.reads.Load())/pages)
			c.reads.Store(0)
			if err := wait(ctx, s.scale.window); err != nil {
				return err
			}
			s.Value(measure.Metric{
				Name: "reads-when-idle-of-100-projections", Unit: "reads/s", Aim: measure.AtMost(1),
				Is: "reads of the journal by 100 projections, divided by seconds in which nothing is appended",
			}, float64(c.reads.Load())/s.scale.window.Seconds())
			return nil
		})
	})
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
