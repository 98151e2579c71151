package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/postgres"
)

// asked counts the requests of connections for a prepared statement.
type asked struct {
	mu     sync.Mutex
	counts map[string]int
}

type askedConn struct {
	net.Conn
	asked *asked
}

func (c askedConn) Write(p []byte) (int, error) {
	c.asked.mu.Lock()
	for _, name := range []string{"stele_read_all", "stele_choose_all"} {
		c.asked.counts[name] += bytes.Count(p, []byte("\x00"+name+"\x00\x00\x01"))
	}
	c.asked.mu.Unlock()
	return c.Conn.Write(p)
}

// A filter is evaluated where that is cheaper, and chooses the same events.
func TestFilterIsEvaluatedWhereItIsCheaper(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	dial, seen := pool.ConnConfig.DialFunc, &asked{counts: map[string]int{}}
	pool.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return askedConn{conn, seen}, err
	}
	journal := open(t, postgres.Config{Pool: pool, Durability: postgres.Relaxed})
	// Blocks of a thousand events: all match, none, each second one, and again all.
	matching := []func(i int) bool{
		func(int) bool { return true }, func(int) bool { return false }, func(i int) bool { return i%2 == 0 }, func(int) bool { return true },
	}
	var wanted []string
	for block, matches := range matching {
		a := persistence.Append{Stream: persistence.StreamID(fmt.Sprint("s-", block)), Events: make([]persistence.Event, 1000)}
		for i := range a.Events {
			a.Events[i] = persistence.Event{Type: "no", Payload: fmt.Append(nil, block, ".", i)}
			if matches(i) {
				a.Events[i].Type = "yes"
				wanted = append(wanted, string(a.Events[i].Payload))
			}
		}
		_, err := journal.Append(t.Context(), a)
		require.NoError(t, err)
	}
	for _, backward := range []bool{false, true} {
		got := readByPages(t, journal, persistence.ReadAllOptions{Filter: filter.Type().Eq("yes"), PageRows: 100, Backward: backward})
		if backward {
			slices.Reverse(got)
		}
		require.Equal(t, wanted, got)
	}

	require.Greater(t, seen.counts["stele_read_all"], 20, "the blocks of which most match")
	require.Greater(t, seen.counts["stele_choose_all"], 2, "the block of which none does")
}

// readByPages asks for each page anew, as readers that follow do, and returns the payloads.
func readByPages(t *testing.T, journal persistence.Journal, options persistence.ReadAllOptions) (payloads []string) {
	t.Helper()
	for {
		for page, err := range journal.ReadAll(t.Context(), options) {
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Events), options.PageRows)
			for _, e := range page.Events {
				payloads = append(payloads, string(e.Payload))
			}
			if options.After = page.Next; page.AtHead {
				return payloads
			}
			break
		}
	}
}
