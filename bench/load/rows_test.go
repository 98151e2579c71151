package load

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The measured metadata is what the notes' figures were made with.
func TestRows(t *testing.T) {
	t.Parallel()
	rows := NewRows()

	require.InDelta(t, 115, len(rows.Encoded), 2)
	require.Len(t, rows.Payload(1000), PayloadSize)
	first, second, third := rows.Next(1, 2), rows.Next(2, 2), rows.Next(3, 2)
	require.Equal(t, []int64{1, 2, 1}, []int64{first.Stream, second.Stream, third.Stream})
	require.Equal(t, []int64{1, 1, 2}, []int64{first.Version, second.Version, third.Version})
}
