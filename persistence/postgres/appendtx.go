package postgres

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
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
// The transaction is on the database of the journal and reads committed data, in a
// session whose client_encoding is UTF8. It
// holds up every other writer from here until its end, so this should come last.
// The outcomes have no errors: the first append that is refused is the error, and
// the server has aborted the transaction then, so that a caller who overlooks it
// cannot commit a half. To go on after a refusal, begin a nested transaction first.
// Positions and versions are valid once the transaction has been committed. Whether it
// was is between the caller and the server: an error of the commit may mean either.
func (j *Journal) AppendTx(ctx context.Context, tx pgx.Tx, appends ...persistence.Append) ([]persistence.Outcome, error) {
	items, err := ownItems(appends)
	if err != nil {
		return nil, err
	}
	if j.head.closed.Load() {
		return nil, errClosed()
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
	works := make([]work, len(items))
	for i := range items {
		works[i] = work{item: &items[i], stream: ids[items[i].Stream]}
	}
	outcomes, failed, err := j.appendEach(ctx, conn, works)
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

// appendEach stores appends one after the other, in one round trip if it can. The
// error is about the one that failed.
func (j *Journal) appendEach(ctx context.Context, conn *pgx.Conn, works []work) (outcomes []persistence.Outcome, failed int, err error) {
	strict := unowned(j.sql.appendStrict)
	outcomes = make([]persistence.Outcome, len(works))
	if len(works) > 1 && !slices.ContainsFunc(works, func(w work) bool { return len(w.item.Events) == 0 }) {
		failed, err = j.appendAhead(ctx, conn, strict, works, outcomes)
		return outcomes, failed, err
	}
	for i, w := range works {
		if outcomes[i], err = j.appendOn(ctx, conn, strict, w.item, w.stream); err != nil {
			return nil, i, err
		}
	}
	return outcomes, 0, nil
}

// appendAhead sends all appends and then hears what became of them. The first that
// fails ends it, as it has ended the transaction.
func (j *Journal) appendAhead(ctx context.Context, conn *pgx.Conn, s wire.Statement, works []work, outcomes []persistence.Outcome) (failed int, err error) {
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
	for i := range works {
		var m wire.Values // the pipeline may keep it until it is sent
		encodeChecked(&m, j, false, &works[i])
		wire.Queue(pipeline, s, prepared, m.Parameters())
	}
	if err := pipeline.Sync(); err != nil {
		return 0, err
	}
	for i := range works {
		outcomes[i] = persistence.Outcome{Err: contradiction(works[i].item.Stream)}
		err := wire.Next(pipeline, func(row [][]byte) error {
			outcomes[i] = checkedOutcome(works[i].item, row)
			return nil
		})
		if err != nil {
			return i, err
		}
	}
	return 0, nil
}

// join takes the order lock and checks that the transaction is one that events
// can be stored in.
func (j *Journal) join(ctx context.Context, conn *pgx.Conn) error {
	rows, err := j.collect(ctx, conn, unowned(j.sql.order), [][]byte{wire.Int2(partition)})
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
	return refusal(a.Stream, pgsession.NewServerError(answered.Code, answered.Message))
}
