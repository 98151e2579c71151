package journaltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// ledger records the outcomes that writers got, to compare them with the journal at the
// end. The texts of all notes must differ.
type ledger struct {
	mu        sync.Mutex
	entries   []entry
	deletions []deletion
}

// deletion is the outcome of a deletion.
type deletion struct {
	stream  persistence.StreamID
	version persistence.Version
	err     error
}

type entry struct {
	stream  persistence.StreamID
	texts   []string
	outcome persistence.Outcome
}

// write records the outcome of an append of notes.
func (l *ledger) write(stream persistence.StreamID, events []persistence.Event, outcome persistence.Outcome) {
	e := entry{stream: stream, outcome: outcome}
	for i := range events {
		e.texts = append(e.texts, string(events[i].Payload))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
}

// attempt appends notes and records the outcome.
func (l *ledger) attempt(j journal, stream persistence.StreamID, expected persistence.Expected, events ...persistence.Event) persistence.Outcome {
	outcomes, err := j.Append(j.ctx, persistence.Append{Stream: stream, Expected: expected, Events: events})
	outcome := persistence.Outcome{Err: err}
	if err == nil {
		outcome = outcomes[0]
	}
	l.write(stream, events, outcome)
	return outcome
}

// delete deletes a stream and records the outcome.
func (l *ledger) delete(j journal, stream persistence.StreamID, expected persistence.Expected) error {
	version, err := j.Delete(j.ctx, stream, expected)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deletions = append(l.deletions, deletion{stream, version, err})
	return err
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

// forget turns every failure into an unknown outcome, because a process that has died
// gets no answers.
func (l *ledger) forget() {
	for i := range l.entries {
		e := &l.entries[i]
		if e.outcome.Err != nil {
			e.outcome.Err = &persistence.UnknownOutcomeError{Stream: e.stream, Err: e.outcome.Err}
		}
	}
	for i := range l.deletions {
		if d := &l.deletions[i]; d.err != nil {
			d.err = &persistence.UnknownOutcomeError{Stream: d.stream, Err: d.err}
		}
	}
}

// verify requires that the journal holds what the writers were told: each acknowledged
// event once, at its place; no refused event; all events or none of an append with
// unknown outcome; and a tombstone where a deletion said so. All writers have ended.
func (l *ledger) verify(j journal) {
	j.t.Helper()
	all := j.all()
	found := map[string]persistence.Recorded{}
	versions, tombstones := map[persistence.StreamID]persistence.Version{}, map[persistence.StreamID][]persistence.Version{}
	for _, recorded := range all {
		versions[recorded.Stream]++
		require.Equal(j.t, versions[recorded.Stream], recorded.Version, "versions of %s have no gap", recorded.Stream)
		if recorded.Type == persistence.TypeDeleted {
			tombstones[recorded.Stream] = append(tombstones[recorded.Stream], recorded.Version)
			continue
		}
		text := string(recorded.Payload)
		_, twice := found[text]
		require.False(j.t, twice, "no event is stored twice: %q", text)
		found[text] = recorded
	}
	known := 0
	for i := range l.entries {
		known += l.entries[i].verify(j.t, found)
	}
	require.Len(j.t, found, known, "every event in the journal was written by a writer of this case")
	l.verifyDeletions(j.t, tombstones)
	for stream, version := range versions {
		begin := persistence.Version(1)
		if deleted := tombstones[stream]; len(deleted) > 0 {
			begin = deleted[len(deleted)-1] + 1
		}
		verifyLife(j, stream, version, begin, all)
	}
}

func (l *ledger) verifyDeletions(t tester, tombstones map[persistence.StreamID][]persistence.Version) {
	t.Helper()
	told, unknown := map[persistence.StreamID][]persistence.Version{}, 0
	for _, d := range l.deletions {
		switch {
		case d.err == nil:
			told[d.stream] = append(told[d.stream], d.version)
		case errors.Is(d.err, persistence.ErrUnknownOutcome):
			unknown++
		}
	}
	for stream, versions := range told {
		for _, version := range versions {
			require.Contains(t, tombstones[stream], version, "%s was deleted, so that it has a tombstone at that version", stream)
		}
	}
	for stream, versions := range tombstones {
		unknown -= len(versions) - len(told[stream])
	}
	require.GreaterOrEqual(t, unknown, 0, "every tombstone belongs to a deletion of this case")
}

// verifyLife requires that a stream shows the same events as the global sequence, from its
// first version on, and that it exists when something follows its tombstone.
func verifyLife(j journal, stream persistence.StreamID, version, begin persistence.Version, all []persistence.Recorded) {
	j.t.Helper()
	info, err := j.Stream(j.ctx, stream)
	if err != nil {
		require.ErrorIs(j.t, err, persistence.ErrStreamNotFound)
		require.Less(j.t, version, begin, "%s has events, so that it exists", stream)
		j.missing(stream)
		return
	}
	require.Equal(j.t, []persistence.Version{version, begin}, []persistence.Version{info.Version, info.Begin}, "version and begin of %s", stream)
	require.GreaterOrEqual(j.t, info.First, begin)
	readable := slices.DeleteFunc(slices.Clone(all), func(r persistence.Recorded) bool { return r.Stream != stream || r.Version < info.First })
	require.True(j.t, samePlain(readable, j.events(stream)), "stream %s of %d events is the same in the global sequence", stream, version)
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
		require.Equal(t, len(e.texts), stored, "acknowledged events are stored: %v", e.texts)
	case errors.Is(err, persistence.ErrUnknownOutcome):
		require.True(t, stored == 0 || stored == len(e.texts), "an append of unknown outcome is stored whole or not at all: %v", e.texts)
	default:
		require.Zero(t, stored, "refused events are not stored: %v: %v", e.texts, err)
	}
	return stored
}

// labelled makes count notes whose texts name the writer and the attempt.
func labelled(writer, attempt, count int) []persistence.Event {
	return notes(fmt.Sprintf("writer %d attempt %d event", writer, attempt), count)
}
