package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// A stopped projection is started while its runner begins, again and again: whoever then
// catches up has what there is.
func TestStartWhileTheRunnerBegins(t *testing.T) {
	t.Parallel()
	pool, target := open(t)
	journal := new(memory.Journal)
	projection := projections.Define("sums", 1, projections.Any(func(ctx context.Context, tx pgx.Tx, _ persistence.Recorded) error {
		_, err := tx.Exec(ctx, addSum, "all", 1)
		return err
	})).Into(target)
	for round := range 20 {
		_, err := journal.Append(t.Context(), persistence.Append{Stream: "a-1", Expected: persistence.Any, Events: []persistence.Event{{Type: "t"}}})
		require.NoError(t, err)
		runner, err := projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{projection}, TakeOverAfter: time.Minute})
		require.NoError(t, err)
		group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "runner", Run: runner.Run})
		require.NoError(t, runner.Start(t.Context(), "sums"))
		require.NoError(t, runner.CatchUp(t.Context()))

		found, err := sums(pool)(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]int{"all": round + 1}, found)
		require.NoError(t, runner.Stop(t.Context(), "sums"))
		require.NoError(t, group.Stop(context.WithoutCancel(t.Context())))
	}
}
