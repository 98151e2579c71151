// Package turn lets transactions of one store come one after the other.
//
//	inside, leave, err := t.Take(ctx)
//	if err != nil { … }
//	defer leave()
//	… // with inside as the context of the transaction
//
// It knows no store.
package turn

import (
	"context"
	"sync"

	"github.com/stele-es/stele/persistence"
)

// Turn is a lock whose waiters leave with their contexts, and which refuses at once
// whoever would wait for itself. The zero Turn is free.
type Turn struct {
	once sync.Once
	room chan struct{}
}

// key marks the context of whoever has the turn.
type key struct{ turn *Turn }

// Take waits for the turn as long as ctx lasts. Its holder calls leave, and passes
// inside on. A context that comes from inside is [*persistence.InvalidError].
func (t *Turn) Take(ctx context.Context) (inside context.Context, leave func(), err error) {
	t.once.Do(func() { t.room = make(chan struct{}, 1) })
	switch {
	case t.Holds(ctx):
		return nil, nil, &persistence.InvalidError{
			Field: "context", Reason: "is that of a transaction of the same store, which the new one would wait for: use the transaction that is open, or ask from outside of it",
		}
	case ctx.Err() != nil:
		return nil, nil, &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
	}
	select {
	case t.room <- struct{}{}:
		return context.WithValue(ctx, key{t}, true), func() { <-t.room }, nil
	case <-ctx.Done():
		return nil, nil, &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
	}
}

// Holds reports whether a context comes from inside.
func (t *Turn) Holds(ctx context.Context) bool { return ctx.Value(key{t}) != nil }
