package scenario

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bankpb"
)

// tally is an account with as little in it as possible, so that the figures are those of the
// runtime.
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
func tallying(ctx context.Context, j store.Journal, of actors.Definition, use func(*stele.Node) error) (err error) {
	node, err := stele.Start(ctx, stele.Config{
		Journal: j, Aggregates: stele.Aggregates{of}, Idle: time.Hour, AskTimeout: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(ctx))) }()
	return use(node)
}

func pay(ctx context.Context, node *stele.Node, id string) error {
	_, err := payIn.Ask(ctx, node, id, &bankpb.Deposit{Cents: 1})
	return err
}
