package sqlite_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// TestKill kills a process in the midst of its appends, again and again on the
// same file, and looks for everything that was ever acknowledged.
func TestKill(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	acked := map[string]bool{}
	for round := range 6 {
		p := startChild(t, path)
		for range 20 + 60*round {
			line, more := p.Line()
			require.True(t, more, "the child goes on")
			acked[line] = true
		}
		for _, line := range p.Kill() {
			acked[line] = true
		}
		verify(t, path, acked)
	}
}

// verify requires that the journal holds every acknowledged append where its
// outcome said, every append whole and once, and no hole anywhere.
func verify(t *testing.T, path string, acked map[string]bool) {
	t.Helper()
	journal := open(t, path)
	versions := map[persistence.StreamID]persistence.Version{}
	type appended struct {
		stream      persistence.StreamID
		first, last persistence.Version
		offset      int64
	}
	found := map[string]appended{}
	position := int64(0)
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		for _, recorded := range page.Events {
			position++
			versions[recorded.Stream]++
			require.Equal(t, position, recorded.Position.Offset)
			require.Equal(t, versions[recorded.Stream], recorded.Version)
			label, index, _ := bytes.Cut(recorded.Payload, []byte("/"))
			a, known := found[string(label)]
			if !known {
				a = appended{recorded.Stream, recorded.Version, recorded.Version, position}
			}
			a.last = recorded.Version
			require.Equal(t, fmt.Sprint(a.last-a.first), string(index), "every event of an append once, in order")
			found[string(label)] = a
		}
	}
	lines := map[string]bool{}
	for label, a := range found {
		lines[fmt.Sprintf("%s %d %d %d %s", a.stream, a.first, a.last, a.offset, label)] = true
	}
	for line := range acked {
		require.True(t, lines[line], "acknowledged and lost: %s", line)
	}
	for writer := 1; writer < childWriters; writer += 3 {
		halves := [2]persistence.StreamID{persistence.StreamID(fmt.Sprintf("writer-%d-0", writer)), persistence.StreamID(fmt.Sprintf("writer-%d-1", writer))}
		require.Equal(t, versions[halves[0]], versions[halves[1]], "a transaction whole or not at all")
	}
	require.NoError(t, journal.Close())
}
