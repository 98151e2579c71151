package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

func TestJournal(t *testing.T) {
	t.Parallel()
	journaltest.Durable{Store: newStore, Crash: crash, Damage: damage, Replace: replace}.Run(t)
}

func BenchmarkJournal(b *testing.B) {
	journaltest.Benchmark(b, func(t testing.TB) persistence.Journal { return newStore(t)(t) })
}

func newStore(t testing.TB) func(testing.TB) persistence.Journal {
	t.Helper()
	return opener(pgtest.Config(t))
}

func opener(config postgres.Config) func(testing.TB) persistence.Journal {
	return func(t testing.TB) persistence.Journal {
		t.Helper()
		journal, err := postgres.Open(t.Context(), config)
		require.NoError(t, err)
		return journal
	}
}

// placed is a journal whose tables others reach at another place than it does.
type placed interface {
	place() (journal *postgres.Journal, url string)
}

func placeOf(journal persistence.Journal) (*postgres.Journal, string) {
	if elsewhere, ok := journal.(placed); ok {
		return elsewhere.place()
	}
	own := journal.(*postgres.Journal)
	return own, own.URL()
}

// crash ends the journal and what the server still does for it: of a process
// that is dead the server may finish a statement.
func crash(t testing.TB, journal persistence.Journal) {
	t.Helper()
	own, url := placeOf(journal)
	own.Crash()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	require.NoError(t, err)
}

// damage changes a byte of a stored state.
func damage(t testing.TB, journal persistence.Journal, stream persistence.StreamID) {
	t.Helper()
	_, url := placeOf(journal)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	done, err := conn.Exec(t.Context(), `UPDATE stele.snapshot SET state = set_byte(state, 0, get_byte(state, 0) # 1)
		WHERE stream_id = (SELECT s.stream_id FROM stele.stream s WHERE s.name = $1)`, string(stream))
	require.NoError(t, err)
	require.EqualValues(t, 1, done.RowsAffected())
}

// replace makes the tables anew.
func replace(t testing.TB, journal persistence.Journal) {
	t.Helper()
	_, url := placeOf(journal)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "DROP SCHEMA stele CASCADE")
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(t.Context(), postgres.Config{URL: url}))
}

// patience bounds what tests wait for.
const patience = 30 * time.Second

// contextOfCleanup bounds what happens after a test, whose own context is done.
func contextOfCleanup(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}
