package main

import (
	"strings"
	"time"

	"github.com/stele-es/stele/actors"
)

// What the buyer goes by: it orders Batch of an item when fewer than Least are left,
// and gets it after DeliveryTime.
const (
	Least        = 2
	Batch        = 5
	DeliveryTime = time.Hour
)

type (
	Seen    struct{ Count int } // event: so many more in stock, or less
	Ordered struct{ Count int }
)

func (Seen) MessageName() string    { return "buyer.seen" }
func (Ordered) MessageName() string { return "buyer.ordered" }

// Buyer watches one item and has more of it delivered in time. Nobody tells it: it
// reacts to what happens in the stock, which does not know of it.
type Buyer struct{ left, ordered int }

var buyers = actors.Define("buyer",
	actors.React(func(e actors.Event[Stocked]) string { return strings.TrimPrefix(string(e.Stream), "stock-") }, (*Buyer).watch),
	actors.Sends[Buyer](),
	actors.On(func(b *Buyer, e Seen) { b.left, b.ordered = b.left+e.Count, max(0, b.ordered-max(0, e.Count)) }),
	actors.On(func(b *Buyer, e Ordered) { b.ordered += e.Count }),
)

func (b *Buyer) watch(tx *actors.Tx, e actors.Event[Stocked]) error {
	tx.Raise(Seen(e.Data))
	if b.left < Least && b.ordered == 0 {
		tx.Raise(Ordered{Count: Batch})
		fill.SendAfter(tx, DeliveryTime, tx.ID, Fill{Count: Batch})
	}
	return nil
}
