package postgres

import (
	"context"
	"time"

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

// withConn calls do with a connection of the pool. After a restart of the server the pool is
// full of dead connections, and after a change of tables or settings its connections live and
// are of no use. So do is called once more with a new connection, and must be able to begin
// anew.
func (j *Journal) withConn(ctx context.Context, do func(*pgx.Conn) error) error {
	for retried := false; ; retried = true {
		conn, err := j.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		err = do(conn.Conn())
		broken := release(conn, err)
		if err == nil || !broken || retried || ctx.Err() != nil {
			return err
		}
		j.pool.Reset()
	}
}

// release gives a connection back after an error, if there was one. It reports whether the
// session was of no more use, and so was closed.
func release(conn *pgxpool.Conn, err error) (spent bool) {
	if pgsession.Spent(pgsession.Code(err)) {
		closing, cancel := context.WithTimeout(context.Background(), time.Second) //nolint:forbidigo // the caller need not wait for the good-bye
		defer cancel()
		_ = conn.Conn().Close(closing) // the error that led here says more
	}
	spent = conn.Conn().IsClosed()
	conn.Release()
	return spent
}

// queryOn runs a statement and hands its rows over, whose values are only valid until
// row returns.
func (j *Journal) queryOn(ctx context.Context, conn *pgx.Conn, s wire.Statement, parameters [][]byte, row func([][]byte) error) error {
	prepared, err := j.prepare(ctx, conn, s)
	if err != nil {
		return err
	}
	return wire.Query(ctx, conn.PgConn(), s, prepared, parameters, row)
}

// collect is queryOn for few rows.
func (j *Journal) collect(ctx context.Context, conn *pgx.Conn, s wire.Statement, parameters [][]byte) (all [][][]byte, err error) {
	err = j.queryOn(ctx, conn, s, parameters, func(row [][]byte) error {
		all = append(all, wire.CloneRow(row))
		return nil
	})
	return all, err
}

// prepare prepares a statement on a connection, which is a look-up from the second time
// on. The description is nil where the protocol prepares none, see [Protocol].
func (j *Journal) prepare(ctx context.Context, conn *pgx.Conn, s wire.Statement) (*pgconn.StatementDescription, error) {
	if !j.prepares() {
		return nil, nil
	}
	return conn.Prepare(ctx, s.Name, s.SQL)
}

func (j *Journal) prepares() bool { return j.config.Protocol == ProtocolPrepared }

// unowned is a statement for a connection that is not the journal's own, where the text
// is the name: another release may have prepared its own by the same name.
func unowned(s wire.Statement) wire.Statement {
	s.Name = s.SQL
	return s
}

// change runs a statement that is a transaction of its own and answers with one row. After
// an error from before it was sent nothing was done. After a later error the outcome is
// unknown, unless the server's error proves that nothing was done.
func (j *Journal) change(ctx context.Context, stream persistence.StreamID, expected persistence.Expected, ids []persistence.EventID, s wire.Statement, parameters ...[]byte) (row [][]byte, err error) {
	if err := appender.Outside(ctx, j); err != nil {
		return nil, err
	}
	row, err, sent := j.once(ctx, s, parameters)
	switch {
	case sent && err != nil:
		return nil, stageError(stream, expected, ids, err)
	case err == nil && row == nil:
		return nil, appending.Contradiction(stream)
	}
	return row, err
}

// once lets a statement be done at most once, and returns its row if it answers with one.
// An error from before it was sent is translated. A later error is the driver's, and sent is
// true.
func (j *Journal) once(ctx context.Context, s wire.Statement, parameters [][]byte) (row [][]byte, err error, sent bool) { //nolint:revive // sent says what err is
	for retried := false; ; retried = true {
		if ctx.Err() != nil {
			return nil, journalkit.CallerLeft(ctx), false
		}
		conn, err := j.pool.Acquire(ctx)
		if err != nil {
			return nil, notBegun(ctx, err), false
		}
		row, err, sent := j.onceOn(ctx, conn.Conn(), s, parameters)
		spent := release(conn, err)
		done := sent && !pgsession.Definite(pgsession.Code(err))
		switch {
		case err != nil && spent && !done && !retried && ctx.Err() == nil:
			j.pool.Reset() // the others are no better
		case err != nil && !sent:
			return nil, notBegun(ctx, err), false
		default:
			return row, err, sent
		}
	}
}

func (j *Journal) onceOn(ctx context.Context, conn *pgx.Conn, s wire.Statement, parameters [][]byte) (row [][]byte, err error, sent bool) { //nolint:revive // as above
	if _, err := j.prepare(ctx, conn, s); err != nil {
		return nil, err, false
	}
	rows, err := j.collect(ctx, conn, s, parameters)
	if err == nil && len(rows) == 1 {
		row = rows[0]
	}
	return row, err, true
}

// ask runs a statement that may be repeated without harm.
func (j *Journal) ask(ctx context.Context, s wire.Statement, parameters ...[]byte) (rows [][][]byte, err error) {
	if ctx.Err() != nil {
		return nil, journalkit.CallerLeft(ctx)
	}
	err = j.withConn(ctx, func(conn *pgx.Conn) (err error) {
		rows, err = j.collect(ctx, conn, s, parameters)
		return err
	})
	return rows, readError(ctx, err)
}

// session lends a connection of the pool, or the one of a transaction.
type session func(ctx context.Context, do func(*pgx.Conn) error) error
