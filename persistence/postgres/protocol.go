package postgres

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Protocol says how statements are sent. What is stored and read is the same by
// each; they differ in what stands between may understand, and in speed.
type Protocol int

const (
	// ProtocolAuto is ProtocolPrepared, and ProtocolExec behind a pooler.
	ProtocolAuto Protocol = iota
	// ProtocolPrepared prepares each statement once on a connection. A pooler that pools
	// by transaction must know prepared statements: PgBouncer does from 1.21 on with
	// max_prepared_statements of at least 100.
	ProtocolPrepared
	// ProtocolExec sends each statement with its parameters in one unnamed request,
	// which every pooler understands. The server makes a plan each time.
	ProtocolExec
	// ProtocolSimple sends text with the parameters in it, for what stands between and
	// understands nothing else.
	ProtocolSimple
)

// dialect is how the connections of a journal send statements.
type dialect struct {
	protocol Protocol

	mu sync.Mutex
	// texts are the statements that are sent as text, by how they are written.
	texts map[string]*text
}

func newDialect(protocol Protocol) *dialect {
	return &dialect{protocol: protocol, texts: map[string]*text{}}
}

// dialectKey is where a connection keeps how it sends statements; one without does
// as the driver likes best.
const dialectKey = "stele.dialect"

// teach makes a connection send statements so.
func (d *dialect) teach(conn *pgconn.PgConn) { conn.CustomData()[dialectKey] = d }

func dialectOf(conn *pgx.Conn) *dialect {
	if d, taught := conn.PgConn().CustomData()[dialectKey].(*dialect); taught {
		return d
	}
	return &dialect{protocol: ProtocolPrepared}
}

// prepare does what must come before a statement is sent and changes nothing. The
// driver has two ways to prepare one by its name.
func (d *dialect) prepare(ctx context.Context, conn *pgconn.PgConn, s statement, byName func() error) error {
	switch d.protocol {
	case ProtocolExec:
		return nil
	case ProtocolSimple:
		_, err := d.text(ctx, conn, s.sql)
		return err
	default:
		return byName()
	}
}

// query runs a statement with binary parameters and hands its rows over in
// binary, whose values are only valid until row returns.
func (d *dialect) query(ctx context.Context, conn *pgconn.PgConn, types *pgtype.Map, sql string, parameters [][]byte, row func([][]byte) error) error {
	if d.protocol != ProtocolSimple {
		return eachRow(conn.ExecParams(ctx, sql, parameters, nil, inBinary, inBinary), row)
	}
	t, err := d.text(ctx, conn, sql)
	if err != nil {
		return err
	}
	filled, err := t.fill(nil, parameters)
	if err != nil {
		return err
	}
	results := conn.Exec(ctx, string(filled))
	for results.NextResult() {
		result := results.ResultReader()
		oids := make([]uint32, len(result.FieldDescriptions()))
		for i := range oids {
			oids[i] = result.FieldDescriptions()[i].DataTypeOID
		}
		for result.NextRow() {
			values, convertErr := inBinaryForm(types, oids, result.Values())
			if err == nil && convertErr == nil {
				convertErr = row(values)
			}
			err = errors.Join(err, convertErr)
		}
	}
	if closeErr := results.Close(); closeErr != nil {
		return closeErr
	}
	return err
}

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

// text is a statement to fill parameters into.
type text struct {
	pieces []string // between the parameters
	order  []int    // which parameter follows each piece but the last
	types  []parameterType
}

type parameterType struct {
	oid  uint32
	name string
}

// text returns a statement with the types of its parameters, which the server is
// asked for once.
func (d *dialect) text(ctx context.Context, conn *pgconn.PgConn, sql string) (*text, error) {
	d.mu.Lock()
	t := d.texts[sql]
	d.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t = new(text)
	t.pieces, t.order = split(sql)
	// One request is one transaction, so no pooler comes in between.
	results, err := conn.Exec(ctx, "PREPARE stele_types AS "+sql+`;
		SELECT u.t::oid, u.t::text FROM pg_prepared_statements p, unnest(p.parameter_types) WITH ORDINALITY u (t, o) WHERE p.name = 'stele_types' ORDER BY u.o;
		DEALLOCATE stele_types`).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, result := range results {
		for _, row := range result.Rows {
			oid, err := strconv.ParseUint(string(row[0]), 10, 32)
			if err != nil {
				return nil, errUndecodable
			}
			t.types = append(t.types, parameterType{uint32(oid), string(row[1])})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.texts[sql] = t
	return t, nil
}

// known is [dialect.text] for a statement that was asked for.
func (d *dialect) known(sql string) *text {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.texts[sql]
}

// split cuts a statement at its parameters. What stands between quotes may look
// like one.
func split(sql string) (pieces []string, order []int) {
	start, quote := 0, byte(0)
	for i := 0; i < len(sql); i++ {
		switch c := sql[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '$':
			end := i + 1
			for end < len(sql) && sql[end] >= '0' && sql[end] <= '9' {
				end++
			}
			number, _ := strconv.Atoi(sql[i+1 : end])
			pieces, order = append(pieces, sql[start:i]), append(order, number-1)
			start, i = end, end-1
		}
	}
	return append(pieces, sql[start:]), order
}

// fill appends the statement with its parameters in it to a text. Each is a quoted
// literal with its type, so that it means what a bound one means.
func (t *text) fill(to []byte, parameters [][]byte) ([]byte, error) {
	for i, piece := range t.pieces {
		to = append(to, piece...)
		if i == len(t.order) {
			break
		}
		at := t.order[i]
		if at < 0 || at >= len(parameters) || at >= len(t.types) {
			return nil, errUndecodable
		}
		if parameters[at] == nil {
			to = append(to, "NULL"...)
		} else {
			value, err := textOf(t.types[at].oid, parameters[at])
			if err != nil {
				return nil, err
			}
			to = append(to, literal(value)...)
		}
		to = append(to, "::"...)
		to = append(to, t.types[at].name...)
	}
	return to, nil
}
