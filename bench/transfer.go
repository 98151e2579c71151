package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
)

// measureTransfers measures transfers of the bank, each of them a process manager with
// two commands sent, two outcomes heard, and a timer set and cancelled: five appends
// on three aggregates. Beside them stand plain deposits.
func (s *session) measureTransfers() error {
	rounds, err := beside(s, func() (float64, error) { return s.transfersBetween(s.scale.many, 20*s.scale.many) }, func() (float64, error) {
		l, _, err := s.deposits(s.scale.many)
		return l.rate(), err
	})
	if err != nil {
		return err
	}
	goal := none
	if s.journal == "postgres" {
		goal = atLeast(0.15)
	}
	s.against("transfers-vs-commands", compared(rounds[0], identity), "transfers/s", goal)
	return nil
}

// transfersBetween starts a number of transfers between accounts and returns how many
// a second have ended when all have.
func (s *session) transfersBetween(accounts, count int) (rate float64, err error) {
	err = s.fresh(func(j journal) (err error) {
		node, err := stele.Start(s.ctx, stele.Config{
			Journal: j, Aggregates: stele.Aggregates{bank.Accounts, bank.Transfers},
			Idle: time.Hour, MaxActive: 2 * (count + accounts), AskTimeout: 5 * time.Minute,
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(s.ctx))) }()
		ids := accountIDs(accounts)
		_, err = once(s.scale.callers, len(ids), func(i int) error {
			if _, err := bank.Open.Ask(s.ctx, node, ids[i], &bankpb.Open{Owner: ids[i]}); err != nil {
				return err
			}
			_, err := bank.Deposit.Ask(s.ctx, node, ids[i], &bankpb.Deposit{Cents: int64(count)})
			return err
		})
		if err != nil {
			return err
		}
		start := time.Now()
		if _, err := once(s.scale.callers, count, func(i int) error { return s.transfer(node, ids, i) }); err != nil {
			return err
		}
		// Backward, since the last ends last: to ask is work too.
		if _, err := once(1, count, func(i int) error { return s.ended(node, count-1-i) }); err != nil {
			return err
		}
		end, err := s.lastStored(j)
		rate = float64(count) / end.Sub(start).Seconds()
		return err
	})
	return rate, err
}

// lastStored is when the newest event was stored.
func (s *session) lastStored(j journal) (at time.Time, err error) {
	for page, err := range j.ReadAll(s.ctx, persistence.ReadAllOptions{Backward: true, PageRows: 1}) {
		if err != nil {
			return at, err
		}
		if len(page.Events) > 0 {
			return page.Events[0].At, nil
		}
	}
	return at, errors.New("nothing was stored")
}

func (s *session) transfer(node *stele.Node, ids []string, i int) error {
	_, err := bank.Transfer.Ask(s.ctx, node, fmt.Sprint(i), &bankpb.Transfer{From: ids[i%len(ids)], To: ids[(i*7+1)%len(ids)], Cents: 1})
	return err
}

// ended waits until a transfer has ended, which it must have done well.
func (s *session) ended(node *stele.Node, i int) error {
	for {
		status, err := bank.ShowTransfer.Ask(s.ctx, node, fmt.Sprint(i), &bankpb.ShowTransfer{})
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
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}
