package projections_test

import (
	"context"
	"fmt"
	"log"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// deposited is an event of an account.
type deposited struct{ Cents int }

func (deposited) MessageName() string { return "deposited" }

func Example() {
	ctx := context.Background()
	journal := new(memory.Journal)
	balances := projections.InMemory(&map[persistence.StreamID]int{})
	definition := projections.Define("balances", 1, projections.On(
		func(_ context.Context, m *map[persistence.StreamID]int, e projections.Event[deposited]) error {
			(*m)[e.Stream] += e.Data.Cents
			return nil
		})).With(projections.FromKinds("account"))
	runner, err := projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{definition.Into(balances)}})
	if err != nil {
		log.Fatal(err)
	}
	group := lifecycle.Start(ctx, lifecycle.Component{Name: "projections", Run: runner.Run})

	outcomes, err := journal.Append(ctx, persistence.Append{Stream: "account-ann", Events: []persistence.Event{{Type: "deposited", Payload: []byte(`{"Cents":42}`)}}})
	if err != nil {
		log.Fatal(err)
	}
	// A writer waits for the position, and reads what it has written.
	if err := runner.WaitFor(ctx, "balances", outcomes[0].Position); err != nil {
		log.Fatal(err)
	}
	balances.View(func(m *map[persistence.StreamID]int) { fmt.Println((*m)["account-ann"]) })
	fmt.Println(group.Stop(ctx))
	// Output:
	// 42
	// <nil>
}

func ExampleFold() {
	ctx := context.Background()
	journal := new(memory.Journal)
	for range 3 {
		_, err := journal.Append(ctx, persistence.Append{
			Stream: "account-ann", Expected: persistence.Any,
			Events: []persistence.Event{{Type: "deposited", Payload: []byte(`{"Cents":10}`)}},
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	total := projections.Define("total", 1, projections.On(
		func(_ context.Context, s *projections.State[int], e projections.Event[deposited]) error {
			s.Value += e.Data.Cents
			return nil
		}))

	// As it was behind the second event.
	then, _, err := projections.Fold(ctx, journal, total, projections.FoldOptions[int]{Until: persistence.Positions{2}})
	fmt.Println(then, err)
	// Output: 20 <nil>
}
