package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/sqlite"
)

// A version that is built beside another one while events come, and takes over from
// it, holds byte by byte what one holds that is made of the same events afterwards:
// so does the one it has replaced, up to the place where it ended.
func TestLongRebuildIsTheSame(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	target := openTarget(t)
	appendNumbers(t, journal, 500)
	runner, stop := run(t, journal, balances(1, 1).Into(target), balances(2, 4).Into(target))

	var writing errgroup.Group
	for range 3 {
		writing.Go(func() error { return numbers(t.Context(), journal, 500) })
	}
	require.NoError(t, runner.Switch(t.Context(), "balances", 2))
	require.NoError(t, writing.Wait())
	require.NoError(t, runner.CatchUp(t.Context()))
	stop()

	scratch := openTarget(t)
	_, stop = run(t, journal, balances(2, 2).Into(scratch))
	stop()
	want := dump(t, scratch, 2)
	require.Len(t, strings.Split(want, "\n"), 17+1)
	require.Equal(t, want, dump(t, target, 2))
	require.NotEmpty(t, dump(t, target, 1))
}

func openTarget(t *testing.T) *sqlite.Target {
	t.Helper()
	target, err := sqlite.Open(t.Context(), sqlite.Config{Path: t.TempDir() + "/views.db"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, target.Close()) })
	return target
}

// balances keeps of each stream its sum, how many events it has, and a text that
// depends on their order.
func balances(version, workers int) *projections.Definition[*sql.Tx] {
	table := fmt.Sprint("balance_v", version)
	return projections.Define("balances", version, projections.Setup(func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE "+table+" (stream TEXT PRIMARY KEY, sum INTEGER, events INTEGER, history TEXT)")
		return err
	}), projections.On(func(ctx context.Context, tx *sql.Tx, e projections.Event[added]) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO "+table+" VALUES (?1, ?2, 1, ?2) ON CONFLICT (stream) DO UPDATE SET "+
			"sum = sum + ?2, events = events + 1, history = history || ' ' || ?2", string(e.Stream), e.Data.N)
		return err
	})).With(projections.Workers(workers))
}

// run returns a runner that has come to the end of the journal.
func run(t *testing.T, journal persistence.Journal, all ...projections.Projection) (*projections.Runner, func()) {
	t.Helper()
	runner, err := projections.New(projections.Config{Journal: journal, Projections: all})
	require.NoError(t, err)
	group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "runner", Run: runner.Run})
	require.NoError(t, runner.CatchUp(t.Context()))
	return runner, func() { require.NoError(t, group.Stop(context.WithoutCancel(t.Context()))) }
}

func appendNumbers(t *testing.T, journal persistence.Journal, events int) {
	t.Helper()
	require.NoError(t, numbers(t.Context(), journal, events))
}

func numbers(ctx context.Context, journal persistence.Journal, events int) error {
	for i := range events {
		outcomes, err := journal.Append(ctx, take(fmt.Sprint("a-", i%17), persistence.Any, i))
		if err != nil {
			return err
		}
		if outcomes[0].Err != nil {
			return outcomes[0].Err
		}
	}
	return nil
}

func dump(t *testing.T, target *sqlite.Target, version int) string {
	t.Helper()
	rows, err := target.DB().QueryContext(t.Context(), fmt.Sprintf("SELECT stream || '|' || sum || '|' || events || '|' || history FROM balance_v%d ORDER BY stream", version))
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var text strings.Builder
	for rows.Next() {
		var row string
		require.NoError(t, rows.Scan(&row))
		text.WriteString(row + "\n")
	}
	require.NoError(t, rows.Err())
	return text.String()
}
