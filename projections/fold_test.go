package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/projections"
)

func TestFold(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		w.add("a-1", 1, 2)
		noon := time.Now()
		time.Sleep(time.Hour)
		w.add("a-2", 4)
		w.add("a-1", 8)
		definition := projections.Define("sums", 1, projections.On(inState))
		fold := func(d *projections.Definition[*projections.State[sums]], options projections.FoldOptions[sums]) map[string]int {
			s, _, err := projections.Fold(t.Context(), w, d, options)
			require.NoError(t, err)
			return s.Of
		}

		require.Equal(t, map[string]int{"a-1": 11, "a-2": 4}, fold(definition, projections.FoldOptions[sums]{}))
		require.Equal(t, map[string]int{"a-1": 3, "a-2": 4}, fold(definition, projections.FoldOptions[sums]{Until: persistence.Positions{3}}))
		require.Equal(t, map[string]int{"a-1": 3}, fold(definition, projections.FoldOptions[sums]{UntilTime: noon}))
		one := definition.With(projections.FromStreams("a-1"))
		require.Equal(t, map[string]int{"a-1": 1}, fold(one, projections.FoldOptions[sums]{UntilVersion: 1}))
		require.Empty(t, fold(definition, projections.FoldOptions[sums]{Until: persistence.Positions{}}))
		_, _, err := projections.Fold(t.Context(), w, definition, projections.FoldOptions[sums]{Until: persistence.Positions{5}})
		require.ErrorIs(t, err, persistence.ErrInvalid)
	})
	t.Run("goes on where it ended", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			definition := projections.Define("sums", 1, projections.On(inState)).With(projections.FromKinds("a"))
			var s sums
			var at tail.Checkpoint
			for i := range 3 {
				w.add("a-1", 1, 1)
				w.add("b-1", 100)
				var err error

				s, at, err = projections.Fold(t.Context(), w, definition, projections.FoldOptions[sums]{Value: s, After: at})

				require.NoError(t, err)
				require.Equal(t, map[string]int{"a-1": 2 * (i + 1)}, s.Of)
			}
			require.Equal(t, persistence.Positions{9}, at.Positions())
		})
	})
	t.Run("tells the event that fails", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			w.store(persistence.Append{Stream: "a-1", Events: []persistence.Event{{Type: "added", Payload: []byte("{")}}})

			_, _, err := projections.Fold(t.Context(), w, projections.Define("sums", 1, projections.On(inState)), projections.FoldOptions[sums]{})

			require.ErrorContains(t, err, "projection sums at position 1, added in a-1")
		})
	})
	t.Run("is refused for a wrong definition", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			_, _, err := projections.Fold(t.Context(), w, projections.Define("", 1, projections.On(inState)), projections.FoldOptions[sums]{})

			require.ErrorIs(t, err, persistence.ErrInvalid)
		})
	})
}
