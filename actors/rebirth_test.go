package actors_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// A stream that was deleted goes on counting when it is written again. Its
// aggregate knows its new life only, in memory and after a restart.
func TestDeletedAggregateBeginsAnew(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	seed(t, journal, "a", "1", "2")
	system := open(t, actors.Config{Journal: journal})
	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "3"})
	require.NoError(t, err)
	_, err = journal.Delete(t.Context(), "list-a", persistence.Any)
	require.NoError(t, err)

	for _, want := range [][]string{{"4"}, {"4", "5"}} {
		seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: want[len(want)-1]})
		require.NoError(t, err)
		require.Equal(t, want, seen.Tags)
	}
	again := open(t, actors.Config{Journal: journal})
	seen, err := PutInto.Ask(t.Context(), again, "a", Put{Tag: "6"})
	require.NoError(t, err)
	require.Equal(t, []string{"4", "5", "6"}, seen.Tags)
}

// Events that were truncated are missing in the state: that is an error, not
// another state.
func TestTruncatedAggregateIsCorrupt(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	seed(t, journal, "a", "1", "2", "3")
	_, err := journal.Truncate(t.Context(), "list-a", 2)
	require.NoError(t, err)
	system := open(t, actors.Config{Journal: journal})

	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "4"})

	require.ErrorIs(t, err, persistence.ErrCorrupt)
	require.ErrorIs(t, err, persistence.ErrTruncated)
}
