package pgtest_test

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

func TestDatabasesAreOwn(t *testing.T) {
	t.Parallel()
	urls := make([]string, 4)
	var group sync.WaitGroup
	for i := range urls {
		group.Go(func() { urls[i] = pgtest.URL(t) })
	}
	group.Wait()

	ids := map[[16]byte]bool{}
	for _, url := range urls {
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		var id [16]byte
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT id FROM stele.journal").Scan(&id))
		require.False(t, ids[id], "a copy is another journal")
		ids[id] = true
		require.NoError(t, conn.Close(t.Context()))
	}
}

func TestDatabaseIsEmpty(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.Database(t))
	require.NoError(t, err)
	defer conn.Close(t.Context())

	var tables int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')").Scan(&tables))

	require.Zero(t, tables)
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("inner", func(t *testing.T) {
		url = pgtest.URL(t)
		conn, err := pgx.Connect(t.Context(), url) // stays open
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close(t.Context())) })
	})

	_, err := pgx.Connect(t.Context(), url)

	require.ErrorContains(t, err, "3D000")
}

func TestJournalAndPool(t *testing.T) {
	t.Parallel()
	journal := pgtest.Journal(t)

	outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "s-1", Events: []persistence.Event{{Type: "t"}}})

	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	var events int
	require.NoError(t, pgtest.Open(t).QueryRow(t.Context(), "SELECT count(*) FROM stele.event").Scan(&events))
	require.Zero(t, events)
}

func TestServerIsPrivate(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, pgtest.Durable)
	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer conn.Close(t.Context())

	var fsync string
	require.NoError(t, conn.QueryRow(t.Context(), "SHOW fsync").Scan(&fsync))

	require.Equal(t, "on", fsync)
}
