package sqlite

import (
	"context"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stele-es/stele/persistence"
)

// endingLog counts the lines that it gets, and does not return.
type endingLog struct {
	slog.Handler
	end   func()
	lines *atomic.Int64
}

func (endingLog) Enabled(context.Context, slog.Level) bool { return true }

func (l endingLog) Handle(context.Context, slog.Record) error {
	l.lines.Add(1)
	l.end()
	return nil
}

func TestALoggerThatDoesNotReturnEndsNoJournal(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("secret") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := endingLog{slog.DiscardHandler, end, new(atomic.Int64)}
			j, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "journal.db"), Logger: slog.New(log)})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, j.Close()) })
			o := opened{j, t, nil}

			o.failCommit(sqlite3.SQLITE_IOERR, false)
			_ = o.append("a-1", persistence.Any, "lost")

			require.NoError(t, o.append("a-1", persistence.Any, "stored").Err)
			require.Equal(t, []string{"stored"}, o.payloads())
			require.Positive(t, log.lines.Load())
		})
	}
}
