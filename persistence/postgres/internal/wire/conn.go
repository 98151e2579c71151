package wire

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/stele-es/stele/internal/pgsession"
)

// Conn is a connection whose requests are sent by one goroutine and whose answers are
// received by another, so that the server has the next request at hand when it is done
// with one.
//
// It never sends a cancel request and has no context: a request that is under way may
// have been done already.
type Conn struct {
	conn     net.Conn
	frontend *pgproto3.Frontend
	timeout  time.Duration
}

// Take makes a Conn of a connection of the driver, which then must not be used any more.
// The timeout bounds each write and the wait for each answer.
func Take(ctx context.Context, from *pgconn.PgConn, timeout time.Duration) (*Conn, error) {
	if err := from.SyncConn(ctx); err != nil {
		return nil, err
	}
	hijacked, err := from.Hijack()
	if err != nil {
		return nil, err
	}
	c := &Conn{conn: hijacked.Conn, frontend: hijacked.Frontend, timeout: timeout}
	return c, c.conn.SetDeadline(time.Time{})
}

// New makes a Conn of a connection on which a session has begun.
func New(conn net.Conn, timeout time.Duration) *Conn {
	return &Conn{conn: conn, frontend: pgproto3.NewFrontend(conn, conn), timeout: timeout}
}

// Send writes requests. After an error the connection is of no use, and how much of the
// requests has reached the server is not known.
func (c *Conn) Send(requests []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(requests)
	return err
}

// Answer is what the server said to a group of statements, which ends with a Sync.
type Answer struct {
	// Rows are those of each statement, and of each row the values.
	Rows [][][][]byte
	// Err is the server's error, which undid all statements of the group.
	Err *pgsession.ServerError
	// Warned says that the commit may not be as durable as it should be.
	Warned bool
}

// Receive reads the answer to a group of so many statements. After an error the
// connection is of no use.
func (c *Conn) Receive(statements int) (Answer, error) {
	a := Answer{Rows: make([][][][]byte, statements)}
	if err := c.conn.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return a, err
	}
	for at := 0; ; {
		message, err := c.frontend.Receive()
		if err != nil {
			return a, err
		}
		switch m := message.(type) {
		case *pgproto3.DataRow:
			if at >= statements {
				return a, errors.New("the server answers more than it was asked for")
			}
			a.Rows[at] = append(a.Rows[at], CloneRow(m.Values))
		case *pgproto3.CommandComplete:
			at++
		case *pgproto3.NoticeResponse:
			a.Warned = a.Warned || pgsession.WeakCommit(m.Code, m.SeverityUnlocalized, m.Severity)
		case *pgproto3.ErrorResponse:
			a.Err = pgsession.NewServerError(m.Code, m.Message)
		case *pgproto3.ReadyForQuery:
			if a.Err == nil && at != statements {
				return a, errors.New("the server answers less than it was asked for")
			}
			return a, nil
		}
	}
}

// Close ends the connection, and whatever waits on it. An idle one says goodbye to the
// server first.
func (c *Conn) Close(idle bool) {
	if idle {
		var goodbye Requests
		goodbye.Terminate()
		_ = c.Send(goodbye.Bytes()) // a courtesy
	}
	_ = c.conn.Close() // nothing can be done about it
}
