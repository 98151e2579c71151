package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
	"github.com/stele-es/stele/projections/projectionstest"
)

const (
	createSum = "CREATE TABLE sum (key text PRIMARY KEY, n bigint NOT NULL)"
	addSum    = "INSERT INTO sum VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = sum.n + excluded.n"
)

func open(t testing.TB) (*pgxpool.Pool, *postgres.Target) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), pgtest.Database(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	target, err := postgres.Open(t.Context(), postgres.Config{Pool: pool, Migrate: true})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), createSum)
	require.NoError(t, err)
	return pool, target
}

func sums(pool *pgxpool.Pool) func(context.Context) (map[string]int, error) {
	return func(ctx context.Context) (map[string]int, error) {
		rows, err := pool.Query(ctx, "SELECT key, n FROM sum")
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		found := map[string]int{}
		for rows.Next() {
			var key string
			var n int
			if err := rows.Scan(&key, &n); err != nil {
				return nil, err
			}
			found[key] = n
		}
		return found, rows.Err()
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	projectionstest.Run(t, func(t testing.TB) projectionstest.Subject[pgx.Tx] {
		pool, target := open(t)
		return projectionstest.Subject[pgx.Tx]{Target: target, Sums: sums(pool), Add: func(ctx context.Context, tx pgx.Tx, key string, n int) error {
			_, err := tx.Exec(ctx, addSum, key, n)
			return err
		}}
	})
}

func TestBatched(t *testing.T) {
	t.Parallel()
	projectionstest.Run(t, func(t testing.TB) projectionstest.Subject[*pgx.Batch] {
		pool, target := open(t)
		return projectionstest.Subject[*pgx.Batch]{Target: postgres.Batched(target), Sums: sums(pool), Add: func(_ context.Context, batch *pgx.Batch, key string, n int) error {
			batch.Queue(addSum, key, n)
			return nil
		}}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	t.Run("says what to do about missing tables", func(t *testing.T) {
		t.Parallel()
		pool, err := pgxpool.New(t.Context(), pgtest.Database(t))
		require.NoError(t, err)
		t.Cleanup(pool.Close)

		_, err = postgres.Open(t.Context(), postgres.Config{Pool: pool})

		require.ErrorIs(t, err, persistence.ErrTables)
		require.ErrorContains(t, err, "Migrate")
	})
	t.Run("without a pool", func(t *testing.T) {
		t.Parallel()
		_, err := postgres.Open(t.Context(), postgres.Config{})

		require.ErrorIs(t, err, persistence.ErrInvalid)
	})
	t.Run("as often as one likes", func(t *testing.T) {
		t.Parallel()
		pool, _ := open(t)

		_, err := postgres.Open(t.Context(), postgres.Config{Pool: pool, Migrate: true})
		require.NoError(t, err)
		_, err = postgres.Open(t.Context(), postgres.Config{Pool: pool})
		require.NoError(t, err)
	})
	t.Run("beside a journal", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Open(t)

		_, err := postgres.Open(t.Context(), postgres.Config{Pool: pool, Migrate: true})

		require.NoError(t, err)
	})
}

// A handler that may idle for longer than its transaction would be taken for a server
// that is away, for ever.
func TestTimeoutBeyondTheTransaction(t *testing.T) {
	t.Parallel()
	_, target := open(t)
	add := projections.On(func(context.Context, pgx.Tx, projections.Event[added]) error { return nil })
	for timeout, want := range map[time.Duration]string{29 * time.Second: "", 30 * time.Second: "raise that"} {
		_, err := projections.New(projections.Config{Journal: new(memory.Journal), Projections: []projections.Projection{
			projections.Define("sums", 1, add).With(projections.Timeout(timeout)).Into(target),
		}})
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}
