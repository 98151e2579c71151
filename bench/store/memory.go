package store

import (
	"context"
	"sync"
	"time"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// memoryStore keeps journals until they are dropped.
type memoryStore struct {
	rows   *load.Rows
	spaces map[string]*memory.Journal
}

func openMemory(context.Context, Settings) (Store, error) {
	return &memoryStore{rows: load.NewRows(), spaces: map[string]*memory.Journal{}}, nil
}

func (m *memoryStore) About() string { return "in this process, not durable" }

func (m *memoryStore) Open(_ context.Context, space string) (Journal, error) {
	if m.spaces[space] == nil {
		m.spaces[space] = new(memory.Journal)
	}
	return kept{m.spaces[space]}, nil
}

// kept is a journal that can be opened again, with its events.
type kept struct{ *memory.Journal }

func (kept) Close() error { return nil }

func (m *memoryStore) Drop(_ context.Context, space string) error {
	delete(m.spaces, space)
	return nil
}

func (m *memoryStore) Close(context.Context) error {
	clear(m.spaces)
	return nil
}

func (m *memoryStore) Rivals() []Rival {
	return []Rival{{Name: "slice", Is: "a slice that is appended to under a lock", Aims: map[int]measure.Aim{4096: measure.None, 256: measure.None, 16: measure.None, 1: measure.None}, Run: m.slice}}
}

// slice is the least that a journal in memory must do: append each event under a
// lock.
func (m *memoryStore) slice(_ context.Context, writers int, window time.Duration) (load.Result, error) {
	s, lanes := &slice{}, load.NewLanes("bench", writers)
	if writers > 1 {
		return load.Pump(s, lanes, m.rows.Event, load.During(window))
	}
	w := load.NewWriter(s, lanes, m.rows.Exactly)
	return load.Single(window, w.Append)
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

// SelectStream fulfils [Selector].
func (m *memoryStore) SelectStream(ctx context.Context, space, stream string, each func(string, []byte) error) error {
	for e, err := range m.spaces[space].Read(ctx, persistence.StreamID(stream), persistence.ReadOptions{}) {
		if err == nil {
			err = each(e.Type, e.Payload)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// SelectAll fulfils [Selector].
func (m *memoryStore) SelectAll(ctx context.Context, space string, each func(string, []byte) error) error {
	for page, err := range m.spaces[space].ReadAll(ctx, persistence.ReadAllOptions{}) {
		if err != nil {
			return err
		}
		for i := range page.Events {
			if err := each(page.Events[i].Type, page.Events[i].Payload); err != nil {
				return err
			}
		}
	}
	return nil
}
