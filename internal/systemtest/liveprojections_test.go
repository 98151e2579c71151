package systemtest

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/sqlite"
)

var (
	liveCommands = flag.Int("commands", 2000, "how many commands a round of the test of projections that follow live has")
	liveRounds   = flag.Int("rounds", 1, "how many rounds it has")
)

// Commands of a thousand aggregates while projections follow them, in memory and
// into a file by two workers: each event is seen once, and in the order of its
// stream.
func TestProjectionsFollowLive(t *testing.T) {
	t.Parallel()
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range *liveRounds {
				followLive(t, open(t))
			}
		})
	}
}

// seenVisits are how often each event was seen, and what came out of order.
type seenVisits struct {
	times map[persistence.EventID]int
	last  map[persistence.StreamID]persistence.Version
	wrong []string
}

func followLive(t *testing.T, journal persistence.Journal) {
	t.Helper()
	target, err := sqlite.Open(t.Context(), sqlite.Config{Path: t.TempDir() + "/views.db"})
	require.NoError(t, err)
	defer func() { require.NoError(t, target.Close()) }()
	memory := projections.InMemory(&seenVisits{times: map[persistence.EventID]int{}, last: map[persistence.StreamID]persistence.Version{}})
	remembered := projections.Define("remembered", 1, projections.On(func(_ context.Context, seen *seenVisits, e projections.Event[visited]) error {
		seen.times[e.ID]++
		if e.Version != seen.last[e.Stream]+1 || e.Data.Nth != int(e.Version) {
			seen.wrong = append(seen.wrong, fmt.Sprintf("%s@%d behind %d", e.Stream, e.Version, seen.last[e.Stream]))
		}
		seen.last[e.Stream] = e.Version
		return nil
	}))
	written := projections.Define("written", 1, projections.Setup(func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE visit (stream TEXT, version INTEGER)") // without a constraint that would hide a fault
		return err
	}), projections.On(func(ctx context.Context, tx *sql.Tx, e projections.Event[visited]) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO visit VALUES (?, ?)", string(e.Stream), int64(e.Version))
		return err
	})).With(projections.FromKinds("visits"), projections.Workers(2))
	node, err := stele.Start(t.Context(), stele.Config{
		Journal: journal, Aggregates: stele.Aggregates{allVisits},
		Projections: stele.Projections{remembered.Into(memory), written.Into(target)},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, node.Stop(context.WithoutCancel(t.Context()))) }()

	const aggregates, callers = 1000, 64
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a busy machine may halt for a while
	defer cancel()
	var group errgroup.Group
	for caller := range callers {
		group.Go(func() error {
			for i := caller; i < *liveCommands; i += callers {
				if _, err := visitPage.Ask(ctx, node, fmt.Sprint(i%aggregates), visit{"/home"}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.NoError(t, node.Projections().CatchUp(t.Context()))

	memory.View(func(seen *seenVisits) {
		require.Empty(t, seen.wrong)
		require.Len(t, seen.times, *liveCommands)
		for id, times := range seen.times {
			require.Equal(t, 1, times, id)
		}
	})
	var rows, events int
	require.NoError(t, target.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM visit").Scan(&rows))
	require.NoError(t, target.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM (SELECT DISTINCT stream, version FROM visit)").Scan(&events))
	require.Equal(t, *liveCommands, rows)
	require.Equal(t, *liveCommands, events)
}
