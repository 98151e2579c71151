package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/transfer"
)

// opened is a journal in which two accounts were opened at a known time.
func opened(ctx context.Context) (*memory.Journal, error) {
	journal := memory.New(memory.Config{Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }})
	for i, name := range []string{"ann", "bob"} {
		outcomes, err := journal.Append(ctx, persistence.Append{
			Stream: persistence.StreamID("account-" + name),
			Events: []persistence.Event{{ID: persistence.EventID{15: byte(i + 1)}, Type: "opened", Payload: fmt.Appendf(nil, `{"name":%q}`, name)}},
		})
		if err != nil {
			return nil, err
		}
		if err := outcomes[0].Err; err != nil {
			return nil, err
		}
	}
	return journal, nil
}

// A journal goes into a file, which reads well.
func ExampleExport() {
	ctx := context.Background()
	journal, err := opened(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	summary, err := transfer.Export(ctx, journal, &file, transfer.ExportOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(summary.Events, "events in", summary.Lines, "lines; the first is")
	fmt.Println(strings.Split(file.String(), "\n")[1])
	// Output:
	// 2 events in 4 lines; the first is
	// {"event":{"position":1,"stream":"account-ann","version":1,"id":"00000000-0000-0000-0000-000000000001","time":"2026-01-02T03:04:05.000000Z","type":"opened","named":true,"data":{"name":"ann"}}}
}

// The same for programs that know CloudEvents.
func ExampleExport_cloudEvents() {
	ctx := context.Background()
	journal, err := opened(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	options := transfer.ExportOptions{Format: transfer.CloudEvents, Choice: transfer.Choice{Streams: []persistence.StreamID{"account-bob"}}}
	if _, err := transfer.Export(ctx, journal, &file, options); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Split(file.String(), "\n")[1])
	// Output:
	// {"specversion":"1.0","id":"00000000-0000-0000-0000-000000000002","source":"/streams/account-bob","type":"opened","subject":"account-bob","time":"2026-01-02T03:04:05.000000Z","sequence":"0000000000000000002","streamversion":"1","stelenamed":true,"datacontenttype":"application/json","data":{"name":"bob"}}
}

// A file goes into another journal, once however often it is imported.
func ExampleImport() {
	ctx := context.Background()
	journal, err := opened(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	if _, err := transfer.Export(ctx, journal, &file, transfer.ExportOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	other := memory.New(memory.Config{})
	for range 2 {
		summary, err := transfer.Import(ctx, bytes.NewReader(file.Bytes()), other, transfer.ImportOptions{})
		if err != nil {
			fmt.Println(err)
			return
		}
		head, _ := other.Head(ctx)
		fmt.Println(summary.Events, "events read, the journal ends at", head.Of(0))
	}
	_, err = transfer.Import(ctx, strings.NewReader("{}\n"), other, transfer.ImportOptions{})
	fmt.Println(err)
	// Output:
	// 2 events read, the journal ends at 2
	// 2 events read, the journal ends at 2
	// line 1: invalid: line is empty
}

// One journal becomes another, and is compared with it.
func ExampleCopy() {
	ctx := context.Background()
	from, err := opened(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	to := memory.New(memory.Config{})
	if _, err := transfer.Copy(ctx, from, to, transfer.CopyOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	report, err := transfer.Verify(ctx, from, to, transfer.Choice{})
	fmt.Println(report.Equal, report.SamePositions, report.To.Events, err)
	// Output:
	// true true 2 <nil>
}

// Events that are old and that nobody needs any more go to an archive.
func ExampleRetain() {
	ctx := context.Background()
	journal := memory.New(memory.Config{})
	for range 5 {
		event := persistence.Event{Type: "clicked"}
		if _, err := journal.Append(ctx, persistence.Append{Stream: "session-1", Expected: persistence.Any, Events: []persistence.Event{event}}); err != nil {
			fmt.Println(err)
			return
		}
	}
	var archive bytes.Buffer
	plan, err := transfer.Retain(ctx, journal, transfer.RetainOptions{
		Choice:   transfer.Choice{Categories: []string{"session"}},
		Keep:     2,
		Unfolded: true, // no aggregate is made of sessions
		Floors:   map[string]persistence.Positions{"visitors": {2}},
		Archive:  &archive,
	})
	for _, cut := range plan.Cuts {
		fmt.Printf("%s begins at %d, held by %s\n", cut.Stream, cut.Before, cut.Held)
	}
	summary, _ := transfer.Inspect(ctx, &archive)
	fmt.Println(summary.Events, "events archived", err)
	// Output:
	// session-1 begins at 3, held by visitors
	// 2 events archived <nil>
}
