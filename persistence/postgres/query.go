package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/internal/pgsession"
)

var errUndecodable = errors.New("a row is not what its statement promises")

// inBinary is the format of all parameters and results.
var inBinary = []int16{1}

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

// queryOn runs a statement and hands its rows over, whose values are only valid
// until row returns. It stays below the driver's rows, which look a decoder up for
// every value.
func (j *Journal) queryOn(ctx context.Context, conn *pgx.Conn, s statement, parameters [][]byte, row func([][]byte) error) error {
	if !j.prepares() {
		return eachRow(conn.PgConn().ExecParams(ctx, s.sql, parameters, nil, inBinary, inBinary), row)
	}
	description, err := conn.Prepare(ctx, s.name, s.sql) // a look-up from the second time on
	if err != nil {
		return err
	}
	return eachRow(conn.PgConn().ExecStatement(ctx, description, parameters, inBinary, inBinary), row)
}

// prepares reports whether statements are prepared, see [Protocol].
func (j *Journal) prepares() bool { return j.config.Protocol == ProtocolPrepared }

func eachRow(result *pgconn.ResultReader, row func([][]byte) error) (err error) {
	for result.NextRow() {
		if err == nil {
			err = row(result.Values())
		}
	}
	if _, closeErr := result.Close(); closeErr != nil {
		return closeErr
	}
	return err
}

func int8Parameter(v int64) []byte {
	var m message
	m.int8(v)
	return m.buf[4:]
}

func int2Parameter(v int16) []byte {
	var m message
	m.int2(v)
	return m.buf[4:]
}

func int4Parameter(v int32) []byte {
	var m message
	m.int4(v)
	return m.buf[4:]
}

func boolParameter(v bool) []byte {
	var m message
	m.bool(v)
	return m.buf[4:]
}
