// Command plainstructs is a bank account without generated code: its messages
// are plain Go structs that name themselves, and are stored as JSON.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence/sqlite"
)

type (
	Move    struct{ Cents int } // command: pay in, or out when negative
	Moved   struct{ Cents int } // event
	Balance struct{ Cents int } // reply
)

func (Move) MessageName() string    { return "bank.move" }
func (Moved) MessageName() string   { return "bank.moved" }
func (Balance) MessageName() string { return "bank.balance" }

var ErrInsufficient = errors.New("insufficient funds")

type Account struct{ cents int }

var (
	move     = actors.NewCommand[Move, Balance]("account")
	accounts = actors.Define("account", actors.Handle(move, (*Account).move), actors.On((*Account).moved))
)

func (a *Account) move(tx *actors.Tx, c Move) (Balance, error) {
	if a.cents+c.Cents < 0 {
		return Balance{}, ErrInsufficient // nothing is stored
	}
	tx.Raise(Moved{Cents: c.Cents}) // applied at once, durable before the reply
	return Balance{Cents: a.cents}, nil
}

func (a *Account) moved(e Moved) { a.cents += e.Cents }

func main() {
	balance, err := run(context.Background(), "bank.db")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ann has", balance.Cents, "cents") // 100 more on every run
}

func run(ctx context.Context, path string) (Balance, error) {
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return Balance{}, err
	}
	defer journal.Close()
	node, err := stele.Start(ctx, stele.Config{Journal: journal, Aggregates: stele.Aggregates{accounts}})
	if err != nil {
		return Balance{}, err
	}
	defer node.Stop(ctx)
	return move.Ask(ctx, node, "ann", Move{Cents: 100})
}
