package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/projectionstest"
	"github.com/stele-es/stele/projections/sqlite"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{"run": runNoting})
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(m)
}

func open(t testing.TB) *sqlite.Target {
	t.Helper()
	target, err := sqlite.Open(t.Context(), sqlite.Config{Path: t.TempDir() + "/views.db"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, target.Close()) })
	_, err = target.DB().ExecContext(t.Context(), "CREATE TABLE sum (key TEXT PRIMARY KEY, n INTEGER NOT NULL)")
	require.NoError(t, err)
	return target
}

func TestTarget(t *testing.T) {
	t.Parallel()
	projectionstest.Run(t, func(t testing.TB) projectionstest.Subject[*sql.Tx] {
		target := open(t)
		return projectionstest.Subject[*sql.Tx]{
			Target: target,
			Add: func(ctx context.Context, tx *sql.Tx, key string, n int) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO sum VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET n = n + excluded.n", key, n)
				return err
			},
			Sums: func(ctx context.Context) (map[string]int, error) {
				rows, err := target.DB().QueryContext(ctx, "SELECT key, n FROM sum")
				if err != nil {
					return nil, err
				}
				defer rows.Close()
				found := map[string]int{}
				for rows.Next() {
					var key string
					var n int
					if err := rows.Scan(&key, &n); err != nil {
						return nil, err
					}
					found[key] = n
				}
				return found, rows.Err()
			},
		}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	t.Run("again", func(t *testing.T) {
		t.Parallel()
		path := t.TempDir() + "/views.db"
		for range 2 {
			target, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			require.NoError(t, err)
			require.NoError(t, target.Close())
		}
	})
	t.Run("what is no path", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{":memory:", "sqlite://views.db", "file:views.db"} {
			_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})

			require.ErrorIs(t, err, persistence.ErrInvalid)
		}
	})
	t.Run("without a path", func(t *testing.T) {
		t.Parallel()
		_, err := sqlite.Open(t.Context(), sqlite.Config{})

		require.ErrorIs(t, err, persistence.ErrInvalid)
	})
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	target := open(t)
	other, err := target.DB().BeginTx(t.Context(), nil) // as another program would
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Rollback()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()

	err = target.Update(ctx, func(context.Context, projections.Book) error { return nil })

	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(begun), 2*time.Second)
	require.NoError(t, target.View(t.Context(), func(ctx context.Context, book projections.Book) error {
		_, err := book.Registrations(ctx, "")
		return err
	}), "readers do not wait")
}

func TestNothingIsCommittedIntoWhatIsLost(t *testing.T) {
	t.Parallel()
	register := func(ctx context.Context, book projections.Book) error {
		return book.Register(ctx, projections.Registration{Name: "p", Version: 1, Created: time.Now()})
	}
	for name, disturb := range map[string]func(path string) error{
		"the file was deleted": os.Remove,
		"the file was moved":   func(path string) error { return os.Rename(path, path+".away") },
		"another file took its place": func(path string) error {
			return errors.Join(os.WriteFile(path+".other", nil, 0o600), os.Rename(path+".other", path))
		},
		"the log was deleted":           func(path string) error { return os.Remove(path + "-wal") },
		"the shared memory was deleted": func(path string) error { return os.Remove(path + "-shm") },
		"the directory was moved": func(path string) error {
			return os.Rename(filepath.Dir(path), filepath.Dir(path)+"-away")
		},
		"another program dropped the tables": func(path string) error {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				return err
			}
			_, err = db.Exec("DROP TABLE stele_projection; DROP TABLE stele_projection_worker")
			return errors.Join(err, db.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "own", "views.db")
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
			target, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			require.NoError(t, err)
			defer target.Close()
			require.NoError(t, target.Update(t.Context(), register))

			require.NoError(t, disturb(path))

			require.ErrorIs(t, target.Update(t.Context(), register), persistence.ErrReplaced)
			err = target.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, book projections.Book) error { return register(ctx, book) })
			require.ErrorIs(t, err, persistence.ErrReplaced)
			require.ErrorContains(t, err, "start")
			conns := make([]*sql.Conn, 3) // some of which are new
			for i := range conns {
				if conns[i], err = target.DB().Conn(t.Context()); err == nil {
					defer conns[i].Close()
				}
			}
			if name != "another program dropped the tables" {
				require.ErrorIs(t, err, persistence.ErrReplaced, "readers see the file that is written to, or none")
			}
		})
	}
}

// A target that is damaged is no failure of the event in hand, which would be set aside
// or left out for it.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "views.db")
	target, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)
	_, err = target.DB().ExecContext(t.Context(), "CREATE TABLE sum (key TEXT PRIMARY KEY, n INTEGER NOT NULL)")
	require.NoError(t, err)
	require.NoError(t, target.Close()) // which moves the log into the file
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	info, err := file.Stat()
	require.NoError(t, err)
	garbage := bytes.Repeat([]byte{0xa5}, int(info.Size())-4096)
	_, err = file.WriteAt(garbage, 4096) // all but the first page
	require.NoError(t, errors.Join(err, file.Close()))

	target, err = sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err == nil {
		defer target.Close()
		err = target.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, book projections.Book) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO sum VALUES ('a', 1)"); err != nil {
				return err
			}
			return book.Register(ctx, projections.Registration{Name: "p", Version: 1, Created: time.Now()})
		})
	}

	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.ErrorContains(t, err, "damaged")
}

func TestADirectoryIsNoTarget(t *testing.T) {
	t.Parallel()
	path := t.TempDir()

	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})

	require.ErrorIs(t, err, persistence.ErrInvalid)
	require.ErrorContains(t, err, "path is a directory: give the path of a file in it")
}
