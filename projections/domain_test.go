package projections_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// added is the event of the tests: a number is added to what a stream has.
type added struct{ N int }

func (added) MessageName() string { return "added" }

// noise is an event that nobody handles.
type noise struct{}

func (noise) MessageName() string { return "noise" }

// sums is the read model of the tests: what each stream has, and every event with
// how often it came.
type sums struct {
	Of   map[string]int
	Seen []string
}

func (s *sums) add(e projections.Event[added]) {
	if s.Of == nil {
		s.Of = map[string]int{}
	}
	s.Of[string(e.Stream)] += e.Data.N
	s.Seen = append(s.Seen, fmt.Sprintf("%s@%d", e.Stream, e.Version))
}

func inMemory(_ context.Context, s *sums, e projections.Event[added]) error {
	s.add(e)
	return nil
}

func inState(_ context.Context, s *projections.State[sums], e projections.Event[added]) error {
	s.Value.add(e)
	return nil
}

// world is a journal with verbs that fail the test.
type world struct {
	*memory.Journal
	t  *testing.T
	id persistence.JournalID // of the journal that this one is restored from
}

// Identity is that of the journal, or of the one that it is restored from.
func (w world) Identity() persistence.JournalID {
	if w.id != (persistence.JournalID{}) {
		return w.id
	}
	return w.Journal.Identity()
}

// virtually runs a test in virtual time.
func virtually(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, world{Journal: new(memory.Journal), t: t})
	})
}

func (w world) another() *memory.Journal { return new(memory.Journal) }

// add appends numbers to a stream and returns the position of the last.
func (w world) add(stream persistence.StreamID, numbers ...int) persistence.Position {
	w.t.Helper()
	append := persistence.Append{Stream: stream, Expected: persistence.Any}
	for _, n := range numbers {
		append.Events = appendEvent(append.Events, "added", added{n})
	}
	return w.store(append)
}

func appendEvent(events []persistence.Event, name string, message any) []persistence.Event {
	payload, _ := json.Marshal(message)
	return append(events, persistence.Event{Type: name, Payload: payload})
}

func (w world) store(a persistence.Append) persistence.Position {
	w.t.Helper()
	outcomes, err := w.Append(w.t.Context(), a)
	require.NoError(w.t, err)
	require.NoError(w.t, outcomes[0].Err)
	position := outcomes[0].Position
	position.Offset += int64(len(a.Events)) - 1
	return position
}

// run runs projections until the returned function or the test ends.
func (w world) run(config projections.Config, all ...projections.Projection) (*projections.Runner, func()) {
	w.t.Helper()
	if config.Journal == nil {
		config.Journal = w
	}
	config.Projections = all
	runner, err := projections.New(config)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := runner.Run(ctx); err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	stop := func() {
		cancel()
		running.Wait()
	}
	w.t.Cleanup(stop)
	return runner, stop
}

// settle waits until nothing goes on.
func settle() { synctest.Wait() }

func (w world) waitFor(r *projections.Runner, name string, position persistence.Position) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	require.NoError(w.t, r.WaitFor(ctx, name, position))
}

var errBroken = errors.New("broken on purpose")
