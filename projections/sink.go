package projections

import (
	"context"
	"sync"

	"github.com/stele-es/stele/persistence"
)

// External is a target without transactions: a search index, a mail server, a message
// broker. Every event reaches its handler at least once. After a crash or a change of
// owners some events come again, with the same [Event.Key]; [EpochOf] distinguishes an
// old owner from a new one. The store keeps the checkpoints. While another version of the
// projection is the active one, handlers are not called at all.
func External[T any](to T, store Store) Target[T] { return external[T]{store, to} }

type external[T any] struct {
	Store
	to T
}

// Transact fulfils [Target] for Setup, Truncate and Drop, as far as there are
// transactions.
func (e external[T]) Transact(ctx context.Context, body func(context.Context, T, Book) error) error {
	return e.Update(ctx, func(ctx context.Context, book Book) error { return body(ctx, e.to, book) })
}

func (e external[T]) outward() bool { return true }

func (e external[T]) use(ctx context.Context, recorded *persistence.Recorded, handle func(context.Context, T, *persistence.Recorded) error) error {
	return handle(ctx, e.to, recorded)
}

// Memory is a target in memory, for tests and for small read models that are built again
// at each start of the program. A handler that returns an error must not have changed
// anything, because there is no rollback. Use [InMemory].
type Memory[M any] struct {
	*Books
	mu    sync.RWMutex // protects model
	model *M
}

// InMemory makes a target of a model, which belongs to it from then on. After a start the
// model is empty until its projection has caught up: wait for [Runner.CatchUp] before
// requests are served.
func InMemory[M any](model *M) *Memory[M] { return &Memory[M]{Books: new(Books), model: model} }

func (m *Memory[M]) empty() bool { return m.model == nil }

// View calls read with the model, which does not change meanwhile. It must neither
// change it nor keep anything of it that may. A handler has the model, and must not
// call View, which would wait for that handler.
func (m *Memory[M]) View(read func(*M)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	read(m.model)
}

// Transact fulfils [Target] for Setup, Truncate and Drop.
func (m *Memory[M]) Transact(ctx context.Context, body func(context.Context, *M, Book) error) error {
	return m.Update(ctx, func(ctx context.Context, book Book) error {
		if err := m.lock(ctx); err != nil {
			return err
		}
		defer m.mu.Unlock()
		return body(ctx, m.model, book)
	})
}

// use keeps readers out for one event, not for a page.
func (m *Memory[M]) use(ctx context.Context, recorded *persistence.Recorded, handle func(context.Context, *M, *persistence.Recorded) error) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	return handle(ctx, m.model, recorded)
}

// lock waits for readers as long as ctx lasts.
func (m *Memory[M]) lock(ctx context.Context) error {
	if m.mu.TryLock() {
		return nil
	}
	locked := make(chan struct{})
	go func() { // ends when the readers of now have ended
		m.mu.Lock()
		close(locked)
	}()
	select {
	case <-locked:
		return nil
	case <-ctx.Done():
		go func() { // ends behind the one above
			<-locked
			m.mu.Unlock()
		}()
		return context.Cause(ctx)
	}
}

func (m *Memory[M]) outward() bool { return false }
