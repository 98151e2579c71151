package inline_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections/internal/inline"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(m)
}

// journal is the memory journal with models in its transactions.
type journal struct {
	*memory.Journal
	queue *inline.Queue[persistence.Transaction]
	// apply is what the models do, and commit what becomes of the commit.
	apply  func(*persistence.Append) error
	commit func() error
}

func open() *journal {
	j := &journal{
		Journal: new(memory.Journal), apply: func(*persistence.Append) error { return nil }, commit: func() error { return nil },
	}
	j.queue = inline.New[persistence.Transaction](store{j})
	return j
}

func (j *journal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if err := appender.Outside(ctx, j.Journal); err != nil { // that of a transaction on the journal behind
		return nil, err
	}
	return j.queue.Append(ctx, appends...)
}

func (j *journal) Submit(append persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	return j.queue.Submit(append, chain, done)
}

func (j *journal) Close() error {
	j.queue.Close()
	return j.Journal.Close()
}

// store makes transactions of those of the memory journal.
type store struct{ journal *journal }

func (s store) Transact(ctx context.Context, body func(context.Context, persistence.Transaction) error) error {
	var refused error
	err := s.journal.Transact(ctx, func(ctx context.Context, tx persistence.Transaction) error {
		if refused = body(ctx, tx); refused != nil {
			return refused
		}
		return s.journal.commit()
	})
	if refused != nil {
		return &inline.RefusedError{Err: refused}
	}
	return err
}

func (s store) AppendTx(_ context.Context, tx persistence.Transaction, appends ...persistence.Append) ([]persistence.Outcome, error) {
	return tx.Append(appends...)
}

func (s store) Apply(_ context.Context, _ persistence.Transaction, appends []persistence.Append, _ []persistence.Outcome) error {
	for i := range appends {
		if err := s.journal.apply(&appends[i]); err != nil {
			return err
		}
	}
	return nil
}

// A journal with projections in its transactions is a journal.
func TestJournal(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(testing.TB) persistence.Journal { return open() })
}

func event(stream string, types ...string) persistence.Append {
	a := persistence.Append{Stream: persistence.StreamID(stream), Expected: persistence.Any}
	for _, name := range types {
		a.Events = append(a.Events, persistence.Event{Type: name})
	}
	return a
}

// What is refused is stored apart from the rest, and each append is refused for
// itself: with the error of its handler, or as rejected when that says nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	j := open()
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	errNo, errFull := errors.New("no"), &persistence.UnavailableError{Reason: "full", Overloaded: true}
	j.apply = func(a *persistence.Append) error {
		switch a.Events[0].Type {
		case "bad":
			return errNo
		case "full":
			return errFull
		}
		return nil
	}

	outcomes, err := j.Append(t.Context(), event("a-1", "good"), event("a-2", "bad"), event("a-3", "good"), event("a-4", "full"), event("a-5", "good"))

	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	require.ErrorIs(t, outcomes[1].Err, errNo)
	require.ErrorIs(t, outcomes[1].Err, persistence.ErrRejected)
	require.NoError(t, outcomes[2].Err)
	require.ErrorIs(t, outcomes[3].Err, persistence.ErrOverloaded)
	require.NoError(t, outcomes[4].Err)
	head, err := j.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{3}, head)
}

// Of appends that were joined because each builds on the one before, those before
// the one that is refused are stored, and those behind it fail with it.
func TestChain(t *testing.T) {
	t.Parallel()
	j := open()
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	errNo, began, goOn := errors.New("no"), make(chan struct{}), make(chan struct{})
	j.apply = func(a *persistence.Append) error {
		for i := range a.Events {
			switch a.Events[i].Type {
			case "first":
				close(began)
				<-goOn
			case "bad":
				return errNo
			}
		}
		return nil
	}
	_, outcomes := j.submit(t, "b-1", "first")
	<-began // what comes now is joined
	chain, chained := j.submit(t, "a-1", "good", "good", "bad", "good")
	close(goOn)

	require.NoError(t, (<-outcomes).Err)
	require.Equal(t, persistence.Version(1), (<-chained).Last)
	require.Equal(t, persistence.Version(2), (<-chained).Last)
	require.ErrorIs(t, (<-chained).Err, errNo)
	require.ErrorIs(t, (<-chained).Err, errNo)
	require.ErrorIs(t, chain.Err(), errNo)
	count, err := j.Count(t.Context(), "a-1", persistence.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, 2, count)
}

// submit lets one writer append one event after the other, without waiting.
func (j *journal) submit(t *testing.T, stream string, types ...string) (*persistence.Chain, chan persistence.Outcome) {
	chain, outcomes := new(persistence.Chain), make(chan persistence.Outcome, len(types))
	for i, name := range types {
		a := event(stream, name)
		a.Expected = persistence.Exact(persistence.Version(i))
		require.NoError(t, j.Submit(a, chain, func(o persistence.Outcome) { outcomes <- o }))
	}
	return chain, outcomes
}

// A commit of which nobody knows is unknown to all whose appends it would have
// stored, and names only ids that were chosen by them.
func TestUnknown(t *testing.T) {
	t.Parallel()
	j := open()
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	errCut := &persistence.UnavailableError{Reason: "the line was cut"}
	j.commit = func() error { return &inline.UnknownError{Err: errCut} }
	named := event("a-2", "t")
	named.Events[0].ID = persistence.NewEventID()

	outcomes, err := j.Append(t.Context(), event("a-1", "t"), named)

	require.NoError(t, err)
	for i, ids := range [][]persistence.EventID{nil, {named.Events[0].ID}} {
		unknown, ok := errors.AsType[*persistence.UnknownOutcomeError](outcomes[i].Err)
		require.True(t, ok)
		require.ErrorContains(t, unknown, "the line was cut")
		require.Equal(t, ids, unknown.IDs)
	}
	j.commit = func() error { return errCut }
	outcomes, err = j.Append(t.Context(), event("a-1", "t"), event("a-3", "t"))
	require.NoError(t, err)
	for i := range outcomes {
		require.ErrorIs(t, outcomes[i].Err, persistence.ErrUnavailable)
	}
}

// A handler that ends its goroutine refuses its append; the queue and the appends beside
// it go on.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	j := open()
	defer func() { require.NoError(t, j.Close()) }()
	j.apply = func(a *persistence.Append) error {
		if a.Stream == "bad-1" {
			runtime.Goexit()
		}
		return nil
	}
	one := func(stream persistence.StreamID) persistence.Append {
		return persistence.Append{Stream: stream, Expected: persistence.Any, Events: []persistence.Event{{Type: "t"}}}
	}

	outcomes, err := j.Append(t.Context(), one("a-1"), one("bad-1"), one("a-2"))

	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	require.ErrorIs(t, outcomes[1].Err, persistence.ErrRejected)
	require.ErrorContains(t, outcomes[1].Err, "runtime.Goexit")
	require.NoError(t, outcomes[2].Err)
	_, err = j.Stream(t.Context(), "bad-1")
	require.ErrorIs(t, err, persistence.ErrStreamNotFound)
}
