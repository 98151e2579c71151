package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence/postgres"
)

// faultyConfig is a configuration whose append connections call strike before
// each request goes out. It may break the connection.
func faultyConfig(t *testing.T, url string, strike func(*faultyConn)) postgres.Config {
	t.Helper()
	pool, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	dial := pool.ConnConfig.DialFunc
	pool.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &faultyConn{Conn: conn, strike: strike}, nil
	}
	return postgres.Config{Pool: pool, Durability: postgres.Relaxed, StatementTimeout: 2 * time.Second}
}

// faultyConn is a connection that misbehaves at the requests that store events.
// Every other request passes.
type faultyConn struct {
	net.Conn
	strike func(*faultyConn)

	// mu guards what follows: a request is written while another goroutine waits for
	// the answer to it.
	mu sync.Mutex

	// request is what is about to go out; strike may change it.
	request []byte

	// The faults of the request.
	drop    bool   // it never reaches the server
	half    bool   // half of it does, and the connection ends
	swallow bool   // the server's answer never reaches the client, and the connection ends
	hang    bool   // no answer reaches the client any more
	instead []byte // what the client gets for an answer
	before  []byte // what the client gets before the answer

	dropped [][]byte     // what the client gets for requests that were dropped
	answer  bytes.Buffer // for the client
	ended   bool         // nothing follows
}

var errCut = errors.New("the connection was cut")

// storing are the beginnings of the requests that store events.
var storing = [][]byte{[]byte("\x00stele_append_single\x00\x00\x01\x00\x01"), []byte("\x00stele_append_lean\x00\x00\x01\x00\x01"), []byte("\x00stele_append\x00\x00\x01\x00\x01"), []byte("\x00stele_append_checked\x00\x00\x01\x00\x01")}

// storingUnnamed is how they begin without prepared statements.
var storingUnnamed = regexp.MustCompile(`(?s)P.{4}\x00SELECT ([a-z_, ]+ FROM )?"stele"\.append`)

func (c *faultyConn) Write(p []byte) (int, error) {
	if !slices.ContainsFunc(storing, func(name []byte) bool { return bytes.Contains(p, name) }) && !storingUnnamed.Match(p) {
		return c.Conn.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p = bytes.Clone(p)
	c.request = p
	c.strike(c)
	switch {
	case c.half:
		_, _ = c.Conn.Write(p[:len(p)/2])
		return 0, c.cut()
	case c.drop && c.instead == nil:
		return 0, c.cut()
	case c.drop:
		// An empty request is answered by a sign of readiness, which lets the reader find
		// what it is to say instead.
		if bytes.Contains(p, []byte("\x00stele_flush\x00")) { // which is answered apart
			c.instead = slices.Concat(c.instead, []byte("C\x00\x00\x00\x0dSELECT 1\x00"), ready)
		}
		c.dropped = append(c.dropped, c.instead)
		c.drop, c.instead = false, nil
		_, err := c.Conn.Write([]byte{'S', 0, 0, 0, 4})
		return len(p), err
	}
	return c.Conn.Write(p)
}

// Read hands the server's messages on one by one, so that a fault that was
// planted before an answer is met when the answer comes.
func (c *faultyConn) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		if c.answer.Len() > 0 {
			defer c.mu.Unlock()
			return c.answer.Read(p)
		}
		ended := c.ended
		c.mu.Unlock()
		if ended {
			return 0, c.cut()
		}
		message, err := c.receive()
		if err != nil {
			return 0, err
		}
		c.mu.Lock()
		c.pass(message)
		c.mu.Unlock()
	}
}

func (c *faultyConn) receive() ([]byte, error) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(c.Conn, header); err != nil {
		return nil, err
	}
	message := make([]byte, 1+binary.BigEndian.Uint32(header[1:]))
	copy(message, header)
	_, err := io.ReadFull(c.Conn, message[5:])
	return message, err
}

func (c *faultyConn) pass(message []byte) {
	last := message[0] == 'Z'
	switch {
	case c.hang:
	case c.swallow:
		if last {
			c.swallow, c.ended = false, true
			c.answer.Write(c.instead)
		}
	case len(c.dropped) > 0:
		c.answer.Write(c.dropped[0])
		c.dropped = c.dropped[1:]
	default:
		c.answer.Write(c.before)
		c.before = nil
		c.answer.Write(message)
	}
}

// Numbers of the lean function's parameters that prove what a batch rests on.
const (
	proofOfNewest = 2
	proofOfBefore = 5
)

// unprove takes a proof out of the batches of a request, and reports whether there
// was one.
func (c *faultyConn) unprove(which int) (found bool) {
	name := []byte("\x00stele_append_lean\x00\x00\x01\x00\x01\x00\x16")
	for p := c.request; ; {
		at := bytes.Index(p, name)
		if at < 0 {
			return found
		}
		p = p[at+len(name):]
		parameter := p
		for range which {
			parameter = parameter[4+binary.BigEndian.Uint32(parameter):]
		}
		number := parameter[4:12]
		found = found || binary.BigEndian.Uint64(number) > 0
		clear(number)
	}
}

func (c *faultyConn) cut() error {
	_ = c.Close()
	return errCut
}

// ready is the server's sign that it waits for the next request.
var ready = []byte{'Z', 0, 0, 0, 5, 'I'}

func errorMessage(severity, code, text string) []byte { return report('E', severity, code, text) }
func noticeMessage(severity, code, text string) []byte {
	return report('N', severity, code, text)
}

func report(kind byte, severity, code, text string) []byte {
	body := "S" + severity + "\x00V" + severity + "\x00C" + code + "\x00M" + text + "\x00\x00"
	message := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(message, body...)
}
