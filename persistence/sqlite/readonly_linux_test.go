package sqlite_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/sqlite"
)

// unprivileged calls fn without the right of root to write everywhere. On Linux
// that right can be laid down by a single thread, and SQLite runs in ours.
func unprivileged(fn func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		_, _ = unix.SetfsuidRetUid(65534)
		defer func() { _, _ = unix.SetfsuidRetUid(0) }()
	}
	fn()
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	// The test's directory lies in one that only its owner may enter.
	reachable := func(t *testing.T) string {
		t.Helper()
		path := newPath(t)
		require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755))
		return path
	}
	refused := func(t *testing.T, path, text string) {
		t.Helper()
		var journal *sqlite.Journal
		var err error
		unprivileged(func() { journal, err = sqlite.Open(t.Context(), sqlite.Config{Path: path}) })
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.ErrorContains(t, err, text)
		require.Nil(t, journal)
	}

	t.Run("a directory that is read-only is said so", func(t *testing.T) {
		t.Parallel()
		path := reachable(t)
		require.NoError(t, os.Chmod(filepath.Dir(path), 0o555))
		t.Cleanup(func() { require.NoError(t, os.Chmod(filepath.Dir(path), 0o700)) })

		refused(t, path, "the lock beside the journal's file cannot be opened for writing")
	})

	t.Run("a file that is read-only is said so", func(t *testing.T) {
		t.Parallel()
		path := reachable(t)
		require.NoError(t, open(t, path).Close())
		require.NoError(t, os.Chmod(filepath.Dir(path), 0o777))
		require.NoError(t, os.Chmod(path+".lock", 0o666))
		require.NoError(t, os.Chmod(path, 0o444))

		refused(t, path, "the journal's file or directory is read-only")
		require.NoError(t, os.Chmod(path, 0o600))
		require.NoError(t, open(t, path).Close(), "the lock was given back")
	})
}
