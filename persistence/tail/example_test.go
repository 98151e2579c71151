package tail_test

import (
	"context"
	"fmt"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/tail"
)

// A subscription is left and taken up again where it was.
func ExampleOpen() {
	ctx := context.Background()
	journal := memory.New(memory.Config{})
	remembered := ""
	for _, amount := range []string{"30", "12"} {
		_, err := journal.Append(ctx, persistence.Append{
			Stream: "account-ann", Expected: persistence.Any,
			Events: []persistence.Event{{Type: "deposited", Payload: []byte(amount)}},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		remembered, err = catchUp(ctx, journal, remembered, func(event persistence.Recorded) {
			fmt.Printf("%s(%s) at %s\n", event.Type, event.Payload, event.Position)
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// deposited(30) at 1
	// deposited(12) at 2
}

// catchUp handles what has come since the remembered place, and returns the next
// one.
func catchUp(ctx context.Context, journal persistence.Reader, remembered string, handle func(persistence.Recorded)) (string, error) {
	options := tail.Options{Category: "account"}
	if remembered != "" {
		var err error
		if options.Checkpoint, err = tail.ParseCheckpoint(remembered); err != nil {
			return "", err
		}
	}
	subscription, err := tail.Open(ctx, journal, options)
	if err != nil {
		return "", err
	}
	for page, err := range subscription.Pages(ctx) {
		if err != nil {
			return "", err
		}
		for _, event := range page.Events {
			handle(event)
		}
		if page.AtHead {
			checkpoint, err := subscription.Checkpoint(ctx, page.Next)
			return checkpoint.String(), err
		}
	}
	return "", nil
}

// Two subscribers share what is read.
func ExampleTailer() {
	ctx := context.Background()
	journal := memory.New(memory.Config{})
	_, err := journal.Append(ctx,
		persistence.Append{Stream: "account-ann", Events: []persistence.Event{{Type: "opened"}}},
		persistence.Append{Stream: "transfer-1", Events: []persistence.Event{{Type: "requested"}}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	tailer := tail.NewTailer(tail.Config{Reader: journal})
	for _, category := range []string{"account", "transfer"} {
		subscription, err := tailer.Open(ctx, tail.Options{Category: category})
		if err != nil {
			fmt.Println(err)
			return
		}
		for event, err := range subscription.Events(ctx) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(event.Stream, event.Type)
			break
		}
	}
	// Output:
	// account-ann opened
	// transfer-1 requested
}
