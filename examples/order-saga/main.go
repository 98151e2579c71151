// Command order-saga sells cups: each order is a process manager that has goods held,
// waits for its customer to pay, takes the money, and gives the goods back when that
// fails or takes too long; and a buyer reacts to what leaves the stock. The story is
// told on a journal in memory.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	journal := new(memory.Journal)
	defer func() { err = errors.Join(err, journal.Close()) }()
	node, err := stele.Start(ctx, stele.Config{
		Journal: journal, Aggregates: stele.Aggregates{orders, stock, customers, buyers}, Checkpoints: new(projections.Books),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(ctx)) }()
	return tell(ctx, node, out)
}

// tell places three orders of two cups where there are five.
func tell(ctx context.Context, shop actors.Asker, out io.Writer) error {
	if _, err := fill.Ask(ctx, shop, "cup", Fill{Count: 5}); err != nil {
		return err
	}
	if _, err := payIn.Ask(ctx, shop, "ann", PayIn{Cents: 1000}); err != nil {
		return err
	}
	for id, customer := range []string{"ann", "bob", "ann"} {
		order := fmt.Sprint(id + 1)
		if _, err := place.Ask(ctx, shop, order, Place{Item: "cup", Customer: customer, Count: 2, Cents: 800}); err != nil {
			return err
		}
		if err := until(ctx, shop, order, "held", "cancelled"); err != nil {
			return err
		}
		if _, err := pay.Ask(ctx, shop, order, Pay{}); err != nil && !errors.Is(err, ErrNotHeld) {
			return err
		}
		if err := until(ctx, shop, order, "paid", "cancelled"); err != nil {
			return err
		}
		progress, err := look.Ask(ctx, shop, order, Look{})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "order %s of %s: %s %s\n", order, customer, progress.Stage, progress.Reason)
	}
	return nil
}

// until waits for a stage of an order.
func until(ctx context.Context, shop actors.Asker, order string, stages ...string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		progress, err := look.Ask(ctx, shop, order, Look{})
		if err != nil {
			return err
		}
		if slices.Contains(stages, progress.Stage) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
