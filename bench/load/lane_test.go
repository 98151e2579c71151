package load

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

func TestPump(t *testing.T) {
	t.Parallel()
	rows := NewRows()

	t.Run("every lane gets its events", func(t *testing.T) {
		t.Parallel()
		j := new(memory.Journal)

		l, err := Pump(j, NewLanes("bench", 20), rows.Event, UpTo(10))

		require.NoError(t, err)
		require.Equal(t, 200, l.Count)
		for _, lane := range NewLanes("bench", 20) {
			info, err := j.Stream(t.Context(), lane.Stream)
			require.NoError(t, err)
			require.EqualValues(t, 10, info.Version)
		}
	})

	t.Run("a refused append ends it", func(t *testing.T) {
		t.Parallel()
		j := new(memory.Journal)
		lanes := NewLanes("bench", 20)
		_, err := Pump(j, lanes, rows.Event, UpTo(1))
		require.NoError(t, err)
		lanes[3].Version = 7

		_, err = Pump(j, lanes, rows.Event, UpTo(10))

		require.ErrorIs(t, err, persistence.ErrConflict)
	})

	t.Run("so does a closed journal", func(t *testing.T) {
		t.Parallel()
		j := new(memory.Journal)
		require.NoError(t, j.Close())

		_, err := Pump(j, NewLanes("bench", 20), rows.Event, UpTo(10))

		require.ErrorIs(t, err, persistence.ErrUnavailable)
	})

	t.Run("without lanes there is nothing to do", func(t *testing.T) {
		t.Parallel()
		l, err := Pump(new(memory.Journal), nil, rows.Event, UpTo(10))
		require.NoError(t, err)
		require.Zero(t, l.Count)
	})
}
