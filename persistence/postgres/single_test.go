package postgres_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// appending counts the functions that a journal appends by.
type appending struct {
	mu           sync.Mutex
	single, lean int
}

func (a *appending) note(c *faultyConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.single += bytes.Count(c.request, []byte("\x00stele_append_single\x00\x00\x01\x00\x01"))
	a.lean += bytes.Count(c.request, []byte("\x00stele_append_lean\x00\x00\x01\x00\x01"))
}

// reset returns the counts since the last time.
func (a *appending) reset() (single, lean int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	single, lean = a.single, a.lean
	a.single, a.lean = 0, 0
	return single, lean
}

// A caller that appends one event and waits for it uses the short way.
func TestOneEventIsStoredTheShortWay(t *testing.T) {
	t.Parallel()
	seen := new(appending)
	journal := open(t, faultyConfig(t, pgtest.URL(t), seen.note))

	for version := range persistence.Version(4) {
		outcome := appendOne(t, journal, "s-1", persistence.Exact(version), "x")
		require.NoError(t, outcome.Err)
		require.Equal(t, version+1, outcome.First)
		require.EqualValues(t, version+1, outcome.Position.Offset)
	}

	single, lean := seen.reset()
	require.Equal(t, 4, single)
	require.Zero(t, lean)
	require.NoError(t, appendEach(t, journal, "s-1", persistence.Exact(4), "x", "y").Err)
	single, lean = seen.reset()
	require.Zero(t, single)
	require.Equal(t, 1, lean)
	require.Len(t, readAll(t, journal, "s-1"), 6)
}

// The short way refuses an event that it may not store, and another way says why.
func TestShortWayRefuses(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	seen := new(appending)
	journal := open(t, faultyConfig(t, url, seen.note))
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
	require.NoError(t, appendOne(t, other(t, url), "s-1", persistence.Exact(1), "another's").Err)
	for expected, actual := range map[persistence.Expected]persistence.Version{
		persistence.NoStream: 2, persistence.Exact(1): 2, persistence.Exact(3): 2,
	} {
		var conflict *persistence.ConflictError
		require.ErrorAs(t, appendOne(t, journal, "s-1", expected, "y").Err, &conflict)
		require.Equal(t, actual, conflict.Actual)
	}
	require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(2), "y").Err)
	events := readAll(t, journal, "s-1")
	require.Len(t, events, 3)
	require.Equal(t, "y", string(events[2].Payload))

	_, err := journal.Delete(t.Context(), "s-1", persistence.Exact(3))
	require.NoError(t, err)
	again := appendOne(t, journal, "s-1", persistence.NoStream, "again")
	require.NoError(t, again.Err)
	require.Greater(t, again.First, persistence.Version(3), "versions go on behind a deletion")
}

// Writers that release the order lock early do so by a function that flushes.
func TestShortWayIsNotForEarlyRelease(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	seen := new(appending)
	config := faultyConfig(t, url, seen.note)
	config.EarlyRelease = postgres.EarlyOff
	journal := open(t, config)
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
	seen.reset()
	execute(t, url, "SELECT stele.release_early(0::smallint, true)")

	for version := range persistence.Version(3) {
		require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(version+1), "x").Err)
	}

	single, lean := seen.reset()
	require.Equal(t, 1, single, "which was refused, and let the next one learn of it")
	require.Equal(t, 2, lean)
	require.Len(t, readAll(t, journal, "s-1"), 4)

	execute(t, url, "SELECT stele.release_early(0::smallint, false)")
	for version := range persistence.Version(3) {
		require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(version+4), "x").Err)
	}
	single, _ = seen.reset()
	require.Positive(t, single)
}
