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

func TestSwitchIsRefused(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		store := new(projections.Books)
		version := func(n int) projections.Projection {
			return projections.Define("sums", n, projections.On(inState)).Into(projections.Persist[sums](store))
		}
		_, stop := w.run(projections.Config{}, version(1))
		settle()
		stop()
		runner, _ := w.run(projections.Config{}, version(2))
		settle()

		require.ErrorIs(t, runner.Switch(t.Context(), "sums", 3), projections.ErrNotFound)
		require.ErrorContains(t, runner.Switch(t.Context(), "sums", 2), "an active version that is not defined here")
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
