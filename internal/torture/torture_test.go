package torture_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/internal/torture"
	"github.com/stele-es/stele/persistence/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// The short forms of what make torture does for as long as it is told.

func TestOrder(t *testing.T) {
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

func TestPath(t *testing.T) {
	t.Parallel()

	report, err := torture.Path{Target: torture.Target{URL: pgtest.URL(t), Open: relaxed, Seed: seed(t)}, Duration: 2 * time.Second}.Run(t.Context())

	require.NoError(t, err)
	t.Log(report)
	require.Empty(t, report.Faults)
	require.Positive(t, report.Acknowledged)
	require.Positive(t, report.Kills)
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
