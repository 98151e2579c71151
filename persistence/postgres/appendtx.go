package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/persistence"
)

// AppendTx stores appends in the caller's own transaction, so that rows of his
// and events commit together or not at all:
//
//	tx, err := pool.Begin(ctx)
//	… his statements …
//	outcomes, err := journal.AppendTx(ctx, tx, appends...)
//	err = tx.Commit(ctx)
//	journal.Nudge()
//
// The transaction is on the database of the journal and reads committed data. It
// holds up every other writer from here until its end, so this should come last.
// The outcomes have no errors: the first append that is refused is the error, and
// the server has aborted the transaction then, so that a caller who overlooks it
// cannot commit a half. Who wants to go on begins a nested one first. Positions
// and versions are valid once the transaction has been committed, and whether it
// was is between the caller and the server: an error of his commit may mean either.
func (j *Journal) AppendTx(ctx context.Context, tx pgx.Tx, appends ...persistence.Append) ([]persistence.Outcome, error) {
	items, err := ownItems(appends)
	if err != nil {
		return nil, err
	}
	if j.heads.closed.Load() {
		return nil, errClosed()
	}
	conn := tx.Conn()
	if conn == nil || conn.PgConn().TxStatus() != 'T' {
		return nil, &persistence.InvalidError{Field: "transaction", Reason: "is not open"}
	}
	j.dialect.teach(conn.PgConn())
	if err := j.join(ctx, conn); err != nil {
		return nil, err
	}
	ids, err := j.idsOf(ctx, items)
	if err != nil {
		return nil, notBegun(ctx, err)
	}
	outcomes := make([]persistence.Outcome, len(items))
	for i := range items {
		// On a connection that is not the journal's own the text is the name.
		strict := statement{j.sql.appendStrict, j.sql.appendStrict}
		outcomes[i], err = j.appendOn(ctx, conn, strict, &items[i], ids[items[i].Stream])
		if err != nil {
			return nil, foreignError(ctx, &items[i].Append, err)
		}
		if outcomes[i].Err != nil {
			return nil, outcomes[i].Err
		}
	}
	return outcomes, nil
}

// join takes the order lock and checks that the transaction is one that events
// can be stored in.
func (j *Journal) join(ctx context.Context, conn *pgx.Conn) error {
	rows, err := collect(ctx, conn, statement{j.sql.order, j.sql.order}, [][]byte{int2Parameter(partition)})
	if err != nil {
		return foreignError(ctx, &persistence.Append{}, err)
	}
	if len(rows) != 1 || string(rows[0][0]) != string(j.id[:]) {
		return &persistence.InvalidError{Field: "transaction", Reason: "is on another database than the journal"}
	}
	if string(rows[0][1]) != "read committed" {
		// It would not see what was stored before it got the lock.
		return &persistence.InvalidError{Field: "transaction", Reason: "must have the isolation level read committed"}
	}
	return nil
}

// foreignError translates an error inside of the caller's transaction, which the
// server has aborted with it.
func foreignError(ctx context.Context, a *persistence.Append, err error) error {
	answered, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || ctx.Err() != nil {
		return notBegun(ctx, err)
	}
	if answered.Code == "ST001" {
		if strings.HasSuffix(answered.Message, "id_reused") {
			if id, err := persistence.ParseEventID(answered.Hint); err == nil {
				return &persistence.EventIDReusedError{Stream: a.Stream, ID: id}
			}
		}
		if version, err := strconv.ParseUint(answered.Detail, 10, 63); err == nil {
			return &persistence.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: persistence.Version(version)}
		}
	}
	return refusal(a.Stream, newServerError(answered.Code, answered.Message))
}

// Nudge says that somebody else may have stored events, such as a transaction
// that [Journal.AppendTx] has joined: readers who wait need not wait for the next
// poll. It returns at once.
func (j *Journal) Nudge() {
	select {
	case j.nudged <- struct{}{}:
	default: // the last one is still to be heard
	}
}
