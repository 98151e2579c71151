package pgsession

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The settings that statements of this module rest on. Any other setting of a role, a
// database or a server changes how fast or where something is done, not what it means. A test
// goes through all settings of a server and says so of each.

// shared are settings that a pooler keeps for each of its clients.
var shared = map[string]string{
	"client_encoding":             "UTF8",
	"datestyle":                   "ISO, MDY",
	"timezone":                    "UTC",
	"standard_conforming_strings": "on",
}

// forms are settings that change how values look as text, and what statements mean.
var forms = map[string]string{
	"array_nulls":           "on",
	"bytea_output":          "hex",
	"extra_float_digits":    "1",
	"intervalstyle":         "postgres",
	"quote_all_identifiers": "off",
	"transform_null_equals": "off",
	// An error would end the session instead of the statement.
	"exit_on_error": "off",
	// A warning says that a commit may not be as durable as it should be.
	"client_min_messages": "notice",
	// Rows that a policy hides would be missing without a word. With this they are an error.
	"row_security": "off",

	"default_transaction_isolation":  "read committed",
	"default_transaction_deferrable": "off",
}

// limits are time limits of the server for its work. The caller of a statement has a limit
// already, and a statement that the server ends earlier has an unknown outcome. The operator
// decides how long a transaction may be left open: one that the server ends has stored
// nothing.
var limits = map[string]string{
	"statement_timeout":    "0",
	"lock_timeout":         "0",
	"idle_session_timeout": "0",
}

// plans are settings for statements that have one good plan, by indexes. Without them a plan
// that was made while a table was small stays in use when the table grows faster than the
// server gathers statistics. With scans turned off the planner's costs are so high that a
// server would compile every statement, which takes longer than any of them.
var plans = map[string]string{
	"jit":             "off",
	"plan_cache_mode": "auto",

	"enable_seqscan":    "off",
	"enable_bitmapscan": "off",
	"enable_hashjoin":   "off",
	"enable_mergejoin":  "off",

	"enable_hashagg":          "on",
	"enable_incremental_sort": "on",
	"enable_indexonlyscan":    "on",
	"enable_indexscan":        "on",
	"enable_material":         "on",
	"enable_memoize":          "on",
	"enable_nestloop":         "on",
	"enable_sort":             "on",
	"enable_tidscan":          "on",

	"seq_page_cost":                   "1",
	"random_page_cost":                "4",
	"cpu_tuple_cost":                  "0.01",
	"cpu_index_tuple_cost":            "0.005",
	"cpu_operator_cost":               "0.0025",
	"from_collapse_limit":             "8",
	"join_collapse_limit":             "8",
	"geqo":                            "on",
	"geqo_threshold":                  "12",
	"constraint_exclusion":            "partition",
	"max_parallel_workers_per_gather": "0",
}

// later are settings that not every release knows, so they cannot be in the startup message.
// A session sets those that its server has.
var later = map[string]string{
	"transaction_timeout": "0", // from 17 on
}

// searchPath finds only functions and operators of the system. Our statements name the schema
// of everything else.
const searchPath = "pg_catalog, pg_temp"

// startup returns the settings that a session begins with.
func startup(o Options) map[string]string {
	all := maps.Clone(shared)
	if o.Pooler {
		return all
	}
	maps.Copy(all, forms)
	maps.Copy(all, limits)
	if o.Planner {
		maps.Copy(all, plans)
		all["search_path"] = searchPath
	}
	return all
}

// The beginnings of transactions. Each names its isolation, whatever the server's default.
const (
	// Writing reads committed data, and writes unless the operator has made the role or
	// the database read-only.
	Writing = "BEGIN ISOLATION LEVEL READ COMMITTED"
	// Snapshot reads everything as it is at one moment.
	Snapshot = "BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ"
)

// Begin returns the statements that begin a transaction in a session of a caller or a pooler.
// The session's own settings come back at the end of the transaction. In the transaction
// texts, bytes and times have one form, no setting ends a statement that somebody waits for,
// and the server does not compile statements, which are short. more are further settings of
// the transaction, as names and values in pairs.
//
// The search path, the time zone, the planner's settings and policies of rows stay as they
// are, so that the caller's own statements mean what the caller expects.
func Begin(how string, more ...string) string {
	settings := maps.Clone(forms)
	maps.Copy(settings, shared)
	for _, callers := range []string{"timezone", "row_security", "client_min_messages", "default_transaction_isolation", "default_transaction_deferrable"} {
		delete(settings, callers)
	}
	settings["statement_timeout"], settings["lock_timeout"], settings["jit"] = "0", "0", "off"
	for i := 0; i+1 < len(more); i += 2 {
		settings[more[i]] = more[i+1]
	}
	var text strings.Builder
	text.WriteString(how)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "; SET LOCAL %s = %s", name, literal(settings[name]))
	}
	return text.String()
}

// literal is a value of a setting as a literal of SQL, or several for a list.
func literal(value string) string {
	parts := strings.Split(value, ", ")
	for i := range parts {
		parts[i] = "'" + strings.ReplaceAll(parts[i], "'", "''") + "'"
	}
	return strings.Join(parts, ", ")
}

// needs are the settings that each session must have, however it was made: a pooler or a
// proxy may keep the startup message from the server. The reasons complete "which …".
var needs = []need{
	{"server_encoding", "UTF8", `cannot hold every text: make a database with ENCODING 'UTF8' TEMPLATE template0 for the journal`},
	{"client_encoding", "UTF8", "garbles texts: set it to UTF8 for the role"},
	{"transaction_isolation", "read committed", "hides from a writer what others have stored while it waited: set default_transaction_isolation to 'read committed' for the role"},
	{"session_replication_role", "origin", "turns triggers off, and with them the look-up of events by tag: reset it for the role"},
	{"exit_on_error", "off", "makes the server end sessions at a refusal: reset it for the role"},
	{"client_min_messages", "notice", "hides the warning that a commit is not durable: reset it for the role"},
	{"synchronous_commit", "on", "loses what was acknowledged when the machine fails, which Config.Durability must allow: set it to on for the role"},
	{"array_nulls", "on", "changes what arrays hold: reset it for the role"},
	{"search_path", "pg_catalog", "lets functions of others stand in for those of the server: leave pg_catalog out of it, for the role"},
}

type need struct{ name, value, which string }

// met reports whether a session's value will do.
func (n need) met(value string) bool {
	switch n.name {
	case "session_replication_role":
		return value != "replica"
	case "client_min_messages":
		return value != "error"
	case "synchronous_commit":
		return value == "on" || value == "remote_apply"
	}
	return value == n.value
}

// proveSQL returns statements that set what this server has beside the settings of the
// startup message, and then select what the session has: the values in the order of needs,
// whether the server is a standby, and whether the session is read-only. The value of a
// search path is its first schema.
func proveSQL(o Options) string {
	var text strings.Builder
	if !o.Pooler {
		for _, name := range slices.SortedFunc(maps.Keys(later), cmp.Compare) {
			fmt.Fprintf(&text, "SELECT pg_catalog.set_config('%[1]s', '%[2]s', false) WHERE pg_catalog.current_setting('%[1]s', true) <> '%[2]s';", name, later[name])
		}
	}
	text.WriteString("SELECT ")
	for _, n := range needs {
		if n.name == "search_path" {
			text.WriteString("(pg_catalog.array_remove(pg_catalog.current_schemas(true), (SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid = pg_catalog.pg_my_temp_schema())))[1], ")
			continue
		}
		fmt.Fprintf(&text, "pg_catalog.current_setting('%s'), ", n.name)
	}
	text.WriteString("pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')")
	return text.String()
}
