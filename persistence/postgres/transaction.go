package postgres

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// transactor has the one connection of a journal's transactions. They would take turns
// for the order lock anyway, and those that wait here keep no connection from the readers.
type transactor struct {
	pool *pgxpool.Pool
	// warned says that a commit may not be as durable as it should be.
	warned atomic.Bool

	mu     sync.Mutex
	socket net.Conn // of the transaction that is open, if one is
	ended  bool
}

func newTransactor(ctx context.Context, config Config) (*transactor, error) {
	t := new(transactor)
	own := config.Pool.Copy()
	own.ConnConfig = config.writing.Copy()
	own.MaxConns, own.MinConns, own.MinIdleConns = 1, 0, 0
	next := own.ConnConfig.OnNotice
	own.ConnConfig.OnNotice = func(conn *pgconn.PgConn, notice *pgconn.Notice) {
		if pgsession.WeakCommit(notice.Code, notice.SeverityUnlocalized, notice.Severity) {
			t.warned.Store(true)
		}
		if next != nil {
			next(conn, notice)
		}
	}
	var err error
	t.pool, err = pgxpool.NewWithConfig(ctx, own)
	return t, err
}

// begun notes the connection of a transaction that begins.
func (t *transactor) begun(socket net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.socket = socket; t.ended {
		_ = socket.Close() // nothing has begun on it
	}
	t.warned.Store(false)
}

// done notes that no transaction is open.
func (t *transactor) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.socket = nil
}

// end ends the transaction that is open, also when its body is busy elsewhere: the server
// undoes what a lost connection had begun. Those that begin later end at once.
func (t *transactor) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended = true; t.socket != nil {
		_ = t.socket.Close() // which is what it is for
	}
}

// close returns when the connection is given back, or ctx is done: a body that does not
// end keeps the connection, and the goroutine with it.
func (t *transactor) close(ctx context.Context) {
	closed := make(chan struct{})
	go func() { // ends when the connection is given back
		defer close(closed)
		t.pool.Close()
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

// Transact fulfils [persistence.Transactor]. The transaction begins in the server with its
// first append. From there on the transactions of one journal take turns. Close ends a
// transaction that is open.
func (j *Journal) Transact(ctx context.Context, body func(ctx context.Context, tx persistence.Transaction) error) error {
	if ctx.Err() != nil {
		return journalkit.CallerLeft(ctx)
	}
	if j.head.IsClosed() {
		return journalkit.Closed()
	}
	tx := &transaction{journal: j, ctx: ctx}
	defer tx.end() // also when body panics, or ends its goroutine as a failing test does
	if err := body(appender.Within(ctx, j, &tx.holding), tx); err != nil {
		return err
	}
	return tx.commit()
}

// transaction is a transaction that the journal has begun itself.
type transaction struct {
	journal *Journal
	ctx     context.Context //nolint:containedctx // it is that of Transact, which the transaction does not outlive
	conn    *pgxpool.Conn   // nil before the first append
	tx      pgx.Tx

	holding appender.Holding
	poison  error
	spent   bool // the session is of no more use
	over    bool
	// first is the append that an unknown outcome names. newest is the last event.
	first  *persistence.Append
	newest tailEvent
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
	return tx.poison
}

func (tx *transaction) append(appends []persistence.Append) ([]persistence.Outcome, error) {
	items, err := ownItems(appends)
	if err != nil {
		return nil, err
	}
	if err := tx.begin(); err != nil {
		return nil, err
	}
	// Streams get their ids outside of the transaction, so that the ids hold even when it is
	// rolled back.
	ids, err := tx.journal.idsOf(tx.ctx, items)
	if err != nil {
		return nil, tx.failure("", err)
	}
	outcomes := make([]persistence.Outcome, len(items))
	for i := range items {
		if tx.first == nil && len(items[i].Events) > 0 {
			tx.first = &items[i].Append
		}
		outcomes[i], err = tx.journal.appendOn(tx.ctx, tx.conn.Conn(), tx.journal.sql.AppendChecked, &items[i], ids[items[i].Stream])
		if err != nil {
			return nil, tx.failure(items[i].Stream, err)
		}
		if outcomes[i].Err != nil {
			return nil, outcomes[i].Err
		}
		if !outcomes[i].Duplicate && outcomes[i].First > 0 {
			last := len(items[i].Events) - 1
			tx.newest = tailEvent{outcomes[i].Position.Offset + int64(last), items[i].Events[last].ID}
		}
	}
	return outcomes, nil
}

// failure translates an error from before the commit: nothing will be done.
func (tx *transaction) failure(stream persistence.StreamID, err error) error {
	tx.spent = tx.spent || pgsession.Spent(pgsession.Code(err))
	if tx.journal.head.IsClosed() {
		return journalkit.Closed()
	}
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok && pgsession.Definite(answered.Code) && tx.ctx.Err() == nil {
		return refusal(stream, pgsession.NewServerError(answered.Code, answered.Message))
	}
	return notBegun(tx.ctx, err)
}

// begin begins the transaction and takes the order lock until its end. When the session is of
// no more use, it tries once more in another one, because nothing was done yet.
func (tx *transaction) begin() error {
	if tx.conn != nil {
		return nil
	}
	err := tx.beginOn()
	if err != nil && tx.spent && tx.ctx.Err() == nil {
		tx.giveBack()
		tx.spent = false
		err = tx.beginOn()
	}
	return err
}

func (tx *transaction) beginOn() (err error) {
	j := tx.journal
	if err := appender.Outside(tx.ctx, j); err != nil {
		return err
	}
	if tx.conn, err = j.transactor.pool.Acquire(tx.ctx); err != nil {
		return tx.failure("", err)
	}
	j.transactor.begun(tx.conn.Conn().PgConn().Conn())
	if tx.tx, err = tx.conn.BeginTx(tx.ctx, pgx.TxOptions{BeginQuery: pgsession.Writing}); err != nil {
		return tx.failure("", err)
	}
	if _, err := j.collect(tx.ctx, tx.conn.Conn(), j.sql.order, [][]byte{wire.Int2(partition)}); err != nil {
		return tx.failure("", err)
	}
	tx.holding.Begin()
	return nil
}

// Read fulfils [persistence.Transaction].
func (tx *transaction) Read(stream persistence.StreamID, options persistence.ReadOptions) ([]persistence.Recorded, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	on := tx.journal.withConn
	if tx.conn != nil {
		on = func(_ context.Context, do func(*pgx.Conn) error) error { return do(tx.conn.Conn()) }
	}
	var events []persistence.Recorded
	err := tx.journal.read(tx.ctx, on, stream, options, func(e *persistence.Recorded) bool {
		events = append(events, *e)
		return true
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

// commit makes what was appended durable. It rests on what the server answers, not on what
// the driver says about its own requests.
func (tx *transaction) commit() error {
	if tx.poison != nil || tx.conn == nil {
		return tx.poison
	}
	if tx.ctx.Err() != nil {
		return journalkit.CallerLeft(tx.ctx)
	}
	err := tx.tx.Commit(tx.ctx)
	switch {
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return appending.Unavailable("the server undid the transaction", err)
	case err == nil && tx.journal.transactor.warned.Load():
		err = appending.ErrUnproven
	}
	if err != nil {
		var about persistence.Append
		if tx.first != nil {
			about = *tx.first
		}
		return stageError(about.Stream, about.Expected, eventIDs(&about), err)
	}
	tx.journal.tail.wasStored(tx.newest.position, tx.newest.id)
	tx.journal.head.Raise(tx.newest.position)
	return nil
}

// end gives the connection back, and undoes what was not committed.
func (tx *transaction) end() {
	tx.over = true
	tx.holding.End()
	tx.giveBack()
}

func (tx *transaction) giveBack() {
	if tx.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tx.ctx), tx.journal.config.StatementTimeout)
	defer cancel()
	if tx.tx != nil {
		// After a commit it does nothing. An error closes the connection, which undoes
		// the transaction as well.
		_ = tx.tx.Rollback(ctx)
	}
	tx.journal.transactor.done()
	if tx.spent {
		_ = tx.conn.Conn().Close(ctx) // the error that led here says more
	}
	tx.conn.Release()
	tx.conn, tx.tx = nil, nil
}
