package upcast_test

import (
	"context"
	"fmt"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
)

// A transfer was one event once, and is two today.
func ExampleReader() {
	ctx := context.Background()
	journal := memory.New(memory.Config{})
	_, err := journal.Append(ctx, persistence.Append{Stream: "account-ann", Events: []persistence.Event{
		{Type: "opened"}, {Type: "viewed"}, {Type: "moved", Payload: []byte("30")},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	chain, err := upcast.New(
		upcast.Rename("opened", "account.opened"),
		upcast.Drop("viewed"),
		upcast.Upcaster{From: "moved", To: []string{"withdrawn", "deposited"}, Upcast: func(moved upcast.Raw) ([]upcast.Raw, error) {
			return []upcast.Raw{moved.As("withdrawn", moved.Payload), moved.As("deposited", moved.Payload)}, nil
		}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	for event, err := range upcast.Reader(journal, chain).Read(ctx, "account-ann", persistence.ReadOptions{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d.%d %s(%s)\n", event.Version, event.Sub, event.Type, event.Payload)
	}
	// Output:
	// 1.0 account.opened()
	// 3.0 withdrawn(30)
	// 3.1 deposited(30)
}
