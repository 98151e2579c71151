// Package bank is the domain: what an account can be asked and what happens then.
// It knows neither journals nor nodes.
package bank

import (
	"errors"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/bank/bankpb"
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
