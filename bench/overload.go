package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
)

// What overload is measured with.
const (
	overload = 10
	patience = 200 * time.Millisecond // of the callers
)

// measureOverload measures an aggregate that stores one command after the other and is
// asked for ten times what it can do, beside what it can do, and how long those whom it
// refuses wait for that. It is one aggregate because the journal is what limits it: ten
// times what a whole node can do would be more than these processors can ask for, and so
// would it be in memory.
func (s *session) measureOverload() error {
	if s.journal == "memory" {
		return nil
	}
	refusals := newRecorder()
	rounds, err := beside(s, func() (float64, error) {
		most, err := s.strictly(s.scale.window, 0, nil)
		if err != nil {
			return 0, err
		}
		return s.strictly(s.scale.window, overload*most, refusals)
	}, func() (float64, error) { return s.strictly(s.scale.window, 0, nil) })
	if err != nil {
		return err
	}
	s.against(fmt.Sprintf("commands-when-overloaded-%dx-vs-1x", overload), compared(rounds[0], identity), "commands/s", atLeast(0.9))
	refused := load{latency: refusals.merged()}
	s.value("refusal-when-overloaded-p50", refused.micros(50), "µs", none)
	s.value("refusal-when-overloaded-p99", refused.micros(99), "µs", atMost(1000))
	return nil
}

var strictTallies = actors.Define("tally", append(slices.Clip(tallies), actors.Strict[tally]())...)

// strictly has one strict tally paid into, at a rate or, when that is 0, by a few who
// wait, and returns how many payments a second were done.
func (s *session) strictly(window time.Duration, rate float64, refusals *recorder) (done float64, err error) {
	err = s.fresh(func(j journal) (err error) {
		node, err := stele.Start(s.ctx, stele.Config{
			Journal: j, Aggregates: stele.Aggregates{strictTallies}, AskTimeout: patience,
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(s.ctx))) }()
		var paid atomic.Int64
		pay := func(caller, _ int) error {
			began := time.Now()
			_, err := payIn.Ask(s.ctx, node, "0", &bankpb.Deposit{Cents: 1})
			switch {
			case err == nil:
				paid.Add(1)
			case errors.Is(err, persistence.ErrOverloaded) && refusals != nil:
				refusals.record(caller, time.Since(began))
			case errors.Is(err, context.DeadlineExceeded):
			default:
				return err
			}
			return nil
		}
		var l load
		if rate == 0 {
			l, err = closedLoop(8, window, pay)
		} else {
			l, err = openLoop(s.ctx, 4*s.scale.callers, rate, window, pay)
		}
		done = float64(paid.Load()) / l.elapsed.Seconds()
		return err
	})
	return done, err
}
