package postgres

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/stele-es/stele/internal/pgsession"
)

// link is the connection that appends go through. Requests are sent by one
// goroutine and answers received by another, so that the server has the next
// batch at hand when it is done with one.
//
// It never sends a cancel request and is never bound to a caller's context: an
// append that is under way may have been stored already.
type link struct {
	conn     net.Conn
	frontend *pgproto3.Frontend
	backend  backend
	bound    time.Duration
	early    bool // writers released the order lock early when it was opened
}

// backend is the server's process of one connection. The start, in microseconds,
// tells it from a later one with the same number.
type backend struct {
	pid   int32
	start int64
}

// connect opens a link and ends the backends of lost ones. It returns those that
// could not be ended in time.
func (j *Journal) connect(ctx context.Context, lost []backend) (_ *link, _ []backend, err error) {
	config := j.config.writing.Copy()
	if j.config.Pool.BeforeConnect != nil {
		if err := j.config.Pool.BeforeConnect(ctx, config); err != nil {
			return nil, lost, err
		}
	}
	conn, err := pgconn.ConnectConfig(ctx, &config.Config) // which has a limit for each host
	if err != nil {
		return nil, lost, err
	}
	l := &link{bound: j.config.StatementTimeout}
	setup, cancel := context.WithTimeout(ctx, j.config.StatementTimeout)
	defer cancel()
	if l.early, err = j.setUp(setup, conn); err == nil {
		lost, err = j.identify(setup, conn, l, lost)
	}
	if err == nil {
		err = conn.SyncConn(setup)
	}
	if err != nil {
		_ = conn.Close(setup) // the error that led here says more
		return nil, lost, err
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		return nil, lost, err
	}
	l.conn, l.frontend = hijacked.Conn, hijacked.Frontend
	return l, lost, l.conn.SetDeadline(time.Time{})
}

// setUp prepares the statements and asks whether writers release the order lock early.
func (j *Journal) setUp(ctx context.Context, conn *pgconn.PgConn) (early bool, _ error) {
	for _, s := range j.linkStatements() {
		if _, err := conn.Prepare(ctx, s.name, s.sql, nil); err != nil {
			return false, err
		}
	}
	rows, err := askOn(ctx, conn, j.sql.early)
	if err != nil {
		return false, err
	}
	if len(rows) != 1 || len(rows[0][0]) != 1 {
		return false, errUndecodable
	}
	return rows[0][0][0] != 0, nil
}

// identify asks who serves the connection, and ends the backends of lost ones.
func (j *Journal) identify(ctx context.Context, conn *pgconn.PgConn, l *link, lost []backend) ([]backend, error) {
	rows, err := askAsLogin(ctx, conn, j.sql.backend)
	if err != nil {
		return lost, err
	}
	if len(rows) != 1 {
		return lost, errors.New("the server does not say who serves the connection")
	}
	var ok1, ok2 bool
	l.backend.pid, ok1 = readInt4(rows[0][0])
	if l.backend.start, ok2 = readInt8(rows[0][1]); !ok1 || !ok2 {
		return lost, errUndecodable
	}
	return j.fence(ctx, conn, lost)
}

// askAsLogin is askOn in a transaction of its own, for the role that has logged in: the
// one that it acts as may not see and end its processes.
func askAsLogin(ctx context.Context, conn *pgconn.PgConn, s statement, parameters ...[]byte) ([][][]byte, error) {
	if _, err := conn.Exec(ctx, pgsession.Writing+"; SET LOCAL ROLE NONE").ReadAll(); err != nil {
		return nil, err
	}
	rows, err := askOn(ctx, conn, s, parameters...)
	if err != nil {
		return nil, err // with which the connection is given up
	}
	_, err = conn.Exec(ctx, "COMMIT").ReadAll()
	return rows, err
}

// linkStatements are those that a link prepares: none where the protocol has none.
func (j *Journal) linkStatements() []statement {
	if !j.prepares() {
		return nil
	}
	return []statement{j.sql.appendLean, j.sql.flush, j.sql.appendExact, j.sql.appendChecked, j.sql.attempt, j.sql.search, j.sql.streamByName}
}

// askOn runs a statement once on a connection that is to become a link.
func askOn(ctx context.Context, conn *pgconn.PgConn, s statement, parameters ...[]byte) (rows [][][]byte, err error) {
	err = eachRow(conn.ExecParams(ctx, s.sql, parameters, nil, inBinary, inBinary), func(row [][]byte) error {
		rows = append(rows, cloneRow(row))
		return nil
	})
	return rows, err
}

// fence ends the backends of lost connections, so that what they had begun is
// stored or not before it is asked for. It returns those that live on.
func (j *Journal) fence(ctx context.Context, conn *pgconn.PgConn, lost []backend) ([]backend, error) {
	var left []backend
	for _, b := range lost {
		wait := (j.config.StatementTimeout / 2).Milliseconds()
		rows, err := askAsLogin(ctx, conn, j.sql.fence, int4Parameter(b.pid), int8Parameter(b.start), int8Parameter(wait))
		if err != nil {
			return append(left, lost...), err
		}
		if len(rows) == 1 && len(rows[0][0]) == 1 && rows[0][0][0] == 0 {
			left = append(left, b)
		}
	}
	return left, nil
}

// send writes requests. After an error the link is of no use, and how much of
// the requests the server got is not known.
func (l *link) send(requests []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.bound)); err != nil {
		return err
	}
	_, err := l.conn.Write(requests)
	return err
}

// answer is what the server said to the requests up to one Sync.
type answer struct {
	rows [][][][]byte // of each statement, of each row, the values
	// err is the server's error; it undid all statements.
	err *serverError
	// warned says that the commit may not be as durable as it should be.
	warned bool
}

// receive reads the answer to one group of statements, and then to the request to
// flush what they stored, if there was one.
func (l *link) receive(statements int, flushed bool) (answer, error) {
	a, err := l.group(statements)
	if err != nil || !flushed {
		return a, err
	}
	flush, err := l.group(1)
	if err == nil && flush.err != nil {
		err = flush.err
	}
	a.warned = a.warned || flush.warned
	return a, err
}

// group reads the answer to the statements up to one Sync.
func (l *link) group(statements int) (answer, error) {
	a := answer{rows: make([][][][]byte, statements)}
	if err := l.conn.SetReadDeadline(time.Now().Add(l.bound)); err != nil {
		return a, err
	}
	for at := 0; ; {
		message, err := l.frontend.Receive()
		if err != nil {
			return a, err
		}
		switch m := message.(type) {
		case *pgproto3.DataRow:
			if at >= statements {
				return a, errors.New("the server answers more than it was asked")
			}
			a.rows[at] = append(a.rows[at], cloneRow(m.Values))
		case *pgproto3.CommandComplete:
			at++
		case *pgproto3.NoticeResponse:
			a.warned = a.warned || syncWaitCancelled(m)
		case *pgproto3.ErrorResponse:
			a.err = pgsession.NewServerError(m.Code, m.Message)
		case *pgproto3.ReadyForQuery:
			if a.err == nil && at != statements {
				return a, errors.New("the server answers less than it was asked")
			}
			return a, nil
		}
	}
}

func cloneRow(values [][]byte) [][]byte {
	row := make([][]byte, len(values))
	for i, value := range values {
		if value != nil {
			row[i] = append([]byte{}, value...)
		}
	}
	return row
}

// close says good-bye when the link is idle, and otherwise just goes.
func (l *link) close(idle bool) {
	if idle {
		var m message
		m.terminate()
		_ = l.send(m.buf) // a courtesy
	}
	_ = l.conn.Close() // nothing can be done about it
}
