package sqlite

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

const mebibyte = 1 << 20

func (o opened) logSize() int64 {
	o.t.Helper()
	info, err := os.Stat(o.file + "-wal")
	require.NoError(o.t, err)
	return info.Size()
}

func (o opened) grow(mebibytes int) {
	o.t.Helper()
	payload := strings.Repeat("x", mebibyte-1000)
	for range mebibytes {
		require.NoError(o.t, o.append("grow-1", persistence.Any, payload).Err)
	}
}

func TestLongLog(t *testing.T) {
	t.Parallel()

	t.Run("stays short while events are written", func(t *testing.T) {
		t.Parallel()
		o := openInside(t)
		longest := int64(0)
		for range 8 {
			o.grow(5)
			longest = max(longest, o.logSize())
		}
		require.Less(t, longest, int64(2*logWorth*4096), "it was checkpointed whenever it was worth it")
	})

	t.Run("waits for a quiet moment, but not for long", func(t *testing.T) {
		t.Parallel()
		o := openInside(t)
		o.inside(func(w *writer) {
			require.NoError(t, w.exec("CREATE TABLE filler (x BLOB)"))
			fill := func(mebibytes int) (copied int64) {
				for range mebibytes {
					require.NoError(t, w.exec("INSERT INTO filler VALUES (zeroblob(1048576))"))
				}
				require.NoError(t, w.tidy(false, o.files.Load()))
				length, copied, err := w.logLength()
				require.NoError(t, err)
				require.Positive(t, length)
				return copied
			}
			require.Zero(t, fill(20))
			require.Positive(t, fill(13))
		})
	})

	t.Run("grows while another program reads, and is cut when it has left", func(t *testing.T) {
		t.Parallel()
		o := openInside(t)
		o.grow(1)
		reader := o.foreign("BEGIN")
		count, err := reader.prepare("SELECT count(*) FROM event")
		require.NoError(t, err)
		row, err := count.first()
		require.NoError(t, err)
		require.Equal(t, int64(1), row[0])

		o.grow(logLimit/mebibyte + 6)

		require.Greater(t, o.logSize(), int64(logLimit))
		row, err = count.first()
		require.NoError(t, err)
		require.Equal(t, int64(1), row[0], "it reads what was there when it began")
		require.Len(t, o.payloads(), logLimit/mebibyte+7, "others see everything")
		require.NoError(t, reader.exec("COMMIT"))
		o.grow(6) // enough for a checkpoint
		o.grow(1) // the first to begin the log anew
		require.LessOrEqual(t, o.logSize(), int64(logLimit))
	})

	t.Run("is tried again only when it has grown as much again", func(t *testing.T) {
		t.Parallel()
		o := openInside(t)
		o.grow(1)
		reader := o.foreign("BEGIN")
		count, err := reader.prepare("SELECT count(*) FROM event")
		require.NoError(t, err)
		_, err = count.first()
		require.NoError(t, err)
		o.grow(5)
		tried := func() (length int64) {
			o.inside(func(w *writer) { length = w.tried })
			return length
		}
		first := tried()
		require.Positive(t, first)
		o.grow(1)
		require.Equal(t, first, tried())
		o.grow(4)
		require.Greater(t, tried(), first)
	})
}

func TestSafety(t *testing.T) {
	t.Parallel()
	pragma := func(t *testing.T, c *conn, name string) (value int64) {
		t.Helper()
		require.NoError(t, c.integers("PRAGMA "+name, &value))
		return value
	}

	t.Run("what is acknowledged was flushed", func(t *testing.T) {
		t.Parallel()
		o := openInside(t)
		o.inside(func(w *writer) {
			require.Equal(t, int64(2), pragma(t, w.conn, "synchronous"), "FULL")
			require.Equal(t, int64(1), pragma(t, w.conn, "fullfsync"))
			require.Equal(t, int64(1), pragma(t, w.conn, "checkpoint_fullfsync"))
			require.Zero(t, pragma(t, w.conn, "wal_autocheckpoint"))
		})
	})

	t.Run("unless the journal is relaxed", func(t *testing.T) {
		t.Parallel()
		j, err := Open(t.Context(), Config{Path: t.TempDir() + "/journal.db", Relaxed: true})
		require.NoError(t, err)
		require.Equal(t, int64(1), pragma(t, j.writer.conn, "synchronous"), "NORMAL")
		require.NoError(t, j.Close())
	})

	t.Run("readers cannot write", func(t *testing.T) {
		t.Parallel()
		o := openInside(t)
		require.NoError(t, o.readers.with(t.Context(), func(r *reader) error {
			require.Error(t, r.exec("DELETE FROM event"))
			return nil
		}))
	})
}
