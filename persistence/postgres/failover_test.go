package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/persistence/tail"
)

// A standby whose replication is not waited for is promoted without the newest events. It
// gives their positions and versions to other events. Those that remember one of them get an
// error.
func TestLongFailoverLosesTheTail(t *testing.T) {
	t.Parallel()
	primary := pgtest.Server(t)
	journal := open(t, postgres.Config{URL: primary.URL(), Migrate: true, Durability: postgres.Relaxed})
	for range 5 {
		require.NoError(t, appendOne(t, journal, "a-1", persistence.Any, "before").Err)
	}
	kept := checkpointAt(t, journal, 5)
	standby, err := primary.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	eventually(t, patience, "the standby has what was there", func() bool { return scalar(t, standby.URL(), "SELECT count(*) FROM stele.event") == 5 })
	_, err = postgres.Open(t.Context(), postgres.Config{URL: standby.URL(), Durability: postgres.Relaxed})
	require.ErrorIs(t, err, persistence.ErrUnavailable, "it cannot store events")
	require.NoError(t, standby.Kill())
	for range 5 {
		require.NoError(t, appendOne(t, journal, "a-1", persistence.Any, "lost").Err)
	}
	lost, state := checkpointAt(t, journal, 10), readAll(t, journal, "a-1")[9]
	require.NoError(t, journal.SaveSnapshot(t.Context(), persistence.Snapshot{Stream: "a-1", Version: 10, EventID: state.ID}))
	require.NoError(t, journal.Close())
	require.NoError(t, primary.Kill())

	require.NoError(t, standby.Restart(t.Context()))
	execute(t, standby.URL(), "SELECT pg_promote()")
	after := open(t, postgres.Config{URL: standby.URL(), Durability: postgres.Relaxed})

	stopped := func(why string) {
		t.Helper()
		_, err := tail.Open(t.Context(), after, tail.Options{Checkpoint: lost})
		require.ErrorIs(t, err, persistence.ErrLostTail)
		require.ErrorContains(t, err, why)
		_, err = tail.Open(t.Context(), after, tail.Options{Checkpoint: kept})
		require.NoError(t, err, "what both have is the same")
	}
	require.Equal(t, journal.Identity(), after.Identity())
	stopped("the journal ends at position 5")
	_, found, err := after.LoadSnapshot(t.Context(), "a-1")
	require.NoError(t, err)
	require.False(t, found, "the snapshot was lost with what it is of")
	require.ErrorIs(t, appendOne(t, after, "a-1", persistence.Exact(10), "on top of what is lost").Err, persistence.ErrConflict)

	for range 6 {
		require.NoError(t, appendOne(t, after, "a-1", persistence.Any, "other").Err)
	}
	stopped("the journal has another event there")
	other := readAll(t, after, "a-1")[9]
	require.Equal(t, state.Version, other.Version)
	require.Equal(t, state.Position, other.Position)
	require.NotEqual(t, state.ID, other.ID, "which tells that a state is of another history")
	full, err := after.Check(t.Context(), persistence.CheckOptions{Full: true})
	require.NoError(t, err)
	for _, f := range full {
		require.Less(t, f.Severity, persistence.Fault, "%+v", f)
	}
}

func checkpointAt(t *testing.T, journal persistence.Journal, offset int64) tail.Checkpoint {
	t.Helper()
	subscription, err := tail.Open(t.Context(), journal, tail.Options{})
	require.NoError(t, err)
	checkpoint, err := subscription.Checkpoint(t.Context(), persistence.Positions{offset})
	require.NoError(t, err)
	return checkpoint
}

// A reader that follows the journal while its server is replaced gets an error, and not the
// events at positions that were used again.
func TestLongFailoverEndsSubscriptions(t *testing.T) {
	t.Parallel()
	primary := pgtest.Server(t)
	require.NoError(t, postgres.Migrate(t.Context(), postgres.Config{URL: primary.URL()}))
	standby, err := primary.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	both, err := pgxpool.ParseConfig(primary.URL() + "&target_session_attrs=read-write")
	require.NoError(t, err)
	other, err := pgxpool.ParseConfig(standby.URL())
	require.NoError(t, err)
	both.ConnConfig.Fallbacks = append(both.ConnConfig.Fallbacks, &pgconn.FallbackConfig{Host: other.ConnConfig.Host, Port: other.ConnConfig.Port})
	require.NoError(t, standby.Kill())
	living := open(t, postgres.Config{Pool: both, Durability: postgres.Relaxed, PollInterval: 20 * time.Millisecond})
	for _, payload := range []string{"1", "2", "3"} {
		require.NoError(t, appendOne(t, living, "a-1", persistence.Any, payload).Err)
	}
	subscription, err := tail.Open(t.Context(), living, tail.Options{})
	require.NoError(t, err)
	given, ended := make(chan string, 10), make(chan error, 1)
	go func() {
		for e, err := range subscription.Events(t.Context()) {
			if err != nil {
				ended <- err
				return
			}
			given <- string(e.Payload)
		}
	}()
	for _, want := range []string{"1", "2", "3"} {
		require.Equal(t, want, <-given)
	}

	require.NoError(t, primary.Kill())
	require.NoError(t, standby.Restart(t.Context()))
	execute(t, standby.URL(), "SELECT pg_promote()")
	after := open(t, postgres.Config{URL: standby.URL(), Durability: postgres.Relaxed})
	for range 5 {
		require.NoError(t, appendOne(t, after, "a-1", persistence.Any, "other").Err)
	}

	end := <-ended
	require.ErrorIs(t, end, persistence.ErrLostTail)
	require.Empty(t, given)
	_, err = living.Head(t.Context())
	require.ErrorIs(t, err, persistence.ErrLostTail)
	require.ErrorIs(t, living.Wait(t.Context(), persistence.Positions{99}), persistence.ErrLostTail)
	_, err = after.Head(t.Context())
	require.NoError(t, err, "another journal goes on")
}
