package prooph_test

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // prooph names its tables by it
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
)

// store is a database with tables as prooph makes them, said in our own words.
type store struct {
	t    testing.TB
	url  string
	conn *pgx.Conn
}

// The names that prooph has for its strategies.
const (
	aggregate = "aggregate"
	single    = "single"
	simple    = "simple"
)

// start is when the first events were created.
var start = time.Date(2017, 3, 4, 5, 6, 7, 890_123_000, time.UTC)

func newStore(t testing.TB) *store {
	t.Helper()
	url := pgtest.Database(t)
	return newStoreAt(t, url, url)
}

// newHostileStore is one that is read as a role with the worst settings there are.
func newHostileStore(t testing.TB) *store {
	t.Helper()
	// The search path says which tables are meant; the others end a session.
	hostile, plain := pgtest.Hostile(t, pgtest.Database, "search_path", "idle_session_timeout", "statement_timeout")
	return newStoreAt(t, hostile, plain)
}

func newStoreAt(t testing.TB, reader, maker string) *store {
	t.Helper()
	s := &store{t: t, url: reader}
	conn, err := pgx.Connect(t.Context(), maker)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	s.conn = conn
	s.exec(`CREATE TABLE event_streams (
		no bigserial PRIMARY KEY, real_stream_name varchar(150) NOT NULL, stream_name char(60) NOT NULL UNIQUE, metadata jsonb, category varchar(150))`)
	return s
}

func (s *store) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.conn.Exec(s.t.Context(), sql, args...)
	require.NoError(s.t, err)
}

// table is the quoted name of a stream's table, and as prooph lists it.
func tableOf(stream string) (quoted, listed string) {
	sum := sha1.Sum([]byte(stream)) //nolint:gosec // as above
	name := "_" + hex.EncodeToString(sum[:])
	if schema, _, found := strings.Cut(stream, "."); found {
		return pgx.Identifier{schema, name}.Sanitize(), schema + "." + name
	}
	return pgx.Identifier{name}.Sanitize(), name
}

// create makes a stream by a strategy. Metadata is JSON; "" is NULL.
func (s *store) create(strategy, stream, metadata string) {
	s.t.Helper()
	quoted, listed := tableOf(stream)
	if schema, _, found := strings.Cut(stream, "."); found {
		s.exec("CREATE SCHEMA IF NOT EXISTS " + pgx.Identifier{schema}.Sanitize())
	}
	s.exec("CREATE TABLE " + quoted + ` (no bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE, event_name varchar(100) NOT NULL,
		payload json NOT NULL, metadata jsonb NOT NULL, created_at timestamp(6) NOT NULL)`)
	switch strategy {
	case aggregate:
		s.exec("CREATE UNIQUE INDEX ON " + quoted + " ((metadata->>'_aggregate_version'))")
	case single:
		for _, key := range []string{"version", "type", "id"} {
			s.exec("ALTER TABLE " + quoted + " ADD CONSTRAINT aggregate_" + key + "_not_null CHECK ((metadata->>'_aggregate_" + key + "') IS NOT NULL)")
		}
		s.exec("CREATE UNIQUE INDEX ON " + quoted + " ((metadata->>'_aggregate_type'), (metadata->>'_aggregate_id'), (metadata->>'_aggregate_version'))")
		s.exec("CREATE INDEX ON " + quoted + " ((metadata->>'_aggregate_type'), (metadata->>'_aggregate_id'), no)")
	}
	var category any
	if at := strings.Index(stream, "-"); at > 0 {
		category = stream[:at]
	}
	var of any
	if metadata != "" {
		of = metadata
	}
	s.exec("INSERT INTO event_streams (real_stream_name, stream_name, metadata, category) VALUES ($1, $2, $3, $4)", stream, listed, of, category)
}

// event is a row to write. What is zero gets a default.
type event struct {
	no                      int64
	id                      uuid.UUID
	name, payload, metadata string
	at                      time.Time
}

// write adds rows to a stream, whose metadata is PHP's.
func (s *store) write(stream string, events ...event) {
	s.t.Helper()
	quoted, _ := tableOf(stream)
	var batch pgx.Batch
	for i, e := range events {
		if e.id == (uuid.UUID{}) {
			e.id = uuid.New()
		}
		if e.name == "" {
			e.name = "happened"
		}
		if e.payload == "" {
			e.payload = "[]"
		}
		if e.metadata == "" {
			e.metadata = "[]"
		}
		if e.at.IsZero() {
			e.at = start.Add(time.Duration(i) * time.Second)
		}
		number := "DEFAULT"
		if e.no != 0 {
			number = fmt.Sprint(e.no)
		}
		batch.Queue("INSERT INTO "+quoted+" (no, event_id, event_name, payload, metadata, created_at) VALUES ("+number+", $1, $2, $3, $4, $5)",
			e.id, e.name, e.payload, e.metadata, e.at)
	}
	require.NoError(s.t, s.conn.SendBatch(s.t.Context(), &batch).Close())
}

// of is the metadata by which prooph tells where an event belongs.
func of(kind, id string, version any) string {
	return fmt.Sprintf(`{"_aggregate_type": %q, "_aggregate_id": %q, "_aggregate_version": %v}`, kind, id, version)
}

// versions are events of one aggregate that claim these versions. Each payload is
// the ordinal of its row.
func versions(claimed ...int) []event {
	var events []event
	for i, version := range claimed {
		events = append(events, event{no: int64(i + 1), payload: fmt.Sprint(i + 1), metadata: fmt.Sprintf(`{"_aggregate_version": %d}`, version)})
	}
	return events
}

// stub is a journal that keeps what is imported as it came.
type stub struct {
	persistence.Journal
	events []persistence.Recorded
}

func (s *stub) Import(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
	s.events = append(s.events, events...)
	for i := range events {
		if _, err := s.Append(ctx, persistence.Append{Stream: events[i].Stream, Expected: persistence.Any, Events: []persistence.Event{events[i].Event}}); err != nil {
			return persistence.Position{}, err
		}
	}
	return persistence.Position{Offset: int64(len(s.events))}, nil
}

func (s *stub) ImportStreams(context.Context, []persistence.StreamInfo) error { return nil }

// said are the stream, version and payload of events.
func said(events []persistence.Recorded) []string {
	var lines []string
	for i := range events {
		lines = append(lines, fmt.Sprintf("%s %d %s", events[i].Stream, events[i].Version, events[i].Payload))
	}
	return lines
}

// sorted orders events by stream and version.
func sorted(events []persistence.Recorded) []persistence.Recorded {
	return slices.SortedFunc(slices.Values(events), func(a, b persistence.Recorded) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Version, b.Version))
	})
}
