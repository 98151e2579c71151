package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestCheckOfTheFileSystem(t *testing.T) {
	t.Parallel()
	directory, err := os.MkdirTemp("/dev/shm", "stele-") //nolint:usetesting // it must lie in memory
	require.NoError(t, err)
	defer os.RemoveAll(directory)
	j, err := Open(t.Context(), Config{Path: filepath.Join(directory, "journal.db")})
	require.NoError(t, err)
	defer j.Close()

	opened{Journal: j, t: t}.finds(persistence.Warning, "file system", "in memory")
	require.False(t, volatile("/proc"))
	require.False(t, volatile("/nowhere"))
}
