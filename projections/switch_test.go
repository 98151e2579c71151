package projections_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// told is an external system that remembers what it was told by whom.
type told struct {
	mu  sync.Mutex // protects all
	all []string
}

func (r *told) tell(version int) func(context.Context, *told, projections.Event[added]) error {
	return func(_ context.Context, _ *told, e projections.Event[added]) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, fmt.Sprintf("%d tells %s", version, e.Position))
		return nil
	}
}

func (r *told) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.all...)
}

// A version is built beside the active one without effects, and takes over at one
// place: every effect is had once, before it by the old, behind it by the new.
func TestSwitch(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		sink, store := new(told), new(projections.Books)
		version := func(n int) projections.Projection {
			return projections.Define("sums", n, projections.On(sink.tell(n))).Into(projections.External(sink, store))
		}
		runner, stop := w.run(projections.Config{}, version(1))
		w.waitFor(runner, "sums", w.add("a-1", 1, 1, 1))
		stop()
		runner, _ = w.run(projections.Config{}, version(1), version(2))
		w.waitFor(runner, "sums@2", w.add("a-1", 1))
		info, err := runner.Info(t.Context(), "sums@2")
		require.NoError(t, err)
		require.False(t, info.Active)
		require.False(t, info.Effects)

		require.NoError(t, runner.Switch(t.Context(), "sums", 2))
		require.NoError(t, runner.Switch(t.Context(), "sums", 2), "it is done")

		w.waitFor(runner, "sums", w.add("a-1", 1))
		settle()
		require.Equal(t, []string{"1 tells 1", "1 tells 2", "1 tells 3", "1 tells 4", "2 tells 5"}, sink.heard())
		status, err := runner.Status("sums@1")
		require.NoError(t, err)
		require.Equal(t, projections.Retired, status)

		require.NoError(t, runner.Switch(t.Context(), "sums", 1))
		w.waitFor(runner, "sums", w.add("a-1", 1))
		settle()
		require.Equal(t, "1 tells 6", sink.heard()[5])
		require.Len(t, sink.heard(), 6)
	})
}

// Events that arrive during the switch are told once too.
func TestSwitchUnderLoad(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		sink, store := new(told), new(projections.Books)
		version := func(n int) projections.Projection {
			return projections.Define("sums", n, projections.On(
				func(ctx context.Context, to *told, e projections.Event[added]) error {
					time.Sleep(time.Duration(n) * time.Millisecond)
					return sink.tell(n)(ctx, to, e)
				})).With(projections.Workers(4)).Into(projections.External(sink, store))
		}
		runner, _ := w.run(projections.Config{}, version(1), version(2))
		settle()
		var writing sync.WaitGroup
		writing.Go(func() {
			for i := range 500 {
				w.add(persistence.StreamID(fmt.Sprint("a-", i%17)), 1)
				time.Sleep(time.Millisecond)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for _, to := range []int{2, 1, 2} {
			time.Sleep(50 * time.Millisecond)
			require.NoError(t, runner.Switch(ctx, "sums", to))
		}
		writing.Wait()
		w.waitFor(runner, "sums", persistence.Position{Offset: 500})
		time.Sleep(time.Minute)

		positions := map[string]int{}
		for _, text := range sink.heard() {
			var by int
			var at string
			_, err := fmt.Sscanf(text, "%d tells %s", &by, &at)
			require.NoError(t, err)
			positions[at]++
		}
		require.Len(t, positions, 500)
		for at, n := range positions {
			require.Equal(t, 1, n, "position %s", at)
		}
	})
}

// versions are those of a projection that tells a sink.
func versions(sink *told, store projections.Store) func(n int) projections.Projection {
	return func(n int) projections.Projection {
		return projections.Define("sums", n, projections.On(sink.tell(n)),
			projections.Truncate(func(context.Context, *told) error { return nil })).Into(projections.External(sink, store))
	}
}

// The place may be the beginning of the journal.
func TestSwitchBeforeAnythingHappens(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		sink := new(told)
		version := versions(sink, new(projections.Books))
		runner, _ := w.run(projections.Config{}, version(1), version(2))
		settle()

		require.NoError(t, runner.Switch(t.Context(), "sums", 2))

		w.waitFor(runner, "sums", w.add("a-1", 1))
		settle()
		require.Equal(t, []string{"2 tells 1"}, sink.heard())
	})
}

// The versions may be defined by different programs.
func TestSwitchBetweenPrograms(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		sink, store := new(told), new(projections.Books)
		version := versions(sink, store)
		one, _ := w.run(projections.Config{Node: "one"}, version(1))
		w.waitFor(one, "sums", w.add("a-1", 1, 1))
		two, _ := w.run(projections.Config{Node: "two"}, version(2))
		w.waitFor(two, "sums@2", w.add("a-1", 1))
		require.ErrorIs(t, two.Switch(t.Context(), "sums", 3), projections.ErrNotFound)

		require.NoError(t, two.Switch(t.Context(), "sums", 2))

		w.waitFor(two, "sums", w.add("a-1", 1))
		time.Sleep(2 * time.Second)
		require.Subset(t, sink.heard(), []string{"1 tells 1", "1 tells 2", "1 tells 3", "2 tells 4"}, "the old one may have told 4 before it saw that it was fenced")
		require.NotContains(t, sink.heard(), "2 tells 3")
		status, err := one.Status("sums")
		require.NoError(t, err)
		require.Equal(t, projections.Retired, status)
	})
}

// A version that no program defines any more is left where it stands, unless that
// would lose effects.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		sink, store := new(told), new(projections.Books)
		version := versions(sink, store)
		one, stop := w.run(projections.Config{}, version(1))
		w.waitFor(one, "sums", w.add("a-1", 1, 1))
		stop()
		two, _ := w.run(projections.Config{}, version(2))
		w.waitFor(two, "sums@2", w.add("a-1", 1, 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, two.Switch(ctx, "sums", 2), context.DeadlineExceeded, "nobody brings the old one to the common place")

		err := two.Switch(t.Context(), "sums", 2, projections.LeftBehind())
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, "stop and reset the new version first")
		require.NoError(t, two.Stop(t.Context(), "sums@2"))
		require.NoError(t, two.Reset(t.Context(), "sums@2"))
		require.NoError(t, two.Switch(t.Context(), "sums", 2, projections.LeftBehind()))

		w.waitFor(two, "sums", w.add("a-1", 1))
		settle()
		require.Equal(t, []string{"1 tells 1", "1 tells 2", "2 tells 3", "2 tells 4", "2 tells 5"}, sink.heard())
	})
	t.Run("without effects", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			model := projections.InMemory(new(sums))
			one, stop := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory)).Into(model))
			w.waitFor(one, "sums", w.add("a-1", 1, 1))
			stop()
			two, _ := w.run(projections.Config{}, projections.Define("sums", 2, projections.On(inMemory)).Into(model))
			w.waitFor(two, "sums@2", w.add("a-1", 1, 1))

			require.NoError(t, two.Switch(t.Context(), "sums", 2, projections.LeftBehind()))

			info, err := two.Info(t.Context(), "sums")
			require.NoError(t, err)
			require.Equal(t, 2, info.Version)
			require.True(t, info.Active)
		})
	})
}

// An activation that fails leaves the old version in its place.
func TestActivate(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		broken, store := breaking(), new(projections.Books)
		one := projections.Define("sums", 1, projections.On(inState)).Into(projections.Persist[sums](store))
		two := projections.Define("sums", 2, projections.On(inState), projections.Activate(func(context.Context, *projections.State[sums]) error {
			if broken.Load() {
				return errBroken
			}
			return nil
		})).Into(projections.Persist[sums](store))
		runner, _ := w.run(projections.Config{}, one, two)
		w.waitFor(runner, "sums@2", w.add("a-1", 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		require.ErrorIs(t, runner.Switch(ctx, "sums", 2), context.DeadlineExceeded)
		info, err := runner.Info(t.Context(), "sums@1")
		require.NoError(t, err)
		require.True(t, info.Active)

		broken.Store(false)
		require.NoError(t, runner.Switch(t.Context(), "sums", 2))
		info, err = runner.Info(t.Context(), "sums@2")
		require.NoError(t, err)
		require.True(t, info.Active)
	})
}

// The state that two versions make of one history is the same, byte by byte, when
// they mean the same, also when one was built while events came.
func TestRebuildIsTheSame(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		store := new(projections.Books)
		version := func(n int) projections.Projection {
			return projections.Define("sums", n, projections.On(emitting)).Into(projections.Persist[sums](store))
		}
		runner, stop := w.run(projections.Config{}, version(1))
		for i := range 300 {
			w.add(persistence.StreamID(fmt.Sprint("a-", i%7)), i)
		}
		require.NoError(t, runner.CatchUp(t.Context()))
		stop()
		runner, _ = w.run(projections.Config{}, version(1), version(2))
		for i := range 300 {
			w.add(persistence.StreamID(fmt.Sprint("a-", i%5)), i)
		}

		time.Sleep(time.Microsecond) // it registers the version
		require.NoError(t, runner.Switch(t.Context(), "sums", 2))
		for i := range 30 {
			w.add(persistence.StreamID(fmt.Sprint("a-", i%5)), i)
		}
		require.NoError(t, runner.CatchUp(t.Context()))

		rebuilt, err := runner.State(t.Context(), "sums")
		require.NoError(t, err)
		folded, _, err := projections.Fold(t.Context(), w, projections.Define("sums", 1, projections.On(inState)), projections.FoldOptions[sums]{})
		require.NoError(t, err)
		want, err := json.Marshal(folded)
		require.NoError(t, err)
		require.Equal(t, string(want), string(rebuilt))
		emitted, err := w.Stream(t.Context(), projections.EmitStream("sums"))
		require.NoError(t, err)
		require.EqualValues(t, 630, emitted.Version)
	})
}
