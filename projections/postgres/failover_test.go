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

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	journalpg "github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
)

// A server takes over that lacks the newest events, under projections that have
// applied them, and their places are given to others. A read model on another
// server has what never happened: its projection stops, says so, and applies nothing
// until it is reset. One beside the journal has lost the same as the journal, and goes
// on from there when the program is started again.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary := pgtest.Server(t)
	require.NoError(t, journalpg.Migrate(t.Context(), journalpg.Config{URL: primary.URL()}))
	standby, err := primary.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	config, err := pgxpool.ParseConfig(primary.URL() + "&target_session_attrs=read-write")
	require.NoError(t, err)
	other, err := pgxpool.ParseConfig(standby.URL())
	require.NoError(t, err)
	config.ConnConfig.Fallbacks = append(config.ConnConfig.Fallbacks, &pgconn.FallbackConfig{Host: other.ConnConfig.Host, Port: other.ConnConfig.Port})
	beside, elsewhere := poolOf(t, config), poolOf(t, nil)
	all := []projections.Projection{models(t, beside, "beside"), models(t, elsewhere, "elsewhere")}
	living, err := journalpg.Open(t.Context(), journalpg.Config{Pool: config, Durability: journalpg.Relaxed, PollInterval: 20 * time.Millisecond})
	require.NoError(t, err)
	first, stop := running(t, living, all)

	store(t, living, "kept", 2)
	require.NoError(t, first.CatchUp(t.Context()))
	behind := poolOf(t, other)
	require.Eventually(t, func() bool { return len(modelOf(t, behind)) == 2 }, time.Minute, 20*time.Millisecond, "the standby has what was there")
	behind.Close()
	require.NoError(t, standby.Kill())
	store(t, living, "lost", 3)
	require.NoError(t, first.CatchUp(t.Context()))
	require.NoError(t, primary.Kill())
	require.NoError(t, standby.Restart(t.Context()))
	promoted := poolOf(t, other)
	_, err = promoted.Exec(t.Context(), "SELECT pg_promote()")
	require.NoError(t, err)
	after, err := journalpg.Open(t.Context(), journalpg.Config{URL: standby.URL(), Durability: journalpg.Relaxed})
	require.NoError(t, err)
	defer func() { require.NoError(t, after.Close()) }()
	store(t, after, "other", 5)

	for _, name := range []string{"beside", "elsewhere"} {
		require.Eventually(t, func() bool {
			status, err := first.Status(name)
			return err == nil && status == projections.Failed
		}, time.Minute, 20*time.Millisecond, name)
		err = first.WaitFor(t.Context(), name, persistence.Position{Offset: 7})
		require.ErrorIs(t, err, projections.ErrDiverged)
		require.ErrorIs(t, err, persistence.ErrLostTail)
	}
	require.Equal(t, []string{"1 kept", "2 kept", "3 lost", "4 lost", "5 lost"}, modelOf(t, elsewhere))
	require.Equal(t, []string{"1 kept", "2 kept"}, modelOf(t, promoted))
	stop()
	require.NoError(t, living.Close())

	second, stop := running(t, after, all)
	defer stop()
	history := []string{"1 kept", "2 kept", "3 other", "4 other", "5 other", "6 other", "7 other"}
	require.NoError(t, second.WaitFor(t.Context(), "beside", persistence.Position{Offset: 7}))
	require.Equal(t, history, modelOf(t, promoted))
	err = second.WaitFor(t.Context(), "elsewhere", persistence.Position{Offset: 7})
	diverged, ok := errors.AsType[*projections.DivergedError](err)
	require.True(t, ok)
	require.ErrorContains(t, diverged, "reset it when that has lost events")
	require.Len(t, modelOf(t, elsewhere), 5, "nothing of the other history")
	require.NoError(t, second.Reset(t.Context(), "elsewhere"))
	require.NoError(t, second.WaitFor(t.Context(), "elsewhere", persistence.Position{Offset: 7}))
	require.Equal(t, history, modelOf(t, elsewhere))
}

// poolOf is a pool on a server, or on a database of its own.
func poolOf(t *testing.T, config *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	if config == nil {
		own, err := pgxpool.ParseConfig(pgtest.Database(t))
		require.NoError(t, err)
		config = own
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config.Copy())
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// models is a projection that keeps what each event was, without a constraint that
// would hide a repetition.
func models(t *testing.T, pool *pgxpool.Pool, name string) projections.Projection {
	t.Helper()
	target, err := postgres.Open(t.Context(), postgres.Config{Pool: pool, Migrate: true})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "CREATE TABLE model (position bigint, type text)")
	require.NoError(t, err)
	return projections.Define(name, 1, projections.Any(func(ctx context.Context, tx pgx.Tx, e persistence.Recorded) error {
		_, err := tx.Exec(ctx, "INSERT INTO model VALUES ($1, $2)", e.Position.Offset, e.Type)
		return err
	}), projections.Truncate(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "TRUNCATE model")
		return err
	})).Into(target)
}

func modelOf(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), "SELECT position || ' ' || type FROM model ORDER BY position")
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return found
}

func running(t *testing.T, journal persistence.Journal, all []projections.Projection) (*projections.Runner, func()) {
	t.Helper()
	runner, err := projections.New(projections.Config{Journal: journal, Projections: all})
	require.NoError(t, err)
	group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "runner", Run: runner.Run})
	return runner, func() { require.NoError(t, group.Stop(context.WithoutCancel(t.Context()))) }
}

func store(t *testing.T, journal persistence.Journal, name string, events int) {
	t.Helper()
	for i := range events {
		outcomes, err := journal.Append(t.Context(), persistence.Append{
			Stream: persistence.StreamID(fmt.Sprint("a-", i)), Expected: persistence.Any, Events: []persistence.Event{{Type: name}},
		})
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
	}
}
