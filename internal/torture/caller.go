package torture

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
)

// caller appends in transactions of its own, with a row of its own beside the events.
type caller struct {
	load    *load
	lots    *rand.Rand
	journal Journal
}

func (c *caller) run(ctx context.Context) {
	for c.load.goesOn(ctx) {
		begun := time.Now()
		if c.transact(ctx) != nil {
			pause(ctx, upTo(c.lots, 10*time.Millisecond))
		}
		if took := time.Since(begun); took > slow { // the disk is slow, and the others want the order lock too
			pause(ctx, upTo(c.lots, 4*took))
		}
	}
}

func (c *caller) transact(ctx context.Context) error {
	attempts := []*attempt{c.load.attempt(c.lots, 3)}
	if c.lots.IntN(3) == 0 {
		attempts = append(attempts, c.load.attempt(c.lots, 3))
	}
	group := c.load.ledger.join(true, attempts...)
	tx, err := c.load.callers.Begin(ctx)
	if err != nil {
		c.load.ledger.refuse(persistence.ErrUnavailable, attempts...)
		return err
	}
	// After a commit it does nothing; an error ends the connection, and what it began.
	defer func() { _ = tx.Rollback(ctx) }()
	outcomes, err := c.fill(ctx, tx, group, attempts)
	if err == nil && c.lots.IntN(6) == 0 {
		err = errChangedMind
	}
	if err != nil { // it was never told to commit
		c.load.ledger.refuse(persistence.ErrRejected, attempts...)
		return err
	}
	err = tx.Commit(ctx)
	switch {
	case err == nil:
		c.journal.Nudge()
		for i, a := range attempts {
			c.load.ledger.end(a, outcomes[i])
		}
	case errors.Is(err, pgx.ErrTxCommitRollback):
		c.load.ledger.refuse(persistence.ErrRejected, attempts...)
	default: // the row beside the events tells
		c.load.ledger.leaveOpen(attempts...)
	}
	return err
}

func (c *caller) fill(ctx context.Context, tx pgx.Tx, group int64, attempts []*attempt) ([]persistence.Outcome, error) {
	if _, err := tx.Exec(ctx, "INSERT INTO torture.note (id) VALUES ($1)", group); err != nil {
		return nil, err
	}
	appends := make([]persistence.Append, len(attempts))
	for i, a := range attempts {
		appends[i] = a.append()
	}
	outcomes, err := c.journal.AppendTx(ctx, tx, appends...)
	pause(ctx, hesitation(c.lots))
	return outcomes, err
}
