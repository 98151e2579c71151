package appending

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// link is the connection that appends go through.
type link struct {
	*wire.Conn
	backend backend
	early   bool // writers released the order lock early when it was opened
}

// backend names the server's process of one connection. Its start, in microseconds,
// distinguishes it from a later process with the same number.
type backend struct {
	pid   int32
	start int64
}

// connect opens a link and ends the backends of lost links. It returns the backends that
// could not be ended in time.
func (c *Committer) connect(ctx context.Context, lost []backend) (_ *link, _ []backend, err error) {
	conn, err := c.config.Dial(ctx)
	if err != nil {
		return nil, lost, err
	}
	l := new(link)
	setup, cancel := context.WithTimeout(ctx, c.config.StatementTimeout)
	defer cancel()
	if l.early, err = c.setUp(setup, conn); err == nil {
		lost, err = c.identify(setup, conn, l, lost)
	}
	if err == nil {
		l.Conn, err = wire.Take(setup, conn, c.config.StatementTimeout)
	}
	if err != nil {
		_ = conn.Close(setup) // the error that led here says more
		return nil, lost, err
	}
	return l, lost, nil
}

// setUp prepares the statements, and asks whether writers release the order lock early.
func (c *Committer) setUp(ctx context.Context, conn *pgconn.PgConn) (early bool, _ error) {
	for _, s := range c.prepared() {
		if _, err := conn.Prepare(ctx, s.Name, s.SQL, nil); err != nil {
			return false, err
		}
	}
	rows, err := askOn(ctx, conn, c.config.Statements.Early)
	if err != nil {
		return false, err
	}
	if len(rows) != 1 || len(rows[0][0]) != 1 {
		return false, wire.ErrUndecodable
	}
	return rows[0][0][0] != 0, nil
}

// identify asks for the connection's backend, and ends the backends of lost links.
func (c *Committer) identify(ctx context.Context, conn *pgconn.PgConn, l *link, lost []backend) ([]backend, error) {
	rows, err := askAsLogin(ctx, conn, c.config.Statements.Backend)
	if err != nil {
		return lost, err
	}
	if len(rows) != 1 {
		return lost, errors.New("the server does not say which process serves the connection")
	}
	var ok1, ok2 bool
	l.backend.pid, ok1 = wire.ReadInt4(rows[0][0])
	if l.backend.start, ok2 = wire.ReadInt8(rows[0][1]); !ok1 || !ok2 {
		return lost, wire.ErrUndecodable
	}
	return c.fence(ctx, conn, lost)
}

// askAsLogin is askOn in a transaction of its own, as the role that has logged in. The role
// that it acts as may lack the right to see and end its processes.
func askAsLogin(ctx context.Context, conn *pgconn.PgConn, s wire.Statement, parameters ...[]byte) ([][][]byte, error) {
	if _, err := conn.Exec(ctx, pgsession.Writing+"; SET LOCAL ROLE NONE").ReadAll(); err != nil {
		return nil, err
	}
	rows, err := askOn(ctx, conn, s, parameters...)
	if err != nil {
		return nil, err // the connection is given up
	}
	_, err = conn.Exec(ctx, "COMMIT").ReadAll()
	return rows, err
}

// prepared returns the statements that a link prepares, none where the protocol
// prepares none.
func (c *Committer) prepared() []wire.Statement {
	if !c.config.Prepared {
		return nil
	}
	return []wire.Statement{c.config.Statements.AppendSingle, c.config.Statements.AppendLean, c.config.Statements.Flush, c.config.Statements.AppendExact, c.config.Statements.AppendChecked, c.config.Statements.Attempt, c.config.Statements.Search, c.config.Statements.StreamByName}
}

// askOn runs a statement once on a connection that becomes a link.
func askOn(ctx context.Context, conn *pgconn.PgConn, s wire.Statement, parameters ...[]byte) (rows [][][]byte, err error) {
	err = wire.Query(ctx, conn, s, nil, parameters, func(row [][]byte) error {
		rows = append(rows, wire.CloneRow(row))
		return nil
	})
	return rows, err
}

// fence ends the backends of lost connections. What such a backend had begun is then either
// stored or undone, and a question about it has one answer. fence returns the backends that
// live on.
func (c *Committer) fence(ctx context.Context, conn *pgconn.PgConn, lost []backend) ([]backend, error) {
	var left []backend
	for _, b := range lost {
		wait := (c.config.StatementTimeout / 2).Milliseconds()
		rows, err := askAsLogin(ctx, conn, c.config.Statements.Fence, wire.Int4(b.pid), wire.Int8(b.start), wire.Int8(wait))
		if err != nil {
			return append(left, lost...), err
		}
		if len(rows) == 1 && len(rows[0][0]) == 1 && rows[0][0][0] == 0 {
			left = append(left, b)
		}
	}
	return left, nil
}

// receive reads the answer to one group of statements, and then to the request to flush
// what they stored, if there was one.
func (l *link) receive(statements int, flushed bool) (wire.Answer, error) {
	a, err := l.Receive(statements)
	if err != nil || !flushed {
		return a, err
	}
	flush, err := l.Receive(1)
	if err == nil && flush.Err != nil {
		err = flush.Err
	}
	a.Warned = a.Warned || flush.Warned
	return a, err
}
