package main

import (
	"github.com/stele-es/stele/actors"
)

// The domain: customers place orders, and return some.
type (
	PlaceOrder  struct{ Cents int } // a return has cents below zero
	OrderPlaced struct{ Cents int }
	Placed      struct{ Orders int }
)

// MessageName is what the message is stored under.
func (PlaceOrder) MessageName() string  { return "shop.place-order" }
func (OrderPlaced) MessageName() string { return "shop.order-placed" }
func (Placed) MessageName() string      { return "shop.placed" }

// Customer counts the orders.
type Customer struct{ orders int }

var (
	place = actors.NewCommand[PlaceOrder, Placed]("customer")

	// Customers is the aggregate, one for each customer.
	Customers = actors.Define("customer", actors.Handle(place, (*Customer).place), actors.On((*Customer).placed))
)

func (c *Customer) place(tx *actors.Tx, order PlaceOrder) (Placed, error) {
	tx.Raise(OrderPlaced{Cents: order.Cents})
	return Placed{Orders: c.orders}, nil
}

func (c *Customer) placed(OrderPlaced) { c.orders++ }
