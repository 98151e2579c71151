package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// A journal that was restored from a backup ends before the place of a checkpoint. No
// wait is answered from such a place, whoever asks, and whether or not somebody runs
// the projection: what the position means there is another event, or none.
func TestRestoredJournal(t *testing.T) {
	t.Parallel()
	definition := projections.Define("sums", 1, projections.On(inState))
	// before is a store whose projection has come to position 5 of a journal that is lost.
	before := func(t *testing.T, w world) *projections.Books {
		t.Helper()
		books := new(projections.Books)
		runner, stop := w.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))
		w.waitFor(runner, "sums", w.add("a-1", 1, 2, 3, 4, 5))
		stop()
		return books
	}
	requireDiverged := func(t *testing.T, err error) {
		t.Helper()
		require.ErrorIs(t, err, projections.ErrDiverged)
		require.ErrorIs(t, err, persistence.ErrLostTail)
		require.NotErrorIs(t, err, projections.ErrBehind, "places of two histories are not compared")
	}

	t.Run("by the runner that runs it, from the first moment", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			books := before(t, w)
			restored := w.restored(2)
			runner, _ := restored.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))

			last := restored.add("a-1", 6)
			require.EqualValues(t, 3, last.Offset)
			requireDiverged(t, runner.WaitFor(t.Context(), "sums", last))
			settle()
			requireDiverged(t, runner.WaitFor(t.Context(), "sums", last))
			requireDiverged(t, runner.CatchUp(t.Context()))
			require.NoError(t, runner.WaitFor(t.Context(), "sums", persistence.Position{}))
		})
	})
	t.Run("by one where it runs elsewhere", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			books := before(t, w)
			restored := w.restored(2)
			owners := &table{owner: "one", changed: make(chan struct{})}
			runner, _ := restored.run(projections.Config{Placement: owners.of("two")}, definition.Into(projections.Persist[sums](books)))
			settle()
			began := time.Now()

			requireDiverged(t, runner.WaitFor(t.Context(), "sums", restored.add("a-1", 6)))
			requireDiverged(t, runner.WaitFor(t.Context(), "sums", persistence.Position{Offset: 99}))

			require.Zero(t, time.Since(began), "at once")
			info, err := runner.Info(t.Context(), "sums")
			require.NoError(t, err)
			require.Equal(t, projections.Failed, info.Status)
			require.False(t, info.Lag.Known, "there is no distance between two histories")
			require.Equal(t, projections.Red, runner.Health(t.Context())[0].Level)
		})
	})
	t.Run("by one where it is stopped", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			books := before(t, w)
			restored := w.restored(2)
			runner, _ := restored.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))
			require.NoError(t, runner.Stop(t.Context(), "sums"))

			requireDiverged(t, runner.WaitFor(t.Context(), "sums", restored.add("a-1", 6)))
		})
	})
	t.Run("of another history that has come further", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			books := before(t, w)
			restored := w.restored(2)
			last := restored.add("a-1", 6, 7, 8, 9, 10)
			runner, _ := restored.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))

			requireDiverged(t, runner.WaitFor(t.Context(), "sums", persistence.Position{Offset: 4}))
			requireDiverged(t, runner.WaitFor(t.Context(), "sums", last))
		})
	})
	t.Run("of a stopped projection that has come so far nothing is missing", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			books := before(t, w)
			runner, _ := w.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))
			require.NoError(t, runner.Stop(t.Context(), "sums"))

			require.NoError(t, runner.WaitFor(t.Context(), "sums", persistence.Position{Offset: 5}))
			err := runner.WaitFor(t.Context(), "sums", w.add("a-1", 6))
			require.ErrorIs(t, err, projections.ErrBehind)
			require.ErrorContains(t, err, "is behind by 1 events, at position 5 of 6, stopped")
		})
	})
}

// restored is the journal as it was after its first events: what a backup of then holds.
func (w world) restored(events int) world {
	w.t.Helper()
	backup := world{new(memory.Journal), w.t, w.Identity()}
	for page, err := range w.ReadAll(w.t.Context(), persistence.ReadAllOptions{System: true}) {
		require.NoError(w.t, err)
		for i := range page.Events {
			if e := &page.Events[i]; e.Position.Offset <= int64(events) {
				backup.store(persistence.Append{Stream: e.Stream, Expected: persistence.Any, Events: []persistence.Event{e.Event}})
			}
		}
	}
	return backup
}
