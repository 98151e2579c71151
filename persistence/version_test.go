package persistence_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestExpected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expected persistence.Expected
		accepted []persistence.Version
		refused  []persistence.Version
		version  persistence.Version
		exact    bool
		text     string
	}{
		"the zero value": {persistence.Expected(0), []persistence.Version{0}, []persistence.Version{1, persistence.MaxVersion}, 0, true, "no stream"},
		"no stream":      {persistence.NoStream, []persistence.Version{0}, []persistence.Version{1}, 0, true, "no stream"},
		"version 0":      {persistence.Exact(0), []persistence.Version{0}, []persistence.Version{1}, 0, true, "no stream"},
		"version 7":      {persistence.Exact(7), []persistence.Version{7}, []persistence.Version{0, 6, 8}, 7, true, "version 7"},
		"the last version": {
			persistence.Exact(persistence.MaxVersion),
			[]persistence.Version{persistence.MaxVersion},
			[]persistence.Version{0, 1, persistence.MaxVersion - 1},
			persistence.MaxVersion, true, "version 9223372036854775807",
		},
		"beyond the last version": {
			persistence.Exact(persistence.MaxVersion + 1),
			nil,
			[]persistence.Version{0, 1, persistence.MaxVersion, persistence.MaxVersion + 1, math.MaxUint64},
			0, false, "an invalid version",
		},
		"any version":   {persistence.Any, []persistence.Version{0, 1, persistence.MaxVersion}, nil, 0, false, "any version"},
		"stream exists": {persistence.StreamExists, []persistence.Version{1, persistence.MaxVersion}, []persistence.Version{0}, 0, false, "an existing stream"},
		"out of range":  {persistence.Expected(-3), nil, []persistence.Version{0, 1, math.MaxUint64 - 2}, 0, false, "an invalid version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, version := range c.accepted {
				require.True(t, c.expected.Accepts(version), version)
			}
			for _, version := range c.refused {
				require.False(t, c.expected.Accepts(version), version)
			}
			version, exact := c.expected.Version()
			require.Equal(t, c.version, version)
			require.Equal(t, c.exact, exact)
			require.Equal(t, c.text, c.expected.String())
		})
	}
}

func TestPosition(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0", persistence.Position{}.String())
	require.Equal(t, "42", persistence.Position{Offset: 42}.String())
	require.Equal(t, "3:42", persistence.Position{Part: 3, Offset: 42}.String())
}

func TestPositions(t *testing.T) {
	t.Parallel()

	t.Run("stand at 0 in every partition that is not named", func(t *testing.T) {
		t.Parallel()
		var beginning persistence.Positions
		require.Equal(t, persistence.Position{}, beginning.Of(0))
		require.Equal(t, persistence.Position{Part: 7}, beginning.Of(7))
		require.Equal(t, persistence.Position{Part: 1, Offset: 5}, persistence.Positions{3, 5}.Of(1))
		require.Equal(t, persistence.Position{Part: 2}, persistence.Positions{3, 5}.Of(2))
	})

	t.Run("cover what lies at or before them in its partition", func(t *testing.T) {
		t.Parallel()
		place := persistence.Positions{3, 5}
		require.True(t, place.Covers(persistence.Position{Part: 1, Offset: 5}))
		require.False(t, place.Covers(persistence.Position{Part: 1, Offset: 6}))
		require.False(t, place.Covers(persistence.Position{Part: 0, Offset: 5}))
		require.False(t, place.Covers(persistence.Position{Part: 2, Offset: 1}))
		require.True(t, place.Covers(persistence.Position{Part: 2}))
		require.True(t, persistence.Positions(nil).Covers(persistence.Position{}))
	})

	t.Run("are copied when they move", func(t *testing.T) {
		t.Parallel()
		place := persistence.Positions{3, 5}
		require.Equal(t, persistence.Positions{3, 9}, place.With(persistence.Position{Part: 1, Offset: 9}))
		require.Equal(t, persistence.Positions{3, 5, 0, 1}, place.With(persistence.Position{Part: 3, Offset: 1}))
		require.Equal(t, persistence.Positions{4}, persistence.Positions(nil).With(persistence.Position{Offset: 4}))
		require.Equal(t, persistence.Positions{3, 5}, place)
	})
}
