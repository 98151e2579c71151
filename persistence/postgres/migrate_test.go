package postgres_test

import (
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

func TestOpenNamesTheCommandForAnOldSchema(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	config := postgres.Config{URL: url, Durability: postgres.Relaxed}
	refused := func(have int64) {
		t.Helper()
		_, err := postgres.Open(t.Context(), config)
		require.ErrorIs(t, err, persistence.ErrTables)
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.ErrorContains(t, err, "postgres.Migrate")
		require.ErrorContains(t, err, "Config.Migrate")
		var schema *persistence.TablesError
		require.ErrorAs(t, err, &schema)
		require.Equal(t, have, schema.Have)
		want := postgres.Newest()
		require.Equal(t, want, schema.Want)
	}

	refused(0)
	execute(t, url, `CREATE SCHEMA stele`)
	refused(0)
	require.NoError(t, postgres.Migrate(t.Context(), config))
	open(t, config)
	execute(t, url, `UPDATE stele.migration SET is_applied = false WHERE version_id > 0`)
	refused(0)
}

// A release may run on the schema of the next one, so that nodes can be replaced
// one by one.
func TestOpenAcceptsANewerSchema(t *testing.T) {
	t.Parallel()
	config := pgtest.Config(t)
	execute(t, config.URL, `INSERT INTO stele.migration (version_id, is_applied) VALUES (99999, true)`)

	journal := open(t, config)

	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
}

func TestMigrateTakesTurns(t *testing.T) {
	t.Parallel()
	config := postgres.Config{URL: pgtest.Database(t), Durability: postgres.Relaxed, Migrate: true}
	var group sync.WaitGroup
	errs := make([]error, 4)

	for i := range errs {
		group.Go(func() {
			journal, err := postgres.Open(t.Context(), config)
			if errs[i] = err; err == nil {
				errs[i] = journal.Close()
			}
		})
	}
	group.Wait()

	for _, err := range errs {
		require.NoError(t, err)
	}
	require.EqualValues(t, postgres.Newest(), scalar(t, config.URL, "SELECT max(version_id) FROM stele.migration"))
	require.NoError(t, postgres.Migrate(t.Context(), config), "what is current stays")
}

func TestMigrateKeepsTheJournal(t *testing.T) {
	t.Parallel()
	config := pgtest.Config(t)
	journal := open(t, config)
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)

	require.NoError(t, postgres.Migrate(t.Context(), config))

	again := open(t, config)
	require.Equal(t, journal.Identity(), again.Identity())
	require.Len(t, readAll(t, again, "s-1"), 1)
}

func TestMigrationsAreFilesForOtherTools(t *testing.T) {
	t.Parallel()
	files, err := postgres.Migrations(`odd "name"`)
	require.NoError(t, err)

	names, err := fs.Glob(files, "*.sql")

	require.NoError(t, err)
	require.Len(t, names, int(postgres.Newest()))
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		require.NoError(t, err)
		require.Contains(t, string(text), `"odd ""name""".`)
		for _, placeholder := range []string{"{schema}.", "{lock}, ", "{body}\n", "+goose Down"} {
			require.NotContains(t, string(text), placeholder)
		}
		info, err := fs.Stat(files, name)
		require.NoError(t, err)
		require.EqualValues(t, len(text), info.Size())
	}
	_, err = files.Open("none.sql")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = postgres.Migrations("pg_stele")
	require.ErrorIs(t, err, persistence.ErrInvalid)
}

// Goose can apply the files, and its table is the one in which the journal notes migrations.
func TestMigrationsRunByGoose(t *testing.T) {
	t.Parallel()
	config := postgres.Config{URL: pgtest.Database(t), Durability: postgres.Relaxed}
	execute(t, config.URL, "CREATE SCHEMA stele")
	files, err := postgres.Migrations("stele")
	require.NoError(t, err)
	connect, err := pgx.ParseConfig(config.URL)
	require.NoError(t, err)
	connect.RuntimeParams["search_path"] = "stele"
	db := stdlib.OpenDB(*connect)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName("migration"), goose.WithLogger(goose.NopLogger()))
	require.NoError(t, err)

	_, err = provider.Up(t.Context())

	require.NoError(t, err)
	require.NoError(t, postgres.Validate(t.Context(), config))
	require.NoError(t, postgres.Migrate(t.Context(), config), "nothing is left to do")
	open(t, config)
}

func TestListMigrations(t *testing.T) {
	t.Parallel()
	config := postgres.Config{URL: pgtest.Database(t), Durability: postgres.Relaxed}

	none, err := postgres.ListMigrations(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(t.Context(), config))
	all, err := postgres.ListMigrations(t.Context(), config)
	require.NoError(t, err)
	execute(t, config.URL, "INSERT INTO stele.migration (version_id, is_applied) VALUES (99999, true)")
	later, err := postgres.ListMigrations(t.Context(), config)
	require.NoError(t, err)

	require.Len(t, none, int(postgres.Newest()))
	require.Equal(t, postgres.Migration{Number: 1, Name: "journal"}, none[0])
	require.Len(t, all, len(none))
	for _, one := range all {
		require.WithinDuration(t, time.Now(), one.AppliedAt, time.Minute)
	}
	require.Len(t, later, len(all)+1)
	require.EqualValues(t, 99999, later[len(all)].Number)
}

// A script does what Migrate does, from the beginning or from any release on, also in a schema
// whose name is hard to write. It does nothing on a schema that it does not follow.
func TestLongMigrationSQLIsWhatMigrateDoes(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"stele", `odd "na'me" \ $$ $body$`} {
		url := pgtest.Database(t)
		migrated := postgres.Config{URL: url, Schema: schema, Durability: postgres.Relaxed}
		require.NoError(t, postgres.Migrate(t.Context(), migrated))
		want := describe(t, url, schema)
		for after := range postgres.Newest() {
			url := pgtest.Database(t)
			script := func(from, to int64) string {
				t.Helper()
				text, err := postgres.MigrationSQL(schema, from)
				require.NoError(t, err)
				rest, err := postgres.MigrationSQL(schema, to)
				require.NoError(t, err)
				return strings.TrimSuffix(text, rest)
			}
			config := postgres.Config{URL: url, Schema: schema, Durability: postgres.Relaxed}
			if after > 0 {
				psql(t, url, script(0, after))
				err := postgres.Validate(t.Context(), config)
				require.ErrorIs(t, err, persistence.ErrTables)
				require.ErrorContains(t, err, "postgres.Migrate")
			}
			newest := postgres.Newest()
			if after+1 < newest {
				require.Error(t, try(t, url, script(after+1, newest)), "it does not follow")
			}

			psql(t, url, script(after, newest))

			require.Equal(t, want, describe(t, url, schema), "from %d", after)
			require.NoError(t, postgres.Validate(t.Context(), config))
			require.ErrorContains(t, try(t, url, script(after, newest)), "ST003", "again")
			require.NoError(t, postgres.Migrate(t.Context(), config))
			journal := open(t, config)
			require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
			require.NoError(t, journal.Close())
		}
	}
	_, err := postgres.MigrationSQL("stele", postgres.Newest()+1)
	require.ErrorIs(t, err, persistence.ErrInvalid)
	_, err = postgres.MigrationSQL("pg_stele", 0)
	require.ErrorIs(t, err, persistence.ErrInvalid)
	text, err := postgres.MigrationSQL("stele", postgres.Newest())
	require.NoError(t, err)
	require.Empty(t, text)
}

// The schema of every earlier release becomes the same one, and stored events stay.
func TestMigrateFromEveryRelease(t *testing.T) {
	t.Parallel()
	want := describe(t, pgtest.URL(t), "stele")
	for release := int64(1); release < postgres.Newest(); release++ {
		url := pgtest.Database(t)
		all, err := postgres.MigrationSQL("stele", 0)
		require.NoError(t, err)
		rest, err := postgres.MigrationSQL("stele", release)
		require.NoError(t, err)
		execute(t, url, strings.TrimSuffix(all, rest))
		execute(t, url, `SELECT stele.append(0::smallint, false, ARRAY[i.stream_id], ARRAY[0::bigint], ARRAY[1::bigint], ARRAY[gen_random_uuid()], ARRAY[0], ARRAY['t'], ARRAY['p'::bytea],
			ARRAY[''::bytea], ARRAY[NULL::text], ARRAY[NULL::text]) FROM stele.stream_ids(ARRAY['s-1'], ARRAY[0::smallint]) i`)

		require.NoError(t, postgres.Migrate(t.Context(), postgres.Config{URL: url}))

		require.Equal(t, want, describe(t, url, "stele"), "from %d", release)
		require.Len(t, readAll(t, other(t, url), "s-1"), 1)
	}
}

// A correct schema has no differences, whatever its name is and whatever else is in it.
func TestValidateOfARightSchema(t *testing.T) {
	t.Parallel()
	// Names of our own tables, columns, aliases and of what the server writes.
	names := []string{
		"public", "stream", "event", "e", "s", "new", "old", "NEW", "position", "append", "journal", "schema", "name", "j", "pg", "first", "user", "select", "C", "text",
		`a"b`, "a.b", "with space", "$body$", "müller", "stele",
	}
	for _, schema := range names {
		t.Run(schema, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			config := postgres.Config{URL: url, Schema: schema, Migrate: true, Durability: postgres.Relaxed}
			journal := open(t, config)
			quoted := pgx.Identifier{schema}.Sanitize()
			// Read models, their books, functions of extensions.
			execute(t, url, "CREATE TABLE "+quoted+".projection (name text PRIMARY KEY); CREATE INDEX ON "+quoted+".projection (lower(name)); CREATE TABLE "+quoted+".model (n int REFERENCES "+quoted+".slice, x text UNIQUE);"+
				"CREATE FUNCTION "+quoted+".mine() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE "+quoted+".total(int) (SFUNC = int4pl, STYPE = int); CREATE VIEW "+quoted+".view AS SELECT 1 AS one; CREATE SEQUENCE "+quoted+".counter")

			require.NoError(t, postgres.Validate(t.Context(), config))
			require.Equal(t, persistence.Fine, examined(t, journal, "schema", true)[0].Severity)

			execute(t, url, "ALTER TABLE "+quoted+".event ALTER created_at SET DEFAULT now(); CREATE FUNCTION "+quoted+".append(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE INDEX mine ON "+quoted+".stream (part)")
			err := postgres.Validate(t.Context(), config)
			require.ErrorIs(t, err, persistence.ErrTables)
			require.ErrorContains(t, err, "function append(integer) is not of the journal, index mine is not of the journal, table event differs")
		})
	}
}

func TestValidateNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	config := pgtest.Config(t)
	require.NoError(t, postgres.Validate(t.Context(), config))
	cases := map[string]struct{ change, want string }{
		"a function":       {"CREATE OR REPLACE FUNCTION stele.delete_snapshots(p_category text) RETURNS void LANGUAGE sql AS ''", "function delete_snapshots(p_category text) differs"},
		"an index":         {"DROP INDEX stele.stream_category", "index stream_category is missing"},
		"a column":         {"ALTER TABLE stele.stream ALTER COLUMN revision DROP NOT NULL", "table stream differs"},
		"a constraint":     {"ALTER TABLE stele.slice DROP CONSTRAINT slice_range", "constraint slice_range on slice is missing"},
		"something added":  {"CREATE INDEX own ON stele.event (type)", "index own is not of the journal"},
		"something hidden": {"CREATE TRIGGER own BEFORE INSERT ON stele.event FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", "trigger own on event is not of the journal"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := pgtest.Config(t)
			execute(t, config.URL, c.change)

			err := postgres.Validate(t.Context(), config)

			schema, ok := errors.AsType[*persistence.TablesError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, []string{c.want}, schema.Differences)
			require.ErrorContains(t, err, c.want)
		})
	}
	execute(t, config.URL, "INSERT INTO stele.migration (version_id, is_applied) VALUES (99999, true)")
	require.NoError(t, postgres.Validate(t.Context(), config), "a later release's")
	require.ErrorIs(t, postgres.Validate(t.Context(), postgres.Config{URL: pgtest.Database(t)}), persistence.ErrTables)
}

// describe lists what is in a schema, without the schema's name.
func describe(t *testing.T, url, schema string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	definitions, err := postgres.Describe(t.Context(), conn, schema)
	require.NoError(t, err)
	require.NotEmpty(t, definitions)
	return definitions
}

// psql runs a script as its users do.
func psql(t *testing.T, url, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// try runs a script that may fail, which leaves no transaction open.
func try(t *testing.T, url, script string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), script)
	return err
}

// These names look like syntax.
func TestLongSchemaNames(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	names := []string{
		"stele", "Stele", `select "quo'te`, "a; --b", "$$ $body$ $x$body$ $1", "{schema} {body} {lock}", "é.e\u0301🗿", `\ % /*`, "-- +goose Down",
		strings.Repeat("n", 63),
	}
	ids := map[persistence.JournalID]string{}
	for _, name := range names {
		config := postgres.Config{URL: url, Schema: name, Migrate: true, Durability: postgres.Relaxed}
		journal, err := postgres.Open(t.Context(), config)
		require.NoError(t, err, name)

		require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, name).Err, name)
		require.NoError(t, appendOne(t, journal, "s-1", persistence.Any, name).Err, name)
		require.ErrorIs(t, appendOne(t, journal, "s-1", persistence.NoStream, name).Err, persistence.ErrConflict, name)

		events := readAll(t, journal, "s-1")
		require.Len(t, events, 2, name)
		require.Equal(t, name, string(events[0].Payload))
		require.EqualValues(t, 2, events[1].Position.Offset, name)
		require.Empty(t, ids[journal.Identity()])
		ids[journal.Identity()] = name
		require.NoError(t, journal.Close())
	}
}

// Journals in one database do not wait for each other's order lock.
func TestSchemasDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	config := func(schema string) postgres.Config {
		return postgres.Config{URL: url, Schema: schema, Migrate: true, Durability: postgres.Relaxed}
	}
	first, second := open(t, config("stele")), open(t, config("second"))
	release := holdOrderLock(t, url)
	defer release()

	blocked := make(chan persistence.Outcome, 1)
	require.NoError(t, first.Submit(persistence.Append{Stream: "s-1", Events: []persistence.Event{{Type: "t"}}}, nil, func(o persistence.Outcome) { blocked <- o }))

	require.NoError(t, appendOne(t, second, "s-1", persistence.NoStream, "x").Err)
	require.Empty(t, blocked, "the lock of the first schema is held")
	release()
	require.NoError(t, (<-blocked).Err)
}

func TestPublicMayExecuteNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)

	open := scalar(t, url, `SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = 'stele' AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))`)

	require.Zero(t, open)
	require.Positive(t, scalar(t, url, "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'stele'"))
}

func execute(t testing.TB, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}
