package postgres_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// Each statement uses the indexes that its header names, whatever the server knows about the
// tables: while they are empty, when statistics say that they are small, and when they are
// large and have no statistics.
func TestPlansAreIndexScans(t *testing.T) {
	t.Parallel()
	t.Run("of any role", func(t *testing.T) {
		t.Parallel()
		url := pgtest.URL(t)
		plansAreIndexScans(t, url, url)
	})
	t.Run("of a role with the worst settings", func(t *testing.T) {
		t.Parallel()
		hostile, plain := pgtest.Hostile(t, pgtest.URL, respected)
		plansAreIndexScans(t, hostile, plain)
	})
}

func plansAreIndexScans(t *testing.T, asked, url string) {
	t.Helper()
	journal := open(t, postgres.Config{URL: asked, Durability: postgres.Relaxed})
	conn, err := pgx.ConnectConfig(t.Context(), postgres.ConnConfig(journal))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	check := func(state string) {
		for name, statement := range postgres.Reads(journal) {
			require.Empty(t, planFaults(t, conn, name, statement), "%s: %s", state, name)
		}
	}

	check("fresh")
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
	execute(t, url, "ANALYZE")
	check("small and analysed")
	execute(t, url, `INSERT INTO stele.stream (name, part) SELECT 'many-' || g, 0 FROM generate_series(1, 2000) g;
		INSERT INTO stele.event (position, stream_id, version, event_id, schema_id, part, type, payload, headers, tags)
		SELECT 1 + g, 10 + g % 2000, 1 + g / 2000, gen_random_uuid(), 0, 0, 't', '', '', CASE WHEN g % 2 = 0 THEN ARRAY['a', 'n' || g % 7] END FROM generate_series(1, 20000) g`)
	check("grown without statistics")
	execute(t, url, "ANALYZE")
	check("analysed")
}

// planFaults lists what a plan must not do.
func planFaults(t *testing.T, conn *pgx.Conn, name, statement string) []string {
	t.Helper()
	_, err := conn.Exec(t.Context(), "DEALLOCATE ALL")
	require.NoError(t, err)
	const conditions = ", '{t}', NULL, '{a}', 1, NULL, NULL, 9, NULL, NULL, 'k', '[1]'" //nolint:dupword // values
	arguments := map[string]string{
		"stream_find": "'{a}'", "stream_names": "'{1}'", "stream_by_name": "'a'", "snapshot_load": "'a'", "search": "1, gen_random_uuid(), 9",
		"choose_forward": "0, 0, 9" + conditions, "choose_backward": "0, 0, 9" + conditions,
		"choose_all": "0, 0, 9" + conditions + ", '{s-1}', '{s}'", "choose_all_backward": "0, 0, 9" + conditions + ", '{s-1}', '{s}'",
		"choose_tagged": "0, 0, 9" + conditions + ", '{s-1}', '{s}', '{a,b}'", "choose_tagged_backward": "0, 0, 9" + conditions + ", '{s-1}', '{s}', '{a,b}'",
		"read_forward": "0, 0, 9", "read_backward": "0, 0, 9",
		"list": "'', 'a', 9, true", "list_category": "'', 'a', 9, true, 's'", "categories": "'', 'a', 9",
	}[name]
	plain, proved := 0, strings.Contains(statement, ".unproven(")
	for _, found := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(statement, -1) {
		number, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		plain = max(plain, number)
	}
	if proved {
		plain -= 3 // the last ones are the proof
	}
	if arguments == "" {
		arguments = strings.Join([]string{"0", "0", "9"}[:plain], ", ")
	}
	if proved {
		arguments += ", gen_random_uuid(), 1, 'a'"
	}
	forbidden := `Seq Scan|Bitmap|Hash|Merge|Sort`
	if strings.HasPrefix(name, "choose_tagged") {
		forbidden = `Seq Scan|Bitmap|Hash Join|Merge` // what several tags have found, no more than a page of each, is sorted
	}
	var faults []string
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		_, err = conn.Exec(t.Context(), "SET plan_cache_mode = "+mode+"; DEALLOCATE ALL; PREPARE p AS "+statement)
		require.NoError(t, err)
		rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE p("+arguments+")", pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		plan := strings.Join(lines, "\n")
		if regexp.MustCompile(forbidden).MatchString(plan) || !strings.Contains(plan, "Index") {
			faults = append(faults, fmt.Sprintf("%s:\n%s", mode, plan))
		}
	}
	return faults
}

// The functions' own plans cannot be explained, but the server counts how it
// reads the tables.
func TestFunctionsReadByIndex(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed})
	execute(t, url, "ANALYZE")

	for i := range 50 {
		stream := persistence.StreamID(fmt.Sprintf("s-%d", i%5))
		id := persistence.NewEventID()
		outcomes, err := journal.Append(t.Context(),
			persistence.Append{Stream: stream, Expected: persistence.Any, Events: []persistence.Event{{Type: "t"}, {Type: "t"}}},
			persistence.Append{Stream: stream, Expected: persistence.Exact(persistence.Version(i/5*3 + 2)), Events: []persistence.Event{{Type: "t"}}},
			persistence.Append{Stream: "n-1", Expected: persistence.Any, Events: []persistence.Event{{ID: id, Type: "t"}}},
			persistence.Append{Stream: "n-1", Expected: persistence.Any, Events: []persistence.Event{{ID: id, Type: "t"}}},
			persistence.Append{Stream: stream, Expected: persistence.NoStream, Events: []persistence.Event{{Type: "t"}}})
		require.NoError(t, err)
		for _, o := range outcomes[:4] {
			require.NoError(t, o.Err)
		}
		require.ErrorIs(t, outcomes[4].Err, persistence.ErrConflict)
	}
	require.NoError(t, journal.Close()) // what a connection has counted is told at its end

	eventually(t, patience, "the server has counted", func() bool {
		return scalar(t, url, "SELECT sum(idx_scan)::bigint FROM pg_stat_user_tables WHERE relname = 'event'") > 100
	})
	require.Zero(t, scalar(t, url, "SELECT sum(seq_scan)::bigint FROM pg_stat_user_tables WHERE schemaname = 'stele' AND relname IN ('event', 'event_key', 'stream') AND n_live_tup > 0"))
}
