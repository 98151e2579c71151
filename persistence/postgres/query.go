package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// statement is a prepared statement: its name on a connection and its text.
type statement struct{ name, sql string }

var errUndecodable = errors.New("a row is not what its statement promises")

// inBinary is the format of all parameters and results.
var inBinary = []int16{1}

// query runs a statement on a connection of the pool and hands its rows over. A
// row's values are only valid until row returns.
func (j *Journal) query(ctx context.Context, s statement, parameters [][]byte, row func([][]byte) error) error {
	conn, err := j.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return queryOn(ctx, conn.Conn(), s, parameters, row)
}

// queryOn is query on one connection. It stays below the driver's rows, which
// look a decoder up for every value.
func queryOn(ctx context.Context, conn *pgx.Conn, s statement, parameters [][]byte, row func([][]byte) error) error {
	description, err := conn.Prepare(ctx, s.name, s.sql) // a look-up from the second time on
	if err != nil {
		return err
	}
	result := conn.PgConn().ExecStatement(ctx, description, parameters, inBinary, inBinary)
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
