package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// TxJournal is a journal that appends in a transaction of the caller's: that of
// package persistence/postgres.
type TxJournal interface {
	persistence.Journal
	persistence.PageReader
	persistence.Snapshots
	persistence.Schemas
	AppendTx(ctx context.Context, tx pgx.Tx, appends ...persistence.Append) ([]persistence.Outcome, error)
	Nudge()
}

// InlineJournal is a journal whose appends change read models in the same
// transaction, see [projections.Definition.Inline]. Use [Inline]. Who has it hosts
// aggregates on it.
//
// It costs nearly all of the journal's speed: every append is a transaction of its
// own with a flush, which holds up all other writers while the handlers run, instead
// of a part of a batch. The bench projection shows how much; expect a hundredth of
// the appends.
type InlineJournal struct {
	TxJournal
	pool        *pgxpool.Pool
	definitions []*projections.Definition[pgx.Tx]
}

// Inline returns a journal in front of another one. The pool is of its database,
// and the tables of the read models are the program's to make.
func Inline(journal TxJournal, pool *pgxpool.Pool, definitions ...*projections.Definition[pgx.Tx]) *InlineJournal {
	return &InlineJournal{journal, pool, definitions}
}

// AppendTx appends and applies in a transaction of the caller's, who rolls back
// after an error.
func (j *InlineJournal) AppendTx(ctx context.Context, tx pgx.Tx, appends ...persistence.Append) ([]persistence.Outcome, error) {
	outcomes, err := j.TxJournal.AppendTx(ctx, tx, appends...)
	if err != nil {
		return nil, err
	}
	for i := range appends {
		for _, d := range j.definitions {
			if err := d.Inline(ctx, tx, &appends[i], outcomes[i]); err != nil {
				return nil, err
			}
		}
	}
	return outcomes, nil
}

// Append fulfils [persistence.Appender]. An append whose events a handler refuses
// is [persistence.ErrRejected], and stores nothing.
func (j *InlineJournal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	for i := range appends {
		if err := appends[i].Check(); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
	}
	outcomes := make([]persistence.Outcome, len(appends))
	for i := range appends {
		outcomes[i] = j.one(ctx, &appends[i])
	}
	j.Nudge()
	return outcomes, nil
}

func (j *InlineJournal) one(ctx context.Context, a *persistence.Append) persistence.Outcome {
	tx, err := j.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return persistence.Outcome{Err: unavailable("the journal's server cannot be reached", err)}
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // its error would say nothing new
	outcomes, err := j.AppendTx(ctx, tx, *a)
	if err != nil {
		return persistence.Outcome{Err: refusal(tx, err)}
	}
	if err := tx.Commit(ctx); err != nil {
		if answered, ok := errors.AsType[*pgconn.PgError](err); ok && !passing(answered.Code) {
			return persistence.Outcome{Err: &persistence.Error{Kind: persistence.ErrRejected, Op: "project inline", Stream: a.Stream, Err: err}}
		}
		unknown := &persistence.UnknownOutcomeError{Stream: a.Stream, Expected: a.Expected, Err: unavailable("the connection was lost around a commit", err)}
		if a.Named() {
			for i := range a.Events {
				unknown.IDs = append(unknown.IDs, a.Events[i].ID)
			}
		}
		return persistence.Outcome{Err: unknown}
	}
	return outcomes[0]
}

// refusal tells what the journal or the server has refused from what a handler has.
func refusal(tx pgx.Tx, err error) error {
	if lost(tx, err) {
		return unavailable("the connection to the journal was lost", err)
	}
	if errors.Is(err, persistence.ErrUnknownOutcome) || persistence.KindOf(err) != persistence.ErrUnknownOutcome {
		return err // it has a kind
	}
	return &persistence.Error{Kind: persistence.ErrRejected, Op: "project inline", Err: err}
}
