package sqlite

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite/lib"

	"github.com/stele-es/stele/persistence"
)

func (o opened) transact(do func(tx persistence.Transaction) error) error {
	return o.Transact(o.t.Context(), func(_ context.Context, tx persistence.Transaction) error { return do(tx) })
}

// TestTransactionCutOff looks at the file as the death of the process in the midst of
// a transaction would leave it, with a part of what was written in the log already.
func TestTransactionCutOff(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
	o.pragma("cache_size = 10") // pages: what does not fit is written before the commit
	cut := t.TempDir() + "/cut.db"
	changed := errors.New("changed his mind")
	before := o.logSize()

	err := o.transact(func(tx persistence.Transaction) error {
		for range 5 {
			_, err := tx.Append(addition("a-1", persistence.Any, string(make([]byte, 300_000))), addition("b-1", persistence.Any, "lost"))
			require.NoError(t, err)
		}
		require.Greater(t, o.logSize(), before+1_000_000, "it is in the log, and not committed")
		copyFile(t, o.file, cut)
		copyFile(t, o.file+"-wal", cut+"-wal")
		return changed
	})

	require.ErrorIs(t, err, changed)
	require.Equal(t, []string{"1"}, o.payloads())
	j, err := Open(t.Context(), Config{Path: cut})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	c := opened{Journal: j, t: t}
	require.Equal(t, []string{"1"}, c.payloads())
	require.NoError(t, c.append("a-1", persistence.Exact(1), "2").Err)
	require.NoError(t, c.append("b-1", persistence.NoStream, "3").Err)
	require.Equal(t, []string{"1", "2", "3"}, c.payloads())
}

func TestFailedCommitOfTransaction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code  int
		after bool
		want  error
	}{
		"the disk is full":                       {sqlite3.SQLITE_FULL, false, persistence.ErrUnavailable},
		"the flush failed and all was lost":      {sqlite3.SQLITE_IOERR_FSYNC, false, persistence.ErrUnavailable},
		"the flush failed and the data is there": {sqlite3.SQLITE_IOERR_FSYNC, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openInside(t)
			require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
			o.failCommit(c.code, c.after)

			err := o.transact(func(tx persistence.Transaction) error {
				_, err := tx.Append(addition("a-1", persistence.Exact(1), "2"), addition("b-1", persistence.NoStream, "3"), addition("c-1", persistence.Any))
				return err
			})

			require.ErrorIs(t, err, c.want)
			want := []string{"1", "2", "3"}
			if c.want != nil {
				want = want[:1]
			}
			require.Equal(t, want, o.payloads())
			o.mend()
			require.NoError(t, o.append("b-1", persistence.Exact(persistence.Version(len(want)/2)), "next").Err)
			require.Equal(t, append(want, "next"), o.payloads())
		})
	}
}

// TestFailedCommitOfChange: of a change that is no append nobody can tell by an id,
// so the outcome is unknown, and the journal goes on with what is in the file.
func TestFailedCommitOfChange(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		o := openInside(t)
		require.NoError(t, o.append("a-1", persistence.NoStream, "1", "2").Err)
		o.failCommit(sqlite3.SQLITE_IOERR_FSYNC, after)

		_, err := o.Truncate(t.Context(), "a-1", 2)

		unknown, _ := errors.AsType[*persistence.UnknownOutcomeError](err)
		require.NotNil(t, unknown, "%v", err)
		require.Equal(t, persistence.StreamID("a-1"), unknown.Stream)
		first, err := o.Truncate(t.Context(), "a-1", 2)
		require.NoError(t, err)
		require.Equal(t, persistence.Version(2), first)
		require.NoError(t, o.append("a-1", persistence.Exact(2), "3").Err)
	}
}

func TestChangeOnFullDisk(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
	o.pragma("max_page_count = 60")
	large := persistence.Snapshot{Stream: "a-1", Version: 1, State: make([]byte, 500_000)}

	err := o.SaveSnapshot(t.Context(), large)
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.ErrorContains(t, err, "the disk is full")
	err = o.transact(func(tx persistence.Transaction) error {
		_, err := tx.Append(addition("b-1", persistence.NoStream, "lost"), addition("a-1", persistence.Exact(1), string(large.State)))
		require.ErrorContains(t, err, "the disk is full")
		return nil
	})
	require.ErrorContains(t, err, "the disk is full")

	require.NoError(t, o.append("b-1", persistence.NoStream, "2").Err)
	o.pragma("max_page_count = 1000000")
	require.NoError(t, o.SaveSnapshot(t.Context(), large))
	require.Equal(t, []string{"1", "2"}, o.payloads())
}

// TestWriterRemembers: what the journal does itself, and what it only reads, must not
// make it forget the streams it knows.
func TestWriterRemembers(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	known := func() (found bool) {
		o.inside(func(w *writer) { _, found = w.known.get("a-1") })
		return found
	}
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)

	for range 3 {
		require.NoError(t, o.append("b-1", persistence.Any, "n").Err)
		require.NoError(t, o.Create(t.Context(), persistence.StreamID(persistence.NewEventID().String()), nil))
		require.Error(t, o.transact(func(tx persistence.Transaction) error {
			_, err := tx.Append(addition("b-1", persistence.Any, "lost"))
			require.NoError(t, err)
			return errors.New("changed his mind")
		}))
		require.NotEmpty(t, o.payloads())
		o.inside(func(w *writer) {
			_, err := w.emptyLog(t.Context())
			require.NoError(t, err)
		})
		require.True(t, known())
	}

	o.foreign("CREATE TABLE other (x)")
	require.NoError(t, o.append("b-1", persistence.Any, "n").Err)
	require.False(t, known(), "somebody else has written")
}

func TestClosingDuringTransaction(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	closed := make(chan error, 1)

	err := o.transact(func(tx persistence.Transaction) error {
		_, err := tx.Append(addition("a-1", persistence.NoStream, "lost"))
		require.NoError(t, err)
		go func() { closed <- o.Close() }()
		<-o.closing
		_, err = tx.Append(addition("a-1", persistence.Any, "late"))
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		_, err = tx.Read("a-1", persistence.ReadOptions{})
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		return nil
	})

	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.NoError(t, <-closed)
}

// TestGateLetsGo: who waits for a transaction can leave.
func TestGateLetsGo(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)

	require.NoError(t, o.transact(func(tx persistence.Transaction) error {
		_, err := tx.Append(addition("b-1", persistence.NoStream, "2"))
		require.NoError(t, err)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := o.Truncate(ctx, "a-1", 1)
			left <- err
		}()
		leave()
		require.ErrorIs(t, <-left, persistence.ErrUnavailable)
		return nil
	}))
}
