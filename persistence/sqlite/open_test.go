package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/sqlite"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, path string, kind error, text string) {
		t.Helper()
		journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		require.ErrorIs(t, err, kind)
		require.ErrorContains(t, err, text)
		require.Nil(t, journal)
	}

	t.Run("keeps names with all sorts of characters apart", func(t *testing.T) {
		t.Parallel()
		directory := t.TempDir()
		for i, name := range []string{"a b.db", "a%20b.db", "q?mode=ro.db", "h#h.db", "ü'.db", `q"q.db`, "file:x.db", "&.db", "%.db", ":memory:"} {
			if runtime.GOOS == "windows" && i > 1 {
				break // it forbids such names
			}
			path := filepath.Join(directory, name)
			journal := open(t, path)
			outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "a-1", Events: []persistence.Event{{Type: "t"}}})
			require.NoError(t, err)
			require.NoError(t, outcomes[0].Err)
			require.FileExists(t, path)
			require.NoError(t, journal.Close())
		}
		files, err := filepath.Glob(filepath.Join(directory, "*.db"))
		require.NoError(t, err)
		require.Len(t, files, 9)
	})

	t.Run("takes a relative path", func(t *testing.T) {
		t.Parallel()
		here, err := os.Getwd()
		require.NoError(t, err)
		path := newPath(t)
		relative, err := filepath.Rel(here, path)
		require.NoError(t, err)
		open(t, relative)
		require.FileExists(t, path)
	})

	t.Run("leaves one file when it is closed", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		require.NoError(t, open(t, path).Close())
		require.NoFileExists(t, path+"-wal")
		require.NoFileExists(t, path+"-shm")
		require.FileExists(t, path+".lock")
	})

	t.Run("refuses an empty path and a caller who has left", func(t *testing.T) {
		t.Parallel()
		refused(t, "", persistence.ErrInvalid, "path is empty")
		ctx, leave := context.WithCancel(t.Context())
		leave()
		path := newPath(t)
		_, err := sqlite.Open(ctx, sqlite.Config{Path: path})
		require.ErrorIs(t, err, context.Canceled)
		require.NoFileExists(t, path)
	})

	t.Run("refuses a directory that is missing, and one in place of the file", func(t *testing.T) {
		t.Parallel()
		refused(t, filepath.Join(t.TempDir(), "missing", "journal.db"), persistence.ErrUnavailable, "directory cannot be found")
		path := newPath(t)
		require.NoError(t, os.Mkdir(path, 0o700))
		refused(t, path, persistence.ErrInvalid, "path is a directory: give the path of a file in it")
		require.NoFileExists(t, path+".lock")
		if runtime.GOOS != "windows" {
			refused(t, "/dev/null", persistence.ErrInvalid, "path is no regular file")
		}
	})

	t.Run("refuses what is none of its files in one sentence, and leaves nothing beside it", func(t *testing.T) {
		t.Parallel()
		for what, c := range map[string]struct {
			content string // empty for a database of another program
			kind    error
			says    string
		}{
			"a text":                        {strings.Repeat("not a database\n", 100), persistence.ErrCorrupt, "damaged, or was never one of SQLite: file is not a database"},
			"a short text":                  {"x\n", persistence.ErrCorrupt, "damaged, or was never one of SQLite: file is not a database"},
			"a database of another program": {"", persistence.ErrInvalid, "is a database of another program"},
		} {
			for _, readOnly := range []bool{false, true} {
				path := newPath(t)
				if c.content == "" {
					alter(t, path, "CREATE TABLE other (a)")
				} else {
					require.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
				}
				_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, ReadOnly: readOnly})
				require.ErrorIs(t, err, c.kind, what)
				require.ErrorContains(t, err, c.says, what)
				require.NotContains(t, err.Error(), "\n", what)
				require.Equal(t, 1, strings.Count(err.Error(), c.says))
				files, err := os.ReadDir(filepath.Dir(path))
				require.NoError(t, err)
				require.Len(t, files, 1, what)
			}
		}
	})

	t.Run("refuses a second journal on the file, by any name of it", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		first := open(t, path)
		text := fmt.Sprintf("in use by process %d", os.Getpid())
		refused(t, path, persistence.ErrUnavailable, text)
		link := filepath.Join(t.TempDir(), "link.db")
		require.NoError(t, os.Symlink(path, link))
		refused(t, link, persistence.ErrUnavailable, text)
		require.NoError(t, first.Close())

		require.NoError(t, open(t, link).Close())
	})

	t.Run("refuses a second journal by a link that was there before the file", func(t *testing.T) {
		t.Parallel()
		path, link := newPath(t), newPath(t)
		require.NoError(t, os.Symlink(path, link))
		journal := open(t, link)
		require.FileExists(t, path+".lock")
		refused(t, path, persistence.ErrUnavailable, "in use by process")
		require.NoError(t, journal.Close())
	})

	t.Run("refuses a file that has two names, whichever is open", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		first := open(t, path)
		second := filepath.Join(filepath.Dir(path), "second.db")
		require.NoError(t, os.Link(path, second))
		refused(t, second, persistence.ErrInvalid, "2 names (hard links)")
		require.NoFileExists(t, second+".lock")
		require.NoError(t, store(t.Context(), first, "the one that is open goes on"))
		require.NoError(t, first.Close())
		refused(t, path, persistence.ErrInvalid, "2 names (hard links)")
		require.NoError(t, os.Remove(second))

		require.NoError(t, open(t, path).Close())
	})

	t.Run("says what to write for what is no path", func(t *testing.T) {
		t.Parallel()
		for path, text := range map[string]string{
			":memory:":                     "memory.New",
			"file::memory:?cache=shared":   "memory.New",
			"file:bank.db?mode=rwc":        "without \"file:\"",
			"sqlite://bank.db":             "without sqlite://",
			"sqlite:///var/lib/bank.db":    "without sqlite://",
			"file:///var/lib/bank.db":      "without file://",
			"postgres://me:secret@db/bank": "without postgres://",
			"bank\x00.db":                  "zero byte",
		} {
			refused(t, path, persistence.ErrInvalid, text)
			_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			require.NotContains(t, err.Error(), "secret")
		}
	})

	t.Run("refuses a file that another process has open", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		p := startChild(t, path)
		refused(t, path, persistence.ErrUnavailable, fmt.Sprintf("in use by process %d", p.PID()))
		_, more := p.Line()
		require.True(t, more, "the child goes on")
		p.Kill()

		require.NoError(t, open(t, path).Close(), "the lock ends with the process")
	})

	t.Run("refuses what is no database", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		garbage := make([]byte, 8192)
		for i := range garbage {
			garbage[i] = byte(i * 7)
		}
		require.NoError(t, os.WriteFile(path, garbage, 0o600))

		refused(t, path, persistence.ErrCorrupt, "damaged")

		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, garbage, after, "it was left as it was")
	})

	t.Run("refuses the database of another program", func(t *testing.T) {
		t.Parallel()
		for _, statement := range []string{"CREATE TABLE other (a)", "PRAGMA application_id = 7", "PRAGMA user_version = 7"} {
			path := newPath(t)
			alter(t, path, statement)
			before, err := os.ReadFile(path)
			require.NoError(t, err)

			refused(t, path, persistence.ErrInvalid, "path is a database of another program")

			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after, "it was left as it was")
		}
	})

	t.Run("refuses a file of a later release", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		require.NoError(t, open(t, path).Close())
		alter(t, path, "PRAGMA user_version = 1000")

		refused(t, path, persistence.ErrTables, "release of stele")
	})

	t.Run("refuses a journal without a schema version", func(t *testing.T) {
		t.Parallel()
		for _, version := range []int{0, -1} {
			path := newPath(t)
			require.NoError(t, open(t, path).Close())
			alter(t, path, fmt.Sprintf("PRAGMA user_version = %d", version))

			refused(t, path, persistence.ErrCorrupt, "no schema version")
		}
	})

	t.Run("refuses a journal without an id", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		require.NoError(t, open(t, path).Close())
		alter(t, path, "DELETE FROM journal")

		refused(t, path, persistence.ErrCorrupt, "no id")
	})

	t.Run("gives every file an id of its own, and keeps it", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		first := open(t, path)
		other := open(t, newPath(t))
		require.NotEqual(t, first.Identity(), other.Identity())
		require.NoError(t, first.Close())
		require.Equal(t, first.Identity(), open(t, path).Identity())
	})
}

// alter works on a file past the journal.
func alter(t testing.TB, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	for _, statement := range statements {
		_, err = db.Exec(statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
}
