package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Sizes of the backlog, and the rate of the plain commands.
const (
	owing     = 6    // accounts that all transfers go between
	bystander = 2000 // accounts that plain commands go to
	plainRate = 200  // of them in a second
)

// backlog measures a node that starts after a crash.
func backlog() []part { return []part{{"backlog", measureBacklog}} }

// measureBacklog measures how fast a node that starts after a crash ends the transfers that
// have begun. The node does not know which of them were paid. The rate is divided by that of
// the same transfers without a crash. Meanwhile plain commands are asked, and the time they
// take is divided by that on a node without other work.
func measureBacklog(ctx context.Context, s *session) error {
	var waits []measure.Comparison
	rounds, err := measure.Beside(s.Sheet, func() (rate float64, err error) {
		idle, err := besideNothing(ctx, s)
		if err != nil {
			return 0, err
		}
		rate, busy, err := drain(ctx, s)
		waits = append(waits, measure.Comparison{Ours: busy.Micros(99), Ceiling: idle.Micros(99)})
		return rate, err
	}, func() (float64, error) { return transfersBetween(ctx, s, owing, s.scale.backlog) })
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: fmt.Sprintf("backlog-of-%d-sends-vs-transfers", s.scale.backlog), Unit: "transfers/s", Aim: durable(s, measure.AtLeast(0.5)),
		Is: "transfers/s that a node ends after a crash, divided by those without a crash",
	}, measure.Compared(rounds[0], measure.Identity))
	s.Against(measure.Metric{
		Name: "command-beside-backlog-p99-vs-idle", Unit: "µs", Aim: durable(s, measure.AtMost(5)),
		Is: "time that 99 % of plain commands take at most meanwhile, divided by that of an idle node",
	}, waits)
	return nil
}

// drain fills a journal with transfers as a crash leaves them, starts a node and waits until
// all transfers have ended.
func drain(ctx context.Context, s *session) (rate float64, plain load.Result, err error) {
	err = fresh(ctx, s, func(j store.Journal) error {
		if err := load.Each(j, "transfer", s.scale.backlog, begun); err != nil {
			return err
		}
		// These events stand behind the sent commands, so each may be the outcome of one.
		if _, err := load.Pump(j, load.NewLanes("account", owing), paidBySent, load.UpTo(persistence.Version(s.scale.paid))); err != nil {
			return err
		}
		if err := bystanders(j); err != nil {
			return err
		}
		began := time.Now()
		return moving(ctx, s, j, func(node *stele.Node) error {
			var asked atomic.Int64
			stop := plainly(ctx, node, &asked)
			err := until(ctx, func() bool {
				// All transfers and their accounts were read, beside those that plain commands go to.
				read := min(asked.Load(), bystander) + int64(owing+s.scale.backlog)
				stats := node.Stats()
				return stats.Recoveries >= uint64(read) && stats.Pending == 0 //nolint:gosec // it counts aggregates
			})
			rate = float64(s.scale.backlog) / time.Since(began).Seconds()
			var failed error
			plain, failed = stop()
			return errors.Join(err, failed, constant(ctx, s, node))
		})
	})
	return rate, plain, err
}

// idle measures plain commands on a node that does nothing else.
func besideNothing(ctx context.Context, s *session) (plain load.Result, err error) {
	err = fresh(ctx, s, func(j store.Journal) error {
		if err := bystanders(j); err != nil {
			return err
		}
		return moving(ctx, s, j, func(node *stele.Node) error {
			stop := plainly(ctx, node, new(atomic.Int64))
			select {
			case <-time.After(5 * s.scale.window):
			case <-ctx.Done():
			}
			plain, err = stop()
			return err
		})
	})
	return plain, err
}

// bystanders opens the accounts that plain commands go to.
func bystanders(j store.Journal) error {
	_, err := load.Pump(j, load.NewLanes("account-plain", bystander), account, load.UpTo(load.EventsEach))
	return err
}

// moving starts a node that moves money and stops it after use.
func moving(ctx context.Context, s *session, j store.Journal, use func(*stele.Node) error) (err error) {
	node, err := stele.Start(ctx, stele.Config{
		Journal: j, Aggregates: stele.Aggregates{bank.Accounts, bank.Transfers},
		Idle: time.Hour, MaxActive: 2 * (s.scale.backlog + bystander), AskTimeout: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(ctx))) }()
	return use(node)
}

// plainly pays into one account after the other at a fixed rate, whether or not it is
// answered, until the returned function is called. It counts the commands that it has asked.
func plainly(ctx context.Context, node *stele.Node, count *atomic.Int64) (stop func() (load.Result, error)) {
	asking, cancel := context.WithCancel(ctx)
	latencies, errs := load.NewRecorder(), make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() { // awaited by stop
		ticker := time.NewTicker(time.Second / plainRate)
		defer ticker.Stop()
		for i := 0; ; i++ {
			count.Add(1)
			group.Go(func() { // awaited by stop
				asked := time.Now()
				if err := deposit(ctx, node, fmt.Sprint("plain-", i%bystander)); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
				latencies.Record(i, time.Since(asked))
			})
			select {
			case <-ticker.C:
			case <-asking.Done():
				return
			}
		}
	})
	return func() (l load.Result, err error) {
		cancel()
		group.Wait()
		select {
		case err = <-errs:
		default:
		}
		return load.Result{Latency: latencies.Merged()}, err
	}
}

// constant fails unless the accounts have as much money together as before.
func constant(ctx context.Context, s *session, node *stele.Node) error {
	var have int64
	for i := range owing {
		balance, err := bank.Show.Ask(ctx, node, fmt.Sprint(i), &bankpb.Show{})
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
func begun(l *load.Lane) persistence.Event {
	from, to := fmt.Sprint(l.Index%owing), fmt.Sprint((l.Index+1)%owing)
	started := bankEvent(&bankpb.TransferStarted{From: from, To: to, Cents: 1})
	withdraw, _ := proto.Marshal(&bankpb.Withdraw{Cents: 1}) // cannot fail: no field is required
	expire, _ := proto.Marshal(&bankpb.Expire{})
	now := time.Now()
	started.Headers, _ = proto.Marshal(&stelev1.Headers{ // cannot fail: the text is valid
		CommandId: make([]byte, 16), Command: "bank.v1.Transfer", CorrelationId: make([]byte, 16),
	})
	return actorstest.WithSent(started,
		actorstest.Sent{Kind: "account", ID: from, Command: "bank.v1.Withdraw", Payload: withdraw, Due: now},
		actorstest.Sent{Kind: "transfer", ID: string(l.Stream[len("transfer-"):]), Command: "bank.v1.Expire", Payload: expire, Due: now.Add(bank.Deadline), Key: "deadline"})
}

const paidCents = 10

// paidBySent is the next event of an account that many transfers have paid into.
func paidBySent(l *load.Lane) persistence.Event {
	if l.Version == 0 {
		return account(l)
	}
	paid := bankEvent(&bankpb.Deposited{Cents: paidCents})
	id := persistence.NewEventID()
	paid.Headers, _ = proto.Marshal(&stelev1.Headers{ // cannot fail: the text is valid
		CommandId: id[:], Command: "bank.v1.Deposit", CorrelationId: id[:], Digest: make([]byte, 16), Reply: make([]byte, 2),
	})
	return paid
}
