package journaltest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var expecting = cases{
	"the expected version decides":                expectedDecides,
	"a refused append leaves no stream behind":    refusedLeavesNothing,
	"a conflict tells the version that was found": conflictTells,
}

// expectedDecides tries every expectation on streams of 0, 1 and 3 events, with appends
// of one event and of two.
func expectedDecides(t *testing.T, s suite) {
	j := s.open(t)
	expectations := []persistence.Expected{
		persistence.Any, persistence.NoStream, persistence.StreamExists, persistence.Exact(1), persistence.Exact(2),
		persistence.Exact(3), persistence.Exact(4), persistence.Exact(persistence.MaxVersion - 2),
	}
	for _, version := range []int{0, 1, 3} {
		for _, expected := range expectations {
			for count := 1; count <= 2; count++ {
				stream := persistence.StreamID(fmt.Sprintf("expected-%d-%d-%d", version, expected, count))
				j.grow(stream, version)
				decides(j, stream, persistence.Version(version), expected, count)
			}
		}
	}
}

func decides(j journal, stream persistence.StreamID, version persistence.Version, expected persistence.Expected, count int) {
	j.t.Helper()
	what := fmt.Sprintf("%s expected, at %d", expected, version)
	head := j.head()

	outcome := j.try(stream, expected, notes("new", count)...)

	if expected.Accepts(version) {
		require.NoError(j.t, outcome.Err, what)
		require.Equal(j.t, version+1, outcome.First, what)
		require.Equal(j.t, version+persistence.Version(count), outcome.Last, what)
		require.Len(j.t, j.events(stream), int(version)+count, what)
		return
	}
	require.ErrorIs(j.t, outcome.Err, persistence.ErrConflict, what)
	require.Len(j.t, j.events(stream), int(version), what)
	require.True(j.t, samePlace(head, j.head()), what)
}

func refusedLeavesNothing(t *testing.T, s suite) {
	j := s.open(t)
	expectations := []persistence.Expected{persistence.StreamExists, persistence.Exact(1), persistence.Exact(9)}

	for i, expected := range expectations {
		stream := persistence.StreamID(fmt.Sprintf("refused-%d", i))
		require.ErrorIs(t, j.try(stream, expected, note("n")).Err, persistence.ErrConflict)
		require.ErrorIs(t, j.try(stream, expected, named(note("n"))...).Err, persistence.ErrConflict)
		j.missing(stream)
		require.ErrorIs(t, j.try(stream, persistence.StreamExists, note("n")).Err, persistence.ErrConflict)
		require.Equal(t, persistence.Version(1), j.store(stream, persistence.NoStream, note("n")).First)
	}

	require.Len(t, j.all(), len(expectations))
}

func conflictTells(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("told-1", 3)
	for _, c := range []persistence.ConflictError{
		{Stream: "told-1", Expected: persistence.NoStream, Actual: 3},
		{Stream: "told-1", Expected: persistence.Exact(2), Actual: 3},
		{Stream: "told-1", Expected: persistence.Exact(4), Actual: 3},
		{Stream: "told-2", Expected: persistence.StreamExists, Actual: 0},
		{Stream: "told-2", Expected: persistence.Exact(1), Actual: 0},
	} {
		err := j.try(c.Stream, c.Expected, note("n")).Err

		conflict, ok := errors.AsType[*persistence.ConflictError](err)
		require.True(t, ok, "the error is a *ConflictError")
		require.Equal(t, c, *conflict)
		require.Equal(t, c.Expected == persistence.StreamExists, errors.Is(err, persistence.ErrStreamNotFound))
	}
}
