package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// alterDatabase changes a setting for new sessions, and ends the present ones.
func alterDatabase(t *testing.T, url, setting string) {
	t.Helper()
	execute(t, url+"&default_transaction_read_only=off", fmt.Sprintf("DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET %s', current_database()); END $$", setting))
}

func endSessions(t *testing.T, url string) {
	t.Helper()
	execute(t, url, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
}

// While a database is read-only a journal reads, says why it does not store, and stores
// again at once when that is over, with no session left that began meanwhile.
func TestAReadOnlyWhile(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed, ResolveTimeout: 100 * time.Millisecond})
	require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)

	alterDatabase(t, url, "default_transaction_read_only = on")
	endSessions(t, url)
	require.Error(t, appendOne(t, journal, "a-1", persistence.Exact(1), "on the connection that has ended").Err)
	err := appendOne(t, journal, "a-1", persistence.Exact(1), "y").Err
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.ErrorContains(t, err, "read-only")
	require.Len(t, readAll(t, journal, "a-1"), 1)
	_, err = journal.SetMetadata(t.Context(), "a-1", nil, persistence.AnyRevision)
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.ErrorContains(t, err, "read-only")
	err = journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
		_, err := tx.Append(one("b-1", persistence.Any))
		return err
	})
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.ErrorContains(t, err, "read-only")
	found(t, examined(t, journal, "server", false), persistence.Fault, "read-only")
	var logged bytes.Buffer
	another := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	require.Len(t, readAll(t, another, "a-1"), 1, "it reads")
	require.Contains(t, logged.String(), "read-only")
	require.ErrorContains(t, appendOne(t, another, "a-1", persistence.Exact(1), "y").Err, "read-only")

	alterDatabase(t, url, "default_transaction_read_only = off")
	eventually(t, 10*time.Second, "it stores", func() bool {
		return appendOne(t, journal, "a-1", persistence.Any, "z").Err == nil
	})
	_, err = journal.SetMetadata(t.Context(), "a-1", persistence.Metadata{"a": persistence.Int(1)}, persistence.AnyRevision)
	require.NoError(t, err)
	require.NoError(t, journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
		_, err := tx.Append(one("b-1", persistence.Any))
		return err
	}))
	require.NoError(t, journal.SaveSnapshot(t.Context(), persistence.Snapshot{Stream: "a-1", Version: 1, EventID: persistence.NewEventID()}))
}

// The prepared plans of all sessions are for columns that have changed since.
func TestColumnsChangeUnderSessions(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed})
	look := func() {
		t.Helper()
		require.Len(t, readAll(t, journal, "a-1"), 1)
		for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
			require.NoError(t, err)
			require.NotEmpty(t, page.Events)
		}
		pages, err := journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "a-1", Limit: 9}})
		require.NoError(t, err)
		require.NoError(t, pages[0].Err)
		_, found, err := journal.LoadSnapshot(t.Context(), "a-1")
		require.NoError(t, err)
		require.True(t, found)
		require.NoError(t, journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
			events, err := tx.Read("a-1", persistence.ReadOptions{})
			require.NoError(t, err)
			require.Len(t, events, 1)
			_, err = tx.Append(one("b-1", persistence.Any))
			return err
		}))
		require.NoError(t, appendOne(t, journal, "b-1", persistence.Any, "x").Err)
		require.ErrorIs(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err, persistence.ErrConflict)
	}
	require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)
	require.NoError(t, journal.SaveSnapshot(t.Context(), persistence.Snapshot{Stream: "a-1", Version: 1, EventID: persistence.NewEventID()}))
	look()

	for range 2 {
		execute(t, url, "ALTER TABLE stele.event ALTER type TYPE varchar; ALTER TABLE stele.snapshot ALTER version TYPE oid; ALTER TABLE stele.snapshot ALTER version TYPE bigint; ALTER TABLE stele.stream ALTER metadata TYPE json")
		execute(t, url, "ALTER TABLE stele.stream ALTER metadata TYPE jsonb")
		look()
		execute(t, url, "ALTER TABLE stele.event ALTER type TYPE text")
		look()
	}
}

// With several hosts in any order the journal is on the one that stores events.
func TestLongASwitchOfServers(t *testing.T) {
	t.Parallel()
	first := pgtest.Server(t)
	require.NoError(t, postgres.Migrate(t.Context(), postgres.Config{URL: first.URL()}))
	second, err := first.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, second.Stop()) })
	both := "host=" + strings.TrimSuffix(second.Socket(), "/.s.PGSQL.5432") + "," + strings.TrimSuffix(first.Socket(), "/.s.PGSQL.5432") + " user=postgres dbname=postgres"
	config := postgres.Config{URL: both, Durability: postgres.Relaxed, PollInterval: 20 * time.Millisecond, ConnectTimeout: time.Second}
	journal := open(t, config)
	require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)
	eventually(t, patience, "the standby has it", func() bool { return scalar(t, second.URL(), "SELECT count(*) FROM stele.event") == 1 })

	stored := func(journal *postgres.Journal) int {
		t.Helper()
		began, n := time.Now(), 0
		eventually(t, patience, "it stores again", func() bool { n++; return appendOne(t, journal, "a-1", persistence.Any, "y").Err == nil })
		require.Less(t, time.Since(began), 5*time.Second)
		require.NotEmpty(t, readAll(t, journal, "a-1"))
		return n
	}
	// The first dies and comes back as the standby of the second, which is promoted.
	require.NoError(t, first.Kill())
	execute(t, second.URL(), "SELECT pg_promote()")
	eventually(t, patience, "the standby is promoted", func() bool { return scalar(t, second.URL(), "SELECT (NOT pg_is_in_recovery())::int") == 1 })
	stored(journal)
	// The first halts instead: it takes connections and does not answer.
	require.NoError(t, first.BecomeStandby())
	require.NoError(t, first.Restart(t.Context()))
	first.Pause()
	defer first.Resume()
	reversed, err := pgxpool.ParseConfig(strings.Replace(both, second.Socket()[:strings.LastIndex(second.Socket(), "/")]+","+first.Socket()[:strings.LastIndex(first.Socket(), "/")], first.Socket()[:strings.LastIndex(first.Socket(), "/")]+","+second.Socket()[:strings.LastIndex(second.Socket(), "/")], 1))
	require.NoError(t, err)
	config.URL, config.Pool = "", reversed
	again := open(t, config)
	stored(again)
	require.Equal(t, journal.Identity(), again.Identity())
}

// An operator may limit the time for which transactions are left open. When the server has
// ended one, nothing of it is stored, and the caller learns that.
func TestATransactionIsLeftOpen(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal := open(t, postgres.Config{URL: url + "&idle_in_transaction_session_timeout=300", Durability: postgres.Relaxed})

	err := journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
		if _, err := tx.Append(one("a-1", persistence.Any)); err != nil {
			return err
		}
		eventually(t, patience, "the server has ended it", func() bool {
			return scalar(t, url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'") == 0
		})
		return nil
	})

	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.Zero(t, scalar(t, url, "SELECT count(*) FROM stele.event"))
	require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)
}

// The driver says that nothing went out on a connection that it has closed. That is not so when
// it has closed the connection while it waited for the answer to a commit.
func TestLostCommitIsUnknown(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.Database(t))
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	_, err = conn.Exec(t.Context(), "COMMIT")
	require.True(t, pgconn.SafeToRetry(err), "%v", err)

	require.ErrorIs(t, postgres.StageError(err), persistence.ErrUnknownOutcome)
}
