package main

import "github.com/stele-es/stele/actors"

// The aggregates that an order has to do with. They know nothing of orders.
type (
	Stocked struct{ Count int } // event: more of an item, or less
	Fill    struct{ Count int }
	Hold    struct{ Count int }
	Release struct{ Count int }
	Stock   struct{ Left int }

	Moved   struct{ Cents int } // event: more on the account of a customer, or less
	PayIn   struct{ Cents int }
	Charge  struct{ Cents int }
	Balance struct{ Cents int }
)

func (Stocked) MessageName() string { return "stock.stocked" }
func (Fill) MessageName() string    { return "stock.fill" }
func (Hold) MessageName() string    { return "stock.hold" }
func (Release) MessageName() string { return "stock.release" }
func (Stock) MessageName() string   { return "stock.stock" }
func (Moved) MessageName() string   { return "customer.moved" }
func (PayIn) MessageName() string   { return "customer.pay-in" }
func (Charge) MessageName() string  { return "customer.charge" }
func (Balance) MessageName() string { return "customer.balance" }

var (
	fill    = actors.NewCommand[Fill, Stock]("stock")
	hold    = actors.NewCommand[Hold, Stock]("stock")
	release = actors.NewCommand[Release, Stock]("stock")
	payIn   = actors.NewCommand[PayIn, Balance]("customer")
	charge  = actors.NewCommand[Charge, Balance]("customer")

	ErrSoldOut = actors.NewError("stock", "sold-out", "sold out")
	ErrNoMoney = actors.NewError("customer", "no-money", "not enough money")
)

// Item is how much there is of something.
type Item struct{ left int }

var stock = actors.Define("stock",
	actors.Handle(fill, func(i *Item, tx *actors.Tx, c Fill) (Stock, error) { return i.change(tx, c.Count) }),
	actors.Handle(hold, func(i *Item, tx *actors.Tx, c Hold) (Stock, error) { return i.change(tx, -c.Count) }),
	actors.Handle(release, func(i *Item, tx *actors.Tx, c Release) (Stock, error) { return i.change(tx, c.Count) }),
	actors.On(func(i *Item, e Stocked) { i.left += e.Count }),
)

func (i *Item) change(tx *actors.Tx, count int) (Stock, error) {
	if i.left+count < 0 {
		return Stock{}, ErrSoldOut
	}
	tx.Raise(Stocked{Count: count})
	return Stock{Left: i.left}, nil
}

// Customer is how much money somebody has with the shop.
type Customer struct{ cents int }

var customers = actors.Define("customer",
	actors.Handle(payIn, func(p *Customer, tx *actors.Tx, c PayIn) (Balance, error) { return p.move(tx, c.Cents) }),
	actors.Handle(charge, func(p *Customer, tx *actors.Tx, c Charge) (Balance, error) { return p.move(tx, -c.Cents) }),
	actors.On(func(p *Customer, e Moved) { p.cents += e.Cents }),
)

func (p *Customer) move(tx *actors.Tx, cents int) (Balance, error) {
	if p.cents+cents < 0 {
		return Balance{}, ErrNoMoney
	}
	tx.Raise(Moved{Cents: cents})
	return Balance{Cents: p.cents}, nil
}
