package projections_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

func TestSeek(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		sink := new(told)
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(sink.tell(1))).Into(projections.External(sink, new(projections.Books))))
		last := w.add("a-1", 1, 2, 3, 4)
		w.waitFor(runner, "sums", last)

		sought, err := runner.Seek(t.Context(), "sums", persistence.Positions{2})
		require.NoError(t, err)
		require.Equal(t, projections.Sought{From: persistence.Positions{4}, To: persistence.Positions{2}, Repeated: 2}, sought)
		w.waitFor(runner, "sums", last)
		require.NoError(t, runner.Stop(t.Context(), "sums"))
		w.add("a-1", 5, 6, 7)
		sought, err = runner.Seek(t.Context(), "sums@1", persistence.Positions{6})
		require.NoError(t, err)
		require.Equal(t, projections.Sought{From: persistence.Positions{4}, To: persistence.Positions{6}, Skipped: 2}, sought)
		require.NoError(t, runner.Start(t.Context(), "sums"))
		require.NoError(t, runner.CatchUp(t.Context()))
		require.Equal(t, []string{"1 tells 1", "1 tells 2", "1 tells 3", "1 tells 4", "1 tells 3", "1 tells 4", "1 tells 7"}, sink.heard())

		_, err = runner.Seek(t.Context(), "sums", persistence.Positions{8})
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, "the journal has not come to")
		_, err = runner.Seek(t.Context(), "other", nil)
		require.ErrorIs(t, err, projections.ErrNotFound)
	})
	t.Run("before the first run", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			sink := new(told)
			projection := projections.Define("sums", 1, projections.On(sink.tell(1))).Into(projections.External(sink, new(projections.Books)))
			w.add("a-1", 1, 2, 3)
			before, err := projections.New(projections.Config{Journal: w, Projections: []projections.Projection{projection}})
			require.NoError(t, err)
			_, err = before.Seek(t.Context(), "sums", persistence.Positions{3})
			require.NoError(t, err)

			runner, _ := w.run(projections.Config{}, projection)
			w.waitFor(runner, "sums", w.add("a-1", 4))

			require.Equal(t, []string{"1 tells 4"}, sink.heard())
		})
	})
}

// The journal was restored, and the checkpoints of reactions are of the history that is
// lost, with events that were set aside in it. Reset is no way out, Seek is.
func TestSeekInARestoredJournal(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		broken := func(key string, n int) error {
			if key == "x" {
				return errBroken
			}
			return nil
		}
		l := &listener{do: broken, heard: map[string]string{}, now: map[string]bool{}}
		runner, stop := w.run(projections.Config{}, projections.React(l, books))
		w.add("a-x", 1)
		w.add("a-y", 2)
		w.add("a-z", 3)
		w.waitFor(runner, "listener", w.add("a-x", 4)) // lost, as the one before
		stop()
		restored := w.restored(2)
		restored.add("a-u", 5)
		last := restored.add("a-x", 6) // where another event of x was set aside
		l = &listener{do: func(string, int) error { return nil }, heard: map[string]string{}, now: map[string]bool{}}
		runner, _ = restored.run(projections.Config{}, projections.React(l, books))

		require.ErrorIs(t, runner.WaitFor(t.Context(), "listener", last), projections.ErrDiverged)
		require.ErrorContains(t, runner.WaitFor(t.Context(), "listener", last), "Seek a place for it")
		require.ErrorContains(t, runner.Reset(t.Context(), "listener"), "Seek")
		require.NoError(t, runner.Redrive(t.Context(), "listener", ""))
		settle()
		require.Empty(t, l.heard, "nothing that was set aside is applied to another history")

		sought, err := runner.Seek(t.Context(), "listener", persistence.Positions{2})
		require.NoError(t, err)
		require.True(t, sought.Diverged)
		require.Equal(t, 1, sought.Forgotten, "the one that was lost")
		require.Zero(t, sought.Skipped+sought.Repeated, "there is no distance between two histories")
		restored.waitFor(runner, "listener", last)
		require.Equal(t, "5", l.said("u"))
		require.NoError(t, runner.Redrive(t.Context(), "listener", "x"))
		time.Sleep(time.Second)
		settle()
		require.Equal(t, "1late 6", l.said("x"))
		parked, err := runner.Parked(t.Context(), "listener", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Empty(t, parked)
	})
}

// What was set aside is not taken for the event of another history at its position.
func TestSetAsideInAnotherHistory(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, fragile(breaking(), projections.OnFailure(projections.Park)).Into(target))
		w.waitFor(runner, "sums", w.add("a-1", -1))
		require.NoError(t, target.Update(t.Context(), func(ctx context.Context, book projections.Book) error {
			parked, err := book.Parked(ctx, "sums", 1, persistence.Position{}, 10)
			if err != nil {
				return err
			}
			parked[0].EventID = persistence.NewEventID()
			return book.Park(ctx, parked[0])
		}))

		require.NoError(t, runner.Redrive(t.Context(), "sums", ""))
		settle()

		parked, err := runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Len(t, parked, 1)
		require.Contains(t, parked[0].Cause, "another event there than the one that was set aside")
		require.NoError(t, runner.Discard(t.Context(), "sums", parked[0].Position))
	})
}

// A version does not take over at a place that the journal does not have.
func TestSwitchInARestoredJournal(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		version := func(n int) projections.Projection {
			return projections.Define("sums", n, projections.On(inState), projections.Truncate(func(context.Context, *projections.State[sums]) error { return nil })).
				Into(projections.Persist[sums](books))
		}
		runner, stop := w.run(projections.Config{}, version(1))
		w.waitFor(runner, "sums", w.add("a-1", 1, 2, 3, 4))
		stop()
		restored := w.restored(2)
		runner, _ = restored.run(projections.Config{}, version(1), version(2))
		restored.waitFor(runner, "sums@2", persistence.Position{Offset: 2})

		require.ErrorIs(t, runner.Switch(t.Context(), "sums", 2), projections.ErrDiverged)
		require.ErrorIs(t, runner.Switch(t.Context(), "sums", 2, projections.LeftBehind()), projections.ErrDiverged)
		_, err := runner.Seek(t.Context(), "sums@1", persistence.Positions{2})
		require.NoError(t, err)
		require.NoError(t, runner.Switch(t.Context(), "sums", 2))
		restored.waitFor(runner, "sums", restored.add("a-1", 5))
	})
}
