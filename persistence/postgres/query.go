package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

var errUndecodable = errors.New("a row is not what its statement promises")

// withConn calls do with a connection of the pool. After a restart of the server
// the pool is full of dead ones, and after a change of its tables or its settings of
// ones that live and are of no use. So do is called once more, with a fresh one: it
// must be able to begin anew.
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

// release gives a connection back after an error, if there was one, and reports
// whether its session was of no more use, and so was closed.
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
