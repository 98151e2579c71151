// Command bank keeps accounts in one SQLite file:
//
//	go run ./examples/bank open ann
//	go run ./examples/bank deposit ann 100
//	go run ./examples/bank withdraw ann 30
//	go run ./examples/bank show ann
//
// First comes the domain, then main and what wires the domain to a journal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence/sqlite"
)

// The contracts: command in, reply out.
var (
	Open     = actors.NewCommand[*bankpb.Open, *bankpb.Balance]("account")
	Deposit  = actors.NewCommand[*bankpb.Deposit, *bankpb.Balance]("account")
	Withdraw = actors.NewCommand[*bankpb.Withdraw, *bankpb.Balance]("account")
	Show     = actors.NewCommand[*bankpb.Show, *bankpb.Balance]("account")
)

// What an account says no to.
var (
	ErrExists       = errors.New("the account exists already")
	ErrNoAccount    = errors.New("there is no such account")
	ErrAmount       = errors.New("the amount must be positive")
	ErrInsufficient = errors.New("insufficient funds")
)

// Account is plain state; it changes only in the methods given to On.
type Account struct {
	live  bool
	cents int64
}

// Accounts binds the contracts to the methods that decide them.
var Accounts = actors.Define("account",
	actors.Handle(Open, (*Account).open),
	actors.Handle(Deposit, (*Account).deposit),
	actors.Handle(Withdraw, (*Account).withdraw),
	actors.Handle(Show, (*Account).show),
	actors.On((*Account).opened),
	actors.On((*Account).deposited),
	actors.On((*Account).withdrawn),
)

func (a *Account) open(tx *actors.Tx, c *bankpb.Open) (*bankpb.Balance, error) {
	if a.live {
		return nil, ErrExists
	}
	tx.Raise(&bankpb.Opened{Owner: c.Owner})
	return a.balance(), nil
}

func (a *Account) deposit(tx *actors.Tx, c *bankpb.Deposit) (*bankpb.Balance, error) {
	switch {
	case !a.live:
		return nil, ErrNoAccount
	case c.Cents <= 0:
		return nil, ErrAmount
	}
	tx.Raise(&bankpb.Deposited{Cents: c.Cents})
	return a.balance(), nil
}

func (a *Account) withdraw(tx *actors.Tx, c *bankpb.Withdraw) (*bankpb.Balance, error) {
	switch {
	case !a.live:
		return nil, ErrNoAccount
	case c.Cents <= 0:
		return nil, ErrAmount
	case a.cents < c.Cents:
		return nil, ErrInsufficient
	}
	tx.Raise(&bankpb.Withdrawn{Cents: c.Cents})
	return a.balance(), nil
}

func (a *Account) show(*actors.Tx, *bankpb.Show) (*bankpb.Balance, error) {
	if !a.live {
		return nil, ErrNoAccount
	}
	return a.balance(), nil
}

func (a *Account) opened(*bankpb.Opened)         { a.live = true }
func (a *Account) deposited(e *bankpb.Deposited) { a.cents += e.Cents }
func (a *Account) withdrawn(e *bankpb.Withdrawn) { a.cents -= e.Cents }
func (a *Account) balance() *bankpb.Balance      { return &bankpb.Balance{Cents: a.cents} }

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bank", flag.ContinueOnError)
	path := flags.String("db", filepath.Join(os.TempDir(), "stele-bank.db"), "the journal's file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: *path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	node, err := stele.Start(ctx, stele.Config{Journal: journal, Aggregates: stele.Aggregates{Accounts}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(ctx)) }()

	id := flags.Arg(1)
	balance, err := ask(ctx, node, flags.Arg(0), id, flags.Arg(2))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s has %d cents\n", id, balance.Cents)
	return err
}

func ask(ctx context.Context, node *stele.Node, verb, id, amount string) (*bankpb.Balance, error) {
	cents, _ := strconv.ParseInt(amount, 10, 64) // no number is 0, which the account refuses
	switch verb {
	case "open":
		return Open.Ask(ctx, node, id, &bankpb.Open{Owner: id})
	case "deposit":
		return Deposit.Ask(ctx, node, id, &bankpb.Deposit{Cents: cents})
	case "withdraw":
		return Withdraw.Ask(ctx, node, id, &bankpb.Withdraw{Cents: cents})
	case "show":
		return Show.Ask(ctx, node, id, &bankpb.Show{})
	}
	return nil, errors.New("usage: bank [-db FILE] open|deposit|withdraw|show ACCOUNT [CENTS]")
}
