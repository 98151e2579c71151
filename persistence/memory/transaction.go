package memory

import (
	"context"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Transact fulfils [persistence.Transactor].
func (j *Journal) Transact(ctx context.Context, body func(context.Context, persistence.Transaction) error) error {
	if err := j.lockToRead(ctx); err != nil {
		return err
	}
	j.mu.RUnlock()
	tx := &transaction{journal: j, ctx: ctx, ended: make(chan struct{})}
	defer tx.end() // also when body panics, or ends its goroutine as a failing test does
	if err := body(appender.Within(ctx, j, &tx.holding), tx); err != nil {
		return err
	}
	return tx.commit()
}

// transaction writes to a state of its own, which becomes the journal's when it
// commits. Its rows lie behind those of the journal in the same log: nobody else
// writes while it is open, and a reader does not look beyond the size that it knows.
type transaction struct {
	journal *Journal
	ctx     context.Context //nolint:containedctx // it is that of Transact, which the transaction does not outlive
	state   state
	poison  error
	over    bool
	holding appender.Holding
	// ended is closed when other writers may go on.
	ended chan struct{}
}

// Append fulfils [persistence.Transaction].
func (tx *transaction) Append(appends ...persistence.Append) ([]persistence.Outcome, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	outcomes, err := tx.append(appends)
	tx.poison = err
	return outcomes, err
}

func (tx *transaction) append(appends []persistence.Append) ([]persistence.Outcome, error) {
	own, err := copyAppends(appends)
	if err != nil {
		return nil, err
	}
	if err := tx.begin(); err != nil {
		return nil, err
	}
	j := tx.journal
	if err := j.lockToRead(tx.ctx); err != nil {
		return nil, err
	}
	defer j.mu.RUnlock()
	outcomes := make([]persistence.Outcome, len(own))
	for i := range own {
		if outcomes[i] = j.store(&tx.state, &own[i]); outcomes[i].Err != nil {
			return nil, outcomes[i].Err
		}
	}
	return outcomes, nil
}

func (tx *transaction) usable() error {
	if tx.over {
		return &persistence.InvalidError{Field: "transaction", Reason: "has ended"}
	}
	return tx.poison
}

// begin makes the other writers wait from now on.
func (tx *transaction) begin() error {
	if tx.state.under != nil {
		return nil
	}
	j := tx.journal
	if err := j.lockToWrite(tx.ctx); err != nil {
		return err
	}
	defer j.mu.Unlock()
	j.open = tx
	tx.holding.Begin()
	tx.state.log, tx.state.under = j.state.log, &j.state
	return nil
}

// Read fulfils [persistence.Transaction].
func (tx *transaction) Read(id persistence.StreamID, options persistence.ReadOptions) ([]persistence.Recorded, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	from := &tx.state
	if from.under == nil {
		from = &tx.journal.state
	}
	view, err := tx.journal.streamView(tx.ctx, from, id, options)
	if err != nil {
		return nil, err
	}
	var events []persistence.Recorded
	err = view.choose(tx.ctx, options, func(position int64) bool {
		events = append(events, view.log.recorded(position))
		return true
	})
	return events, err
}

// commit publishes what was written, unless the caller has left: a caller that does not
// hear of the outcome gets none.
func (tx *transaction) commit() error {
	if tx.poison != nil || tx.state.under == nil {
		return tx.poison
	}
	if tx.ctx.Err() != nil {
		return journalkit.CallerLeft(tx.ctx)
	}
	j := tx.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return journalkit.Closed()
	}
	tx.state.settle()
	j.publish()
	return nil
}

// end lets the other writers go on: first what was submitted meanwhile, in its
// order.
func (tx *transaction) end() {
	tx.over = true
	tx.holding.End()
	j := tx.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open != tx {
		return // it never began, or the journal was closed
	}
	// The callbacks are called under the lock, for otherwise what is submitted from
	// now on would be answered before them. They must not call the journal.
	j.answer(j.queue, func(s *submission) persistence.Outcome { return j.storeChained(&s.append, s.chain) })
	j.queue, j.open = nil, nil
	close(tx.ended)
}
