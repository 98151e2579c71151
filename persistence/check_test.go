package persistence_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestSeverity(t *testing.T) {
	t.Parallel()
	for s, word := range map[persistence.Severity]string{
		persistence.Fine: "fine", persistence.Note: "note", persistence.Warning: "warning", persistence.Fault: "fault",
	} {
		require.Equal(t, word, s.String())
		parsed, err := persistence.ParseSeverity(word)
		require.NoError(t, err)
		require.Equal(t, s, parsed)
	}
	require.Equal(t, "Severity(9)", persistence.Severity(9).String())
	_, err := persistence.ParseSeverity("bad")
	require.ErrorIs(t, err, persistence.ErrInvalid)
}
