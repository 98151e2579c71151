package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/internal/inline"
)

// TxJournal is a journal that appends in a transaction of the caller's: that of
// package persistence/sqlite.
type TxJournal interface {
	persistence.Journal
	persistence.PageReader
	persistence.Snapshots
	persistence.Schemas
	// AppendTx appends in the caller's transaction, which must not be committed after an
	// error.
	AppendTx(ctx context.Context, tx *sql.Tx, appends ...persistence.Append) ([]persistence.Outcome, error)
	// Nudge says that somebody has committed events beside the journal.
	Nudge()
}

// InlineJournal is a journal whose appends change read models in its own file in the same
// transaction, see [projections.Definition.Inline]. Use [Inline]. Host aggregates on this
// journal.
//
// Appends of many callers share one transaction and its flush. An append whose events
// a handler refuses is [persistence.ErrRejected] and stores nothing; those that were
// in the transaction with it are then stored without it, which costs them some more
// transactions. With a statement for each event about half of the journal's appends
// are left at 16 callers, and a quarter at 256: the bench projection measures it.
type InlineJournal struct {
	TxJournal
	queue *inline.Queue[*sql.Tx]
}

// Inline sets the read models up and returns a journal in front of another one, both
// of which its Close closes. The database is the journal's file once more; it must
// wait for others who write, and be as durable as the journal:
//
//	db, err := sql.Open("sqlite", "file:journal.db?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=synchronous(full)")
//	journal, err = Inline(ctx, journal, db, taken)
//
// The read models begin with what is appended from then on.
func Inline(ctx context.Context, journal TxJournal, db *sql.DB, definitions ...*projections.Definition[*sql.Tx]) (*InlineJournal, error) {
	if journal == nil || db == nil {
		return nil, &persistence.InvalidError{Field: "inline", Reason: "has no journal or no database"}
	}
	patience := 0
	if err := db.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&patience); err != nil {
		return nil, unavailable("the journal's file cannot be read", err)
	}
	if patience == 0 {
		return nil, &persistence.InvalidError{Field: "inline", Reason: "has a database that does not wait for others who write: open it with _pragma=busy_timeout(5000)"}
	}
	store := inlineStore{journal, db, definitions}
	if err := store.models.Check(ctx); err != nil {
		return nil, err
	}
	if err := store.Transact(ctx, store.models.SetUp); err != nil {
		return nil, err
	}
	return &InlineJournal{journal, inline.New(store)}, nil
}

// Append fulfils [persistence.Appender].
func (j *InlineJournal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	return j.queue.Append(ctx, appends...)
}

// Submit fulfils [persistence.Submitter].
func (j *InlineJournal) Submit(append persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	return j.queue.Submit(append, chain, done)
}

// Close stores what was taken, and closes the journal behind. The database is the
// caller's to close.
func (j *InlineJournal) Close() error {
	j.queue.Close()
	return j.TxJournal.Close()
}

// inlineStore fulfils [inline.Store].
type inlineStore struct {
	journal TxJournal
	db      *sql.DB
	models  inline.Definitions[*sql.Tx]
}

// Apply fulfils [inline.Store].
func (s inlineStore) Apply(ctx context.Context, tx *sql.Tx, appends []persistence.Append, outcomes []persistence.Outcome) error {
	return s.models.Apply(ctx, tx, appends, outcomes)
}

// AppendTx fulfils [inline.Store].
func (s inlineStore) AppendTx(ctx context.Context, tx *sql.Tx, appends ...persistence.Append) ([]persistence.Outcome, error) {
	return s.journal.AppendTx(ctx, tx, appends...)
}

// Transact fulfils [inline.Store].
func (s inlineStore) Transact(ctx context.Context, body func(context.Context, *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return unavailable("the journal's file cannot be written", err)
	}
	defer func() { _ = tx.Rollback() }() // its error would say nothing new
	if err := body(ctx, tx); err != nil {
		if passing(err) || errors.Is(err, sql.ErrTxDone) {
			return unavailable("the journal's file cannot be written", err)
		}
		return &inline.RefusedError{Err: err}
	}
	// The journal looks whether its file is still the one that has a name.
	if _, err := s.journal.Head(ctx); err != nil {
		return unavailable("the journal cannot be asked", err)
	}
	if err := tx.Commit(); err != nil {
		if answered, ok := errors.AsType[*sqlite.Error](err); ok && answered.Code()&0xff == sqlite3.SQLITE_CONSTRAINT {
			return &inline.RefusedError{Err: fmt.Errorf("commit: %w", err)}
		}
		return &inline.UnknownError{Err: unavailable("the journal's file could not be committed to", err)}
	}
	s.journal.Nudge()
	if _, err := s.journal.Head(ctx); errors.Is(err, persistence.ErrReplaced) {
		return &inline.UnknownError{Err: err}
	}
	return nil
}
