package appender

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/stele-es/stele/persistence"
)

// wait gathers the outcomes of one call of [Queue.Append].
type wait struct {
	entries []entry
	done    chan struct{}

	mu      sync.Mutex // protects results, settled and open
	results []persistence.Outcome
	settled []bool
	open    int
}

func newWait(appends []persistence.Append) *wait {
	w := &wait{
		entries: make([]entry, len(appends)), done: make(chan struct{}), open: len(appends),
		results: make([]persistence.Outcome, len(appends)), settled: make([]bool, len(appends)),
	}
	for i := range appends {
		w.entries[i] = newEntry(clone(&appends[i]))
		w.entries[i].caller = w
		w.entries[i].done = func(o persistence.Outcome) { w.settle(i, o) }
	}
	if w.open == 0 {
		close(w.done)
	}
	return w
}

func (w *wait) settle(i int, o persistence.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.results[i], w.settled[i] = o, true
	if w.open--; w.open == 0 {
		close(w.done)
	}
}

// outcomes are the results so far. An append that is open is in a batch, and its caller
// left: it may be stored or not.
func (w *wait) outcomes(ctx context.Context) []persistence.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	results := make([]persistence.Outcome, len(w.results))
	for i := range results {
		if results[i] = w.results[i]; !w.settled[i] {
			results[i].Err = w.entries[i].unknown(context.Cause(ctx))
		}
	}
	return results
}

func (e *entry) unknown(cause error) error {
	ids := make([]persistence.EventID, len(e.append.Events))
	for i := range ids {
		ids[i] = e.append.Events[i].ID
	}
	return &persistence.UnknownOutcomeError{Stream: e.append.Stream, Expected: e.append.Expected, IDs: ids, Err: cause}
}

// clone copies an append with all its bytes, into one buffer.
func clone(a *persistence.Append) persistence.Append {
	size := 0
	for i := range a.Events {
		size += len(a.Events[i].Payload) + len(a.Events[i].Headers)
	}
	buffer := make([]byte, 0, size)
	own := func(data []byte) []byte {
		start := len(buffer)
		buffer = append(buffer, data...)
		return buffer[start:len(buffer):len(buffer)]
	}
	events := make([]persistence.Event, len(a.Events))
	for i := range a.Events {
		events[i] = a.Events[i]
		events[i].Payload, events[i].Headers = own(a.Events[i].Payload), own(a.Events[i].Headers)
		events[i].Metadata = maps.Clone(a.Events[i].Metadata)
		events[i].Tags = slices.Clone(a.Events[i].Tags)
	}
	return persistence.Append{Stream: a.Stream, Expected: a.Expected, Events: events}
}
