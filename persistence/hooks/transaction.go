package hooks

import (
	"context"

	"github.com/stele-es/stele/persistence"
)

// Transact fulfils [persistence.Transactor]. A refusal poisons the transaction,
// as any other append that fails.
func (j *Journal) Transact(ctx context.Context, body func(ctx context.Context, tx persistence.Transaction) error) error {
	if j.transactor == nil {
		return unable("Transactor")
	}
	tx := &transaction{journal: j}
	err := error(&persistence.UnavailableError{Reason: "the transaction was rolled back"}) // if body panics
	defer func() { tx.end(err) }()
	err = j.transactor.Transact(ctx, func(ctx context.Context, behind persistence.Transaction) error {
		tx.ctx, tx.behind = ctx, behind
		if err := body(ctx, tx); err != nil {
			return err
		}
		return tx.poison
	})
	return err
}

// transaction is one with hooks.
type transaction struct {
	journal *Journal
	ctx     context.Context //nolint:containedctx // it is that of the body, which the transaction does not outlive
	behind  persistence.Transaction
	poison  error // a refusal, of which the transaction behind knows nothing
	stored  []stored
}

// stored is an append of a transaction that is not committed yet.
type stored struct {
	append  *appending
	outcome persistence.Outcome
}

// end tells the hooks what has become of the appends.
func (tx *transaction) end(err error) {
	for _, s := range tx.stored {
		if err != nil {
			s.outcome = persistence.Outcome{Err: err}
		}
		s.append.end(tx.ctx, s.outcome)
	}
}

// Append fulfils [persistence.Transaction].
func (tx *transaction) Append(appends ...persistence.Append) ([]persistence.Outcome, error) {
	hooks := tx.journal.hooks.Load().appending
	if tx.poison != nil || len(hooks) == 0 || len(appends) == 0 {
		return tx.pass(appends)
	}
	begun, passed := tx.journal.beginAll(tx.ctx, hooks, appends)
	for _, a := range begun {
		if a.refusal != nil && tx.poison == nil {
			tx.poison = a.refusal
		}
	}
	outcomes, err := tx.pass(passed)
	for i, a := range begun {
		if a.refusal != nil {
			continue
		}
		s := stored{append: a}
		if err == nil { // then none was refused, and each has its outcome
			s.outcome = outcomes[i]
		}
		tx.stored = append(tx.stored, s)
	}
	return outcomes, err
}

func (tx *transaction) pass(appends []persistence.Append) ([]persistence.Outcome, error) {
	if tx.poison != nil {
		return nil, tx.poison
	}
	return tx.behind.Append(appends...)
}

// Read fulfils [persistence.Transaction].
func (tx *transaction) Read(stream persistence.StreamID, options persistence.ReadOptions) ([]persistence.Recorded, error) {
	if tx.poison != nil {
		return nil, tx.poison
	}
	hooks := tx.journal.hooks.Load().reading
	if len(hooks) == 0 {
		return tx.behind.Read(stream, options)
	}
	r, err := tx.journal.beginReading(tx.ctx, hooks, Reading{Stream: stream, Options: options})
	if err != nil {
		return nil, err
	}
	events, err := tx.behind.Read(r.what.Stream, r.what.Options)
	return r.finish(tx.ctx, events, err)
}
