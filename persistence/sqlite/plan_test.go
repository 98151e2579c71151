package sqlite

import (
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// TestPlans pins how SQLite finds what the package asks for, on empty tables and
// on filled and analysed ones: by index, in order, without a sort.
func TestPlans(t *testing.T) {
	t.Parallel()
	const stream = "SEARCH main.stream USING COVERING INDEX sqlite_autoindex_stream_1 (name=?)"
	plans := map[string][]string{
		"stream_head": {
			"SEARCH s USING COVERING INDEX sqlite_autoindex_stream_1 (name=?)", "CORRELATED SCALAR SUBQUERY",
			"SEARCH e USING COVERING INDEX sqlite_autoindex_event_1 (stream_id=?)",
		},
		"key_find":      {"SEARCH main.event_key USING PRIMARY KEY (stream_id=? AND event_id=?)"},
		"event_at":      {"SEARCH main.event USING INDEX sqlite_autoindex_event_1 (stream_id=? AND version=?)"},
		"read":          {"SEARCH main.event USING INDEX sqlite_autoindex_event_1 (stream_id=? AND version>?)", "SCALAR SUBQUERY", stream},
		"read_backward": {"SEARCH main.event USING INDEX sqlite_autoindex_event_1 (stream_id=? AND version<?)", "SCALAR SUBQUERY", stream},
		"read_all":      {"SEARCH e USING INTEGER PRIMARY KEY (rowid>?)", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"},
		"last": {
			"SCAN CONSTANT ROW", "SCALAR SUBQUERY", "SEARCH main.event", "SCALAR SUBQUERY", "SEARCH main.stream",
		},
	}
	o := openInside(t)
	check := func(w *writer) {
		for name, want := range plans {
			plan, err := w.prepare("EXPLAIN QUERY PLAN " + query(name))
			require.NoError(t, err)
			var got []string
			require.NoError(t, plan.each(make([]driver.Value, strings.Count(query(name), "?")), func(row []driver.Value) bool {
				step, _, _ := strings.Cut(row[3].(string), " SUBQUERY ")
				if step != row[3] {
					step += " SUBQUERY"
				}
				got = append(got, step)
				return true
			}), name)
			require.Equal(t, want, got, name)
		}
	}
	o.inside(check)
	for range 50 {
		require.NoError(t, o.append("a-1", persistence.Any, "1", "2").Err)
		require.NoError(t, o.append(persistence.StreamID("b-"+persistence.NewEventID().String()), persistence.Any, "1").Err)
	}
	o.pragma("optimize = 0x10002")
	o.inside(check)
}
