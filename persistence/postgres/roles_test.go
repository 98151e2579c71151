package postgres_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// named are roles of a test's own: roles belong to all databases of a server.
func named(t testing.TB, url string) postgres.Roles {
	t.Helper()
	suffix := strings.ReplaceAll(persistence.NewEventID().String(), "-", "")
	roles := postgres.Roles{Owner: "owner_" + suffix, App: `app $body$ "'\ ` + suffix, Admin: "admin_" + suffix, Read: "read_" + suffix}
	t.Cleanup(func() {
		conn, err := pgx.Connect(contextOfCleanup(t), url)
		require.NoError(t, err)
		defer conn.Close(contextOfCleanup(t))
		for _, role := range []string{roles.App, roles.Admin, roles.Read, roles.Owner} {
			quoted := pgx.Identifier{role}.Sanitize()
			_, err = conn.Exec(contextOfCleanup(t), "DROP OWNED BY "+quoted+"; DROP ROLE "+quoted)
			require.NoError(t, err)
		}
	})
	return roles
}

// grant runs the script of the roles and lets them log in.
func grant(t testing.TB, url string, roles postgres.Roles) {
	t.Helper()
	script, err := postgres.RolesSQL("stele", roles)
	require.NoError(t, err)
	execute(t, url, script)
	for _, role := range []string{roles.App, roles.Admin, roles.Read, roles.Owner} {
		execute(t, url, "ALTER ROLE "+pgx.Identifier{role}.Sanitize()+" LOGIN")
	}
}

// as is the configuration of a role.
func as(t testing.TB, url, role string) postgres.Config {
	t.Helper()
	pool, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	pool.ConnConfig.User = role
	return postgres.Config{Pool: pool, Durability: postgres.Relaxed}
}

func refused(t *testing.T, config postgres.Config, changes ...string) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), config.Pool.ConnConfig)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	for _, change := range changes {
		_, err = conn.Exec(t.Context(), change)
		require.ErrorContains(t, err, "42501", change)
	}
}

// rewriting are statements that would change the history, or hide a change of it.
var rewriting = []string{
	"INSERT INTO stele.event SELECT * FROM stele.event", "UPDATE stele.event SET type = 'x'", "DELETE FROM stele.event", "TRUNCATE stele.event",
	"INSERT INTO stele.stream (name, part) VALUES ('s-2', 0)", "UPDATE stele.stream SET first = 9", "DELETE FROM stele.stream",
	"UPDATE stele.journal SET id = gen_random_uuid()", "UPDATE stele.partition SET floor = 9", "DELETE FROM stele.event_key", "UPDATE stele.snapshot SET version = 9",
	"INSERT INTO stele.migration (version_id, is_applied) VALUES (9, true)", "ALTER TABLE stele.event ADD COLUMN own int", "CREATE TABLE stele.own (n int)",
	"DROP FUNCTION stele.delete_snapshot", "CREATE OR REPLACE FUNCTION stele.delete_snapshot(p_name text) RETURNS void LANGUAGE sql AS ''", "DROP SCHEMA stele CASCADE",
}

func TestRoles(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	roles := named(t, url)
	bare := as(t, url, roles.App)
	grant(t, url, postgres.Roles{Owner: roles.Owner, App: roles.App, Admin: roles.Admin, Read: roles.Read})
	grant(t, url, roles) // again
	app, admin, read := open(t, bare), open(t, as(t, url, roles.Admin)), open(t, as(t, url, roles.Read))

	t.Run("a program appends, reads and deletes", func(t *testing.T) {
		require.NoError(t, appendOne(t, app, "s-1", persistence.NoStream, "x").Err)
		require.NoError(t, appendOne(t, app, "s-1", persistence.Any, "x").Err)
		require.NoError(t, appendOne(t, app, "s-9", persistence.Any, "x").Err)
		require.Len(t, readAll(t, app, "s-1"), 2)
		_, err := app.Delete(t.Context(), "s-9", persistence.Any)
		require.NoError(t, err)
		refused(t, bare, rewriting...)
	})
	t.Run("a program truncates only where it may", func(t *testing.T) {
		_, err := app.Truncate(t.Context(), "s-1", 2)
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, "truncate is not permitted to the role of the program, see postgres.RolesSQL")
		_, err = app.Scavenge(t.Context(), "s-1")
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, "scavenge is not permitted")

		with := roles
		with.AppTruncates = true
		grant(t, url, with)
		_, err = app.Truncate(t.Context(), "s-1", 1)
		require.NoError(t, err)

		grant(t, url, roles)
		_, err = app.Truncate(t.Context(), "s-1", 1)
		require.ErrorIs(t, err, persistence.ErrInvalid)
	})
	t.Run("an administrator truncates and scavenges, and rewrites nothing", func(t *testing.T) {
		first, err := admin.Truncate(t.Context(), "s-1", 2)
		require.NoError(t, err)
		require.EqualValues(t, 2, first)
		husks, err := admin.Scavenge(t.Context(), "s-1")
		require.NoError(t, err)
		require.Equal(t, 1, husks)
		elsewhere := persistence.Recorded{Stream: "import-1", Version: 1, At: time.Unix(1, 0)}
		elsewhere.ID, elsewhere.Type = persistence.NewEventID(), "t"
		_, err = admin.Import(t.Context(), []persistence.Recorded{elsewhere})
		require.NoError(t, err)
		require.NoError(t, admin.ImportStreams(t.Context(), []persistence.StreamInfo{{Stream: "import-1", Version: 1, First: 1, Begin: 1}}))
		_, err = app.Import(t.Context(), []persistence.Recorded{elsewhere})
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, "import is not permitted")
		require.ErrorIs(t, app.ImportStreams(t.Context(), []persistence.StreamInfo{{Stream: "import-1", First: 1, Begin: 1}}), persistence.ErrInvalid)
		require.NoError(t, appendOne(t, admin, "s-1", persistence.Exact(2), "x").Err)
		refused(t, as(t, url, roles.Admin), rewriting...)
	})
	t.Run("a reader reads all there is and changes nothing", func(t *testing.T) {
		require.Len(t, readAll(t, read, "s-1"), 2)
		for page, err := range read.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
			require.NoError(t, err)
			require.NotEmpty(t, page.Events)
		}
		for _, err := range read.List(t.Context(), persistence.ListOptions{}) {
			require.NoError(t, err)
		}
		for _, err := range read.Categories(t.Context(), persistence.ListOptions{}) {
			require.NoError(t, err)
		}
		_, err := read.Count(t.Context(), "s-1", persistence.ReadOptions{})
		require.NoError(t, err)
		_, _, err = read.LoadSnapshot(t.Context(), "s-1")
		require.NoError(t, err)
		_, err = read.Schemas(t.Context())
		require.NoError(t, err)
		_, err = read.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "s-1", Limit: 1}})
		require.NoError(t, err)

		outcome := appendOne(t, read, "s-1", persistence.Any, "x")
		require.ErrorIs(t, outcome.Err, persistence.ErrUnavailable)
		require.ErrorContains(t, outcome.Err, "42501")
		require.ErrorContains(t, appendOne(t, read, "s-3", persistence.NoStream, "x").Err, "42501")
		refused(t, as(t, url, roles.Read), rewriting...)
	})
	t.Run("the owner migrates", func(t *testing.T) {
		require.NoError(t, postgres.Migrate(t.Context(), as(t, url, roles.Owner)))
		execute(t, url, "GRANT CREATE ON DATABASE "+database(url)+" TO "+roles.Owner)
		require.NoError(t, postgres.Validate(t.Context(), as(t, url, roles.Owner)))
		require.Zero(t, scalar(t, url, "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.relnamespace = 'stele'::regnamespace AND r.rolname <> '"+roles.Owner+"'"))
		require.Zero(t, scalar(t, url, "SELECT count(*) FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.pronamespace = 'stele'::regnamespace AND r.rolname <> '"+roles.Owner+"'"))
	})
	t.Run("who has no role has no rights", func(t *testing.T) {
		stranger := "stranger_" + roles.Read
		execute(t, url, "CREATE ROLE "+stranger+" LOGIN")
		defer execute(t, url, "DROP ROLE "+stranger)
		_, err := postgres.Open(t.Context(), as(t, url, stranger))
		require.ErrorContains(t, err, "42501")
	})
}

var databaseName = regexp.MustCompile(`/(stele_test_\w+)`)

func database(url string) string { return databaseName.FindStringSubmatch(url)[1] }

// Each new function is on a list of those for programs, readers or administrators, or on the
// list of those that no role needs. No role needs the functions of triggers.
func TestEveryFunctionHasItsRole(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT proname FROM pg_proc WHERE pronamespace = 'stele'::regnamespace AND prorettype <> 'trigger'::regtype ORDER BY 1")
	require.NoError(t, err)
	functions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)

	require.ElementsMatch(t, postgres.Functions(), functions)
}

func TestRolesSQLChecksNames(t *testing.T) {
	t.Parallel()
	for _, roles := range []postgres.Roles{{App: "pg_app"}, {Read: "public"}, {Owner: strings.Repeat("r", 64)}, {Admin: "a\x00"}} {
		_, err := postgres.RolesSQL("stele", roles)
		require.ErrorIs(t, err, persistence.ErrInvalid)
	}
	_, err := postgres.RolesSQL("pg_stele", postgres.Roles{})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	text, err := postgres.RolesSQL("stele", postgres.Roles{})
	require.NoError(t, err)
	require.Empty(t, text)
}

// A migration brings functions that a role has no right on yet: the journal says what
// to run.
func TestRolesAreGivenTheirRightsBehindAMigration(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	roles := named(t, url)
	grant(t, url, roles)
	app := pgx.Identifier{roles.App}.Sanitize()
	journal := open(t, as(t, url, roles.App))
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)

	execute(t, url, "REVOKE EXECUTE ON FUNCTION stele.unproven FROM "+app)
	_, err := postgres.Open(t.Context(), as(t, url, roles.App))
	require.ErrorContains(t, err, "postgres.RolesSQL")
	require.ErrorContains(t, appendOne(t, journal, "s-1", persistence.Exact(1), "x").Err, "postgres.RolesSQL")

	grant(t, url, roles)
	require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(1), "x").Err)
}
