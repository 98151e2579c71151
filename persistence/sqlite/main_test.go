package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/sqlite"
)

// roles are what this program does as a child of its tests.
var roles = map[string]killtest.Role{"append": appendForEver}

func TestMain(m *testing.M) {
	killtest.Main(roles)
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(m)
}

// appendForEver opens the journal and appends to it until it is killed. It prints a line
// for every append that was acknowledged, after one that says it has begun.
func appendForEver(ctx context.Context, arguments []string) error {
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: arguments[0]})
	if err != nil {
		return err
	}
	var printing sync.Mutex
	say := func(format string, args ...any) {
		printing.Lock()
		defer printing.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", args...) // it is not buffered
	}
	say("begun %d", os.Getpid())
	failed := make(chan error)
	for writer := range childWriters {
		write := childAppend
		if writer%3 == 1 {
			write = childTransact
		}
		go func() {
			for {
				if err := write(ctx, journal, writer, say); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

const childWriters = 6

// childAppend appends one to three events that say whose they are; every third
// writer names them.
func childAppend(ctx context.Context, journal *sqlite.Journal, writer int, say func(string, ...any)) error {
	stream := persistence.StreamID(fmt.Sprintf("writer-%d", writer))
	first := persistence.NewEventID()
	events := make([]persistence.Event, 1+int(first[15])%3)
	for i := range events {
		events[i] = persistence.Event{Type: "written", Payload: fmt.Appendf(nil, "%s/%d", first, i)}
		if writer%3 == 0 {
			events[i].ID = persistence.NewEventID()
		}
	}
	outcomes, err := journal.Append(ctx, persistence.Append{Stream: stream, Expected: persistence.Any, Events: events})
	if err != nil {
		return err
	}
	if outcomes[0].Err != nil {
		return outcomes[0].Err
	}
	say("%s %d %d %d %s", stream, outcomes[0].First, outcomes[0].Last, outcomes[0].Position.Offset, first)
	return nil
}

// childTransact appends the same number of events to two streams in a transaction,
// of which some are rolled back.
func childTransact(ctx context.Context, journal *sqlite.Journal, writer int, say func(string, ...any)) error {
	labels := [2]persistence.EventID{persistence.NewEventID(), persistence.NewEventID()}
	var appends [2]persistence.Append
	for i, label := range labels {
		appends[i] = persistence.Append{Stream: persistence.StreamID(fmt.Sprintf("writer-%d-%d", writer, i)), Expected: persistence.Any}
		for k := range 1 + int(labels[0][15])%3 {
			appends[i].Events = append(appends[i].Events, persistence.Event{Type: "written", Payload: fmt.Appendf(nil, "%s/%d", label, k)})
		}
	}
	var outcomes []persistence.Outcome
	back := errors.New("changed his mind")
	err := journal.Transact(ctx, func(_ context.Context, tx persistence.Transaction) error {
		for i := range appends {
			more, err := tx.Append(appends[i])
			if err != nil {
				return err
			}
			outcomes = append(outcomes, more...)
		}
		if labels[1][15]%4 == 0 {
			return back
		}
		return nil
	})
	if errors.Is(err, back) {
		return nil
	}
	for i, o := range outcomes {
		if err == nil {
			say("%s %d %d %d %s", appends[i].Stream, o.First, o.Last, o.Position.Offset, labels[i])
		}
	}
	return err
}

// startChild starts a process that appends to the file, and returns when it has begun.
func startChild(t testing.TB, path string) *killtest.Child {
	t.Helper()
	child := killtest.Start(t, "append", path)
	_, begun := child.Line()
	require.True(t, begun, "the child has begun")
	return child
}

func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "journal.db")
}

func open(t testing.TB, path string) *sqlite.Journal {
	t.Helper()
	journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	return journal
}
