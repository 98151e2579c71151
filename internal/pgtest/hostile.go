package pgtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Hostile makes a database and a role with the worst settings there are: the role has a bad
// value for every setting that a user can set and that could change what statements mean,
// except for some. It returns the connection string of the database for that role, a
// superuser, and the one for the usual role, which has the server's settings.
func Hostile(t testing.TB, database func(testing.TB) string, except ...string) (hostile, plain string) {
	t.Helper()
	server, err := shared.url(t.Context())
	require.NoError(t, err)
	role := fmt.Sprintf("stele_hostile_%d_%08x", time.Now().Unix(), rand.Uint32())
	require.NoError(t, execute(t.Context(), server, "CREATE ROLE "+role+" LOGIN SUPERUSER"))
	t.Cleanup(func() { // behind that of the database
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) //nolint:forbidigo // the test is over
		defer cancel()
		require.NoError(t, execute(ctx, server, "DROP ROLE "+role))
	})
	plain = database(t)
	known := settings(t, plain)
	var sql strings.Builder
	sql.WriteString(evil)
	for _, name := range slices.Sorted(maps.Keys(HostileSettings)) {
		if _, there := known[name]; !there && !strings.Contains(name, ".") || slices.Contains(except, name) {
			continue
		}
		fmt.Fprintf(&sql, "ALTER ROLE %s SET %s = %s;\n", role, name, HostileSettings[name])
	}
	require.NoError(t, execute(t.Context(), plain, sql.String()))
	u, err := url.Parse(plain)
	require.NoError(t, err)
	u.User = url.User(role)
	return u.String(), plain
}

// settings are the settings that a user can set on a server, or an operator for a user.
func settings(t testing.TB, url string) map[string]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT name, context FROM pg_settings WHERE context IN ('user', 'superuser') AND name NOT LIKE '%.%'")
	require.NoError(t, err)
	found := map[string]string{}
	for rows.Next() {
		var name, who string
		require.NoError(t, rows.Scan(&name, &who))
		found[name] = who
	}
	require.NoError(t, rows.Err())
	return found
}

// evil is a schema whose functions give wrong answers. A search path may find them before the
// server's own.
const evil = `CREATE SCHEMA evil;
CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'nonsense' $$;
CREATE FUNCTION evil.strpos(text, text) RETURNS int LANGUAGE sql AS $$ SELECT 0 $$;
CREATE FUNCTION evil.pg_backend_pid() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '-infinity'::timestamptz $$;
CREATE FUNCTION evil.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE TABLE evil.event (LIKE pg_catalog.pg_class);
`

// HostileSettings are the values of [Hostile] as SQL. Settings that change only how fast
// something is done are among them when a plan depends on them.
var HostileSettings = map[string]string{
	"DateStyle": "'SQL, DMY'", "IntervalStyle": "iso_8601", "TimeZone": "'Asia/Kathmandu'", "timezone_abbreviations": "'Australia'",
	"client_encoding": "LATIN1", "bytea_output": "escape", "extra_float_digits": "-15", "xmlbinary": "hex", "xmloption": "document",
	"array_nulls": "off", "backslash_quote": "off", "escape_string_warning": "off", "standard_conforming_strings": "off", "transform_null_equals": "on",
	"quote_all_identifiers": "on", "search_path": "evil, pg_catalog", "restrict_nonsystem_relation_kind": "'view, foreign-table'",
	"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on",
	"row_security": "off", "exit_on_error": "on", "client_min_messages": "error", "check_function_bodies": "off",
	"statement_timeout": "1", "lock_timeout": "1", "idle_session_timeout": "1", "idle_in_transaction_session_timeout": "1", "transaction_timeout": "200",
	"deadlock_timeout": "1", "synchronous_commit": "off", "stats_fetch_consistency": "snapshot", "track_activities": "off",

	"jit": "on", "jit_above_cost": "0", "jit_inline_above_cost": "0", "jit_optimize_above_cost": "0", "jit_expressions": "on", "jit_tuple_deforming": "on",
	"plan_cache_mode": "force_custom_plan", "constraint_exclusion": "on", "cursor_tuple_fraction": "1", "default_statistics_target": "1",
	"enable_async_append": "off", "enable_bitmapscan": "off", "enable_distinct_reordering": "off", "enable_gathermerge": "off", "enable_group_by_reordering": "off",
	"enable_hashagg": "off", "enable_hashjoin": "off", "enable_incremental_sort": "off", "enable_indexonlyscan": "off", "enable_indexscan": "off",
	"enable_material": "off", "enable_memoize": "off", "enable_mergejoin": "on", "enable_nestloop": "off", "enable_parallel_append": "off", "enable_parallel_hash": "off",
	"enable_partition_pruning": "off", "enable_partitionwise_aggregate": "on", "enable_partitionwise_join": "on", "enable_presorted_aggregate": "off",
	"enable_self_join_elimination": "off", "enable_seqscan": "on", "enable_sort": "off", "enable_tidscan": "off",
	"force_parallel_mode": "regress", "debug_parallel_query": "regress", "max_parallel_workers_per_gather": "8", "parallel_setup_cost": "0", "parallel_tuple_cost": "0",
	"min_parallel_index_scan_size": "0", "min_parallel_table_scan_size": "0", "parallel_leader_participation": "off", "max_parallel_workers": "8",
	"from_collapse_limit": "1", "join_collapse_limit": "1", "geqo": "on", "geqo_threshold": "2", "geqo_effort": "1", "geqo_seed": "0.5",
	"seq_page_cost": "0", "random_page_cost": "1000000", "cpu_tuple_cost": "0", "cpu_index_tuple_cost": "1000000", "cpu_operator_cost": "1000000",
	"effective_cache_size": "1", "work_mem": "64", "hash_mem_multiplier": "1", "temp_buffers": "100", "maintenance_work_mem": "1024", "synchronize_seqscans": "off",

	"plpgsql.extra_errors": "'all'", "plpgsql.extra_warnings": "'all'", "plpgsql.variable_conflict": "use_variable", "plpgsql.check_asserts": "off", "plpgsql.print_strict_params": "on",
}

// harmless are the settings that [Hostile] does not change, by the reason.
var harmless = map[string]string{
	"what an operator decides about his server, and is respected":                                                             "default_transaction_read_only temp_file_limit max_stack_depth",
	"where and how tables lie that an owner makes, which the migrations name where it matters":                                "default_tablespace temp_tablespaces default_table_access_method default_toast_compression",
	"of one transaction, which names it":                                                                                      "transaction_isolation transaction_read_only transaction_deferrable",
	"refused by a session's proof, because a program may not set it":                                                          "session_replication_role",
	"forms of what nothing here uses: money, numbers by patterns, words, texts for people":                                    "lc_monetary lc_numeric lc_time lc_messages default_text_search_config icu_validation_level",
	"what the server tells its log or its statistics":                                                                         "application_name log_* debug_print_* debug_pretty_print trace_* backtrace_functions compute_query_id track_* update_process_title",
	"how often the network is looked at":                                                                                      "tcp_* client_connection_check_interval wal_sender_timeout",
	"how the log and the disk are written, which changes the speed":                                                           "backend_flush_after commit_* effective_io_concurrency maintenance_io_concurrency io_* wal_* file_copy_method logical_decoding_work_mem",
	"only of commands that nothing here runs: VACUUM, GIN, CREATE ROLE, recursion, notifications, large objects, replication": "vacuum_* gin_* password_encryption createrole_self_grant recursive_worktable_factor lo_compat_privileges max_parallel_maintenance_workers md5_password_warnings",
	"what a server loads, or how it is examined by its developers":                                                            "local_preload_libraries session_preload_libraries dynamic_library_path extension_* jit_dump_bitcode debug_* allow_* ignore_checksum_failure zero_damaged_pages event_triggers",
	"how a search among very many joins goes, of which there are none":                                                        "geqo_*",
}
