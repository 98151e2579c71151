package projections_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// Whoever catches up with a projection that is stopped is told, unless there is
// nothing that it lacks.
func TestCatchUpWithOneThatIsStopped(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory)).Into(target))
		w.add("a-1", 1)
		require.NoError(t, runner.CatchUp(t.Context()))
		require.NoError(t, runner.Stop(t.Context(), "sums"))

		require.NoError(t, runner.CatchUp(t.Context()), "it has all there is")
		w.add("a-1", 2)
		require.ErrorIs(t, runner.CatchUp(t.Context()), projections.ErrBehind)
		require.NoError(t, runner.Delete(t.Context(), "sums", projections.DeleteOptions{}))
		require.ErrorIs(t, runner.CatchUp(t.Context()), projections.ErrBehind)
	})
	t.Run("but not of a version that another has replaced", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			store := new(projections.Books)
			version := func(n int) projections.Projection {
				return projections.Define("sums", n, projections.On(inState)).Into(projections.Persist[sums](store))
			}
			runner, _ := w.run(projections.Config{}, version(1), version(2))
			w.add("a-1", 1)
			require.NoError(t, runner.CatchUp(t.Context()))
			require.NoError(t, runner.Switch(t.Context(), "sums", 2))
			w.add("a-1", 2)

			require.NoError(t, runner.CatchUp(t.Context()))
			require.NoError(t, runner.Delete(t.Context(), "sums@1", projections.DeleteOptions{}))
			require.NoError(t, runner.CatchUp(t.Context()))
		})
	})
}

// gated is a store whose next transaction waits for its turn, once.
type gated struct {
	*projections.Books
	next atomic.Pointer[chan struct{}]
}

func (g *gated) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	if gate := g.next.Swap(nil); gate != nil {
		<-*gate
	}
	return g.Books.Update(ctx, body)
}

// A runner that begins while a projection is started does not take it for stopped.
func TestStartWhileTheRunnerBegins(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		store := &gated{Books: new(projections.Books)}
		projection := projections.Define("sums", 1, projections.On(inState)).Into(projections.Persist[sums](store))
		runner, stop := w.run(projections.Config{}, projection)
		w.waitFor(runner, "sums", w.add("a-1", 1))
		require.NoError(t, runner.Stop(t.Context(), "sums"))
		stop()
		last := w.add("a-1", 2)
		runner, err := projections.New(projections.Config{Journal: w, Projections: []projections.Projection{projection}, PollInterval: time.Hour})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		gate, caughtUp := make(chan struct{}), make(chan error, 1)
		store.next.Store(&gate)
		go func() {
			err := runner.Start(ctx, "sums") // reaches the store when the runner has seen that it is stopped
			if err == nil {
				err = runner.CatchUp(ctx)
			}
			caughtUp <- err
		}()
		settle()
		go func() { _ = runner.Run(ctx) }()
		settle()
		close(gate)

		require.NoError(t, <-caughtUp)
		workers := rowsOf(t, store.Books, "sums", 1)
		require.True(t, workers[0].Checkpoint.Positions().Covers(last))
	})
}

func rowsOf(t *testing.T, store projections.Store, name string, version int) (workers []projections.Worker) {
	t.Helper()
	require.NoError(t, store.Update(t.Context(), func(ctx context.Context, book projections.Book) (err error) {
		workers, err = book.Workers(ctx, name, version)
		return err
	}))
	return workers
}

// Of a projection that has never run all say the same: it is there, does not run, and
// has nothing yet.
func TestNeverRun(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		store := new(projections.Books)
		var truncated, dropped atomic.Int32
		count := func(n *atomic.Int32) func(context.Context, *projections.State[sums]) error {
			return func(context.Context, *projections.State[sums]) error {
				n.Add(1)
				return nil
			}
		}
		projection := projections.Define("sums", 1, projections.On(inState), projections.Truncate(count(&truncated)), projections.Drop(count(&dropped))).
			Into(projections.Persist[sums](store))
		runner, err := projections.New(projections.Config{Journal: w, Projections: []projections.Projection{projection}})
		require.NoError(t, err)
		last := w.add("a-1", 1)
		requireStopped := func(runner *projections.Runner) {
			status, err := runner.Status("sums")
			require.NoError(t, err)
			require.Equal(t, projections.Stopped, status)
			info, err := runner.Info(t.Context(), "sums")
			require.NoError(t, err)
			require.Equal(t, projections.Stopped, info.Status)
			state, err := runner.State(t.Context(), "sums")
			require.NoError(t, err)
			require.Empty(t, state)
			require.Equal(t, projections.Green, runner.Health(t.Context())[0].Level)
			parked, err := runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
			require.NoError(t, err)
			require.Empty(t, parked)
		}

		requireStopped(runner)
		require.NoError(t, runner.Redrive(t.Context(), "sums", ""))
		require.ErrorIs(t, runner.Discard(t.Context(), "sums", last), persistence.ErrNotFound)
		require.NoError(t, runner.Reset(t.Context(), "sums"))
		require.NoError(t, runner.Delete(t.Context(), "sums", projections.DeleteOptions{}))
		require.Zero(t, truncated.Load()+dropped.Load(), "there is nothing to empty")
		requireStopped(runner)
		require.NoError(t, runner.Stop(t.Context(), "sums"))
		requireStopped(runner)
		ran, stop := w.run(projections.Config{}, projection)
		settle()
		requireStopped(ran)
		require.ErrorIs(t, ran.WaitFor(t.Context(), "sums", last), projections.ErrBehind)
		require.NoError(t, ran.Start(t.Context(), "sums"))
		w.waitFor(ran, "sums", last)
		info, err := runner.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Equal(t, projections.Elsewhere, info.Status, "another runner has it")
		require.NoError(t, runner.WaitFor(t.Context(), "sums", last), "the store tells")
		stop()
		_, err = ran.State(t.Context(), "sums")
		require.NoError(t, err)
		status, err := ran.Status("sums")
		require.NoError(t, err)
		require.Equal(t, projections.Stopped, status)
		require.ErrorIs(t, ran.WaitFor(t.Context(), "sums", w.add("a-1", 1)), projections.ErrBehind)
	})
	t.Run("one without a state has none to show", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory)).Into(projections.InMemory(new(sums))))
			_, err := runner.State(t.Context(), "sums")
			require.ErrorIs(t, err, persistence.ErrInvalid)
		})
	})
}
