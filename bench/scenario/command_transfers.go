package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
)

// measureTransfers measures transfers of the bank, each of them a process manager with
// two commands sent, two outcomes heard, and a timer set and cancelled: five appends
// on three aggregates. Beside them stand plain deposits.
func measureTransfers(ctx context.Context, s *session) error {
	rounds, err := measure.Beside(s.Sheet, func() (float64, error) { return transfersBetween(ctx, s, s.scale.many, 20*s.scale.many) }, func() (float64, error) {
		l, _, err := deposits(ctx, s, s.scale.many)
		return l.Rate(), err
	})
	if err != nil {
		return err
	}
	goal := measure.None
	if s.Journal == "postgres" {
		goal = measure.AtLeast(0.15)
	}
	s.Against(measure.Metric{
		Name: "transfers-vs-commands", Unit: "transfers/s", Aim: goal,
		Is: "transfers/s that end, five appends each, divided by replies per second to plain deposits",
	}, measure.Compared(rounds[0], measure.Identity))
	return nil
}

// transfersBetween starts a number of transfers between accounts and returns how many
// a second have ended when all have.
func transfersBetween(ctx context.Context, s *session, accounts, count int) (rate float64, err error) {
	err = fresh(ctx, s, func(j store.Journal) (err error) {
		node, err := stele.Start(ctx, stele.Config{
			Journal: j, Aggregates: stele.Aggregates{bank.Accounts, bank.Transfers},
			Idle: time.Hour, MaxActive: 2 * (count + accounts), AskTimeout: 5 * time.Minute,
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(ctx))) }()
		ids := accountIDs(accounts)
		_, err = load.Once(s.scale.callers, len(ids), func(i int) error {
			if _, err := bank.Open.Ask(ctx, node, ids[i], &bankpb.Open{Owner: ids[i]}); err != nil {
				return err
			}
			_, err := bank.Deposit.Ask(ctx, node, ids[i], &bankpb.Deposit{Cents: int64(count)})
			return err
		})
		if err != nil {
			return err
		}
		start := time.Now()
		if _, err := load.Once(s.scale.callers, count, func(i int) error { return transfer(ctx, node, ids, i) }); err != nil {
			return err
		}
		// Backward, since the last ends last: to ask is work too.
		if _, err := load.Once(1, count, func(i int) error { return ended(ctx, node, count-1-i) }); err != nil {
			return err
		}
		end, err := lastStored(ctx, j)
		rate = float64(count) / end.Sub(start).Seconds()
		return err
	})
	return rate, err
}

// lastStored is when the newest event was stored.
func lastStored(ctx context.Context, j store.Journal) (at time.Time, err error) {
	for page, err := range j.ReadAll(ctx, persistence.ReadAllOptions{Backward: true, PageRows: 1}) {
		if err != nil {
			return at, err
		}
		if len(page.Events) > 0 {
			return page.Events[0].At, nil
		}
	}
	return at, errors.New("nothing was stored")
}

func transfer(ctx context.Context, node *stele.Node, ids []string, i int) error {
	_, err := bank.Transfer.Ask(ctx, node, fmt.Sprint(i), &bankpb.Transfer{From: ids[i%len(ids)], To: ids[(i*7+1)%len(ids)], Cents: 1})
	return err
}

// ended waits until a transfer has ended, which it must have done well.
func ended(ctx context.Context, node *stele.Node, i int) error {
	for {
		status, err := bank.ShowTransfer.Ask(ctx, node, fmt.Sprint(i), &bankpb.ShowTransfer{})
		switch {
		case err != nil:
			return err
		case status.Stage == bank.Completed:
			return nil
		case status.Stage == bank.Failed:
			return fmt.Errorf("transfer %d failed: %s", i, status.Reason)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
