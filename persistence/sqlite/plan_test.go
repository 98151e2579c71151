package sqlite

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// Indexes as plans name them.
const (
	byName     = "sqlite_autoindex_stream_1 (name=?)"
	byVersion  = "sqlite_autoindex_event_1 (stream_id=?)"
	versionsOf = "SEARCH e USING COVERING INDEX " + byVersion
	oneVersion = "SEARCH e USING INDEX sqlite_autoindex_event_1 (stream_id=? AND version=?)"
	part       = "SEARCH e USING INDEX sqlite_autoindex_event_1 (stream_id=? AND version>? AND version<?)"
	positions  = "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
	streamOf   = "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"
	byTag      = "SEARCH main.event_tag USING PRIMARY KEY (tag=? AND position>? AND position<?)"
	correlated = "CORRELATED SCALAR SUBQUERY"
)

// plans are how SQLite finds what the package asks for.
var plans = map[string][]string{
	"stream_find":              {"SEARCH s USING INDEX " + byName, correlated, versionsOf},
	"stream_list":              {"SEARCH s USING INDEX sqlite_autoindex_stream_1 (name>?)", correlated, versionsOf},
	"stream_list_category":     {"SEARCH s USING INDEX stream_category (category=? AND name>?)", correlated, versionsOf},
	"category_next":            {"SEARCH s USING COVERING INDEX stream_category (category>?)"},
	"category_exists":          {"SEARCH s USING INDEX stream_category (category=?)", correlated, versionsOf},
	"stream_describe":          {"SEARCH main.stream USING INTEGER PRIMARY KEY (rowid=?)"},
	"stream_delete":            {"SEARCH main.stream USING INTEGER PRIMARY KEY (rowid=?)"},
	"stream_truncate":          {"SEARCH main.stream USING INTEGER PRIMARY KEY (rowid=?)"},
	"key_find":                 {"SEARCH main.event_key USING PRIMARY KEY (stream_id=? AND event_id=?)"},
	"key_forget":               {"SEARCH main.event_key USING PRIMARY KEY (stream_id=?)"},
	"event_at":                 {"SEARCH main.event USING INDEX sqlite_autoindex_event_1 (stream_id=? AND version=?)"},
	"read":                     {part},
	"read_backward":            {part},
	"read_all":                 {positions, streamOf},
	"read_all_backward":        {positions, streamOf},
	"read_whole":               {positions, streamOf, correlated, "SEARCH k USING PRIMARY KEY (stream_id=? AND event_id=?)"},
	"stream_import":            {"SEARCH main.stream USING INTEGER PRIMARY KEY (rowid=?)"},
	"tagged":                   {byTag},
	"tag_delete":               {"SEARCH main.event_tag USING PRIMARY KEY (tag=? AND position=?)"},
	"head":                     {"SEARCH main.event"},
	"last":                     {"SCAN CONSTANT ROW", "SCALAR SUBQUERY", "SEARCH main.event", "SCALAR SUBQUERY", "SEARCH main.stream", "SCALAR SUBQUERY", "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)", "SCALAR SUBQUERY", "SEARCH main.event"},
	"proof":                    {"SCAN j", "SCALAR SUBQUERY", "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"}, // of the one row of journal
	"scavenge_tags":            {part},
	"scavenge_keys":            {"SEARCH main.event_key USING PRIMARY KEY (stream_id=? AND event_id=?)", "LIST SUBQUERY", part},
	"scavenge_events":          {"SEARCH main.event USING INDEX sqlite_autoindex_event_1 (stream_id=? AND version>? AND version<?)"},
	"snapshot_load":            {"SEARCH main.snapshot USING INTEGER PRIMARY KEY (rowid=?)", "SCALAR SUBQUERY", "SEARCH main.stream USING COVERING INDEX " + byName},
	"snapshot_delete":          {"SEARCH main.snapshot USING INTEGER PRIMARY KEY (rowid=?)", "SCALAR SUBQUERY", "SEARCH main.stream USING COVERING INDEX " + byName},
	"snapshot_delete_category": {"SEARCH main.snapshot USING INTEGER PRIMARY KEY (rowid=?)", "LIST SUBQUERY", "SEARCH main.stream USING COVERING INDEX stream_category (category=?)"},
	"schema_find":              {"SEARCH main.schema USING COVERING INDEX sqlite_autoindex_schema_1 (digest=? AND encoding=?)"},
	"schema_list":              {"SEARCH main.schema USING INTEGER PRIMARY KEY (rowid>?)"},
	"check_streams": {
		"CO-ROUTINE c", "SEARCH s USING INTEGER PRIMARY KEY (rowid>?)", correlated, "CO-ROUTINE (subquery-5)", versionsOf, "SCAN (subquery-5)",
		correlated, "CO-ROUTINE v", versionsOf, "SEARCH v", correlated, versionsOf, "SCAN c",
		correlated, oneVersion,
		correlated, "SEARCH n USING INTEGER PRIMARY KEY (rowid=?)", correlated, "SEARCH k USING PRIMARY KEY (stream_id=?)",
		correlated, oneVersion,
	},
	"schema_uses": {positions, streamOf, "USE TEMP B-TREE FOR GROUP BY"},
}

// filtered are queries that filters were added to.
func filtered() map[string][]string {
	everything := filter.Type().In("a", "b").And(filter.Stream().In("a-1", "b-1")).And(filter.Category().In("a", "b")).
		And(filter.Version().Ge(2)).And(filter.Time().Ge(persistence.Recorded{}.At)).And(filter.ID().In(persistence.NewEventID())).And(filter.Tag().Eq("t"))
	p, s := newPrefilter(everything).ofSequence(), newPrefilter(everything).ofStream()
	names := []string{"LIST SUBQUERY", "SEARCH n USING COVERING INDEX " + byName, "CREATE BLOOM FILTER"}
	tags := []string{"SCAN t", "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)", streamOf}
	return map[string][]string{
		s.filled("read"):              {part},
		s.filled("read_backward"):     {part},
		p.filled("read_all"):          append([]string{positions}, append(names, streamOf)...),
		p.filled("read_all_backward"): append([]string{positions}, append(names, streamOf)...),
		new(prefilter).filledTagged(2, false): append([]string{
			"CO-ROUTINE t", "MERGE (UNION)", "LEFT", byTag, "RIGHT", byTag,
		}, tags...),
	}
}

// TestPlans pins the plans on empty tables and on filled and analysed ones: by
// index, in order, without a sort.
func TestPlans(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	check := func(w *writer) {
		for name, want := range plans {
			require.Equal(t, want, planOf(t, w, whole(name)), name)
		}
		for text, want := range filtered() {
			require.Equal(t, want, planOf(t, w, text), text)
		}
		for _, backward := range []bool{false, true} {
			plan := planOf(t, w, new(prefilter).filledTagged(1, backward))
			require.Equal(t, byTag, plan[0], "the events of a tag come in their order")
			require.NotContains(t, strings.Join(plan, "\n"), "TEMP B-TREE")
		}
	}
	o.inside(check)
	for i := range 50 {
		a := addition("a-1", persistence.Any, "1", "2")
		a.Events[i%2].Tags = []string{"t", "u"}
		b := addition(persistence.StreamID("b-"+persistence.NewEventID().String()), persistence.Any, "1")
		b.Events[0].ID = persistence.NewEventID()
		_, err := o.Append(t.Context(), a, b)
		require.NoError(t, err)
	}
	o.pragma("optimize = 0x10002")
	o.inside(check)
}

func TestPlansOfAllQueries(t *testing.T) {
	t.Parallel()
	files, err := queries.ReadDir("sql")
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".sql")
		text := query(name)
		if strings.Contains(text, "INSERT") || strings.Contains(text, "{tagged}") || name == "lock" {
			continue // these look for nothing, or are looked at in parts
		}
		require.Contains(t, plans, name)
	}
}

func planOf(t *testing.T, w *writer, text string) (plan []string) {
	t.Helper()
	require.NoError(t, w.eachOf("EXPLAIN QUERY PLAN "+text, parameters(text), func(row []driver.Value) bool {
		step, _, cut := strings.Cut(row[3].(string), " SUBQUERY ")
		if cut {
			step += " SUBQUERY"
		}
		plan = append(plan, step)
		return true
	}), text)
	return plan
}

// parameters are as many as a query has, which may be numbered. Where SQLite looks
// at what is bound, they are what somebody would ask for.
func parameters(text string) []driver.Value {
	if tags := strings.Count(text, "main.event_tag"); tags > 0 {
		return slices.Repeat([]driver.Value{"t", int64(20), int64(80)}, tags)
	}
	for n := 9; n > 0; n-- {
		if strings.Contains(text, fmt.Sprint("?", n)) {
			return make([]driver.Value, n)
		}
	}
	return make([]driver.Value, strings.Count(text, "?"))
}
