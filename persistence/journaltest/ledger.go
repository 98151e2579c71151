package journaltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// ledger is what writers were told about their appends, to be compared with what
// the journal holds in the end. The texts of all notes must differ.
type ledger struct {
	mu      sync.Mutex
	entries []entry
}

type entry struct {
	stream  persistence.StreamID
	texts   []string
	outcome persistence.Outcome
}

// write takes down the outcome of an append of notes.
func (l *ledger) write(stream persistence.StreamID, events []persistence.Event, outcome persistence.Outcome) {
	e := entry{stream: stream, outcome: outcome}
	for i := range events {
		e.texts = append(e.texts, string(events[i].Payload))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
}

// attempt appends notes and takes down what became of them.
func (l *ledger) attempt(j journal, stream persistence.StreamID, expected persistence.Expected, events ...persistence.Event) persistence.Outcome {
	outcomes, err := j.Append(j.ctx, persistence.Append{Stream: stream, Expected: expected, Events: events})
	outcome := persistence.Outcome{Err: err}
	if err == nil {
		outcome = outcomes[0]
	}
	l.write(stream, events, outcome)
	return outcome
}

// acknowledged counts the appends that were reported as stored.
func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := 0
	for i := range l.entries {
		if l.entries[i].outcome.Err == nil {
			count++
		}
	}
	return count
}

// forget makes every failure one whose outcome is unknown: a process that has
// died hears no reasons.
func (l *ledger) forget() {
	for i := range l.entries {
		e := &l.entries[i]
		if e.outcome.Err != nil {
			e.outcome.Err = &persistence.UnknownOutcomeError{Stream: e.stream, Err: e.outcome.Err}
		}
	}
}

// verify requires that the journal holds what the writers were told: each event
// that was acknowledged, once, at its place; none that was refused; of an unknown
// append all events or none. Nobody writes any more.
func (l *ledger) verify(j journal) {
	j.t.Helper()
	all := j.all()
	found := map[string]persistence.Recorded{}
	versions := map[persistence.StreamID]persistence.Version{}
	for _, recorded := range all {
		text := string(recorded.Payload)
		_, twice := found[text]
		require.False(j.t, twice, "stored twice: %q", text)
		found[text] = recorded
		versions[recorded.Stream]++
		require.Equal(j.t, versions[recorded.Stream], recorded.Version, "versions of %s have no gap", recorded.Stream)
	}
	known := 0
	for i := range l.entries {
		known += l.entries[i].verify(j.t, found)
	}
	require.Len(j.t, all, known, "events that nobody wrote")
	for stream, version := range versions {
		inSequence := slices.DeleteFunc(slices.Clone(all), func(r persistence.Recorded) bool { return r.Stream != stream })
		require.True(j.t, samePlain(inSequence, j.events(stream)), "stream %s of %d events is another in the global sequence", stream, version)
	}
}

// verify returns how many events of the entry are stored.
func (e *entry) verify(t tester, found map[string]persistence.Recorded) int {
	stored := 0
	for i, text := range e.texts {
		recorded, ok := found[text]
		if !ok {
			continue
		}
		stored++
		require.Equal(t, e.stream, recorded.Stream)
		if e.outcome.Err == nil {
			require.Equal(t, e.outcome.First+persistence.Version(i), recorded.Version, "the version of %q", text)
			require.Equal(t, e.outcome.Position.Offset+int64(i), recorded.Position.Offset, "the position of %q", text)
		}
	}
	err := e.outcome.Err
	switch {
	case err == nil:
		require.Equal(t, len(e.texts), stored, "acknowledged and lost: %v", e.texts)
	case errors.Is(err, persistence.ErrUnknownOutcome):
		require.True(t, stored == 0 || stored == len(e.texts), "stored in part: %v", e.texts)
	default:
		require.Zero(t, stored, "refused and stored: %v: %v", e.texts, err)
	}
	return stored
}

// labelled are count notes with a text of their own for each writer and attempt.
func labelled(writer, attempt, count int) []persistence.Event {
	return notes(fmt.Sprintf("writer %d attempt %d event", writer, attempt), count)
}
