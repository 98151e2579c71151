package scenario

import (
	"context"
	"fmt"
	"strconv"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
)

// measureExtras measures what keys, metadata and snapshots cost.
func measureExtras(ctx context.Context, s *session) error {
	full, err := measure.Beside(s.Sheet, func() (float64, error) { return payments(ctx, s, fullTallies, true) },
		func() (float64, error) { return payments(ctx, s, plainTallies, false) })
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: "commands-with-all-vs-plain", Unit: "commands/s", Aim: measure.AtLeast(0.8),
		Is: "replies per second with keys, metadata and snapshots, divided by those without",
	}, measure.Compared(full[0], measure.Identity))
	if err := onFresh(measureMemory)(ctx, s); err != nil {
		return fmt.Errorf("memory of commands: %w", err)
	}
	return onFresh(measureSnapshot)(ctx, s)
}

// payments lets all callers pay into many tallies, with a key of their own and
// metadata for each command, or without.
func payments(ctx context.Context, s *session, of actors.Definition, extras bool) (rate float64, err error) {
	err = fresh(ctx, s, func(j store.Journal) error {
		return tallying(ctx, j, of, func(node *stele.Node) error {
			ids := accountIDs(s.scale.many)
			asking := ctx
			if extras {
				asking = actors.WithActor(actors.WithMetadata(asking, persistence.Metadata{"tenant": persistence.String("acme")}), "ann")
			}
			pay := func(caller, i int) error {
				var options []actors.AskOption
				if extras {
					options = append(options, actors.Once(strconv.Itoa(caller)+"-"+strconv.Itoa(i)))
				}
				_, err := payIn.Ask(asking, node, ids[(caller+i*s.scale.callers)%len(ids)], &bankpb.Deposit{Cents: 1}, options...)
				return err
			}
			_, err := load.Once(s.scale.callers, len(ids), func(i int) error {
				_, err := showIt.Ask(ctx, node, ids[i], &bankpb.Show{})
				return err
			})
			if err != nil {
				return err
			}
			l, err := load.ClosedLoop(s.scale.callers, s.scale.window, pay)
			rate = l.Rate()
			return err
		})
	})
	return rate, err
}

// measureMemory measures what one command takes that an aggregate knows again.
func measureMemory(ctx context.Context, s *session, j store.Journal) error {
	aggregates, each := min(s.scale.many, 200), 100
	ids := accountIDs(aggregates)
	heap := func(of actors.Definition) (size int64, err error) {
		err = tallying(ctx, j, of, func(node *stele.Node) error {
			_, err := load.Once(s.scale.callers, aggregates, func(i int) error {
				_, err := showIt.Ask(ctx, node, ids[i], &bankpb.Show{})
				return err
			})
			size = measure.LiveHeap()
			return err
		})
		return size, err
	}
	if _, err := heap(plainTallies); err != nil { // what the first use allocates for good
		return err
	}
	before, err := heap(plainTallies)
	if err != nil {
		return err
	}
	baseline := measure.LiveHeap()
	err = tallying(ctx, j, plainTallies, func(node *stele.Node) error {
		_, err := load.Once(s.scale.callers, aggregates*each, func(i int) error {
			_, err := payIn.Ask(ctx, node, ids[i%aggregates], &bankpb.Deposit{Cents: 1}, actors.Once(strconv.Itoa(i)))
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	stored := measure.LiveHeap() - baseline // by a journal that keeps its events in memory
	after, err := heap(plainTallies)
	if err != nil {
		return err
	}
	s.Value(measure.Metric{
		Name: "remembered-command", Unit: "B", Aim: measure.AtMost(128),
		Is: "bytes of heap, divided by the commands with a key that aggregates recognise",
	}, float64(after-before-stored)/float64(aggregates*each))
	return nil
}
