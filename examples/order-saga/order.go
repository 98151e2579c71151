package main

import (
	"time"

	"github.com/stele-es/stele/actors"
)

// PaymentTime is how long goods are held for an order that is not paid.
const PaymentTime = 30 * time.Minute

type (
	Place struct {
		Item, Customer string
		Count, Cents   int
	}
	Pay      struct{}
	Overdue  struct{} // sent by the order to itself
	Look     struct{}
	Progress struct{ Stage, Reason string }

	Placed    Place
	Held      struct{}
	Paying    struct{}
	Paid      struct{}
	Undoing   struct{ Reason string }
	Cancelled struct{ Reason string }
)

func (Place) MessageName() string     { return "order.place" }
func (Pay) MessageName() string       { return "order.pay" }
func (Overdue) MessageName() string   { return "order.overdue" }
func (Look) MessageName() string      { return "order.look" }
func (Progress) MessageName() string  { return "order.progress" }
func (Placed) MessageName() string    { return "order.placed" }
func (Held) MessageName() string      { return "order.held" }
func (Paying) MessageName() string    { return "order.paying" }
func (Paid) MessageName() string      { return "order.paid" }
func (Undoing) MessageName() string   { return "order.undoing" }
func (Cancelled) MessageName() string { return "order.cancelled" }

var (
	place   = actors.NewCommand[Place, Progress]("order")
	pay     = actors.NewCommand[Pay, Progress]("order")
	overdue = actors.NewCommand[Overdue, Progress]("order")
	look    = actors.NewCommand[Look, Progress]("order")

	ErrPlaced  = actors.NewError("order", "placed", "the order was placed already")
	ErrNotHeld = actors.NewError("order", "not-held", "there is nothing to pay for")
)

// Order is the saga: it has goods held, waits for the customer, takes the money, and
// undoes in reverse what it has had done when it cannot go on.
type Order struct {
	placed Placed
	Progress
}

var orders = actors.Define("order",
	actors.Handle(place, (*Order).place),
	actors.Handle(pay, (*Order).pay),
	actors.Handle(overdue, (*Order).overdue),
	actors.Handle(look, func(o *Order, _ *actors.Tx, _ Look) (Progress, error) { return o.Progress, nil }),
	actors.Result(hold, (*Order).wasHeld),
	actors.Result(charge, (*Order).wasCharged),
	actors.Result(release, (*Order).wasReleased),
	actors.On(func(o *Order, e Placed) { o.placed, o.Stage = e, "placed" }),
	actors.On(func(o *Order, _ Held) { o.Stage = "held" }),
	actors.On(func(o *Order, _ Paying) { o.Stage = "paying" }),
	actors.On(func(o *Order, _ Paid) { o.Stage = "paid" }),
	actors.On(func(o *Order, e Undoing) { o.Progress = Progress{"undoing", e.Reason} }),
	actors.On(func(o *Order, e Cancelled) { o.Progress = Progress{"cancelled", e.Reason} }),
)

func (o *Order) place(tx *actors.Tx, c Place) (Progress, error) {
	if o.Stage != "" {
		return Progress{}, ErrPlaced
	}
	tx.Raise(Placed(c))
	hold.Send(tx, c.Item, Hold{Count: c.Count})
	return o.Progress, nil
}

func (o *Order) wasHeld(tx *actors.Tx, _ Stock, err error) error {
	switch {
	case err != nil:
		tx.Raise(Cancelled{Reason: err.Error()}) // nothing was done, nothing is to be undone
	default:
		tx.Raise(Held{})
		overdue.SendAfter(tx, PaymentTime, tx.ID, Overdue{}, actors.Key("payment"))
	}
	return nil
}

func (o *Order) pay(tx *actors.Tx, _ Pay) (Progress, error) {
	if o.Stage != "held" {
		return Progress{}, ErrNotHeld
	}
	tx.Raise(Paying{})
	tx.Cancel("payment")
	charge.Send(tx, o.placed.Customer, Charge{Cents: o.placed.Cents})
	return o.Progress, nil
}

func (o *Order) overdue(tx *actors.Tx, _ Overdue) (Progress, error) {
	o.undo(tx, "not paid in time")
	return o.Progress, nil
}

func (o *Order) wasCharged(tx *actors.Tx, _ Balance, err error) error {
	switch {
	case err != nil:
		o.undo(tx, err.Error())
	default:
		tx.Raise(Paid{})
	}
	return nil
}

// undo gives the goods back.
func (o *Order) undo(tx *actors.Tx, reason string) {
	tx.Raise(Undoing{Reason: reason})
	release.Send(tx, o.placed.Item, Release{Count: o.placed.Count})
}

func (o *Order) wasReleased(tx *actors.Tx, _ Stock, err error) error {
	if err == nil {
		tx.Raise(Cancelled{Reason: o.Reason})
	}
	return err // goods that are not taken back are offered again
}
