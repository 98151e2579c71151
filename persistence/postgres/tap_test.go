package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// tap notes the kinds of the requests that connections send, and the names of the
// statements that they prepare.
type tap struct {
	mu    sync.Mutex
	kinds map[byte]int
	named int
}

type tappedConn struct {
	net.Conn
	tap     *tap
	pending []byte
	begun   bool
}

func (c *tappedConn) Write(p []byte) (int, error) {
	c.pending = append(c.pending, p...)
	for {
		header := 1
		if !c.begun {
			header = 0 // the first message has no kind
		}
		if len(c.pending) < header+4 {
			break
		}
		size := header + int(binary.BigEndian.Uint32(c.pending[header:]))
		if len(c.pending) < size {
			break
		}
		if c.begun {
			c.tap.note(c.pending[0], c.pending[5:size])
		}
		c.begun, c.pending = true, c.pending[size:]
	}
	return c.Conn.Write(p)
}

func (t *tap) note(kind byte, body []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kinds[kind]++
	if kind == 'P' && !bytes.HasPrefix(body, []byte{0}) {
		t.named++
	}
}

// Whatever a journal does, it sends only what its protocol allows.
func TestProtocolsSendNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		protocol postgres.Protocol
		pooler   bool
		named    bool
	}{
		"auto":                 {protocol: postgres.ProtocolAuto, named: true},
		"auto behind a pooler": {protocol: postgres.ProtocolAuto, pooler: true},
		"prepared":             {protocol: postgres.ProtocolPrepared, pooler: true, named: true},
		"exec":                 {protocol: postgres.ProtocolExec},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, err := pgxpool.ParseConfig(pgtest.URL(t))
			require.NoError(t, err)
			seen := &tap{kinds: map[byte]int{}}
			dial := pool.ConnConfig.DialFunc
			pool.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				return &tappedConn{Conn: conn, tap: seen}, err
			}
			journal := open(t, postgres.Config{Pool: pool, Durability: postgres.Relaxed, Protocol: c.protocol, Pooler: c.pooler})

			require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "it's \\ $1").Err)
			require.NoError(t, appendOne(t, journal, "s-1", persistence.Any, "x").Err)
			require.ErrorIs(t, appendOne(t, journal, "s-1", persistence.Exact(9), "x").Err, persistence.ErrConflict)
			require.Equal(t, "it's \\ $1", string(readAll(t, journal, "s-1")[0].Payload))
			_, err = journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "s-1", Limit: 9}})
			require.NoError(t, err)
			require.NoError(t, journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(one("s-2", persistence.NoStream), one("s-1", persistence.Exact(2)))
				return err
			}))
			_, err = journal.Truncate(t.Context(), "s-1", 2)
			require.NoError(t, err)
			_, err = journal.Check(t.Context(), persistence.CheckOptions{Full: true})
			require.NoError(t, err)
			require.NoError(t, journal.Close())

			seen.mu.Lock()
			defer seen.mu.Unlock()
			require.Equal(t, c.named, seen.named > 0, "statements with a name")
			for kind := range seen.kinds {
				require.Contains(t, "PBDESQX", string(kind))
			}
			require.NotEmpty(t, seen.kinds)
		})
	}
}
