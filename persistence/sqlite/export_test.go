package sqlite

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// Crash leaves the file and its log as they are at this moment, as the death of
// the process would: the log is not moved into the file, and nothing is written
// after it. (The death of a real process is in crash_test.go.)
func Crash(t testing.TB, journal persistence.Journal) {
	t.Helper()
	j := journal.(*Journal)
	j.writing.Lock()
	copyFile(t, j.file, j.file+".crashed")
	copyFile(t, j.file+"-wal", j.file+".crashed-wal")
	j.damaged = errors.New("crashed")
	j.writing.Unlock()
	require.NoError(t, j.Close())
	require.NoError(t, os.Rename(j.file+".crashed", j.file))
	require.NoError(t, os.Rename(j.file+".crashed-wal", j.file+"-wal"))
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, 0o600))
}

// Damage changes a byte of the state that is stored of a stream's snapshot.
func Damage(t testing.TB, journal persistence.Journal, stream persistence.StreamID) {
	t.Helper()
	j := journal.(*Journal)
	j.writing.Lock()
	defer j.writing.Unlock()
	s, err := j.writer.prepare(`UPDATE snapshot SET state = CAST('S' || substr(state, 2) AS BLOB) WHERE stream_id = (SELECT stream_id FROM stream WHERE name = ?)`)
	require.NoError(t, err)
	changed, err := s.change(string(stream))
	require.NoError(t, err)
	require.Equal(t, int64(1), changed)
}

// Replace empties the tables by another connection, and gives the journal another id.
func Replace(t testing.TB, journal persistence.Journal) {
	t.Helper()
	c, err := connect(journal.(*Journal).file, "rw")
	require.NoError(t, err)
	for _, table := range []string{"event", "event_key", "event_tag", "stream", "snapshot", "schema"} {
		require.NoError(t, c.exec("DELETE FROM "+table))
	}
	require.NoError(t, c.exec("UPDATE journal SET id = randomblob(16)"))
	require.NoError(t, c.close())
}
