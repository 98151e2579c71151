package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
)

// tally is an account with as little in it as can be, so that what is measured is
// what the runtime does for it.
type tally struct{ Cents int64 }

var (
	payIn   = actors.NewCommand[*bankpb.Deposit, *bankpb.Balance]("tally")
	showIt  = actors.NewCommand[*bankpb.Show, *bankpb.Balance]("tally")
	tallies = []actors.Part[tally]{
		actors.Handle(payIn, func(a *tally, tx *actors.Tx, c *bankpb.Deposit) (*bankpb.Balance, error) {
			tx.Raise(&bankpb.Deposited{Cents: c.Cents})
			return &bankpb.Balance{Cents: a.Cents}, nil
		}),
		actors.Handle(showIt, func(a *tally, _ *actors.Tx, _ *bankpb.Show) (*bankpb.Balance, error) {
			return &bankpb.Balance{Cents: a.Cents}, nil
		}),
		actors.On(func(a *tally, e *bankpb.Deposited) { a.Cents += e.Cents }),
	}
	plainTallies = actors.Define("tally", tallies...)
	fullTallies  = actors.Define("tally", append(slices.Clone(tallies), actors.SnapshotEvery[tally](100))...)
)

// tallying starts a node of tallies on a journal and stops it after use.
func (s *session) tallying(j journal, of actors.Definition, use func(*stele.Node) error) (err error) {
	node, err := stele.Start(s.ctx, stele.Config{
		Journal: j, Aggregates: stele.Aggregates{of}, Idle: time.Hour, AskTimeout: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(s.ctx))) }()
	return use(node)
}

// measureExtras measures what keys, metadata and snapshots cost.
func (s *session) measureExtras() error {
	full, err := beside(s, func() (float64, error) { return s.payments(fullTallies, true) },
		func() (float64, error) { return s.payments(plainTallies, false) })
	if err != nil {
		return err
	}
	s.against("commands-with-all-vs-plain", compared(full[0], identity), "commands/s", atLeast(0.8))
	if err := s.fresh(s.measureMemory); err != nil {
		return fmt.Errorf("memory of commands: %w", err)
	}
	return s.fresh(s.measureSnapshot)
}

// payments lets all callers pay into many tallies, with a key of their own and
// metadata for each command, or without.
func (s *session) payments(of actors.Definition, extras bool) (rate float64, err error) {
	err = s.fresh(func(j journal) error {
		return s.tallying(j, of, func(node *stele.Node) error {
			ids := accountIDs(s.scale.many)
			ctx := s.ctx
			if extras {
				ctx = actors.WithActor(actors.WithMetadata(ctx, persistence.Metadata{"tenant": persistence.String("acme")}), "ann")
			}
			pay := func(caller, i int) error {
				var options []actors.AskOption
				if extras {
					options = append(options, actors.Once(strconv.Itoa(caller)+"-"+strconv.Itoa(i)))
				}
				_, err := payIn.Ask(ctx, node, ids[(caller+i*s.scale.callers)%len(ids)], &bankpb.Deposit{Cents: 1}, options...)
				return err
			}
			_, err := once(s.scale.callers, len(ids), func(i int) error {
				_, err := showIt.Ask(s.ctx, node, ids[i], &bankpb.Show{})
				return err
			})
			if err != nil {
				return err
			}
			l, err := closedLoop(s.scale.callers, s.scale.window, pay)
			rate = l.rate()
			return err
		})
	})
	return rate, err
}

// measureMemory measures what one command takes that an aggregate knows again.
func (s *session) measureMemory(j journal) error {
	aggregates, each := min(s.scale.many, 200), 100
	ids := accountIDs(aggregates)
	heap := func(of actors.Definition) (size int64, err error) {
		err = s.tallying(j, of, func(node *stele.Node) error {
			_, err := once(s.scale.callers, aggregates, func(i int) error {
				_, err := showIt.Ask(s.ctx, node, ids[i], &bankpb.Show{})
				return err
			})
			size = liveHeap()
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
	baseline := liveHeap()
	err = s.tallying(j, plainTallies, func(node *stele.Node) error {
		_, err := once(s.scale.callers, aggregates*each, func(i int) error {
			_, err := payIn.Ask(s.ctx, node, ids[i%aggregates], &bankpb.Deposit{Cents: 1}, actors.Once(strconv.Itoa(i)))
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	stored := liveHeap() - baseline // by a journal that keeps its events in memory
	after, err := heap(plainTallies)
	if err != nil {
		return err
	}
	s.value("remembered-command", float64(after-before-stored)/float64(aggregates*each), "B", atMost(128))
	return nil
}

// measureSnapshot compares the first answer of an aggregate with a long history and
// a snapshot with that of one with a short history.
func (s *session) measureSnapshot(j journal) error {
	long, short := s.scale.history, s.scale.history/1000
	lanes := newLanes("tally", 2)
	lengths := []persistence.Version{persistence.Version(long), persistence.Version(short)}
	for i, l := range lanes {
		if _, err := pump(j, []*lane{l}, deposited, func(l *lane) bool { return l.version < lengths[i] }); err != nil {
			return err
		}
	}
	first := func(node *stele.Node, id string, cents int64) (float64, error) {
		began := time.Now()
		balance, err := showIt.Ask(s.ctx, node, id, &bankpb.Show{})
		took := float64(time.Since(began).Nanoseconds()) / 1e3
		if err == nil && balance.Cents != cents {
			err = fmt.Errorf("tally %s has %d cents", id, balance.Cents)
		}
		return took, err
	}
	err := s.tallying(j, fullTallies, func(node *stele.Node) error { // which leaves a snapshot
		_, err := first(node, "0", int64(long))
		return err
	})
	if err != nil {
		return err
	}
	var rounds []comparison
	var replays []float64
	for range 15 {
		var c comparison
		err := s.tallying(j, fullTallies, func(node *stele.Node) (err error) {
			if _, err = first(node, "none", 0); err != nil { // what the first of all costs
				return err
			}
			if c.ceiling, err = first(node, "1", int64(short)); err != nil {
				return err
			}
			c.ours, err = first(node, "0", int64(long))
			return err
		})
		if err != nil {
			return err
		}
		rounds = append(rounds, c)
	}
	err = s.tallying(j, plainTallies, func(node *stele.Node) error {
		took, err := first(node, "0", int64(long))
		replays = append(replays, took)
		return err
	})
	if err != nil {
		return err
	}
	s.against(fmt.Sprintf("first-answer-of-%d-with-snapshot-vs-%d", long, short), rounds, "µs", atMost(2))
	s.middle(fmt.Sprintf("first-answer-of-%d-without-snapshot", long), replays, "µs", none)
	return nil
}
