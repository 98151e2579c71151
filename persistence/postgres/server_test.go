package postgres_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// open opens a journal until the end of the test.
func open(t *testing.T, config postgres.Config) *postgres.Journal {
	t.Helper()
	journal, err := postgres.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	return journal
}

// other opens a second journal on the same tables.
func other(t *testing.T, url string) *postgres.Journal {
	t.Helper()
	return open(t, postgres.Config{URL: url, Durability: postgres.Relaxed})
}

func appendOne(t *testing.T, journal persistence.Journal, stream persistence.StreamID, expected persistence.Expected, payload string) persistence.Outcome {
	t.Helper()
	return appendEach(t, journal, stream, expected, payload)
}

// appendEach is one append of an event for each payload.
func appendEach(t *testing.T, journal persistence.Journal, stream persistence.StreamID, expected persistence.Expected, payloads ...string) persistence.Outcome {
	t.Helper()
	events := make([]persistence.Event, len(payloads))
	for i := range events {
		events[i] = persistence.Event{Type: "t", Payload: []byte(payloads[i])}
	}
	outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: stream, Expected: expected, Events: events})
	if err != nil {
		return persistence.Outcome{Err: err}
	}
	return outcomes[0]
}

func readAll(t *testing.T, journal persistence.Journal, stream persistence.StreamID) []persistence.Recorded {
	t.Helper()
	var events []persistence.Recorded
	for e, err := range journal.Read(t.Context(), stream, persistence.ReadOptions{}) {
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

// eventually polls until done is true.
func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !done() {
		require.True(t, time.Now().Before(deadline), "gave up waiting until %s", what)
		pass(t, 5*time.Millisecond)
	}
}

// pass lets time go by.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// admin runs a statement on a server and returns the number in its first row.
func admin(t *testing.T, server *pgserver.Server, sql string) int {
	t.Helper()
	awaken(t, server)
	return scalar(t, server.URL(), sql)
}

// awaken waits until a server that recovers takes connections.
func awaken(t *testing.T, server *pgserver.Server) {
	t.Helper()
	eventually(t, 30*time.Second, "the server takes connections", func() bool {
		conn, err := pgx.Connect(t.Context(), server.URL())
		if err != nil {
			return false
		}
		_, err = conn.Exec(t.Context(), "SELECT 1")
		return err == nil && conn.Close(t.Context()) == nil
	})
}

func scalar(t *testing.T, url, sql string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), sql)
	require.NoError(t, err)
	defer rows.Close()
	number := 0
	if rows.Next() {
		values, err := rows.Values()
		require.NoError(t, err)
		switch v := values[0].(type) {
		case int32:
			number = int(v)
		case int64:
			number = int(v)
		}
	}
	rows.Close()
	require.NoError(t, rows.Err())
	return number
}

// holdOrderLock keeps every append of a database waiting until it is released.
func holdOrderLock(t *testing.T, url string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "SELECT pg_advisory_lock($1, 0)", postgres.LockKey("stele"))
	require.NoError(t, err)
	return sync.OnceFunc(func() { require.NoError(t, conn.Close(t.Context())) })
}
