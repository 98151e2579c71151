package torture_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/internal/torture"
	"github.com/stele-es/stele/persistence/postgres"
)

// The modes share a server, and so take turns.
func TestLongCrash(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, torture.Fragile()...)
	for mode, open := range map[string]torture.Opener{
		"lock until the flush":     durable(postgres.EarlyOff),
		"release before the flush": durable(postgres.EarlyOn),
	} {
		t.Run(mode, func(t *testing.T) {
			program := torture.Crash{Target: torture.Target{URL: databaseOf(t, server), Open: open, Seed: seed(t)}, Server: server, Rounds: 2, Mode: mode}

			report, err := program.Run(t.Context())

			require.NoError(t, err)
			t.Log(report)
			require.Empty(t, report.Faults)
			require.Equal(t, 2, report.Crashes)
		})
	}

	// Commits that are told before they are flushed are lost with the server, to their
	// writers and to those who have read them.
	t.Run("catches acknowledgements before the flush", func(t *testing.T) {
		until(t, func(seed uint64) (*torture.Report, error) {
			target := torture.Target{URL: databaseOf(t, server, "synchronous_commit = off"), Open: unflushed, Seed: seed}
			report, err := torture.Crash{Target: target, Server: server, Rounds: 1, Mode: "no flush"}.Run(t.Context())
			if errors.Is(err, torture.ErrStalled) {
				// A journal that has read what its server has lost refuses to go on there. That
				// is one way to notice, and not the one that is wanted here.
				return &torture.Report{}, nil
			}
			return report, err
		}, torture.Lost, torture.Undone)
	})

	// Where the order lock is released early, events show before they are flushed.
	t.Run("catches readers who do not flush what they read", func(t *testing.T) {
		naive := func(ctx context.Context, url string) (torture.Journal, error) {
			return openNaive(ctx, url, durable(postgres.EarlyOn))
		}

		report := until(t, func(seed uint64) (*torture.Report, error) {
			target := torture.Target{URL: databaseOf(t, server), Open: naive, Seed: seed}
			return torture.Crash{Target: target, Server: server, Rounds: 1, Mode: "no barrier"}.Run(t.Context())
		}, torture.Undone)

		require.Zero(t, report.Faults[torture.Lost], "writers do flush")
	})
}

// durable opens a journal on a server that flushes.
func durable(release postgres.EarlyRelease) torture.Opener {
	return func(ctx context.Context, url string) (torture.Journal, error) {
		return postgres.Open(ctx, postgres.Config{URL: url, EarlyRelease: release, PollInterval: 5 * time.Millisecond, ReadConnections: 2})
	}
}

// unflushed opens a journal on a server that loses what it has told. What became of
// an append cannot be found out there, so it is not tried for long.
func unflushed(ctx context.Context, url string) (torture.Journal, error) {
	return postgres.Open(ctx, postgres.Config{URL: url, Durability: postgres.Relaxed, PollInterval: 50 * time.Millisecond, ReadConnections: 2, ResolveTimeout: time.Second})
}

// databaseOf makes another journal on a server.
func databaseOf(t *testing.T, server *pgserver.Server, settings ...string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	name := fmt.Sprintf("d%d", time.Now().UnixNano())
	_, err = conn.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	for _, setting := range settings {
		_, err = conn.Exec(t.Context(), "ALTER DATABASE "+name+" SET "+setting)
		require.NoError(t, err)
	}
	require.NoError(t, postgres.Migrate(t.Context(), postgres.Config{URL: server.DatabaseURL(name), Durability: postgres.Relaxed})) // whatever the settings are
	return server.DatabaseURL(name)
}
