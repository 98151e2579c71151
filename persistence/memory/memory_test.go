package memory_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

func deposit() []persistence.Event { return []persistence.Event{{Type: "deposited"}} }

func TestEventsCarryTheConfiguredTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 1234, time.FixedZone("elsewhere", 3600))
	journal := memory.New(memory.Config{Now: func() time.Time { return now }})

	_, err := journal.Append(t.Context(), persistence.Append{Stream: "account-ann", Events: deposit()})
	require.NoError(t, err)

	for recorded, err := range journal.Read(t.Context(), "account-ann", persistence.ReadOptions{}) {
		require.NoError(t, err)
		require.Equal(t, time.Date(2026, 7, 1, 11, 0, 0, 1000, time.UTC), recorded.At)
	}
}

func TestEventIDsAreUUIDsInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	journal := memory.New(memory.Config{Now: func() time.Time { return now }})
	for range 300 {
		now = now.Add(time.Microsecond)
		_, err := journal.Append(t.Context(), persistence.Append{Stream: "account-ann", Expected: persistence.Any, Events: deposit()})
		require.NoError(t, err)
	}

	var last string
	for recorded, err := range journal.Read(t.Context(), "account-ann", persistence.ReadOptions{}) {
		require.NoError(t, err)
		id := uuid.UUID(recorded.ID)
		require.Equal(t, uuid.Version(7), id.Version())
		require.Equal(t, uuid.RFC4122, id.Variant())
		seconds, nanos := id.Time().UnixTime()
		require.Equal(t, recorded.At.Truncate(time.Millisecond), time.Unix(seconds, nanos).UTC())
		require.Greater(t, id.String(), last)
		last = id.String()
	}
}

// In virtual time a bubble whose goroutines all wait moves on, which it would not
// if the journal kept one of its own or waited for the real clock.
func TestJournalLivesInVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		begin := time.Now()
		go func() { // ends with its append
			time.Sleep(time.Hour)
			_, _ = journal.Append(t.Context(), persistence.Append{Stream: "account-ann", Events: deposit()})
		}()

		require.NoError(t, journal.Wait(t.Context(), nil))

		require.Equal(t, time.Hour, time.Since(begin))
		for recorded, err := range journal.Read(t.Context(), "account-ann", persistence.ReadOptions{}) {
			require.NoError(t, err)
			require.True(t, recorded.At.Equal(begin.Add(time.Hour)))
		}
	})
}

// The journal is what everything around it is measured with, so it must not
// become what is measured: an append takes the events as they are, and room in
// chunks and indexes.
func TestSubmitAllocatesNothingForAnAppend(t *testing.T) { //nolint:paralleltest // the allocations of others would be counted
	journal := new(memory.Journal)
	version := persistence.Version(0)
	settled := 0
	done := func(persistence.Outcome) { settled++ }
	events := deposit()

	allocated := testing.AllocsPerRun(5000, func() {
		err := journal.Submit(persistence.Append{Stream: "account-ann", Expected: persistence.Exact(version), Events: events}, nil, done)
		if err != nil {
			t.Error(err)
		}
		version++
	})

	require.Less(t, allocated, 1.0)
	require.Equal(t, 5001, settled)
}

func Example() {
	journal := new(memory.Journal)
	defer journal.Close()
	ctx := context.Background()

	_, err := journal.Append(ctx, persistence.Append{
		Stream:   "account-ann",
		Expected: persistence.NoStream,
		Events:   []persistence.Event{{Type: "opened"}, {Type: "deposited"}},
	})
	if err != nil {
		fmt.Println(err)
	}

	for recorded, err := range journal.Read(ctx, "account-ann", persistence.ReadOptions{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(recorded.Version, recorded.Type)
	}
	// Output:
	// 1 opened
	// 2 deposited
}
