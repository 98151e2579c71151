package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/internal/torture"
	"github.com/stele-es/stele/persistence"
	journalpg "github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
)

// A projection that follows while 64 connections do their worst to the order of the
// sequence applies each event once: none is skipped and none comes twice.
func TestLongProjectionUnderTortureSkipsNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	defer pool.Close()
	journal, err := journalpg.Open(t.Context(), journalpg.Config{URL: url, Durability: journalpg.Relaxed})
	require.NoError(t, err)
	defer journal.Close()
	target, err := postgres.Open(t.Context(), postgres.Config{Pool: pool, Migrate: true})
	require.NoError(t, err)
	everything := projections.Define("everything", 1,
		projections.Setup(func(_ context.Context, batch *pgx.Batch) error {
			batch.Queue("CREATE TABLE everything (position bigint, event_id uuid)") // without a constraint that would hide a fault
			return nil
		}),
		projections.Any(func(_ context.Context, batch *pgx.Batch, e persistence.Recorded) error {
			batch.Queue("INSERT INTO everything VALUES ($1, $2)", e.Position.Offset, [16]byte(e.ID))
			return nil
		})).With(projections.FromAll(), projections.Workers(2))
	runner, err := projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{everything.Into(postgres.Batched(target))}})
	require.NoError(t, err)
	group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "projections", Run: runner.Run})

	report, err := torture.Order{Target: torture.Target{
		URL: url, Seed: uint64(time.Now().UnixNano()) % 1_000_000,
		Open: func(ctx context.Context, url string) (torture.Journal, error) {
			return journalpg.Open(ctx, journalpg.Config{URL: url, Durability: journalpg.Relaxed, PollInterval: 50 * time.Millisecond, ReadConnections: 2})
		},
	}, Connections: 64, Duration: 2 * time.Second}.Run(t.Context())
	require.NoError(t, err)
	require.Empty(t, report.Faults, report)
	require.NoError(t, runner.CatchUp(t.Context()))
	require.NoError(t, group.Stop(t.Context()))

	count := func(sql string) (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	t.Logf("%d events, %d kills", count("SELECT count(*) FROM everything"), report.Kills)
	require.Positive(t, count("SELECT count(*) FROM everything"))
	require.Zero(t, count(`SELECT count(*) FROM (SELECT position, event_id FROM stele.event EXCEPT ALL SELECT position, event_id FROM everything) skipped`))
	require.Zero(t, count(`SELECT count(*) FROM (SELECT position, event_id FROM everything EXCEPT ALL SELECT position, event_id FROM stele.event) twice`))
}
