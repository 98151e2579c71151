package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// What a backlog is measured with.
const (
	owing     = 6    // accounts that all transfers go between
	bystander = 2000 // accounts that plain commands go to
	plainRate = 200  // of them in a second
)

// measureBacklog measures how fast a node that starts after a crash ends the transfers
// that have begun, each of which may have been paid already for all that it knows, beside
// the same transfers without a crash; and what plain commands wait meanwhile, beside a
// node that does nothing else.
func measureBacklog(s *session) error {
	var waits []comparison
	rounds, err := beside(s, func() (rate float64, err error) {
		idle, err := s.idle()
		if err != nil {
			return 0, err
		}
		rate, busy, err := s.drain()
		waits = append(waits, comparison{busy.micros(99), idle.micros(99)})
		return rate, err
	}, func() (float64, error) { return s.transfersBetween(owing, s.scale.backlog) })
	if err != nil {
		return err
	}
	s.against(fmt.Sprintf("backlog-of-%d-sends-vs-transfers", s.scale.backlog), compared(rounds[0], identity), "transfers/s", s.durable(atLeast(0.5)))
	s.against("command-beside-backlog-p99-vs-idle", waits, "µs", s.durable(atMost(5)))
	return nil
}

// drain fills a journal with what a crash has left, starts a node and waits until all
// transfers have ended.
func (s *session) drain() (rate float64, plain load, err error) {
	err = s.fresh(func(j journal) error {
		if err := each(j, "transfer", s.scale.backlog, begun); err != nil {
			return err
		}
		// Behind what was sent, so that each of these events may be what became of it.
		if _, err := pump(j, newLanes("account", owing), paidBySent, upTo(persistence.Version(s.scale.paid))); err != nil {
			return err
		}
		if err := s.bystanders(j); err != nil {
			return err
		}
		began := time.Now()
		return s.moving(j, func(node *stele.Node) error {
			stop := s.plainly(node)
			err := s.until(func() bool { // all were read, so that they were found before
				stats := node.Stats()
				return stats.Recoveries >= uint64(s.scale.backlog) && stats.Pending == 0 //nolint:gosec // a number of transfers
			})
			rate = float64(s.scale.backlog) / time.Since(began).Seconds()
			var failed error
			plain, failed = stop()
			return errors.Join(err, failed, s.constant(node))
		})
	})
	return rate, plain, err
}

// idle measures plain commands on a node that does nothing else.
func (s *session) idle() (plain load, err error) {
	err = s.fresh(func(j journal) error {
		if err := s.bystanders(j); err != nil {
			return err
		}
		return s.moving(j, func(node *stele.Node) error {
			stop := s.plainly(node)
			select {
			case <-time.After(5 * s.scale.window):
			case <-s.ctx.Done():
			}
			plain, err = stop()
			return err
		})
	})
	return plain, err
}

// bystanders opens the accounts that plain commands go to.
func (s *session) bystanders(j journal) error {
	_, err := pump(j, newLanes("account-plain", bystander), account, upTo(eventsEach))
	return err
}

// moving starts a node that moves money and stops it after use.
func (s *session) moving(j journal, use func(*stele.Node) error) (err error) {
	node, err := stele.Start(s.ctx, stele.Config{
		Journal: j, Aggregates: stele.Aggregates{bank.Accounts, bank.Transfers},
		Idle: time.Hour, MaxActive: 2 * (s.scale.backlog + bystander), AskTimeout: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(s.ctx))) }()
	return use(node)
}

// plainly pays into one account after the other at a fixed rate, whether or not it is
// answered, until the returned function is called.
func (s *session) plainly(node *stele.Node) (stop func() (load, error)) {
	ctx, cancel := context.WithCancel(s.ctx)
	latencies, errs := newRecorder(), make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() { // awaited by stop
		ticker := time.NewTicker(time.Second / plainRate)
		defer ticker.Stop()
		for i := 0; ; i++ {
			group.Go(func() { // awaited by stop
				asked := time.Now()
				if err := s.deposit(node, fmt.Sprint("plain-", i%bystander)); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
				latencies.record(i, time.Since(asked))
			})
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() (l load, err error) {
		cancel()
		group.Wait()
		select {
		case err = <-errs:
		default:
		}
		return load{latency: latencies.merged()}, err
	}
}

// constant fails unless the money is what it was.
func (s *session) constant(node *stele.Node) error {
	var have int64
	for i := range owing {
		balance, err := bank.Show.Ask(s.ctx, node, fmt.Sprint(i), &bankpb.Show{})
		if err != nil {
			return err
		}
		have += balance.Cents
	}
	if want := int64(owing) * paidCents * int64(s.scale.paid-1); have != want {
		return fmt.Errorf("the accounts have %d cents together and not %d", have, want)
	}
	return nil
}

// begun is the event of a transfer that has asked the payer for the money, as the
// runtime stores it.
func begun(l *lane) persistence.Event {
	from, to := fmt.Sprint(l.index%owing), fmt.Sprint((l.index+1)%owing)
	started := bankEvent(&bankpb.TransferStarted{From: from, To: to, Cents: 1})
	withdraw, _ := proto.Marshal(&bankpb.Withdraw{Cents: 1}) // cannot fail: no field is required
	expire, _ := proto.Marshal(&bankpb.Expire{})
	now := time.Now()
	started.Headers, _ = proto.Marshal(&stelev1.Headers{ // cannot fail: the text is valid
		CommandId: make([]byte, 16), Command: "bank.v1.Transfer", CorrelationId: make([]byte, 16),
	})
	return actorstest.WithSent(started,
		actorstest.Sent{Kind: "account", ID: from, Command: "bank.v1.Withdraw", Payload: withdraw, Due: now},
		actorstest.Sent{Kind: "transfer", ID: string(l.stream[len("transfer-"):]), Command: "bank.v1.Expire", Payload: expire, Due: now.Add(bank.Deadline), Key: "deadline"})
}

const paidCents = 10

// paidBySent is the next event of an account that many transfers have paid into.
func paidBySent(l *lane) persistence.Event {
	if l.version == 0 {
		return account(l)
	}
	paid := bankEvent(&bankpb.Deposited{Cents: paidCents})
	id := persistence.NewEventID()
	paid.Headers, _ = proto.Marshal(&stelev1.Headers{ // cannot fail: the text is valid
		CommandId: id[:], Command: "bank.v1.Deposit", CorrelationId: id[:], Digest: make([]byte, 16), Reply: make([]byte, 2),
	})
	return paid
}
