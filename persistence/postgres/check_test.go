package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// examined returns the findings about one thing, and requires that there are some.
func examined(t *testing.T, journal *postgres.Journal, check string, full bool) []persistence.Finding {
	t.Helper()
	all, err := postgres.Examine(t.Context(), journal, persistence.CheckOptions{Full: full}, 0)
	require.NoError(t, err)
	var found []persistence.Finding
	for _, f := range all {
		require.False(t, f.Severity == persistence.Fine && f.Fix != "", "%+v", f)
		if f.Check == check {
			found = append(found, f)
		}
	}
	require.NotEmpty(t, found, check)
	return found
}

// found requires a finding that says something.
func found(t *testing.T, findings []persistence.Finding, severity persistence.Severity, text string) {
	t.Helper()
	for _, f := range findings {
		if f.Severity == severity {
			require.Contains(t, f.Text, text)
			require.NotEmpty(t, f.Fix)
			return
		}
	}
	require.Fail(t, "not found", "%s in %+v", severity, findings)
}

func TestCheckOfAFreshJournal(t *testing.T) {
	t.Parallel()
	journal := open(t, pgtest.Config(t))

	all, err := journal.Check(t.Context(), persistence.CheckOptions{Full: true})

	require.NoError(t, err)
	checks := map[string]persistence.Severity{}
	for _, f := range all {
		checks[f.Check] = max(checks[f.Check], f.Severity)
	}
	// Others use the server too, so findings about them are left out.
	delete(checks, "transactions")
	delete(checks, "write-ahead log")
	require.Equal(t, map[string]persistence.Severity{
		"server": persistence.Fine, "durability": persistence.Warning, "schema": persistence.Fine, "rights": persistence.Warning, "vacuum": persistence.Fine,
		"compression": persistence.Fine, "order lock": persistence.Fine, "pooler": persistence.Fine, "streams": persistence.Fine, "events": persistence.Fine,
	}, checks)
}

// The check finds faults that were planted in the tables.
func TestLongCheckFindsFaultsOfTheData(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ plant, check, want string }{
		"a position is missing":            {"DELETE FROM stele.event WHERE position = 4", "events", "no event at position 4"},
		"an event is undecodable":          {`UPDATE stele.event SET metadata = '[]' WHERE position = 4`, "events", "its metadata cannot be decoded"},
		"an event has no stream":           {"UPDATE stele.event SET stream_id = 999 WHERE position = 4", "events", "has no stream"},
		"a version is missing":             {"DELETE FROM stele.event WHERE position = 4", "streams", "of a-1 versions are missing up to 5"},
		"versions do not begin at 1":       {"DELETE FROM stele.event WHERE position = 1", "streams", "of a-1 versions are missing up to 5"},
		"a stream begins behind its end":   {"UPDATE stele.stream SET first = 9 WHERE name = 'a-1'", "streams", "a-1 begins at 9 behind its end at 5"},
		"a life begins late":               {"UPDATE stele.stream SET begins = 4, first = 3 WHERE name = 'a-1'", "streams", "a-1 begins at 3 and its life at 4"},
		"a tombstone is missing":           {"UPDATE stele.event SET type = 't' WHERE type = '$deleted'", "streams", "no tombstone stands before the life of b-1"},
		"a snapshot is from nowhere":       {"UPDATE stele.snapshot SET version = 99", "streams", "the snapshot of a-1 is newer than the stream"},
		"an id is of another event":        {"UPDATE stele.event_key SET version = 1", "streams", "an event id of a-1 is not of its event"},
		"an event is in another partition": {"UPDATE stele.event SET part = 3 WHERE position = 9", "streams", "events of c-1 are in another partition"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := pgtest.Config(t)
			journal := open(t, config)
			for range 4 {
				require.NoError(t, appendOne(t, journal, "a-1", persistence.Any, "x").Err)
			}
			named := one("a-1", persistence.Any)
			named.Events[0].ID = persistence.NewEventID()
			_, err := journal.Append(t.Context(), named)
			require.NoError(t, err)
			require.NoError(t, appendOne(t, journal, "b-1", persistence.NoStream, "x").Err)
			_, err = journal.Delete(t.Context(), "b-1", persistence.Any)
			require.NoError(t, err)
			require.NoError(t, appendOne(t, journal, "b-1", persistence.NoStream, "x").Err)
			require.NoError(t, appendOne(t, journal, "c-1", persistence.NoStream, "x").Err)
			require.NoError(t, journal.SaveSnapshot(t.Context(), persistence.Snapshot{Stream: "a-1", Version: 2, EventID: persistence.NewEventID()}))
			for _, check := range []string{"events", "streams"} {
				require.Equal(t, persistence.Fine, examined(t, journal, check, true)[0].Severity)
			}

			execute(t, config.URL, c.plant)

			found(t, examined(t, journal, c.check, true), persistence.Fault, c.want)
			found(t, examined(t, journal, c.check, false), persistence.Fault, c.want)
		})
	}
}

// Only a full check finds old faults, on any page of it.
func TestCheckIsFullOnDemand(t *testing.T) {
	t.Parallel()
	config := pgtest.Config(t)
	journal := open(t, config)
	execute(t, config.URL, `SELECT count(*) FROM generate_series(1, 3000) i, stele.stream_ids(ARRAY['old-' || i], ARRAY[0::smallint]) s, stele.append(0::smallint, false,
		ARRAY[s.stream_id], ARRAY[0::bigint], ARRAY[1::bigint], ARRAY[gen_random_uuid()], ARRAY[0], ARRAY['t'], ARRAY['p'::bytea], ARRAY['h'::bytea], ARRAY[NULL::text], ARRAY[''])`)
	require.Equal(t, persistence.Fine, examined(t, journal, "streams", true)[0].Severity)

	execute(t, config.URL, "UPDATE stele.event SET version = 2 WHERE position IN (5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1500)")

	require.Equal(t, persistence.Fine, examined(t, journal, "streams", false)[0].Severity)
	full := examined(t, journal, "streams", true)
	found(t, full, persistence.Fault, "of old-5 versions are missing up to 2; of old-6")
	found(t, full, persistence.Fault, "and 2 more")
}

func TestCheckFindsFaultsOfTheSchema(t *testing.T) {
	t.Parallel()
	config := pgtest.Config(t)
	journal := open(t, config)
	execute(t, config.URL, `DROP INDEX stele.stream_category; REVOKE ALL ON FUNCTION stele.scavenge FROM PUBLIC; GRANT EXECUTE ON FUNCTION stele.scavenge TO PUBLIC; GRANT DELETE ON stele.event TO PUBLIC;
		ALTER TABLE stele.event SET (autovacuum_enabled = false), ALTER payload SET COMPRESSION pglz`)

	require.Equal(t, persistence.Fine, examined(t, journal, "schema", false)[0].Severity, "only the version is looked at")
	found(t, examined(t, journal, "schema", true), persistence.Fault, "changed by hand: index stream_category is missing, table event differs")
	rights := examined(t, journal, "rights", false)
	found(t, rights, persistence.Warning, "the role postgres may rewrite the history: it is a superuser")
	found(t, rights, persistence.Fault, "everybody may execute scavenge")
	found(t, rights[2:], persistence.Fault, "everybody may change event")
	found(t, examined(t, journal, "vacuum", false), persistence.Warning, "autovacuum_enabled=false")
	found(t, examined(t, journal, "compression", false), persistence.Note, "slower than by lz4")

	execute(t, config.URL, "INSERT INTO stele.migration (version_id, is_applied) VALUES (99999, true)")
	require.Equal(t, persistence.Note, examined(t, journal, "schema", true)[0].Severity, "a later release's")
	execute(t, config.URL, "UPDATE stele.migration SET is_applied = false WHERE version_id > 1")
	found(t, examined(t, journal, "schema", true), persistence.Fault, "at migration 1, this program needs")
}

func TestCheckOfRoles(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	roles := named(t, url)
	grant(t, url, roles)
	app, read := open(t, as(t, url, roles.App)), open(t, as(t, url, roles.Read))

	require.Equal(t, persistence.Fine, examined(t, app, "rights", false)[0].Severity)
	require.Equal(t, persistence.Note, examined(t, app, "schema", true)[0].Severity, "it cannot be compared")
	found(t, examined(t, app, "transactions", true), persistence.Note, "does not see how old")
	require.Equal(t, persistence.Note, examined(t, app, "write-ahead log", true)[0].Severity, "it cannot be seen")
	found(t, examined(t, read, "rights", false), persistence.Note, "only reads")

	execute(t, url, "REVOKE EXECUTE ON FUNCTION stele.delete_stream FROM "+pgx.Identifier{roles.App}.Sanitize()+"; GRANT UPDATE ON stele.stream TO "+pgx.Identifier{roles.App}.Sanitize())
	rights := examined(t, app, "rights", false)
	found(t, rights, persistence.Warning, "it may change stream")
	found(t, rights, persistence.Fault, "may not execute delete_stream")
}

func TestCheckFindsFaultsOfTheServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, pgserver.Setting("max_wal_size", "32MB"))
	config := postgres.Config{URL: server.URL(), Migrate: true, Durability: postgres.Relaxed}
	journal := open(t, config)
	require.Equal(t, persistence.Fine, examined(t, journal, "write-ahead log", false)[0].Severity)
	found(t, examined(t, journal, "durability", false), persistence.Warning, "fsync = off, full_page_writes = off, synchronous_commit = on, which Config.Durability allows")

	execute(t, server.URL(), "ALTER SYSTEM SET autovacuum = off")
	execute(t, server.URL(), "SELECT pg_reload_conf()")
	eventually(t, patience, "the setting has come", func() bool { return examined(t, journal, "vacuum", false)[0].Severity == persistence.Warning })
	pool, err := pgxpool.ParseConfig(server.URL())
	require.NoError(t, err)
	pool.ConnConfig.RuntimeParams["synchronous_commit"] = "local"
	weak := open(t, postgres.Config{Pool: pool, Durability: postgres.Relaxed})
	found(t, examined(t, weak, "durability", false), persistence.Warning, "synchronous_commit = local")

	// One session reads for a long time, another leaves a transaction open, and both delay the order lock.
	release := holdOrderLock(t, server.URL())
	stranger, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer stranger.Close(t.Context())
	_, err = stranger.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
	require.NoError(t, err)
	found(t, examined(t, journal, "transactions", false), persistence.Warning, fmt.Sprintf("a transaction of process %d is open for", stranger.PgConn().PID()))
	require.Equal(t, persistence.Fine, examined(t, journal, "order lock", false)[0].Severity, "nobody waits yet")
	waiting := make(chan persistence.Outcome, 1)
	require.NoError(t, journal.Submit(one("s-1", persistence.NoStream), nil, func(o persistence.Outcome) { waiting <- o }))
	eventually(t, patience, "somebody waits", func() bool { return examined(t, journal, "order lock", false)[0].Severity == persistence.Warning })
	release()
	require.NoError(t, (<-waiting).Err)
	require.Equal(t, persistence.Fine, examined(t, journal, "order lock", false)[0].Severity)

	execute(t, server.URL(), "SELECT pg_create_physical_replication_slot('forgotten', true)")
	execute(t, server.URL(), "SELECT count(pg_logical_emit_message(false, 'filler', repeat('x', 1000000))) FROM generate_series(1, 100)")
	found(t, examined(t, journal, "write-ahead log", false), persistence.Warning, "replication slot forgotten keeps")
}

func TestCheckSeesNoLongTransactionTooEarly(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	journal := open(t, postgres.Config{URL: server.URL(), Migrate: true, Durability: postgres.Relaxed})
	stranger, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer stranger.Close(t.Context())
	_, err = stranger.Exec(t.Context(), "BEGIN; SELECT 1")
	require.NoError(t, err)

	late, err := postgres.Examine(t.Context(), journal, persistence.CheckOptions{}, 0)
	require.NoError(t, err)
	early, err := postgres.Examine(t.Context(), journal, persistence.CheckOptions{}, time.Hour)
	require.NoError(t, err)

	require.Contains(t, fmt.Sprint(late), "of process")
	require.NotContains(t, fmt.Sprint(early), "of process")
}
