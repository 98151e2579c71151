package hooks_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/hooks"
	"github.com/stele-es/stele/persistence/memory"
)

type tenant struct{}

// Every event gets the tenant of its caller, and nobody writes without one.
func ExampleJournal() {
	journal := hooks.New(hooks.Config{Journal: memory.New(memory.Config{})})
	journal.Add(hooks.Hook{Name: "tenants only", BeforeAppend: func(ctx context.Context, _ *persistence.Append) error {
		if ctx.Value(tenant{}) == nil {
			return errors.New("who are you?")
		}
		return nil
	}})
	journal.Add(hooks.Metadata(func(ctx context.Context) persistence.Metadata {
		name, _ := ctx.Value(tenant{}).(string)
		return persistence.Metadata{"tenant": persistence.String(name)}
	}))

	for _, ctx := range []context.Context{context.Background(), context.WithValue(context.Background(), tenant{}, "acme")} {
		outcomes, err := journal.Append(ctx, persistence.Append{Stream: "account-ann", Events: []persistence.Event{{Type: "opened"}}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(outcomes[0].Last, outcomes[0].Err)
	}
	for event, err := range journal.Read(context.Background(), "account-ann", persistence.ReadOptions{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Type, event.Metadata["tenant"].Text())
	}
	// Output:
	// 0 rejected (refused by hook "tenants only"): who are you?
	// 1 <nil>
	// opened acme
}
