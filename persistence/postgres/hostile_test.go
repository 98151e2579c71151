package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/postgres"
)

// respected is a setting that an operator makes on purpose: the time for which a transaction
// may be left open.
const respected = "idle_in_transaction_session_timeout"

var protocols = map[string]postgres.Protocol{
	"prepared": postgres.ProtocolPrepared, "exec": postgres.ProtocolExec,
}

// The whole suite holds for a role with the worst settings there are.
func TestLongJournalOfAHostileRole(t *testing.T) {
	t.Parallel()
	journaltest.Durable{Store: func(t testing.TB) func(testing.TB) persistence.Journal {
		t.Helper()
		hostile, plain := pgtest.Hostile(t, pgtest.URL, respected)
		open := opener(postgres.Config{URL: hostile, Durability: postgres.Relaxed})
		return func(t testing.TB) persistence.Journal {
			t.Helper()
			return pooled{open(t), plain}
		}
	}, Crash: crash, Damage: damage}.Run(t)
}

// A role with hostile settings makes, stores and reads the same as others, to the byte.
func TestAHostileRoleChangesNothing(t *testing.T) {
	t.Parallel()
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, plain := pgtest.Hostile(t, pgtest.Database, respected)
			hostile := postgres.Config{URL: url, Durability: postgres.Relaxed, Protocol: protocol}
			friendly := postgres.Config{URL: plain, Durability: postgres.Relaxed}
			require.NoError(t, postgres.Migrate(t.Context(), hostile))
			require.NoError(t, postgres.Validate(t.Context(), friendly))
			require.NoError(t, postgres.Validate(t.Context(), hostile))
			all, err := postgres.ListMigrations(t.Context(), hostile)
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), all[0].AppliedAt, time.Minute)

			// All journals write to one stream, whose name is hard to encode.
			stream := persistence.StreamID("müller-ß日本")
			event := persistence.Event{
				Type: "größe", Payload: []byte("\\x00'\\ \x00\xff"), Headers: []byte{0, '\\', 'x'}, Tags: []string{`ta\g`, "NULL", "größe"},
				Metadata: persistence.Metadata{`k\"`: persistence.String("NULL\\'é"), "n": persistence.Int(7), "f": persistence.Float(0.1)},
			}
			one := func(journal persistence.Journal, expected persistence.Expected, named bool) {
				t.Helper()
				e := event
				if named {
					e.ID = persistence.NewEventID()
				}
				bare := persistence.Event{ID: e.ID, Type: "bare"}
				if named {
					bare.ID = persistence.NewEventID()
				}
				outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: stream, Expected: expected, Events: []persistence.Event{e, bare}})
				require.NoError(t, err)
				require.NoError(t, outcomes[0].Err)
			}
			first, second := open(t, hostile), open(t, friendly)
			one(first, persistence.NoStream, false)
			one(second, persistence.Exact(2), true)
			one(first, persistence.Exact(4), true)
			one(first, persistence.Any, true)
			require.NoError(t, first.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(persistence.Append{Stream: stream, Expected: persistence.Exact(8), Events: []persistence.Event{event, {Type: "bare"}}})
				return err
			}))
			require.NoError(t, first.SaveSnapshot(t.Context(), persistence.Snapshot{Stream: stream, Version: 4, EventID: persistence.NewEventID(), State: event.Payload}))
			require.ErrorIs(t, appendOne(t, first, stream, persistence.Exact(3), "x").Err, persistence.ErrConflict)

			options := persistence.ReadOptions{Filter: filter.Tag().Eq(`ta\g`).And(filter.Meta("n").Int().Eq(7))}
			for _, journal := range []*postgres.Journal{first, second, open(t, hostile)} {
				events := readAll(t, journal, stream)
				require.Len(t, events, 10)
				require.Equal(t, readAll(t, second, stream), events)
				for i := 0; i < 10; i += 2 {
					require.Equal(t, event.Payload, events[i].Payload)
					require.Equal(t, event.Headers, events[i].Headers)
					require.Equal(t, event.Metadata, events[i].Metadata)
					require.ElementsMatch(t, event.Tags, events[i].Tags)
					require.WithinDuration(t, time.Now(), events[i].At, time.Minute)
				}
				count, err := journal.Count(t.Context(), stream, options)
				require.NoError(t, err)
				require.Equal(t, 5, count)
				snapshot, found, err := journal.LoadSnapshot(t.Context(), stream)
				require.NoError(t, err)
				require.True(t, found)
				require.Equal(t, event.Payload, snapshot.State)
				pages := 0
				for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{Filter: options.Filter}) {
					require.NoError(t, err)
					pages += len(page.Events)
				}
				require.Equal(t, 5, pages)
			}
			require.Equal(t, 1, scalar(t, plain, "SELECT count(*) FROM stele.stream"))
			findings, err := first.Check(t.Context(), persistence.CheckOptions{Full: true})
			require.NoError(t, err)
			for _, f := range findings {
				require.Less(t, f.Severity, persistence.Fault, "%+v", f)
			}
		})
	}
}

// A caller's transaction has the settings of the caller's session. AppendTx refuses one that
// would garble events.
func TestAppendTxRefusesAHostileSession(t *testing.T) {
	t.Parallel()
	hostile, plain := pgtest.Hostile(t, pgtest.URL, respected, "idle_session_timeout", "statement_timeout", "lock_timeout", "exit_on_error")
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := open(t, postgres.Config{URL: plain, Durability: postgres.Relaxed, Protocol: protocol})
			conn, err := pgx.Connect(t.Context(), hostile)
			require.NoError(t, err)
			defer conn.Close(t.Context())
			store := func() error {
				tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
				require.NoError(t, err)
				defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
				_, err = journal.AppendTx(t.Context(), tx, one("müller-1", persistence.NoStream))
				return err
			}

			err = store()
			require.ErrorIs(t, err, persistence.ErrInvalid)
			require.ErrorContains(t, err, "client_encoding")
			_, err = conn.Exec(t.Context(), "SET client_encoding = 'UTF8'", pgx.QueryExecModeExec)
			require.NoError(t, err)
			require.NoError(t, store())
		})
	}
}

// The backend of a lost connection is known by when it began, whatever the role's form
// of times: an append whose answer is lost is stored once.
func TestAHostileRoleFencesLostBackends(t *testing.T) {
	t.Parallel()
	hostile, plain := pgtest.Hostile(t, pgtest.URL, respected)
	lose := 0
	journal := open(t, faultyConfig(t, hostile, func(c *faultyConn) {
		if lose++; lose == 2 {
			c.swallow = true
		}
	}))

	for i := range 4 {
		require.NoError(t, appendOne(t, journal, "s-1", persistence.Any, fmt.Sprint(i)).Err)
	}

	require.Equal(t, 4, scalar(t, plain, "SELECT count(*) FROM stele.event"))
}

// A journal refuses settings that only an operator can change, and names them.
func TestSettingsThatAProgramCannotChangeAreRefused(t *testing.T) {
	t.Parallel()
	refused := func(url, what string) {
		t.Helper()
		_, err := postgres.Open(t.Context(), postgres.Config{URL: url, Durability: postgres.Relaxed})
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, what)
		require.NotContains(t, err.Error(), url)
	}
	set := func(setting string) (url string) {
		t.Helper()
		url = pgtest.URL(t)
		execute(t, url, fmt.Sprintf("DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET %s', current_database()); END $$", strings.ReplaceAll(setting, "'", "''")))
		return url
	}

	refused(set("session_replication_role = replica"), "session_replication_role")
}

// Through a pooler a journal cannot change the settings of a session, and says which
// must be changed.
func TestAPoolerKeepsSettingsFromTheServer(t *testing.T) {
	t.Parallel()
	through := pgtest.Pooler(t)
	for setting, fine := range map[string]bool{
		"default_transaction_isolation = serializable": false, "exit_on_error = on": false, "client_min_messages = error": false, "array_nulls = off": false,
		"search_path = public, pg_catalog": false,
		"client_encoding = LATIN1":         true, "bytea_output = escape": true, "standard_conforming_strings = off": true, "datestyle = german": true,
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			execute(t, url, fmt.Sprintf("DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET %s', current_database()); END $$", setting))
			journal, err := postgres.Open(t.Context(), postgres.Config{URL: through(url), Durability: postgres.Relaxed, Pooler: true})
			if !fine {
				name, _, _ := strings.Cut(setting, " ")
				require.ErrorIs(t, err, persistence.ErrInvalid)
				require.ErrorContains(t, err, strings.TrimPrefix(name, "default_"))
				return
			}
			require.NoError(t, err)
			require.NoError(t, appendOne(t, journal, "müller-1", persistence.NoStream, "\\x00\xff").Err)
			require.Equal(t, "\\x00\xff", string(readAll(t, journal, "müller-1")[0].Payload))
			require.NoError(t, journal.Close())
		})
	}
}

// A role may act as another role from its login on. That role does not see when the processes
// of the first one began.
func TestARoleThatActsAsAnother(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	roles := named(t, url)
	grant(t, url, roles)
	login := strings.Replace(roles.Owner, "owner", "login", 1)
	execute(t, url, fmt.Sprintf(`CREATE ROLE %[1]s LOGIN NOINHERIT; GRANT %[2]s TO %[1]s; ALTER ROLE %[1]s SET role = %[2]s`, login, pgx.Identifier{roles.App}.Sanitize()))
	t.Cleanup(func() {
		conn, err := pgx.Connect(contextOfCleanup(t), url)
		require.NoError(t, err)
		_, err = conn.Exec(contextOfCleanup(t), "DROP ROLE "+login)
		require.NoError(t, err)
		require.NoError(t, conn.Close(contextOfCleanup(t)))
	})
	lose := 0
	config := faultyConfig(t, url, func(c *faultyConn) {
		if lose++; lose == 2 {
			c.swallow = true
		}
	})
	config.Pool.ConnConfig.User = login
	config.ResolveTimeout = 5 * time.Second
	journal := open(t, config)

	for i := range 4 {
		require.NoError(t, appendOne(t, journal, "s-1", persistence.Any, fmt.Sprint(i)).Err)
	}

	require.Equal(t, 4, scalar(t, url, "SELECT count(*) FROM stele.event"))
}
