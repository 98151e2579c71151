package stele_test

import (
	"context"
	"fmt"
	"log"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type counter struct{ n uint64 }

var (
	Count = actors.NewCommand[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]("counter")

	Counters = actors.Define("counter",
		actors.Handle(Count, func(c *counter, tx *actors.Tx, by *wrapperspb.UInt64Value) (*wrapperspb.UInt64Value, error) {
			tx.Raise(by)
			return wrapperspb.UInt64(c.n), nil
		}),
		actors.On(func(c *counter, by *wrapperspb.UInt64Value) { c.n += by.Value }),
	)
)

func Example() {
	ctx := context.Background()
	journal := new(memory.Journal)
	node, err := stele.Start(ctx, stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters}})
	if err != nil {
		log.Fatal(err)
	}
	for _, by := range []uint64{40, 2} {
		total, err := Count.Ask(ctx, node, "visitors", wrapperspb.UInt64(by))
		fmt.Println(total.GetValue(), err)
	}
	fmt.Println(node.Stop(ctx))
	// Output:
	// 40 <nil>
	// 42 <nil>
	// <nil>
}
