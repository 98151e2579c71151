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

// While a transaction is open others wait for it, and it may take as long as it
// wants: who waits can leave, and nobody has to wait for it who closes the journal.
func TestNobodyIsTiedToAnOpenTransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		release := make(chan struct{})
		results := make(chan error, 3)
		to := func(stream persistence.StreamID) persistence.Append {
			return persistence.Append{Stream: stream, Expected: persistence.Any, Events: deposit()}
		}
		go func() { // ends with its transaction
			results <- journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(to("account-ann"))
				<-release
				return err
			})
		}()
		synctest.Wait()
		impatient, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()

		_, err := journal.Append(impatient, to("account-bob"))
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		var settled []error
		for range 2 {
			require.NoError(t, journal.Submit(to("account-cid"), nil, func(o persistence.Outcome) { settled = append(settled, o.Err) }))
		}
		go func() { // ends with the journal
			_, err := journal.Append(t.Context(), to("account-dan"))
			results <- err
		}()
		synctest.Wait()
		require.Empty(t, settled)
		require.NoError(t, journal.Close())

		require.ErrorIs(t, <-results, persistence.ErrUnavailable)
		require.Len(t, settled, 2)
		for _, err := range settled {
			require.ErrorIs(t, err, persistence.ErrUnavailable)
		}
		close(release)
		require.ErrorIs(t, <-results, persistence.ErrUnavailable, "nothing of it is stored")
	})
}

// What was submitted while a transaction was open is answered before what is
// submitted later, for its writer counts on the order.
func TestSubmissionsAreAnsweredInTheirOrder(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	var answered []persistence.Version
	submit := func(version persistence.Version) {
		err := journal.Submit(
			persistence.Append{Stream: "account-ann", Expected: persistence.Exact(version), Events: deposit()}, nil,
			func(o persistence.Outcome) { answered = append(answered, o.Last) })
		require.NoError(t, err)
	}

	submit(0)
	err := journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
		_, err := tx.Append(persistence.Append{Stream: "account-ann", Expected: persistence.Exact(1), Events: deposit()})
		submit(2)
		submit(3)
		return err
	})
	submit(4)

	require.NoError(t, err)
	require.Equal(t, []persistence.Version{1, 3, 4, 5}, answered)
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
