package projections_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory)).Into(target))
		w.waitFor(runner, "sums", w.add("a-1", 1))

		require.NoError(t, runner.Stop(t.Context(), "sums"))
		require.NoError(t, runner.Stop(t.Context(), "sums"))
		last := w.add("a-1", 2)
		time.Sleep(time.Minute)

		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1"}, s.Seen) })
		require.ErrorIs(t, runner.WaitFor(t.Context(), "sums", last), projections.ErrBehind)
		status, err := runner.Status("sums")
		require.NoError(t, err)
		require.Equal(t, projections.Stopped, status)

		require.NoError(t, runner.Start(t.Context(), "sums"))
		require.NoError(t, runner.Start(t.Context(), "sums"))
		w.waitFor(runner, "sums", last)
		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "a-1@2"}, s.Seen) })
	})
}

// A wish has its effect between two events, however many are under way.
func TestStopsBetweenTwoEvents(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		began := make(chan struct{}, 100)
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(
			func(ctx context.Context, s *sums, e projections.Event[added]) error {
				began <- struct{}{}
				time.Sleep(time.Second)
				return inMemory(ctx, s, e)
			})).Into(target))
		w.add("a-1", make([]int, 50)...)
		<-began
		<-began

		require.NoError(t, runner.Stop(t.Context(), "sums"))

		target.View(func(s *sums) { require.Len(t, s.Seen, 2) })
		time.Sleep(time.Hour)
		target.View(func(s *sums) { require.Len(t, s.Seen, 2) })
	})
}

// Wishes reach a projection that another process runs.
func TestWishesOfAnotherProcess(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		projection := projections.Define("sums", 1, projections.On(inMemory), projections.Truncate(empty)).Into(target)
		runner, _ := w.run(projections.Config{}, projection)
		w.waitFor(runner, "sums", w.add("a-1", 1))
		other, err := projections.New(projections.Config{Journal: w, Projections: []projections.Projection{projection}})
		require.NoError(t, err)

		require.NoError(t, other.Stop(t.Context(), "sums"))
		time.Sleep(2 * time.Second)
		status, err := runner.Status("sums")
		require.NoError(t, err)
		require.Equal(t, projections.Stopped, status)
		info, err := other.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Equal(t, projections.Stopped, info.Status)
		require.NoError(t, other.Start(t.Context(), "sums"))
		time.Sleep(2 * time.Second)
		w.waitFor(runner, "sums", w.add("a-1", 2))
		require.NoError(t, other.Reset(t.Context(), "sums"))
		time.Sleep(2 * time.Second)
		w.waitFor(runner, "sums", w.add("a-1", 4))

		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "a-1@2", "a-1@3"}, s.Seen) })
		require.NoError(t, other.Delete(t.Context(), "sums", projections.DeleteOptions{}))
		time.Sleep(2 * time.Second)
		settle()
		info, err = runner.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Equal(t, projections.Deleted, info.Status)
		target.View(func(s *sums) { require.Len(t, s.Seen, 3, "it has no Drop") })
		require.NoError(t, other.Start(t.Context(), "sums"))
		time.Sleep(2 * time.Second)
		w.waitFor(runner, "sums", w.add("a-1", 8))
		target.View(func(s *sums) { require.Len(t, s.Seen, 3+4, "it has begun anew") })
	})
}

func empty(_ context.Context, s *sums) error {
	*s = sums{}
	return nil
}

func TestReset(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory), projections.Truncate(empty)).Into(target))
		last := w.add("a-1", 1, 2)
		w.waitFor(runner, "sums", last)

		require.NoError(t, runner.Reset(t.Context(), "sums"))

		w.waitFor(runner, "sums", last)
		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "a-1@2"}, s.Seen) })
	})
	t.Run("needs a way to empty the read model", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory)).Into(projections.InMemory(new(sums))))

			require.ErrorContains(t, runner.Reset(t.Context(), "sums"), "has no Truncate")
		})
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		var dropped atomic.Int32
		books := new(projections.Books)
		runner, stop := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(emitting),
			projections.Drop(func(context.Context, *projections.State[sums]) error {
				dropped.Add(1)
				return nil
			})).Into(projections.Persist[sums](books)))
		last := w.add("a-1", 1, 2)
		w.waitFor(runner, "sums", last)

		require.ErrorIs(t, runner.Delete(t.Context(), "sums@1", projections.DeleteOptions{Emitted: true}), persistence.ErrInvalid)
		require.NoError(t, runner.Delete(t.Context(), "sums", projections.DeleteOptions{Emitted: true}))

		require.EqualValues(t, 1, dropped.Load())
		info, err := runner.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Equal(t, projections.Deleted, info.Status)
		_, err = runner.State(t.Context(), "sums")
		require.ErrorIs(t, err, projections.ErrNotFound)
		_, err = w.Stream(t.Context(), projections.EmitStream("sums"))
		require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		time.Sleep(time.Minute)
		require.ErrorIs(t, runner.WaitFor(t.Context(), "sums", last), projections.ErrBehind)

		require.NoError(t, runner.Start(t.Context(), "sums"))
		w.waitFor(runner, "sums", last)
		count, err := w.Count(t.Context(), projections.EmitStream("sums"), persistence.ReadOptions{})
		require.NoError(t, err)
		require.Equal(t, 2, count, "what was deleted with it is emitted again")
		stop()
	})
}

func TestUnknownProjection(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory)).Into(projections.InMemory(new(sums))))
		for _, name := range []string{"other", "sums@2", "", "sums@"} {
			require.ErrorIs(t, runner.Stop(t.Context(), name), projections.ErrNotFound, name)
			require.ErrorIs(t, runner.WaitFor(t.Context(), name, persistence.Position{Offset: 1}), persistence.ErrNotFound, name)
			_, err := runner.Info(t.Context(), name)
			require.ErrorIs(t, err, projections.ErrNotFound, name)
		}
		_, err := runner.List(t.Context(), projections.ListOptions{Limit: -1})
		require.ErrorIs(t, err, persistence.ErrInvalid)
		_, err = runner.Parked(t.Context(), "sums", persistence.Position{}, -1)
		require.ErrorIs(t, err, persistence.ErrInvalid)
		_, err = runner.List(t.Context(), projections.ListOptions{Pattern: "("})
		require.ErrorIs(t, err, persistence.ErrInvalid)
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		var all []projections.Projection
		for _, name := range []string{"c", "a", "b"} {
			all = append(all, projections.Define(name, 1, projections.On(inState)).Into(projections.Persist[sums](books)))
		}
		runner, _ := w.run(projections.Config{}, all...)
		names := func(options projections.ListOptions) (names []string) {
			infos, err := runner.List(t.Context(), options)
			require.NoError(t, err)
			for _, info := range infos {
				names = append(names, info.Name)
			}
			return names
		}
		settle()

		require.Equal(t, []string{"a", "b", "c"}, names(projections.ListOptions{}))
		require.Equal(t, []string{"b"}, names(projections.ListOptions{Name: "b"}))
		require.Equal(t, []string{"a", "c"}, names(projections.ListOptions{Pattern: "^[ac]$"}))
		require.Equal(t, []string{"b", "c"}, names(projections.ListOptions{After: "a"}))
		require.Equal(t, []string{"a"}, names(projections.ListOptions{Limit: 1}))
	})
}

func TestHalt(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(
			func(ctx context.Context, s *sums, e projections.Event[added]) error {
				if e.Data.N == 2 {
					projections.Halt(ctx)
				}
				return inMemory(ctx, s, e)
			})).Into(target))
		last := w.add("a-1", 1, 2, 3)
		settle()

		require.ErrorIs(t, runner.WaitFor(t.Context(), "sums", last), projections.ErrBehind)
		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "a-1@2"}, s.Seen) })
		require.NoError(t, runner.Start(t.Context(), "sums"))
		w.waitFor(runner, "sums", last)
	})
}

func emitting(_ context.Context, s *projections.State[sums], e projections.Event[added]) error {
	s.Value.add(e)
	s.Link("links")
	return projections.Emit(s, added{N: s.Value.Of[string(e.Stream)]})
}

// What is emitted is there once, whatever happens between the emission and the
// checkpoint, and in whatever pages the events come.
func TestEmitsOnce(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		store := &switched{Books: new(projections.Books)}
		fails := &failing{Store: store}
		definition := projections.Define("sums", 1, projections.On(emitting))
		runner, _ := w.run(projections.Config{}, definition.Into(projections.Persist[sums](fails)))
		for range 20 {
			fails.next.Store(2)
			w.waitFor(runner, "sums", w.add("a-1", 1, 1, 1))
		}

		var emitted []int
		for recorded, err := range w.Read(t.Context(), projections.EmitStream("sums"), persistence.ReadOptions{}) {
			require.NoError(t, err)
			var e added
			require.NoError(t, json.Unmarshal(recorded.Payload, &e))
			emitted = append(emitted, e.N)
		}
		require.Len(t, emitted, 60)
		for i, n := range emitted {
			require.Equal(t, i+1, n)
		}
		links := 0
		for recorded, err := range w.Read(t.Context(), "links", persistence.ReadOptions{}) {
			require.NoError(t, err)
			links++
			original, err := projections.Resolve(t.Context(), w, recorded)
			require.NoError(t, err)
			require.Equal(t, persistence.StreamID("a-1"), original.Stream)
			require.EqualValues(t, links, original.Version)
		}
		require.Equal(t, 60, links)
		require.NoError(t, runner.Reset(t.Context(), "sums"))
		w.waitFor(runner, "sums", persistence.Position{Offset: 1})
		settle()
		info, err := w.Stream(t.Context(), projections.EmitStream("sums"))
		require.NoError(t, err)
		require.EqualValues(t, 60, info.Version, "beginning again emits nothing twice")
	})
}

// failing is a store whose next saves fail, before or behind.
type failing struct {
	projections.Store
	next atomic.Int32
}

func (f *failing) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	if left := f.next.Add(-1); left >= 0 {
		return &persistence.UnavailableError{Reason: "broken on purpose"}
	}
	return f.Store.Update(ctx, body)
}
