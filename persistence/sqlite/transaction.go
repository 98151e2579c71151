package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Transact fulfils [persistence.Transactor]. The transaction has the one
// connection that writes from its first append on.
func (j *Journal) Transact(ctx context.Context, body func(context.Context, persistence.Transaction) error) error {
	switch {
	case isClosed(j.closing):
		return journalkit.Closed()
	case ctx.Err() != nil:
		return journalkit.CallerLeft(ctx)
	}
	tx := &transaction{journal: j, ctx: ctx}
	defer tx.end() // also when body panics, or ends its goroutine as a failing test does
	if err := body(appender.Within(ctx, j, &tx.holding), tx); err != nil {
		return err
	}
	return tx.commit()
}

// transaction is open from begun until ended.
type transaction struct {
	journal      *Journal
	ctx          context.Context //nolint:containedctx // it is that of Transact, which the transaction does not outlive
	holding      appender.Holding
	poison       error
	begun, ended bool // it holds journal.writing between them
	over         bool
	failed       bool // SQLite has, so nobody knows what is left of the transaction
	items        []appender.Item
	outcomes     []persistence.Outcome
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

func (tx *transaction) usable() error {
	if tx.over {
		return &persistence.InvalidError{Field: "transaction", Reason: "has ended"}
	}
	if tx.poison == nil && isClosed(tx.journal.closing) {
		return journalkit.Closed()
	}
	return tx.poison
}

func (tx *transaction) append(appends []persistence.Append) ([]persistence.Outcome, error) {
	items, err := newItems(appends)
	if err != nil {
		return nil, err
	}
	if err := tx.begin(); err != nil {
		return nil, err
	}
	tx.items = append(tx.items, items...) // also if they are refused: the writer remembers what it decided
	outcomes, err := tx.journal.writer.record(items)
	if err != nil {
		tx.failed = code(err) != 0
		return nil, answer(err)
	}
	tx.outcomes = append(tx.outcomes, outcomes...)
	return outcomes, nil
}

// newItems makes items of appends, whose events get the ids that they lack, or
// returns what is invalid.
func newItems(appends []persistence.Append) ([]appender.Item, error) {
	for i := range appends {
		if err := appends[i].Check(); err != nil {
			return nil, err
		}
	}
	items := make([]appender.Item, len(appends))
	for i := range appends {
		a := appends[i]
		a.Events = slices.Clone(a.Events)
		items[i] = appender.Item{Named: journalkit.GiveIDs(&a), Append: a}
	}
	return items, nil
}

// record writes appends one after the other, each of which sees those before it.
// It ends with the first that is refused.
func (s *eventWriter) record(items []appender.Item) ([]persistence.Outcome, error) {
	now := time.Now().UnixMicro()
	outcomes := make([]persistence.Outcome, len(items))
	for i := range items {
		outcome, err := s.add(&items[i], now)
		if err == nil {
			err = outcome.Err
		}
		if err == nil {
			err = s.flush()
		}
		if err != nil {
			return nil, err
		}
		outcomes[i] = outcome
	}
	return outcomes, nil
}

// begin makes the other writers wait from now on.
func (tx *transaction) begin() error {
	if tx.begun {
		return nil
	}
	j := tx.journal
	if err := j.lockToWrite(tx.ctx); err != nil {
		return err
	}
	if err := j.writer.start(tx.ctx, j.mark); err != nil {
		err = j.abandon(err)
		j.unlock()
		return err
	}
	tx.begun = true
	tx.holding.Begin()
	return nil
}

// Read fulfils [persistence.Transaction].
func (tx *transaction) Read(name persistence.StreamID, options persistence.ReadOptions) (events []persistence.Recorded, err error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	if !tx.begun {
		err := tx.journal.pages(tx.ctx, name, options, func(page []persistence.Recorded) bool {
			events = append(events, page...)
			return true
		})
		return events, err
	}
	if err := checkRead(name, options); err != nil {
		return nil, err
	}
	inside, err := tx.journal.writer.reader()
	if err != nil {
		return nil, answer(err)
	}
	for c := newCursor(name, options); !c.done; events = append(events, c.page...) {
		if tx.ctx.Err() != nil {
			return nil, journalkit.CallerLeft(tx.ctx)
		}
		if err := c.next(inside); err != nil {
			return nil, answer(err)
		}
	}
	return events, nil
}

// commit stores what was appended, unless the caller has left: a caller that does not
// hear of the outcome gets none.
func (tx *transaction) commit() error {
	if tx.poison != nil || !tx.begun {
		return tx.poison
	}
	j := tx.journal
	switch {
	case isClosed(j.closing):
		return journalkit.Closed()
	case tx.ctx.Err() != nil:
		return journalkit.CallerLeft(tx.ctx)
	}
	defer j.unlock()
	tx.ended = true
	err := j.writer.commit.run()
	switch {
	case err == nil:
		if err = j.standing(); err == nil {
			return nil
		}
		j.giveUp(tx.items, tx.outcomes, err)
	case undone(err):
		return j.abandon(err)
	default:
		j.resolve(tx.items, tx.outcomes, err)
	}
	for i := range tx.outcomes {
		if err := tx.outcomes[i].Err; err != nil {
			return err
		}
	}
	return nil
}

// end rolls back what was not committed and lets the other writers go on.
func (tx *transaction) end() {
	tx.over = true
	tx.holding.End()
	if !tx.begun || tx.ended {
		return
	}
	tx.ended = true
	j := tx.journal
	defer j.unlock()
	if tx.failed {
		_ = j.abandon(tx.poison) // which the caller has
		return
	}
	touched := make([]persistence.StreamID, len(tx.items))
	for i := range tx.items {
		touched[i] = tx.items[i].Stream
	}
	_ = j.refuse(tx.poison, touched...)
}
