package projections_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// total1 and total2 are the state of a projection before and after a field was renamed.
type (
	total1 struct{ Sum int }
	total2 struct{ Total int }
)

// A state that the program cannot read whole is not saved again in part: the projection
// fails, and says what to do; a program that knows it goes on.
func TestStateOfAnotherForm(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		first := projections.Define("total", 1, projections.On(func(_ context.Context, s *projections.State[total1], e projections.Event[added]) error {
			s.Value.Sum += e.Data.N
			return nil
		}))
		second := projections.Define("total", 1, projections.On(func(_ context.Context, s *projections.State[total2], e projections.Event[added]) error {
			s.Value.Total += e.Data.N
			return nil
		}))
		runner, stop := w.run(projections.Config{}, first.Into(projections.Persist[total1](books)))
		w.waitFor(runner, "total", w.add("a-1", 40))
		stop()
		w.add("a-1", 1)

		runner, stop = w.run(projections.Config{}, second.Into(projections.Persist[total2](books)))
		settle()
		health := runner.Health(t.Context())[0]
		require.Equal(t, projections.Red, health.Level)
		require.Contains(t, health.Reason, "reset it, or raise its version")
		stop()

		runner, _ = w.run(projections.Config{}, first.Into(projections.Persist[total1](books)))
		require.NoError(t, runner.Start(t.Context(), "total"))
		w.waitFor(runner, "total", w.add("a-1", 1))
		state, err := runner.State(t.Context(), "total")
		require.NoError(t, err)
		require.JSONEq(t, `{"Sum":42}`, string(state))
	})
}

func TestReadings(t *testing.T) {
	t.Parallel()
	kinds := projections.Define("b", 2, projections.Any(func(context.Context, *sums, persistence.Recorded) error { return nil })).With(projections.FromKinds("a", "c"))

	readings := projections.Readings(projections.Define("a", 1, projections.On(inMemory)).Into(projections.InMemory(new(sums))), nil, kinds.Into(projections.InMemory(new(sums))))

	require.Len(t, readings, 2)
	require.Equal(t, "a", readings[0].Name)
	require.Len(t, readings[0].Types, 1)
	require.Equal(t, "added", readings[0].Types[0].Name())
	require.Equal(t, projections.Reading{Name: "b", Version: 2, Kinds: []string{"a", "c"}}, readings[1])
}
