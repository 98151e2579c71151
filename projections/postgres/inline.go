package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/internal/inline"
)

// TxJournal is a journal that appends in a transaction of the caller's: that of
// package persistence/postgres.
type TxJournal interface {
	persistence.Journal
	persistence.PageReader
	persistence.Snapshots
	persistence.Schemas
	// AppendTx appends in the caller's transaction, which cannot be committed after an
	// error.
	AppendTx(ctx context.Context, tx pgx.Tx, appends ...persistence.Append) ([]persistence.Outcome, error)
	// Nudge says that somebody has committed events beside the journal.
	Nudge()
}

// InlineJournal is a journal whose appends change read models in the same transaction,
// see [projections.Definition.Inline]. Use [Inline] or [InlineBatched]. Host aggregates
// on this journal.
//
// Appends of many callers share one transaction and its flush. An append whose events
// a handler refuses is [persistence.ErrRejected] and stores nothing; those that were
// in the transaction with it are then stored without it, which costs them some more
// transactions.
//
// All other writers wait while the handlers work. With a statement for each event
// about half of the journal's appends are left when statements are queued, a third
// when each is a round trip: the bench projection measures it.
type InlineJournal struct {
	TxJournal
	queue *inline.Queue[pgx.Tx]
	store inlineStore
}

// Inline sets the read models up and returns a journal in front of another one, both
// of which its Close closes. The pool is of its database; one connection is enough.
// The read models begin with what is appended from then on.
func Inline(ctx context.Context, journal TxJournal, pool *pgxpool.Pool, definitions ...*projections.Definition[pgx.Tx]) (*InlineJournal, error) {
	models := inline.Definitions[pgx.Tx](definitions)
	return inlined(ctx, journal, pool, models.Check(ctx), models.SetUp, models.Apply)
}

// InlineBatched is Inline for handlers that queue statements, which are sent together
// behind the appends: about twice as fast, where they need not see what they find.
func InlineBatched(ctx context.Context, journal TxJournal, pool *pgxpool.Pool, definitions ...*projections.Definition[*pgx.Batch]) (*InlineJournal, error) {
	models := inline.Definitions[*pgx.Batch](definitions)
	return inlined(ctx, journal, pool, models.Check(ctx), func(ctx context.Context, tx pgx.Tx) error {
		return sendQueued(ctx, tx, func(batch *pgx.Batch) error { return models.SetUp(ctx, batch) })
	}, func(ctx context.Context, tx pgx.Tx, appends []persistence.Append, outcomes []persistence.Outcome) error {
		return sendQueued(ctx, tx, func(batch *pgx.Batch) error { return models.Apply(ctx, batch, appends, outcomes) })
	})
}

func inlined(ctx context.Context, journal TxJournal, pool *pgxpool.Pool, problem error, setUp func(context.Context, pgx.Tx) error, apply apply) (*InlineJournal, error) {
	if journal == nil || pool == nil {
		return nil, &persistence.InvalidError{Field: "inline", Reason: "has no journal or no pool"}
	}
	if problem != nil {
		return nil, problem
	}
	store := inlineStore{journal, pool, apply}
	if err := store.Transact(ctx, setUp); err != nil {
		return nil, err
	}
	return &InlineJournal{journal, inline.New(store), store}, nil
}

// Append fulfils [persistence.Appender].
func (j *InlineJournal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	return j.queue.Append(ctx, appends...)
}

// Submit fulfils [persistence.Submitter].
func (j *InlineJournal) Submit(append persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	return j.queue.Submit(append, chain, done)
}

// AppendTx appends and applies in a transaction of the caller's, who rolls back
// after an error.
func (j *InlineJournal) AppendTx(ctx context.Context, tx pgx.Tx, appends ...persistence.Append) ([]persistence.Outcome, error) {
	outcomes, err := j.TxJournal.AppendTx(ctx, tx, appends...)
	if err != nil {
		return nil, err
	}
	if err := j.store.apply(ctx, tx, appends, outcomes); err != nil {
		return nil, err
	}
	return outcomes, nil
}

// Close stores what was taken, and closes the journal behind.
func (j *InlineJournal) Close() error {
	j.queue.Close()
	return j.TxJournal.Close()
}

// inlineStore fulfils [inline.Store].
type inlineStore struct {
	TxJournal
	pool  *pgxpool.Pool
	apply apply
}

type apply func(context.Context, pgx.Tx, []persistence.Append, []persistence.Outcome) error

// Apply fulfils [inline.Store].
func (s inlineStore) Apply(ctx context.Context, tx pgx.Tx, appends []persistence.Append, outcomes []persistence.Outcome) error {
	return s.apply(ctx, tx, appends, outcomes)
}

// idleInline is when a transaction is ended of a program that was halted in the midst
// of one: it holds up all other writers.
const idleInline = 30 * time.Second

// Transact fulfils [inline.Store]. It runs body again when it collided with other
// transactions on the rows of a read model, or its session was of no use.
func (s inlineStore) Transact(ctx context.Context, body func(context.Context, pgx.Tx) error) error {
	return again(ctx, s.pool, func() error { return s.attempt(ctx, body) })
}

func (s inlineStore) attempt(ctx context.Context, body func(context.Context, pgx.Tx) error) error {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin(idleInline)})
	if err != nil {
		return unreachable("the journal's server cannot be reached", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // its error would say nothing new
	if err := body(ctx, tx); err != nil {
		discard(ctx, tx, err)
		if lost(tx, err) {
			return unavailable("the connection to the journal was lost", err)
		}
		return &inline.RefusedError{Err: err}
	}
	if err := tx.Commit(ctx); err != nil {
		if answered, ok := errors.AsType[*pgconn.PgError](err); ok && !pgsession.Passing(answered.Code) || errors.Is(err, pgx.ErrTxCommitRollback) {
			return &inline.RefusedError{Err: err}
		}
		return &inline.UnknownError{Err: unavailable("the connection was lost around a commit", err)}
	}
	s.Nudge()
	return nil
}
