package projections_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

type sumOf struct{ Stream string }

var askSum = projections.NewQuery[sumOf, int]("sum-of", "sums")

func TestQuery(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory)).Into(target))
		answer := func(_ context.Context, q sumOf) (sum int, err error) {
			target.View(func(s *sums) { sum = s.Of[q.Stream] })
			return sum, nil
		}
		_, err := askSum.Ask(t.Context(), runner, sumOf{"a-1"})
		require.ErrorIs(t, err, persistence.ErrNotFound)
		require.NoError(t, projections.Answer(runner, askSum, answer))
		require.ErrorIs(t, projections.Answer(runner, askSum, answer), persistence.ErrInvalid)
		require.ErrorIs(t, projections.Answer(runner, projections.NewQuery[sumOf, int]("other", "nobody"), answer), projections.ErrNotFound)

		sum, err := askSum.Ask(t.Context(), runner, sumOf{"a-1"}, projections.After(w.add("a-1", 1, 2)))

		require.NoError(t, err)
		require.Equal(t, 3, sum)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = askSum.Ask(ctx, runner, sumOf{"a-1"}, projections.After(persistence.Position{Offset: 3}))
		require.ErrorIs(t, err, projections.ErrBehind)
	})
}

func TestErasures(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		var erased []string
		target := projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory),
			projections.OnErased(func(_ context.Context, s *sums, person string) error {
				s.Seen = append(s.Seen, "erase "+person)
				erased = append(erased, person)
				return nil
			})).With(projections.FromKinds("a")).Into(target))
		w.add("a-1", 1)
		w.store(persistence.Append{Stream: "$person-p-7", Events: []persistence.Event{{Type: projections.TypePersonErased}}})
		w.store(persistence.Append{Stream: "$person-p-7", Expected: persistence.Any, Events: []persistence.Event{{Type: "other"}}})
		w.add("b-1", 1)
		w.add("$person-added", 1)

		w.waitFor(runner, "sums", w.add("a-1", 1))

		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "erase p-7", "a-1@2"}, s.Seen) })
		require.Equal(t, []string{"p-7"}, erased)
	})
}
