package postgres_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
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
			url := pgtest.URL(t)
			log := endingLog{slog.DiscardHandler, end, new(atomic.Int64)}
			journal := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed, ResolveTimeout: 100 * time.Millisecond, Logger: slog.New(log)})
			require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)
			opened := log.lines.Load()

			endSessions(t, url)
			_ = appendOne(t, journal, "a-1", persistence.Any, "on the connection that has ended")

			eventually(t, 10*time.Second, "it stores", func() bool { return appendOne(t, journal, "a-1", persistence.Any, "y").Err == nil })
			require.Greater(t, log.lines.Load(), opened)
		})
	}
}
