package prooph

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// statement is an embedded one for a table, whose name is quoted.
func statement(name, table string) string {
	text, err := sqlFiles.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic("prooph: no embedded statement " + name) //nolint:forbidigo // the program is built wrong
	}
	return strings.ReplaceAll(string(text), "{table}", table)
}

// source is prooph's database as it is at one moment.
type source struct {
	conn *pgx.Conn
	tx   pgx.Tx
}

func open(ctx context.Context, connect *pgx.ConnConfig) (*source, error) {
	conn, err := pgx.ConnectConfig(ctx, connect)
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("connect to prooph's database: %w", pgsession.Unreachable(err))
	}
	if err != nil {
		return nil, failed(ctx, err)
	}
	s := &source{conn: conn}
	if s.tx, err = conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: pgsession.Begin(pgsession.Snapshot, "idle_in_transaction_session_timeout", "0")}); err != nil {
		s.close(ctx)
		return nil, failed(ctx, err)
	}
	return s, nil
}

// close ends the transaction with the connection.
func (s *source) close(ctx context.Context) { _ = s.conn.Close(context.WithoutCancel(ctx)) }

// query calls scan for each row. Statements are not prepared: there are as many
// as tables.
func (s *source) query(ctx context.Context, scan func(pgx.Rows) error, sql string, args ...any) error {
	rows, err := s.tx.Query(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		return failed(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return failed(ctx, err)
		}
	}
	return failed(ctx, rows.Err())
}

// tables are those of the listed streams, in the order in which prooph made them.
// One that is missing has no strategy.
func (s *source) tables(ctx context.Context, config Config) ([]*table, error) {
	var tables []*table
	err := s.query(ctx, func(rows pgx.Rows) error {
		t := &table{number: len(tables), after: beforeAll}
		var relation string
		var metadata *string
		if err := rows.Scan(&t.name, &relation, &metadata, &t.strategy); err != nil {
			return err
		}
		if metadata != nil {
			t.metadata = []byte(*metadata)
		}
		if t.strategy != Detect && config.Strategy != Detect {
			t.strategy = config.Strategy
		}
		t.relation = identifier(relation)
		tables = append(tables, t)
		return nil
	}, statement("streams", identifier(config.Table)), config.Streams)
	if answered, ok := errors.AsType[*pgsession.ServerError](err); ok && strings.HasPrefix(answered.Code, "42") {
		return nil, &persistence.InvalidError{Field: "table", Reason: "is not there, is none of prooph's, or may not be read"}
	}
	if err != nil {
		return nil, err
	}
	for _, name := range config.Streams {
		if !listed(tables, name) {
			return nil, &persistence.StreamNotFoundError{Stream: persistence.StreamID(name)}
		}
	}
	return tables, nil
}

func listed(tables []*table, name string) bool {
	for _, t := range tables {
		if t.name == name {
			return true
		}
	}
	return false
}

// count is the number of rows of the tables.
func (s *source) count(ctx context.Context, tables []*table) (total int64, err error) {
	for _, t := range tables {
		if t.strategy == Detect {
			continue
		}
		err := s.query(ctx, func(rows pgx.Rows) error {
			var count int64
			err := rows.Scan(&count)
			total += count
			return err
		}, statement("count", t.relation))
		if err != nil {
			return 0, t.failed(err)
		}
	}
	return total, nil
}

// failed reduces an error of the driver to what may be shown.
func failed(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return journalkit.CallerLeft(ctx)
	}
	cause := pgsession.Public(err)
	if code := pgsession.Code(err); code != "" {
		cause = &pgsession.ServerError{Code: code} // its message may quote data
	}
	return &persistence.UnavailableError{Reason: "prooph's database", Err: cause}
}
