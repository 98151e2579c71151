package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
)

// Roles are the names of the database roles that share a journal. A role without a name is
// left out.
type Roles struct {
	// Owner owns the schema and everything in it, and runs the migrations.
	Owner string
	// App is the role that programs log in as, or are members of. It reads everything, and
	// changes data only through the functions that append. So somebody with its password
	// can add to the history and cannot rewrite it.
	App string
	// AppTruncates lets App truncate streams too. Without it [Journal.Truncate] is
	// refused with [*persistence.InvalidError].
	AppTruncates bool
	// Admin has the rights of App, and may truncate, scavenge and import.
	Admin string
	// Read reads everything, for consoles and exports.
	Read string
}

// appFunctions are those that programs need. adminFunctions make events unreadable, or store
// events of another journal. Functions that only other functions call need no right, because
// they run as their owner.
var (
	appFunctions = []string{
		"append", "append_checked", "append_lean", "append_single", "release_early", "stream_ids", "create_stream", "set_metadata", "delete_stream",
		"save_snapshot", "delete_snapshot", "delete_snapshots", "register_schema",
	}
	// readFunctions are those that every reader needs.
	readFunctions  = []string{"unproven"}
	adminFunctions = []string{"truncate_stream", "scavenge", "import_events", "import_streams"}
)

// RolesSQL returns a script that creates the roles that are missing, without the right to log
// in, and gives them their rights on a schema that is up to date. Run it as a superuser, or as
// a role that may create roles and owns the schema, and run it again after each migration.
// Running it twice does no harm. It does not change the rights of other roles.
func RolesSQL(schema string, roles Roles) (string, error) {
	if err := checkSchema(schema); err != nil {
		return "", err
	}
	for _, name := range []string{roles.Owner, roles.App, roles.Admin, roles.Read} {
		if err := checkRole(name); err != nil {
			return "", err
		}
	}
	script := roleScript{schema: schema}
	if roles.Owner != "" {
		script.create(roles.Owner)
		script.add(ownSQL, roles.Owner)
	}
	for _, reader := range []string{roles.App, roles.Admin, roles.Read} {
		if reader == "" {
			continue
		}
		script.create(reader)
		script.add("GRANT USAGE ON SCHEMA {schema} TO {role};\nGRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};\n", reader)
		script.execute(reader, readFunctions...)
	}
	if roles.App != "" {
		script.execute(roles.App, appFunctions...)
		verb, to := "REVOKE", "FROM"
		if roles.AppTruncates {
			verb, to = "GRANT", "TO"
		}
		script.add(verb+" EXECUTE ON FUNCTION {schema}.truncate_stream "+to+" {role};\n", roles.App)
	}
	if roles.Admin != "" {
		script.execute(roles.Admin, append(adminFunctions, appFunctions...)...)
	}
	return script.text.String(), nil
}

func checkRole(name string) error {
	switch {
	case len(name) > 63 || strings.ContainsRune(name, 0):
		return &persistence.InvalidError{Field: "role", Reason: "must have at most 63 bytes and no zero byte"}
	case strings.HasPrefix(name, "pg_") || name == "public" || name == "none":
		return &persistence.InvalidError{Field: "role", Reason: "is a name that Postgres reserves"}
	}
	return nil
}

// ownSQL gives a schema and all that is in it to a role.
const ownSQL = `ALTER SCHEMA {schema} OWNER TO {role};
DO {body}
DECLARE thing text;
BEGIN
  FOR thing IN SELECT format('TABLE %I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relkind = 'r'
    UNION ALL SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = {name}
  LOOP
    EXECUTE 'ALTER ' || thing || ' OWNER TO ' || quote_ident({rolename});
  END LOOP;
END {body};
`

// roleScript is a script under construction.
type roleScript struct {
	schema string
	text   strings.Builder
}

// add writes statements about a role.
func (s *roleScript) add(sql, role string) {
	fill := filler(s.schema, "{role}", pgx.Identifier{role}.Sanitize(), "{rolename}", literal(role))
	s.text.WriteString(fill.Replace(sql))
}

func (s *roleScript) create(role string) {
	s.add(`DO {body}
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {rolename}) THEN CREATE ROLE {role} NOLOGIN; END IF;
END {body};
`, role)
}

func (s *roleScript) execute(role string, functions ...string) {
	for _, function := range functions {
		s.add("GRANT EXECUTE ON FUNCTION {schema}."+function+" TO {role};\n", role)
	}
}
