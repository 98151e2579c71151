package actors_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// The messages of a till, as plain structs that name themselves.
type (
	PayIn   struct{ Cents int }
	PayOut  struct{ Cents int }
	Balance struct{ Cents int }

	PaidIn  struct{ Cents int }
	PaidOut struct{ Cents int }
)

func (PayIn) MessageName() string   { return "till.pay-in" }
func (PayOut) MessageName() string  { return "till.pay-out" }
func (Balance) MessageName() string { return "till.balance" }
func (PaidIn) MessageName() string  { return "till.paid-in" }
func (PaidOut) MessageName() string { return "till.paid-out" }

// The contracts: what a client needs.
var (
	IntoTill  = actors.NewCommand[PayIn, Balance]("till")
	OutOfTill = actors.NewCommand[PayOut, Balance]("till")
)

var ErrEmptyTill = errors.New("not that much in the till")

// The definition: what the domain is.
var Tills = actors.Define("till",
	actors.Handle(IntoTill, (*till).payIn),
	actors.Handle(OutOfTill, (*till).payOut),
	actors.On((*till).paidIn),
	actors.On((*till).paidOut),
)

type till struct{ cents int }

func (t *till) payIn(tx *actors.Tx, c PayIn) (Balance, error) {
	tx.Raise(PaidIn(c))
	return Balance{t.cents}, nil
}

func (t *till) payOut(tx *actors.Tx, c PayOut) (Balance, error) {
	if t.cents < c.Cents {
		return Balance{}, ErrEmptyTill
	}
	tx.Raise(PaidOut(c))
	return Balance{t.cents}, nil
}

func (t *till) paidIn(e PaidIn)   { t.cents += e.Cents }
func (t *till) paidOut(e PaidOut) { t.cents -= e.Cents }

func Example() {
	ctx := context.Background()
	journal := new(memory.Journal)
	system, err := actors.Open(ctx, actors.Config{Journal: journal, Aggregates: []actors.Definition{Tills}})
	if err != nil {
		log.Fatal(err)
	}

	balance, err := IntoTill.Ask(ctx, system, "front", PayIn{500})
	fmt.Println(balance, err)
	balance, err = OutOfTill.Ask(ctx, system, "front", PayOut{120})
	fmt.Println(balance, err)
	_, err = OutOfTill.Ask(ctx, system, "front", PayOut{1000})
	fmt.Println(err)
	_, err = OutOfTill.Ask(ctx, system, "front", PayOut{100}, actors.IfVersion(1))
	fmt.Println(errors.Is(err, persistence.ErrConflict))

	for recorded, err := range journal.Read(ctx, "till-front", persistence.ReadOptions{}) {
		fmt.Println(recorded.Version, recorded.Type, string(recorded.Payload), err)
	}
	fmt.Println(system.Close(ctx))
	// Output:
	// {500} <nil>
	// {380} <nil>
	// not that much in the till
	// true
	// 1 till.paid-in {"Cents":500} <nil>
	// 2 till.paid-out {"Cents":120} <nil>
	// <nil>
}

func ExampleCommand_Given() {
	t := exampleTB{} // t *testing.T
	OutOfTill.Given(t, Tills, PaidIn{500}).
		When(PayOut{120}).
		Then(PaidOut{120}).
		Reply(Balance{380})
	OutOfTill.Given(t, Tills, PaidIn{100}).
		When(PayOut{120}).
		Fails(ErrEmptyTill)

	forgetful := actors.Define("till", actors.Handle(OutOfTill, func(t *till, _ *actors.Tx, c PayOut) (Balance, error) {
		t.cents -= c.Cents // and no event
		return Balance{t.cents}, nil
	}))
	OutOfTill.Given(t, forgetful).When(PayOut{120})
	// Output:
	// the state changed outside an On method, or an On depends on more than state and event:
	//  live   &actors_test.till{cents:-120}
	//  replay &actors_test.till{cents:0}
	//  differ at cents: -120, not 0
}

// exampleTB stands for the *testing.T that a test has.
type exampleTB struct{}

func (exampleTB) Helper()                           {}
func (exampleTB) Fatalf(format string, args ...any) { fmt.Println(fmt.Sprintf(format, args...)) } //nolint:forbidigo // the output of an example
