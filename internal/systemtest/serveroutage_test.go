package systemtest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// A server dies and comes back under callers who repeat each command under its key
// until they know the outcome. Every call ends in time, the node works again soon,
// and each command has one effect.
func TestLongServerDiesUnderCallers(t *testing.T) {
	t.Parallel()
	const callers, aggregates, timeout = 16, 4, 2 * time.Second
	server := pgtest.Server(t)
	journal, err := postgres.Open(t.Context(), postgres.Config{
		URL: server.URL(), Migrate: true, Durability: postgres.Relaxed, StatementTimeout: time.Second, ConnectTimeout: time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	node, err := stele.Start(t.Context(), stele.Config{
		Journal: journal, Aggregates: stele.Aggregates{allVisits}, AskTimeout: timeout,
	})
	require.NoError(t, err)

	var done, failures atomic.Int64
	var quit atomic.Bool
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for i := 0; !quit.Load(); i++ {
				visitOnce(t, node, fmt.Sprint(caller%aggregates), fmt.Sprint(caller, ".", i), timeout, &failures)
				done.Add(1)
			}
		})
	}
	progress := func(more int64) {
		for want := done.Load() + more; done.Load() < want; {
			pause(t, 5*time.Millisecond)
		}
	}
	progress(200)
	for range 2 {
		require.NoError(t, server.Kill())
		pause(t, 3*time.Second)
		require.NoError(t, server.Restart(t.Context()))
		back := time.Now()
		progress(callers)
		require.Less(t, time.Since(back), 15*time.Second)
		progress(200)
	}
	quit.Store(true)
	group.Wait()
	require.NoError(t, node.Stop(t.Context()))

	require.Positive(t, failures.Load())
	// Every command was repeated until it was done: fewer would be lost, more doubled.
	require.EqualValues(t, done.Load(), countVisits(t, journal, aggregates))
}

// visitOnce repeats a visit under its key until its outcome is known.
func visitOnce(t *testing.T, node *stele.Node, id, key string, timeout time.Duration, failures *atomic.Int64) {
	for {
		asked := time.Now()
		seen, err := visitPage.Ask(t.Context(), node, id, visit{key}, actors.Once(key))
		if took := time.Since(asked); took > timeout+5*time.Second { // a busy machine is late, a call that hangs is later
			t.Errorf("a call took %s", took)
		}
		switch persistence.ErrorKindOf(err) {
		case persistence.ErrUnavailable, persistence.ErrOverloaded, persistence.ErrConflict, persistence.ErrUnknownOutcome:
			if err != nil {
				failures.Add(1)
				pause(t, 50*time.Millisecond)
				continue
			}
		}
		if err != nil || seen.Page != key {
			t.Errorf("visit %s: %v, %v", key, seen, err)
		}
		return
	}
}

// countVisits is how many visits are stored.
func countVisits(t *testing.T, journal persistence.Journal, aggregates int) (count int) {
	t.Helper()
	for id := range aggregates {
		of, err := journal.Count(t.Context(), persistence.StreamID(fmt.Sprint("visits-", id)), persistence.ReadOptions{})
		require.NoError(t, err)
		count += of
	}
	return count
}

// pause lets real time go by between two looks.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// What the runtime keeps of commands and states comes back from every journal.
func TestCommandsAreDoneOnceOnEveryJournal(t *testing.T) {
	t.Parallel()
	snapshotted := actors.Define("visits",
		actors.Handle(visitPage, func(v *visits, tx *actors.Tx, c visit) (visited, error) {
			event := visited{c.Page, v.n + 1}
			tx.Raise(event)
			return event, nil
		}),
		actors.On(func(v *visits, e visited) { v.n = e.Nth }),
		actors.SnapshotEvery[visits](10), actors.LogCommands[visits](actors.Contents),
		actors.SnapshotAs(func(v *visits) int { return v.n }, func(n int) *visits { return &visits{n} }),
	)
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := open(t)
			for range 2 {
				node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{snapshotted}})
				require.NoError(t, err)
				for i := range 25 {
					var receipt actors.Receipt
					seen, err := visitPage.Ask(t.Context(), node, "a", visit{fmt.Sprint(i)}, actors.Once(fmt.Sprint(i)), actors.ReceiptTo(&receipt))
					require.NoError(t, err)
					require.Equal(t, visited{fmt.Sprint(i), i + 1}, seen)
					require.EqualValues(t, i+1, receipt.Version)
				}
				require.NoError(t, node.Stop(t.Context()))
			}

			keeper, ok := persistence.As[persistence.Snapshots](journal)
			require.True(t, ok)
			snapshot, found, err := keeper.LoadSnapshot(t.Context(), "visits-a")
			require.NoError(t, err)
			require.True(t, found)
			require.Contains(t, []persistence.Version{10, 20}, snapshot.Version)
			logged, err := journal.Count(t.Context(), "$commands-visits", persistence.ReadOptions{})
			require.NoError(t, err)
			require.Equal(t, 50, logged)
			info, err := journal.Stream(t.Context(), "visits-a")
			require.NoError(t, err)
			require.EqualValues(t, 25, info.Version)
		})
	}
}
