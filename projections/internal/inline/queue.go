// Package inline appends events together with what read models make of them: the
// appends of many callers in one transaction, and each alone when they do not go
// together.
//
//	queue := inline.New(store)
//	outcomes, err := queue.Append(ctx, appends...)
//	queue.Close()
//
// It knows no database: who has one makes it a [Store].
package inline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// Store has transactions of T, in which events and rows are stored.
type Store[T any] interface {
	// Transact runs body in a transaction. The reason why body or the commit was refused
	// is a [RefusedError]; a commit of which nobody knows is an [UnknownError]; after any
	// other error nothing was done, and it says nothing about the body.
	Transact(ctx context.Context, body func(ctx context.Context, tx T) error) error
	// AppendTx appends in such a transaction.
	AppendTx(ctx context.Context, tx T, appends ...persistence.Append) ([]persistence.Outcome, error)
	// Apply changes the read models by what was appended there.
	Apply(ctx context.Context, tx T, appends []persistence.Append, outcomes []persistence.Outcome) error
}

// RefusedError is about what was to be stored.
type RefusedError struct {
	Err error // the cause
}

// Error fulfils error.
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *RefusedError) Unwrap() error { return e.Err }

// UnknownError is that of a commit that may have happened.
type UnknownError struct {
	Err error // the cause
}

// Error fulfils error.
func (e *UnknownError) Error() string { return e.Err.Error() }

// Unwrap returns why nobody knows.
func (e *UnknownError) Unwrap() error { return e.Err }

// Queue stores appends. Use [New].
type Queue[T any] struct {
	store   Store[T]
	queue   *appender.Queue
	stopped chan struct{} // closed when the queue's goroutine has ended
}

// limit is the time that a transaction may take.
const limit = 30 * time.Second

// New returns a queue that takes appends until Close.
func New[T any](store Store[T]) *Queue[T] {
	q := &Queue[T]{store: store, stopped: make(chan struct{})}
	q.queue = appender.New(appender.Config{Commit: q.commit})
	go q.run() // ends in Close
	return q
}

func (q *Queue[T]) run() {
	defer close(q.stopped)
	q.queue.Run()
}

// Close stores what was taken, and takes no more.
func (q *Queue[T]) Close() {
	q.queue.Close(context.Background()) //nolint:forbidigo // what was taken is stored or refused within the limit
	<-q.stopped
}

// Append fulfils [persistence.Appender].
func (q *Queue[T]) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if err := appender.Outside(ctx, q); err != nil { // a handler, which the append would wait for
		return nil, err
	}
	outcomes, err := q.queue.Append(ctx, appends...)
	for i := range outcomes {
		// The ids that the queue has given are not those that are stored.
		if unknown, ok := errors.AsType[*persistence.UnknownOutcomeError](outcomes[i].Err); ok && !appends[i].Named() {
			unknown.IDs = nil
		}
	}
	return outcomes, err
}

// Submit fulfils [persistence.Submitter].
func (q *Queue[T]) Submit(append persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	return q.queue.Submit(append, chain, done)
}

// commit stores a batch. Appends that were joined share their fate only as long as
// it is a good one.
func (q *Queue[T]) commit(batch *appender.Batch) {
	appends := make([]persistence.Append, len(batch.Items))
	for i := range batch.Items {
		appends[i] = asChosen(&batch.Items[i])
	}
	outcomes := make([]persistence.Outcome, len(appends))
	q.together(appends, outcomes)
	next := 0
	appender.Again(func() {
		for next < len(outcomes) {
			i := next
			next++
			_, refused := errors.AsType[*RefusedError](outcomes[i].Err)
			parts := batch.Parts(i)
			if !refused || len(parts) == 1 {
				outcomes[i].Err = answer(outcomes[i].Err)
				batch.Settle(i, outcomes[i])
				continue
			}
			batch.SettleParts(i, q.apart(parts))
		}
	})
}

// asChosen is an append with the ids of its events, if it was its writer who chose
// them.
func asChosen(item *appender.Item) persistence.Append {
	a := item.Append
	if item.Named {
		return a
	}
	a.Events = make([]persistence.Event, len(item.Events))
	for i := range a.Events {
		a.Events[i] = item.Events[i]
		a.Events[i].ID = persistence.EventID{}
	}
	return a
}

// together stores appends in one transaction. When something is refused it stores
// each half in one, so that in the end each append is refused for itself, when
// all that it was to follow is decided.
func (q *Queue[T]) together(appends []persistence.Append, outcomes []persistence.Outcome) {
	err := q.attempt(appends, outcomes)
	_, refused := errors.AsType[*RefusedError](err)
	if half := len(appends) / 2; refused && half > 0 {
		q.together(appends[:half], outcomes[:half])
		q.together(appends[half:], outcomes[half:])
		return
	}
	if err == nil {
		return
	}
	_, unknown := errors.AsType[*UnknownError](err)
	for i := range outcomes {
		outcomes[i] = persistence.Outcome{Err: err}
		if unknown {
			outcomes[i].Err = notKnown(&appends[i], err)
		}
	}
}

func (q *Queue[T]) attempt(appends []persistence.Append, outcomes []persistence.Outcome) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit) //nolint:forbidigo // the root of every commit: the end of one caller must not end those of others
	defer cancel()
	var away error
	var holding appender.Holding
	holding.Begin()
	defer holding.End()
	err := usercode.Call(func() error {
		return q.store.Transact(appender.Within(ctx, q, &holding), func(ctx context.Context, tx T) error {
			stored, err := q.store.AppendTx(ctx, tx, appends...)
			if err != nil {
				if class, _ := persistence.Classify(err); class.Retry && class.Effect == persistence.NotDone {
					away = err // no matter what is to be stored
				}
				return err
			}
			copy(outcomes, stored)
			return q.store.Apply(ctx, tx, appends, stored)
		})
	})
	if ended, ok := err.(*usercode.EndedError); ok { //nolint:errorlint // not what a handler has wrapped
		return &RefusedError{fmt.Errorf("a handler %w", ended)} // and its transaction was undone on the way
	}
	if away != nil {
		return away
	}
	return err
}

// apart stores appends of one chain one after the other, until one fails.
func (q *Queue[T]) apart(parts []appender.Item) []persistence.Outcome {
	outcomes := make([]persistence.Outcome, len(parts))
	for i := range parts {
		if i > 0 && outcomes[i-1].Err != nil {
			outcomes[i].Err = outcomes[i-1].Err
			continue
		}
		q.together([]persistence.Append{asChosen(&parts[i])}, outcomes[i:i+1])
		outcomes[i].Err = answer(outcomes[i].Err)
	}
	return outcomes
}

// answer returns the error that the caller gets.
func answer(err error) error {
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok {
		return err
	}
	if _, known := persistence.Classify(err); known {
		return refused.Err
	}
	return &persistence.Error{Kind: persistence.ErrRejected, Op: "project inline", Err: refused.Err}
}

func notKnown(a *persistence.Append, cause error) error {
	unknown := &persistence.UnknownOutcomeError{Stream: a.Stream, Expected: a.Expected, Err: fmt.Errorf("commit: %w", cause)}
	if a.Named() {
		for i := range a.Events {
			unknown.IDs = append(unknown.IDs, a.Events[i].ID)
		}
	}
	return unknown
}
