package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
)

// The load, as a multiple of what the aggregate can do, and the callers' patience.
const (
	overload = 10
	patience = 200 * time.Millisecond // of the callers
)

// measureOverload measures an aggregate that stores one command after the other and is
// asked for ten times as many as it can do. The rate is divided by that without overload.
// The time that refused callers wait is measured too. There is only one aggregate, limited by
// the journal: ten times the load of a whole node, or of a journal in memory, would be more
// than these processors can ask for.
func measureOverload(ctx context.Context, s *session) error {
	if s.Journal == "memory" {
		return nil
	}
	refusals := load.NewRecorder()
	rounds, err := measure.Beside(s.Sheet, func() (float64, error) {
		most, err := strictly(ctx, s, s.scale.window, 0, nil)
		if err != nil {
			return 0, err
		}
		return strictly(ctx, s, s.scale.window, overload*most, refusals)
	}, func() (float64, error) { return strictly(ctx, s, s.scale.window, 0, nil) })
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: fmt.Sprintf("commands-when-overloaded-%dx-vs-1x", overload), Unit: "commands/s", Aim: measure.AtLeast(0.9),
		Is: fmt.Sprintf("commands/s of one aggregate asked for %d times what it can do, divided by what it can do", overload),
	}, measure.Compared(rounds[0], measure.Identity))
	refused := load.Result{Latency: refusals.Merged()}
	s.Value(measure.Metric{
		Name: "refusal-when-overloaded-p50", Unit: "µs",
		Is: "time from Ask to ErrOverloaded, median",
	}, refused.Micros(50))
	s.Value(measure.Metric{
		Name: "refusal-when-overloaded-p99", Unit: "µs", Aim: measure.AtMost(1000),
		Is: "time from Ask to ErrOverloaded, which 99 % take at most",
	}, refused.Micros(99))
	return nil
}

var strictTallies = actors.Define("tally", append(slices.Clip(tallies), actors.Strict[tally]())...)

// strictly has one strict tally paid into, at a rate or, when that is 0, by a few who
// wait, and returns how many payments a second were done.
func strictly(ctx context.Context, s *session, window time.Duration, rate float64, refusals *load.Recorder) (done float64, err error) {
	err = fresh(ctx, s, func(j store.Journal) (err error) {
		node, err := stele.Start(ctx, stele.Config{
			Journal: j, Aggregates: stele.Aggregates{strictTallies}, AskTimeout: patience,
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(ctx))) }()
		var paid atomic.Int64
		pay := func(caller, _ int) error {
			began := time.Now()
			_, err := payIn.Ask(ctx, node, "0", &bankpb.Deposit{Cents: 1})
			switch {
			case err == nil:
				paid.Add(1)
			case errors.Is(err, persistence.ErrOverloaded) && refusals != nil:
				refusals.Record(caller, time.Since(began))
			case errors.Is(err, context.DeadlineExceeded):
			default:
				return err
			}
			return nil
		}
		var l load.Result
		if rate == 0 {
			l, err = load.ClosedLoop(8, window, pay)
		} else {
			l, err = load.OpenLoop(ctx, 4*s.scale.callers, rate, window, pay)
		}
		done = float64(paid.Load()) / l.Elapsed.Seconds()
		return err
	})
	return done, err
}
