package torture_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/internal/torture"
	"github.com/stele-es/stele/persistence/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// The short forms of what make torture does for as long as it is told.

func TestLongOrder(t *testing.T) {
	t.Parallel()
	for name, connections := range map[string]int{"16 connections": 16, "64 connections": 64} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := torture.Target{URL: pgtest.URL(t), Open: relaxed, Seed: seed(t)}

			report, err := torture.Order{Target: target, Connections: connections, Duration: 2 * time.Second}.Run(t.Context())

			require.NoError(t, err)
			t.Log(report)
			require.Empty(t, report.Faults)
			require.Positive(t, report.Acknowledged)
			require.Positive(t, report.Kills)
		})
	}
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	target := torture.Target{URL: pgtest.URL(t), Open: smallBatches, Seed: seed(t)}

	report, err := torture.Path{Target: target, Duration: 2 * time.Second}.Run(t.Context())

	require.NoError(t, err)
	t.Log(report)
	require.Empty(t, report.Faults)
	require.Positive(t, report.Acknowledged)
	require.Positive(t, report.Kills)
}

// A batch that does not prove that the one before it was stored is found out.
func TestLongPathCatchesBatchesThatDoNotProveTheOneBefore(t *testing.T) {
	t.Parallel()

	until(t, func(seed uint64) (*torture.Report, error) {
		url := pgtest.URL(t)
		unprove(t, url)
		return torture.Path{Target: torture.Target{URL: url, Open: smallBatches, Seed: seed}, Duration: time.Second}.Run(t.Context())
	}, torture.VersionHole)
}

// unprove makes the function that appends believe that the batch before was stored.
func unprove(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var function string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT pg_get_functiondef('stele.append_lean'::regproc)").Scan(&function))
	flawed := strings.Replace(function, "ELSIF c_version > 0", "ELSIF false", 1)
	require.NotEqual(t, function, flawed)
	_, err = conn.Exec(t.Context(), flawed)
	require.NoError(t, err)
}

// smallBatches opens a journal whose appends need several batches, which are under
// way at a time.
func smallBatches(ctx context.Context, url string) (torture.Journal, error) {
	return postgres.Open(ctx, postgres.Config{URL: url, Durability: postgres.Relaxed, PollInterval: 50 * time.Millisecond, BatchEvents: 16})
}

// relaxed opens a journal on a server that need not flush.
func relaxed(ctx context.Context, url string) (torture.Journal, error) {
	return postgres.Open(ctx, postgres.Config{URL: url, Durability: postgres.Relaxed, PollInterval: 50 * time.Millisecond, ReadConnections: 2})
}

// seed is another one each time; a failure prints it with the report.
func seed(t *testing.T) uint64 {
	t.Helper()
	return uint64(time.Now().UnixNano()) % 1_000_000
}
