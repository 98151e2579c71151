package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/sqlite"
)

// A file of an earlier release is brought up to date with all that it holds: an event
// that was set aside then is known by its stream alone, and can be applied.
func TestFileOfYesterday(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "views.db")
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	books, err := os.ReadFile("../internal/sqlbook/testdata/0001_books.sqlite.sql")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), string(books))
	require.NoError(t, err)
	journal := new(memory.Journal)
	_, err = journal.Append(t.Context(), persistence.Append{Stream: "a-1", Events: []persistence.Event{{Type: "t"}, {Type: "t"}}})
	require.NoError(t, err)
	at := "v1:" + persistence.EventID(journal.Identity()).String() + ":0=2@00000000-0000-0000-0000-000000000000"
	for _, statement := range []string{
		"INSERT INTO stele_projection VALUES ('seen', 1, 0, 1, 1, 1, '', '', 0, 0, 1, 1)",
		"INSERT INTO stele_projection_worker VALUES ('seen', 1, 0, 1024, '" + at + "', 0, '00000000-0000-0000-0000-000000000000', 9, NULL, 'node/gone', '', 1)",
		"INSERT INTO stele_projection_parked VALUES ('seen', 1, 0, 2, 'a-1', 0, 'a-1', 'because', 3, 0, 1)",
	} {
		_, err = db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())

	target, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, target.Close()) }()
	seen := make(chan persistence.Version, 10)
	projection := projections.Define("seen", 1, projections.Any(func(_ context.Context, _ *sql.Tx, e persistence.Recorded) error {
		seen <- e.Version
		return nil
	})).Into(target)
	runner, err := projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{projection}})
	require.NoError(t, err)
	group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "runner", Run: runner.Run})
	defer func() { require.NoError(t, group.Stop(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, runner.CatchUp(t.Context()))
	parked, err := runner.Parked(t.Context(), "seen", persistence.Position{}, 0)
	require.NoError(t, err)
	require.Len(t, parked, 1)
	require.Equal(t, "because", parked[0].Cause)
	require.Zero(t, parked[0].EventID)
	require.NoError(t, runner.Redrive(t.Context(), "seen", ""))

	require.EqualValues(t, 2, <-seen)
}

// The checkpoints were restored from a backup and the journal was not: what was applied
// since is applied again, by owners whose epochs lie above all that were ever seen.
func TestRestoredCheckpoints(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "views.db")
	journal := new(memory.Journal)
	var heard []persistence.Position
	highest := int64(0)
	run := func(body func(*projections.Runner)) {
		target, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		require.NoError(t, err)
		defer func() { require.NoError(t, target.Close()) }()
		projection := projections.Define("told", 1, projections.Any(func(ctx context.Context, _ *struct{}, e persistence.Recorded) error {
			require.GreaterOrEqual(t, projections.EpochOf(ctx), highest)
			highest = projections.EpochOf(ctx)
			heard = append(heard, e.Position)
			return nil
		})).Into(projections.External(new(struct{}), target))
		runner, err := projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{projection}, TakeOverAfter: 50 * time.Millisecond})
		require.NoError(t, err)
		group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "runner", Run: runner.Run})
		defer func() { require.NoError(t, group.Stop(context.WithoutCancel(t.Context()))) }()
		body(runner)
	}
	add := func(runner *projections.Runner) {
		_, err := journal.Append(t.Context(), persistence.Append{Stream: "a-1", Expected: persistence.Any, Events: []persistence.Event{{Type: "t"}}})
		require.NoError(t, err)
		require.NoError(t, runner.CatchUp(t.Context()))
	}
	run(add)
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	for range 5 {
		run(add)
	}
	require.NoError(t, os.RemoveAll(path+"-wal"))
	require.NoError(t, os.RemoveAll(path+"-shm"))
	require.NoError(t, os.WriteFile(path, kept, 0o600))
	heard = nil

	run(add)

	require.Len(t, heard, 6)
	require.EqualValues(t, 2, heard[0].Offset)
}
