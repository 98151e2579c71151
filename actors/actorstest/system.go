// Package actorstest starts whole systems for tests: real actors, a real journal,
// and in a bubble of testing/synctest a clock of their own.
//
//	synctest.Test(t, func(t *testing.T) {
//		system := actorstest.Start(t, bank.Accounts)
//		_, err := bank.Deposit.Ask(t.Context(), system, "ann", &bankpb.Deposit{Cents: 100})
//		…
//		system.Crash() // what was acknowledged is still there
//		require.Equal(t, …, system.Events("account-ann"))
//	})
//
// [Faulty] is a journal on which things go wrong, and a [Simulation] runs a whole
// story on it for many seeds, each of which can be run again.
//
// A single decision needs less: the given/when/then kit belongs to the command it
// asks, see [actors.Command.Given].
//
// The package knows no other journal than the one in memory; a test of another
// brings its own.
package actorstest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// TB is the part of a test that a system needs: *testing.T, *testing.B or *rapid.T.
// Fatalf must not return.
type TB interface {
	Helper()                           // marks the caller as a helper
	Fatalf(format string, args ...any) // fails the test and ends its goroutine
	Cleanup(func())                    // is called at the end of the test, the last first
	Context() context.Context          // ends before the functions of Cleanup are called
}

// System is a running system of one test. It fulfils [actors.Asker] and is safe
// for concurrent use, but for Restart.
type System struct {
	t       TB
	config  actors.Config
	running atomic.Pointer[actors.System]
	cut     *cut // between the running system and its journal
	books   projections.Books
	runner  *projections.Runner // delivers events to those who react, if there are any
	tasks   *lifecycle.Group
	look    persistence.Journal // the journal without what goes wrong in it
}

// Start starts a system on a new journal in memory. It ends with the test, which
// fails when it cannot: see [System.Stop].
func Start(t TB, aggregates ...actors.Definition) *System {
	t.Helper()
	return StartWith(t, actors.Config{Aggregates: aggregates})
}

// StartWith is Start with all that can be configured. A journal in the
// configuration stays open when the system ends; without one it has a new journal
// in memory.
func StartWith(t TB, config actors.Config) *System {
	t.Helper()
	if config.Journal == nil {
		config.Journal = new(memory.Journal)
	}
	s := &System{t: t, config: config, look: config.Journal}
	s.open()
	t.Cleanup(s.Stop)
	return s
}

func (s *System) open() {
	s.t.Helper()
	config := s.config
	s.cut = &cut{Journal: s.config.Journal}
	config.Journal = s.cut
	config.Delivering, config.ProveMessages, config.ShowPanics = true, true, true
	running, err := actors.Open(s.t.Context(), config)
	if err != nil {
		s.t.Fatalf("start the system: %v", err)
	}
	s.running.Store(running)
	s.deliver(running)
}

// Ask fulfils [actors.Asker]; tests call Ask on a command.
func (s *System) Ask(ctx context.Context, request actors.Request) (any, error) {
	return s.running.Load().Ask(ctx, request)
}

// Stats returns the counters since the last start.
func (s *System) Stats() actors.Stats { return s.running.Load().Stats() }

// Health says how the parts of the running system are; see [actors.System.Health].
func (s *System) Health() []actors.Health { return s.running.Load().Health() }

// Parked returns the parked commands of the running system; see [actors.System.Parked].
func (s *System) Parked() []actors.Parked { return s.running.Load().Parked() }

// Retry ends what an aggregate waits for; see [actors.System.Retry].
func (s *System) Retry(kind, id string) bool { return s.running.Load().Retry(kind, id) }

// Decode returns a stored event as the aggregate's On gets it.
func (s *System) Decode(recorded persistence.Recorded) (any, error) {
	return s.running.Load().Decode(recorded)
}

// Journal returns the journal of the system.
func (s *System) Journal() persistence.Journal { return s.look }

// Stop ends the system as a program would: commands under way are answered. It
// stops the test when that takes longer than a minute. It may be called more than
// once, and is at the end of the test.
func (s *System) Stop() {
	s.t.Helper()
	// The test's own context is over when it cleans up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Minute)
	defer cancel()
	err := s.running.Load().Close(ctx)
	if s.tasks != nil {
		err = errors.Join(err, s.tasks.Stop(ctx))
	}
	if err != nil {
		s.t.Fatalf("stop the system: %v", err)
	}
}

// Restart stops the system and starts it on the same journal, so that every
// aggregate comes back from what is stored.
func (s *System) Restart() {
	s.t.Helper()
	s.Stop()
	s.open()
}

// Events are the events of one stream as the aggregate's On methods get them,
// oldest first: none when the stream does not exist. Those of the system itself
// are left out.
func (s *System) Events(stream persistence.StreamID) []any {
	s.t.Helper()
	var events []any
	for recorded, err := range s.look.Read(s.t.Context(), stream, persistence.ReadOptions{}) {
		switch {
		case errors.Is(err, persistence.ErrStreamNotFound):
			return nil
		case err != nil:
			s.t.Fatalf("read %s: %v", stream, err)
		case strings.HasPrefix(recorded.Type, "$"):
			continue
		}
		event, err := s.running.Load().Decode(recorded)
		if err != nil {
			s.t.Fatalf("decode version %d of %s: %v", recorded.Version, stream, err)
		}
		events = append(events, event)
	}
	return events
}
