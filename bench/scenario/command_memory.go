package scenario

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
)

// measureAggregates measures what live aggregates need of memory, and how fast
// they are read again by a node that starts.
func measureAggregates(ctx context.Context, s *session) (err error) {
	const space = "accounts"
	defer func() { err = errors.Join(err, s.store.Drop(context.WithoutCancel(ctx), space)) }()
	ids := accountIDs(s.scale.idle)
	if err := measureIdle(ctx, s, space, ids); err != nil {
		return fmt.Errorf("measure memory: %w", err)
	}
	goal := measure.None
	if s.Journal == "postgres" {
		goal = measure.AtLeast(0.25)
	}
	return besideScan(ctx, s, measure.Metric{
		Name: "recovery", Unit: "events/s", Aim: goal,
		Is: "events/s that come back when a new node is asked for every account",
	}, space, func() (float64, error) { return recovery(ctx, s, space, ids) })
}

// measureIdle fills the journal, has all aggregates activated, and compares the
// heap before and after. The journal has its own memory of the streams
// before.
func measureIdle(ctx context.Context, s *session, space string, ids []string) (err error) {
	j, err := s.store.Open(ctx, space)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	if err := load.Fill(j, "account", len(ids), account); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return withNode(ctx, s, j, func(node *stele.Node) error {
		before := measure.LiveHeap()
		if err := showAll(ctx, s, node, ids); err != nil {
			return err
		}
		each := float64(measure.LiveHeap()-before) / float64(len(ids))
		runtime.KeepAlive(ids)
		s.Value(measure.Metric{
			Name: "idle-aggregate", Unit: "B",
			Is: "bytes of heap, divided by the live aggregates that have no work",
		}, each)
		s.Value(measure.Metric{
			Name: "idle-aggregate-beside-state", Unit: "B", Aim: measure.AtMost(2048),
			Is: "the same without the bytes of their states",
		}, each-float64(unsafe.Sizeof(bank.Account{})))
		return nil
	})
}

// recovery starts a node on a journal that was opened anew, and returns how many
// events per second come back when every aggregate is asked something.
func recovery(ctx context.Context, s *session, space string, ids []string) (rate float64, err error) {
	j, err := s.store.Open(ctx, space)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	err = withNode(ctx, s, j, func(node *stele.Node) error {
		start := time.Now()
		if err := showAll(ctx, s, node, ids); err != nil {
			return err
		}
		rate = float64(len(ids)*load.EventsEach) / time.Since(start).Seconds()
		return nil
	})
	return rate, err
}

// showAll asks every account for its balance, which must be that of its events.
func showAll(ctx context.Context, s *session, node *stele.Node, ids []string) error {
	_, err := load.Once(4*s.scale.callers, len(ids), func(i int) error {
		balance, err := bank.Show.Ask(ctx, node, ids[i], &bankpb.Show{})
		if err == nil && balance.Cents != load.EventsEach-1 {
			err = fmt.Errorf("account %s has %d cents", ids[i], balance.Cents)
		}
		return err
	})
	return err
}
