package wire

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// binaryFormat is the format of all parameters and results.
var binaryFormat = []int16{1}

// The functions below run statements on connections of the driver. They stay below its
// rows, which look a decoder up for every value. A statement that the connection has
// prepared comes with its description; one without goes out unnamed.

// Query runs a statement and hands its rows over, whose values are only valid until row
// returns.
func Query(ctx context.Context, conn *pgconn.PgConn, s Statement, prepared *pgconn.StatementDescription, parameters [][]byte, row func([][]byte) error) error {
	if prepared == nil {
		return eachRow(conn.ExecParams(ctx, s.SQL, parameters, nil, binaryFormat, binaryFormat), row)
	}
	return eachRow(conn.ExecStatement(ctx, prepared, parameters, binaryFormat, binaryFormat), row)
}

// Queue sends a statement in a pipeline. Its answer is read by [Next].
func Queue(p *pgconn.Pipeline, s Statement, prepared *pgconn.StatementDescription, parameters [][]byte) {
	if prepared == nil {
		p.SendQueryParams(s.SQL, parameters, nil, binaryFormat, binaryFormat)
		return
	}
	p.SendQueryStatement(prepared, parameters, binaryFormat, binaryFormat)
}

// Next reads the answer to the next statement of a pipeline and hands its rows over, as
// [Query] does.
func Next(p *pgconn.Pipeline, row func([][]byte) error) error {
	results, err := p.GetResults()
	if err != nil {
		return err
	}
	result, ok := results.(*pgconn.ResultReader)
	if !ok {
		return errors.New("the server answers less than it was asked for")
	}
	return eachRow(result, row)
}

// eachRow hands all rows over. After an error of row it reads on to the end of the result.
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

// CloneRow copies the values of a row.
func CloneRow(values [][]byte) [][]byte {
	row := make([][]byte, len(values))
	for i, value := range values {
		if value != nil {
			row[i] = append([]byte{}, value...)
		}
	}
	return row
}
