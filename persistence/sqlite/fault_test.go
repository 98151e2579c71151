package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite/lib"

	"github.com/stele-es/stele/persistence"
)

// opened is a journal whose inside the test may touch.
type opened struct {
	*Journal
	t       *testing.T
	opening <-chan struct{} // gets a value when the file is opened again
}

func openInside(t *testing.T) opened {
	t.Helper()
	opening := make(chan struct{}, 1)
	j, err := Open(t.Context(), Config{
		Path:   filepath.Join(t.TempDir(), "journal.db"),
		Logger: slog.New(&told{slog.DiscardHandler, "commit failed, opening the file again", opening}),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return opened{j, t, opening}
}

// told signals that a message was logged.
type told struct {
	slog.Handler
	message string
	signal  chan<- struct{}
}

func (l *told) Enabled(context.Context, slog.Level) bool { return true }

func (l *told) Handle(_ context.Context, record slog.Record) error {
	if record.Message == l.message {
		select {
		case l.signal <- struct{}{}:
		default:
		}
	}
	return nil
}

// inside calls fn while nothing is written.
func (o opened) inside(fn func(*writer)) {
	o.t.Helper()
	o.writing.Lock()
	defer o.writing.Unlock()
	fn(o.writer)
}

func (o opened) pragma(text string) {
	o.t.Helper()
	o.inside(func(w *writer) { require.NoError(o.t, w.exec("PRAGMA "+text)) })
}

func (o opened) append(stream persistence.StreamID, expected persistence.Expected, payloads ...string) persistence.Outcome {
	o.t.Helper()
	outcomes, err := o.Append(o.t.Context(), addition(stream, expected, payloads...))
	require.NoError(o.t, err)
	return outcomes[0]
}

func addition(stream persistence.StreamID, expected persistence.Expected, payloads ...string) persistence.Append {
	a := persistence.Append{Stream: stream, Expected: expected}
	for _, payload := range payloads {
		a.Events = append(a.Events, persistence.Event{Type: "written", Payload: []byte(payload)})
	}
	return a
}

// payloads reads all, and requires that positions have no gap.
func (o opened) payloads() []string {
	o.t.Helper()
	var all []string
	for page, err := range o.ReadAll(o.t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(o.t, err)
		for _, recorded := range page.Events {
			all = append(all, string(recorded.Payload))
			require.Equal(o.t, int64(len(all)), recorded.Position.Offset)
		}
	}
	head, err := o.Head(o.t.Context())
	require.NoError(o.t, err)
	require.Equal(o.t, int64(len(all)), head.Of(0).Offset)
	return all
}

// fails stands in for a statement that SQLite answers with a result code.
type fails struct {
	statement
	code  int
	after bool // what it was asked to do is done
}

func (f *fails) Error() string { return fmt.Sprintf("planted (%d)", f.code) }

// Code is where the driver's errors carry the result code.
func (f *fails) Code() int { return f.code }

func (f *fails) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if f.after {
		if _, err := f.statement.ExecContext(ctx, args); err != nil {
			return nil, err
		}
	}
	return nil, f
}

// failCommit makes the next commits fail, until the file is opened again.
func (o opened) failCommit(code int, after bool) {
	o.inside(func(w *writer) { w.commit.driver = &fails{w.commit.driver, code, after} })
}

// mend takes back what failCommit did, if the file has not been opened again.
func (o opened) mend() {
	o.inside(func(w *writer) {
		if f, planted := w.commit.driver.(*fails); planted {
			w.commit.driver = f.statement
		}
	})
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
	o.pragma("max_page_count = 40")
	long := string(make([]byte, 300_000))

	refused := o.append("a-1", persistence.Exact(1), long)

	require.ErrorIs(t, refused.Err, persistence.ErrUnavailable)
	require.ErrorContains(t, refused.Err, "the disk is full")
	require.NoError(t, o.append("a-1", persistence.Exact(1), "2").Err, "what is small has room")
	require.NoError(t, o.append("b-1", persistence.NoStream, "3").Err)
	require.Equal(t, []string{"1", "2", "3"}, o.payloads())
	o.pragma("max_page_count = 1000000")
	require.NoError(t, o.append("a-1", persistence.Exact(2), long).Err)
	require.Equal(t, []string{"1", "2", "3", long}, o.payloads())
}

func TestFailedCommit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code  int
		after bool
		want  error
	}{
		"the disk is full":                       {sqlite3.SQLITE_FULL, false, persistence.ErrUnavailable},
		"a lock is missing":                      {sqlite3.SQLITE_BUSY | 5<<8, false, persistence.ErrUnavailable},
		"the flush failed and all was lost":      {sqlite3.SQLITE_IOERR_FSYNC, false, persistence.ErrUnavailable},
		"the flush failed and the data is there": {sqlite3.SQLITE_IOERR_FSYNC, true, nil},
		"a write failed and the data is there":   {sqlite3.SQLITE_IOERR_WRITE, true, nil},
		"memory ran out after the commit":        {sqlite3.SQLITE_NOMEM, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openInside(t)
			require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
			require.Equal(t, []string{"1"}, o.payloads(), "a reader is open")
			o.failCommit(c.code, c.after)

			outcomes, err := o.Append(t.Context(),
				addition("a-1", persistence.Exact(1), "2", "3"),
				addition("c-1", persistence.Exact(7), "refused"),
				addition("b-1", persistence.NoStream, "4"),
				addition("d-1", persistence.NoStream))

			require.NoError(t, err)
			require.ErrorIs(t, outcomes[1].Err, persistence.ErrConflict, "whatever became of the others")
			if !undone(&fails{code: c.code}) {
				require.Zero(t, o.logSize(), "the log was made safe before anybody was told")
			}
			want := []string{"1", "2", "3", "4"}
			if c.want == nil {
				require.Equal(t, persistence.Outcome{First: 2, Last: 3, Position: persistence.Position{Offset: 2}}, outcomes[0])
				require.Equal(t, persistence.Outcome{First: 1, Last: 1, Position: persistence.Position{Offset: 4}}, outcomes[2])
			} else {
				require.ErrorIs(t, outcomes[0].Err, c.want)
				require.ErrorIs(t, outcomes[2].Err, c.want)
				want = want[:1]
			}
			require.Equal(t, want, o.payloads())
			o.mend()
			require.NoError(t, o.append("a-1", persistence.Exact(persistence.Version(max(1, len(want)-1))), "next").Err)
			require.Equal(t, append(want, "next"), o.payloads())
		})
	}
}

// TestFailedCommitWhileAnotherProgramReads: the log cannot be made safe before
// that program has left, so nobody is told before.
func TestFailedCommitWhileAnotherProgramReads(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
	reader := o.foreign("BEGIN")
	count, err := reader.prepare("SELECT count(*) FROM event")
	require.NoError(t, err)
	_, err = count.first()
	require.NoError(t, err)
	require.NoError(t, o.append("a-1", persistence.Exact(1), "2").Err)

	o.inside(func(w *writer) {
		w.patience = 10 * time.Millisecond
		require.ErrorIs(t, w.settle(t.Context()), persistence.ErrUnavailable)
	})
	o.failCommit(sqlite3.SQLITE_IOERR_FSYNC, true)
	outcomes := make(chan persistence.Outcome, 1)
	require.NoError(t, o.Submit(addition("a-1", persistence.Exact(2), "3"), nil, func(o persistence.Outcome) { outcomes <- o }))
	select {
	case <-o.opening:
	case <-outcomes:
		require.Fail(t, "the outcome was told while the log was not safe")
	}
	require.NoError(t, reader.exec("COMMIT"))

	require.NoError(t, (<-outcomes).Err)
	require.Equal(t, []string{"1", "2", "3"}, o.payloads())
}

func TestFileThatStaysAway(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
	o.failCommit(sqlite3.SQLITE_IOERR_FSYNC, true)
	o.inside(func(*writer) { o.file = filepath.Join(filepath.Dir(o.file), "missing", "journal.db") }) // it cannot be opened again
	outcomes := make(chan persistence.Outcome, 2)
	id := persistence.NewEventID()
	unknown := addition("a-1", persistence.Exact(1), "2")
	unknown.Events[0].ID = id
	require.NoError(t, o.Submit(unknown, nil, func(o persistence.Outcome) { outcomes <- o }))
	require.NoError(t, o.Submit(addition("a-1", persistence.Exact(2), "3"), nil, func(o persistence.Outcome) { outcomes <- o }))

	require.NoError(t, o.Close())

	first := <-outcomes
	got, ok := errors.AsType[*persistence.UnknownOutcomeError](first.Err)
	require.True(t, ok, "%v", first.Err)
	require.Equal(t, persistence.StreamID("a-1"), got.Stream)
	require.Equal(t, "version 1", got.Expected.String())
	require.Equal(t, []persistence.EventID{id}, got.IDs)
	require.ErrorIs(t, (<-outcomes).Err, persistence.ErrUnavailable)
}

func TestFileThatComesBack(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
	o.inside(func(*writer) { o.drop() })
	require.NoError(t, os.Rename(o.file, o.file+".away"))
	require.NoError(t, os.Mkdir(o.file, 0o700))

	require.ErrorIs(t, o.append("a-1", persistence.Exact(1), "2").Err, persistence.ErrUnavailable)
	_, err := o.Stream(t.Context(), "a-1")
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.NoError(t, os.Remove(o.file))
	require.NoError(t, os.Rename(o.file+".away", o.file))

	require.NoError(t, o.append("a-1", persistence.Exact(1), "2").Err)
	require.Equal(t, []string{"1", "2"}, o.payloads())
}

// TestWritingPastTheLock has another connection write to the file: what the journal
// remembers is wrong then, and the file says so.
func TestWritingPastTheLock(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
	o.foreign(`INSERT INTO event SELECT position + 1, stream_id, version + 1, event_id, created_at, schema_id, type, tags, metadata, headers, CAST('foreign' AS BLOB) FROM event`)

	outcomes, err := o.Append(t.Context(), addition("a-1", persistence.Exact(1), "refused"), addition("b-1", persistence.NoStream, "3"))

	require.NoError(t, err)
	conflict, ok := errors.AsType[*persistence.ConflictError](outcomes[0].Err)
	require.True(t, ok, "%v", outcomes[0].Err)
	require.Equal(t, persistence.Version(2), conflict.Actual)
	require.NoError(t, outcomes[1].Err)
	require.NoError(t, o.append("a-1", persistence.Exact(2), "4").Err)
	require.Equal(t, []string{"1", "foreign", "3", "4"}, o.payloads())
}

// foreign runs statements on a connection that the journal knows nothing of.
func (o opened) foreign(statements ...string) *conn {
	o.t.Helper()
	c, err := connect(o.file, "rw")
	require.NoError(o.t, err)
	o.t.Cleanup(func() { require.NoError(o.t, c.close()) })
	for _, statement := range statements {
		require.NoError(o.t, c.exec(statement))
	}
	return c
}

func TestLockedByAnotherProgram(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
	o.pragma("busy_timeout = 10")
	other := o.foreign("BEGIN IMMEDIATE")

	refused := o.append("a-1", persistence.Exact(1), "2")

	require.ErrorIs(t, refused.Err, persistence.ErrUnavailable)
	require.ErrorContains(t, refused.Err, "another program")
	require.Equal(t, []string{"1"}, o.payloads(), "readers are not in its way")
	require.NoError(t, other.exec("ROLLBACK"))
	require.NoError(t, o.append("a-1", persistence.Exact(1), "2").Err)
}

func TestLongDamage(t *testing.T) {
	t.Parallel()

	t.Run("stops writing for good", func(t *testing.T) {
		t.Parallel()
		o := openInside(t)
		require.NoError(t, o.append("a-1", persistence.NoStream, "1").Err)
		o.inside(func(w *writer) { w.begin.driver = &fails{w.begin.driver, sqlite3.SQLITE_CORRUPT | 1<<8, false} })
		require.ErrorIs(t, o.append("a-1", persistence.Exact(1), "2").Err, persistence.ErrCorrupt)
		o.inside(func(w *writer) { w.begin.driver = w.begin.driver.(*fails).statement })

		require.ErrorIs(t, o.append("a-1", persistence.Exact(1), "2").Err, persistence.ErrCorrupt)
		require.Equal(t, []string{"1"}, o.payloads(), "what can be read is read")
	})

	t.Run("is told by reads", func(t *testing.T) {
		t.Parallel()
		for name, c := range map[string]struct{ statement, reason string }{
			"a missing version":      {"DELETE FROM event WHERE version = 2", "the version before it is missing"},
			"a missing position":     {"UPDATE event SET position = 9 WHERE version = 2", "the position before it is missing"},
			"an id that is too long": {"UPDATE event SET event_id = zeroblob(17) WHERE version = 2", "a column holds something else"},
			"broken tags":            {"UPDATE event SET tags = '[1]' WHERE version = 2", "the tags cannot be read"},
			"broken metadata":        {"UPDATE event SET metadata = '{' WHERE version = 2", "the metadata cannot be read"},
			"a missing first event":  {"DELETE FROM event WHERE version = 1", "the version before it is missing"},
			"a missing last event":   {"UPDATE stream SET first_version = 5", "the stream does not fit its events"},
			"a negative version":     {"UPDATE stream SET begin_version = -1", "the stream does not fit its events"},
			"an event without a stream": {
				"UPDATE event SET stream_id = 7 WHERE version = 2", "the position before it is missing",
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o := openInside(t)
				require.NoError(t, o.append("a-1", persistence.NoStream, "1", "2", "3").Err)
				o.foreign(c.statement)

				var err error
				for _, err = range o.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
				}
				for _, readErr := range o.Read(t.Context(), "a-1", persistence.ReadOptions{}) {
					if err == nil || readErr != nil {
						err = errors.Join(err, readErr)
					}
				}
				require.ErrorIs(t, err, persistence.ErrCorrupt)
				require.ErrorContains(t, err, c.reason)
			})
		}
	})

	t.Run("a flipped bit is an error or not seen, and never a panic or a hole", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "journal.db")
		j, err := Open(t.Context(), Config{Path: path})
		require.NoError(t, err)
		for i := range 40 {
			outcomes, err := j.Append(t.Context(), addition(persistence.StreamID(fmt.Sprintf("a-%d", i%7)), persistence.Any, "1", "2"))
			require.NoError(t, err)
			require.NoError(t, outcomes[0].Err)
		}
		require.NoError(t, j.Close())
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		told := 0
		for _, at := range places(len(whole)) {
			flipped := append([]byte(nil), whole...)
			flipped[at] ^= 1 << (at % 8)
			require.NoError(t, os.WriteFile(path, flipped, 0o600))
			if err := readThrough(t, path); err != nil {
				told++
				require.True(t, errors.Is(err, persistence.ErrCorrupt) || errors.Is(err, persistence.ErrUnavailable) ||
					errors.Is(err, persistence.ErrInvalid) || errors.Is(err, persistence.ErrTables), "byte %d: %v", at, err)
			}
		}
		require.NotZero(t, told)
	})
}

// places are bytes of every page, most of them in its header.
func places(size int) (all []int) {
	for page := 0; page < size; page += 4096 {
		for _, at := range []int{0, 1, 3, 5, 6, 8, 11, 19, 40, 100, 2000, 4000} {
			all = append(all, page+at)
		}
	}
	return all
}

// readThrough opens a journal, reads it all and appends to it.
func readThrough(t *testing.T, path string) error {
	j, err := Open(t.Context(), Config{Path: path, Relaxed: true})
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // the file may be beyond that
	position := int64(0)
	for page, err := range j.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		if err != nil {
			return err
		}
		for _, recorded := range page.Events {
			position++
			require.Equal(t, position, recorded.Position.Offset)
		}
	}
	outcomes, err := j.Append(t.Context(), addition("a-1", persistence.Any, "3"))
	if err != nil {
		return err
	}
	return outcomes[0].Err
}
