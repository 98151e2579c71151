package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	journalpg "github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
	"github.com/stele-es/stele/projections/projectionstest"
)

// hostilePool is a pool of sessions with the worst settings of a role, and one with the
// server's. What a caller's own statements need between transactions is left alone.
func hostilePool(t testing.TB, database func(testing.TB) string, mode pgx.QueryExecMode) (hostile, plain *pgxpool.Pool) {
	t.Helper()
	url, friendly := pgtest.Hostile(t, database, "idle_session_timeout", "statement_timeout", "search_path")
	config, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	config.ConnConfig.DefaultQueryExecMode = mode
	hostile, err = pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(hostile.Close)
	plain, err = pgxpool.New(t.Context(), friendly)
	require.NoError(t, err)
	t.Cleanup(plain.Close)
	return hostile, plain
}

// The suite of targets holds for a role with the worst settings there are.
func TestLongTargetOfAHostileRole(t *testing.T) {
	t.Parallel()
	projectionstest.Run(t, func(t testing.TB) projectionstest.Subject[pgx.Tx] {
		hostile, plain := hostilePool(t, pgtest.Database, pgx.QueryExecModeCacheStatement)
		target, err := postgres.Open(t.Context(), postgres.Config{Pool: hostile, Migrate: true})
		require.NoError(t, err)
		_, err = plain.Exec(t.Context(), createSum)
		require.NoError(t, err)
		return projectionstest.Subject[pgx.Tx]{Target: target, Sums: sums(plain), Add: func(ctx context.Context, tx pgx.Tx, key string, n int) error {
			_, err := tx.Exec(ctx, addSum, key, n)
			return err
		}}
	})
}

// What handlers write and read is the same for a hostile role, however the pool sends
// statements.
func TestAHostileRoleChangesNothing(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]pgx.QueryExecMode{"prepared": pgx.QueryExecModeCacheStatement, "exec": pgx.QueryExecModeExec, "simple": pgx.QueryExecModeSimpleProtocol} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hostile, plain := hostilePool(t, pgtest.Database, mode)
			target, err := postgres.Open(t.Context(), postgres.Config{Pool: hostile, Migrate: true})
			require.NoError(t, err)
			_, err = plain.Exec(t.Context(), "CREATE TABLE model (name text PRIMARY KEY, data bytea, at timestamptz, n double precision, list text[])")
			require.NoError(t, err)
			at, list := time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC), []string{`\"'`, "NULL", "ß"}

			require.NoError(t, target.Transact(t.Context(), func(ctx context.Context, tx pgx.Tx, book projections.Book) error {
				if _, err := tx.Exec(ctx, "INSERT INTO model VALUES ($1, $2, $3, $4, $5)", "müller", []byte("\\x00\xff'"), at, 0.1, list); err != nil {
					return err
				}
				var isolation string
				if err := tx.QueryRow(ctx, "SELECT current_setting('transaction_isolation')").Scan(&isolation); err != nil {
					return err
				}
				require.Equal(t, "read committed", isolation)
				return book.Park(ctx, projections.Parked{Name: "größe", Version: 1, Position: persistence.Position{Offset: 1}, Stream: "müller-1", Lane: "ü", Cause: "é"})
			}))

			for _, pool := range []*pgxpool.Pool{hostile, plain} {
				target, err := postgres.Open(t.Context(), postgres.Config{Pool: pool})
				require.NoError(t, err)
				require.NoError(t, target.Transact(t.Context(), func(ctx context.Context, tx pgx.Tx, book projections.Book) error {
					var row struct {
						name string
						data []byte
						at   time.Time
						n    float64
						list []string
					}
					if err := tx.QueryRow(ctx, "SELECT * FROM model WHERE name = $1", "müller").Scan(&row.name, &row.data, &row.at, &row.n, &row.list); err != nil {
						return err
					}
					require.Equal(t, "\\x00\xff'", string(row.data))
					require.True(t, at.Equal(row.at), row.at)
					require.InDelta(t, 0.1, row.n, 0)
					require.Equal(t, list, row.list)
					parked, err := book.Parked(ctx, "größe", 1, persistence.Position{}, 9)
					require.Len(t, parked, 1)
					require.Equal(t, persistence.StreamID("müller-1"), parked[0].Stream)
					require.Equal(t, "é", parked[0].Cause)
					return err
				}))
			}
		})
	}
}

// Appends with an inline projection need no better session than others.
func TestInlineOfAHostileRole(t *testing.T) {
	t.Parallel()
	hostile, plain := hostilePool(t, pgtest.URL, pgx.QueryExecModeCacheStatement)
	behind, err := journalpg.Open(t.Context(), journalpg.Config{URL: plain.Config().ConnString(), Durability: journalpg.Relaxed})
	require.NoError(t, err)
	journal, err := postgres.Inline(t.Context(), behind, hostile, taken())
	require.NoError(t, err)
	defer func() { require.NoError(t, journal.Close()) }()

	outcomes, err := journal.Append(t.Context(), take("a-müller", persistence.NoStream, 1, 2), take("a-2", persistence.NoStream, 2))

	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	require.ErrorIs(t, outcomes[1].Err, persistence.ErrRejected)
	require.Equal(t, []string{"1 a-müller@1", "2 a-müller@2"}, rowsOf(t, plain))
}

// A session that is of no use, though its connection lives, is given up, and what it
// refused is done in another one. What a new one refuses too is told.
func TestUselessSessionsAreGivenUp(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	defer pool.Close()
	target, err := postgres.Open(t.Context(), postgres.Config{Pool: pool, Migrate: true})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "CREATE TABLE model (n int)")
	require.NoError(t, err)
	look := func() error {
		return target.Transact(t.Context(), func(ctx context.Context, tx pgx.Tx, book projections.Book) error {
			if _, err := tx.Exec(ctx, "INSERT INTO model VALUES (1)"); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, "SELECT * FROM model")
			if err == nil {
				rows.Close()
				err = rows.Err()
			}
			if err != nil {
				return err
			}
			_, err = book.Workers(ctx, "p", 1)
			return err
		})
	}
	require.NoError(t, look())

	// The plans of the sessions are of columns that have changed.
	_, err = pool.Exec(t.Context(), "ALTER TABLE model ALTER n TYPE bigint; ALTER TABLE stele.projection_worker ALTER node TYPE varchar")
	require.NoError(t, err)
	require.NoError(t, look())

	// The sessions began while the database was read-only.
	alter := func(value string) {
		conn, err := pgx.Connect(t.Context(), url+"&default_transaction_read_only=off")
		require.NoError(t, err)
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = "+value+"', current_database()); END $$")
		require.NoError(t, err)
	}
	alter("on")
	pool.Reset()
	err = look()
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.ErrorContains(t, err, "25006")
	alter("off")
	require.NoError(t, look(), "without a pause, and with no restart")

	// The tables are gone.
	_, err = pool.Exec(t.Context(), "DROP SCHEMA stele CASCADE")
	require.NoError(t, err)
	err = look()
	require.ErrorIs(t, err, persistence.ErrTables)
	require.ErrorContains(t, err, "Migrate")
	_, raw := errors.AsType[*pgconn.PgError](err)
	require.False(t, raw, "the driver's error is not for everybody")
}

// Info and the calls beside it name what is missing, and hold nothing of the driver.
func TestTablesAreGoneUnderARunner(t *testing.T) {
	t.Parallel()
	pool, target := open(t)
	journal := pgtest.Journal(t)
	runner, err := projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{
		projections.Define("sums", 1, projections.Any(func(context.Context, pgx.Tx, persistence.Recorded) error { return nil })).Into(target),
	}})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "DROP SCHEMA stele CASCADE")
	require.NoError(t, err)

	for what, call := range map[string]func() error{
		"info":   func() error { _, err := runner.Info(t.Context(), "sums"); return err },
		"stop":   func() error { return runner.Stop(t.Context(), "sums") },
		"parked": func() error { _, err := runner.Parked(t.Context(), "sums", persistence.Position{}, 9); return err },
	} {
		err := call()
		require.ErrorIs(t, err, persistence.ErrTables, what)
		_, raw := errors.AsType[*pgconn.PgError](err)
		require.False(t, raw, what)
	}
}

// A database that cannot hold every text is refused, and says how to make another.
func TestADatabaseOfAnotherEncoding(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	for _, encoding := range []string{"EUC_JP", "LATIN1", "SQL_ASCII"} {
		_, err = conn.Exec(t.Context(), fmt.Sprintf("CREATE DATABASE other_%[1]s ENCODING '%[1]s' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", encoding))
		require.NoError(t, err)
		pool, err := pgxpool.New(t.Context(), server.DatabaseURL("other_"+map[string]string{"EUC_JP": "euc_jp", "LATIN1": "latin1", "SQL_ASCII": "sql_ascii"}[encoding]))
		require.NoError(t, err)
		defer pool.Close()

		_, err = postgres.Open(t.Context(), postgres.Config{Pool: pool, Migrate: true})

		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, encoding)
		require.ErrorContains(t, err, "ENCODING 'UTF8'")
	}
}

// The books of a projection are made anew under its runner, while what it has made
// stands. The runner does not begin again on top of that: a checkpoint is saved only
// where the worker's own row is.
func TestTheBooksAreReplacedUnderARunner(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]string{
		"made anew": "DROP SCHEMA stele CASCADE", "emptied": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, target := open(t)
			journal := pgtest.Journal(t)
			_, err := pool.Exec(t.Context(), "CREATE TABLE model (position bigint, type text)")
			require.NoError(t, err)
			runner, stop := running(t, journal, []projections.Projection{
				projections.Define("models", 1, projections.Any(func(ctx context.Context, tx pgx.Tx, e persistence.Recorded) error {
					_, err := tx.Exec(ctx, "INSERT INTO model VALUES ($1, $2)", e.Position.Offset, e.Type)
					return err
				})).Into(target),
			})
			defer stop()
			store(t, journal, "before", 3)
			require.NoError(t, runner.CatchUp(t.Context()))

			if replace != "" {
				_, err = pool.Exec(t.Context(), replace)
				require.NoError(t, err)
				_, err = postgres.Open(t.Context(), postgres.Config{Pool: pool, Migrate: true})
				require.NoError(t, err)
			} else {
				_, err = pool.Exec(t.Context(), "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'stele' AND tablename <> 'projection_migration' LOOP EXECUTE 'TRUNCATE stele.' || t; END LOOP; END $$")
				require.NoError(t, err)
			}
			store(t, journal, "after", 2)
			require.Eventually(t, func() bool {
				status, _ := runner.Status("models")
				return status == projections.Failed || status == projections.Deleted
			}, time.Minute, 20*time.Millisecond)
			require.Equal(t, []string{"1 before", "2 before", "3 before"}, modelOf(t, pool))
		})
	}
}
