package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/sqlite"
)

type noted struct{ N int }

func (noted) MessageName() string { return "test.noted" }

// twin is one of the same journals in several processes.
type twin struct{ *memory.Journal }

func (twin) Identity() persistence.JournalID { return persistence.JournalID{1} }

// noting runs a projection that does nothing, for a journal with so many events.
func noting(ctx context.Context, target *sqlite.Target, events byte) (*projections.Runner, persistence.Position, error) {
	journal := twin{new(memory.Journal)}
	var last persistence.Position
	for i := range events {
		outcomes, err := journal.Append(ctx, persistence.Append{Stream: "a-1", Expected: persistence.Any, Events: []persistence.Event{
			{ID: persistence.EventID{1 + i}, Type: "test.noted", Payload: []byte(`{"N":1}`)},
		}})
		if err != nil {
			return nil, last, err
		}
		last = outcomes[0].Position
	}
	runner, err := projections.New(projections.Config{Journal: journal, TakeOverAfter: time.Hour, Projections: []projections.Projection{
		projections.Define("noting", 1, projections.On(func(context.Context, *sql.Tx, projections.Event[noted]) error { return nil })).Into(target),
	}})
	return runner, last, err
}

// runNoting runs the projection of a file until it is killed.
func runNoting(ctx context.Context, arguments []string) error {
	target, err := sqlite.Open(ctx, sqlite.Config{Path: arguments[0]})
	if err != nil {
		return err
	}
	runner, last, err := noting(ctx, target, 1)
	if err != nil {
		return err
	}
	group := lifecycle.Start(ctx, lifecycle.Component{Name: "runner", Run: runner.Run})
	if err := runner.WaitFor(ctx, "noting", last); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "it has the projection")
	<-group.Done()
	return group.Err()
}

// A process whose projections ran in one that was killed does not wait for signs of life
// that cannot come: the lock of that one is gone.
func TestWhoWasKilledIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "views.db")
	target, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, target.Close()) })
	child := killtest.Start(t, "run", path)
	_, begun := child.Line()
	require.True(t, begun, "the child has the projection")
	runner, last, err := noting(t.Context(), target, 2)
	require.NoError(t, err)
	group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "runner", Run: runner.Run})
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, runner.WaitFor(short, "noting", last), projections.ErrBehind, "it lives")
	require.NoError(t, group.Stop(t.Context()))

	child.Kill()
	require.Error(t, child.Wait(), "it was killed")
	runner, last, err = noting(t.Context(), target, 2)
	require.NoError(t, err)
	group = lifecycle.Start(t.Context(), lifecycle.Component{Name: "runner", Run: runner.Run})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	require.NoError(t, runner.WaitFor(ctx, "noting", last))

	require.NoError(t, errors.Join(runner.CatchUp(ctx), group.Stop(t.Context())))
	left, err := filepath.Glob(path + ".runner-*")
	require.NoError(t, err)
	require.Empty(t, left, "nothing is left behind")
}
