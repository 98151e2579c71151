package postgres

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// AppendTx stores appends in a transaction of the caller, so that the caller's rows
// and the events commit together or not at all:
//
//	tx, err := pool.Begin(ctx)
//	… your statements …
//	outcomes, err := journal.AppendTx(ctx, tx, appends...)
//	err = tx.Commit(ctx)
//	journal.Nudge()
//
// The transaction must be on the journal's database and have the isolation level read
// committed, in a session whose client_encoding is UTF8. It blocks every other writer from
// this call until its end, so the call should come last.
//
// The outcomes have no errors. AppendTx returns the error of the first append that is
// refused, and the server has then aborted the transaction, so that a caller that overlooks
// the error cannot commit a part. To go on after a refusal, begin a nested transaction first.
//
// Positions and versions are valid once the transaction has been committed. Whether it was
// is between the caller and the server: after an error of the commit it may have been.
func (j *Journal) AppendTx(ctx context.Context, tx pgx.Tx, appends ...persistence.Append) ([]persistence.Outcome, error) {
	items, err := ownItems(appends)
	if err != nil {
		return nil, err
	}
	if j.head.IsClosed() {
		return nil, journalkit.Closed()
	}
	conn := tx.Conn()
	if conn == nil || conn.PgConn().TxStatus() != 'T' {
		return nil, &persistence.InvalidError{Field: "transaction", Reason: "is not open"}
	}
	if encoding := conn.PgConn().ParameterStatus("client_encoding"); encoding != "UTF8" {
		return nil, &persistence.InvalidError{Field: "transaction", Reason: "is of a session whose client_encoding is not UTF8, which garbles texts: set it in the pool's RuntimeParams"}
	}
	if err := j.join(ctx, conn); err != nil {
		return nil, err
	}
	ids, err := j.idsOf(ctx, items)
	if err != nil {
		return nil, notBegun(ctx, err)
	}
	outcomes, failed, err := j.appendEach(ctx, conn, items, ids)
	if err != nil {
		return nil, foreignError(ctx, &items[failed].Append, err)
	}
	for i := range outcomes {
		if outcomes[i].Err != nil {
			return nil, outcomes[i].Err
		}
	}
	return outcomes, nil
}

// appendEach stores appends one after the other, in one round trip where it can. failed is
// the index of the append that the error is about.
func (j *Journal) appendEach(ctx context.Context, conn *pgx.Conn, items []appender.Item, ids map[persistence.StreamID]*streamids.Stream) (outcomes []persistence.Outcome, failed int, err error) {
	strict := unowned(j.sql.appendStrict)
	outcomes = make([]persistence.Outcome, len(items))
	if len(items) > 1 && !slices.ContainsFunc(items, func(item appender.Item) bool { return len(item.Events) == 0 }) {
		failed, err = j.appendAhead(ctx, conn, strict, items, ids, outcomes)
		return outcomes, failed, err
	}
	for i := range items {
		if outcomes[i], err = j.appendOn(ctx, conn, strict, &items[i], ids[items[i].Stream]); err != nil {
			return nil, i, err
		}
	}
	return outcomes, 0, nil
}

// appendAhead sends all appends before it reads their outcomes. It ends at the first append
// that fails, which has aborted the transaction.
func (j *Journal) appendAhead(ctx context.Context, conn *pgx.Conn, s wire.Statement, items []appender.Item, ids map[persistence.StreamID]*streamids.Stream, outcomes []persistence.Outcome) (failed int, err error) {
	prepared, err := j.prepare(ctx, conn, s)
	if err != nil {
		return 0, err
	}
	pipeline := conn.PgConn().StartPipeline(ctx)
	defer func() {
		if closeErr := pipeline.Close(); err == nil {
			err = closeErr
		}
	}()
	for i := range items {
		var m wire.Values // the pipeline may keep it until it is sent
		appending.EncodeOne(&m, j.id, false, &items[i], ids[items[i].Stream])
		wire.Queue(pipeline, s, prepared, m.Parameters())
	}
	if err := pipeline.Sync(); err != nil {
		return 0, err
	}
	for i := range items {
		outcomes[i] = persistence.Outcome{Err: appending.Contradiction(items[i].Stream)}
		err := wire.Next(pipeline, func(row [][]byte) error {
			outcomes[i] = appending.DecodeOutcome(&items[i], row)
			return nil
		})
		if err != nil {
			return i, err
		}
	}
	return 0, nil
}

// join takes the order lock, and checks that events can be stored in the transaction.
func (j *Journal) join(ctx context.Context, conn *pgx.Conn) error {
	rows, err := j.collect(ctx, conn, unowned(j.sql.order), [][]byte{wire.Int2(partition)})
	if err != nil {
		return foreignError(ctx, &persistence.Append{}, err)
	}
	if len(rows) != 1 || string(rows[0][0]) != string(j.id[:]) {
		return &persistence.InvalidError{Field: "transaction", Reason: "is on another database than the journal"}
	}
	if string(rows[0][1]) != "read committed" {
		// Such a transaction would not see what was stored before it got the lock.
		return &persistence.InvalidError{Field: "transaction", Reason: "must have the isolation level read committed"}
	}
	return nil
}

// foreignError translates an error in the caller's transaction, which the server has
// aborted.
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
	return refusal(a.Stream, pgsession.NewServerError(answered.Code, answered.Message))
}
