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
