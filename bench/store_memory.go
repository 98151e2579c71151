package main

import (
	"context"
	"sync"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// memoryStore keeps journals until they are dropped.
type memoryStore struct {
	rows   *rows
	spaces map[string]*memory.Journal
}

func openMemory(context.Context, settings) (store, error) {
	return &memoryStore{rows: newRows(), spaces: map[string]*memory.Journal{}}, nil
}

func (m *memoryStore) about() string { return "in this process, not durable" }

func (m *memoryStore) open(_ context.Context, space string) (journal, error) {
	if m.spaces[space] == nil {
		m.spaces[space] = new(memory.Journal)
	}
	return kept{m.spaces[space]}, nil
}

// kept is a journal that can be opened again, with its events.
type kept struct{ *memory.Journal }

func (kept) Close() error { return nil }

func (m *memoryStore) drop(_ context.Context, space string) error {
	delete(m.spaces, space)
	return nil
}

func (m *memoryStore) close(context.Context) error {
	clear(m.spaces)
	return nil
}

func (m *memoryStore) rivals() []rival {
	return []rival{{name: "slice", aims: map[int]aim{4096: none, 256: none, 16: none, 1: none}, run: m.slice}}
}

// slice is the least that a journal in memory must do: append each event under a
// lock.
func (m *memoryStore) slice(_ context.Context, writers int, window time.Duration) (load, error) {
	s, lanes := &slice{}, newLanes("bench", writers)
	if writers > 1 {
		return pump(s, lanes, m.rows.event, during(window))
	}
	w := newWriter(s, lanes, m.rows.exactly)
	return single(window, w.append)
}

// slice fulfils persistence.Submitter. It grows without copying what it holds.
type slice struct {
	mu     sync.Mutex // protects chunks
	chunks [][]persistence.Event
}

func (s *slice) Submit(a persistence.Append, _ *persistence.Chain, done func(persistence.Outcome)) error {
	s.mu.Lock()
	if n := len(s.chunks); n == 0 || len(s.chunks[n-1]) == cap(s.chunks[n-1]) {
		s.chunks = append(s.chunks, make([]persistence.Event, 0, 128))
	}
	last := &s.chunks[len(s.chunks)-1]
	*last = append(*last, a.Events...)
	s.mu.Unlock()
	done(persistence.Outcome{Last: persistence.Version(a.Expected) + persistence.Version(len(a.Events))})
	return nil
}
