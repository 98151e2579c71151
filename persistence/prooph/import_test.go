package prooph_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/prooph"
)

func newStub() *stub { return &stub{Journal: memory.New(memory.Config{})} }

// imported are the events that an import gives.
func imported(t *testing.T, config prooph.Config) (*stub, prooph.Report) {
	t.Helper()
	journal := newStub()
	checked, err := prooph.Check(t.Context(), config)
	require.NoError(t, err)
	report, err := prooph.Import(t.Context(), journal, config)
	require.NoError(t, err)
	require.Equal(t, checked, report, "a check tells what an import does")
	require.Len(t, journal.events, int(report.Stored))
	require.Equal(t, report.Rows, report.Stored+report.Skipped)
	return journal, report
}

func TestImportKeepsWhatRowsHold(t *testing.T) {
	t.Parallel()
	s := newHostileStore(t)
	id := uuid.MustParse("8c1f5a3e-94b4-4a7b-9c5e-0d9f0a1b2c3d")
	s.create(aggregate, "user-7", `{"owner": "ann", "n": 1}`)
	s.write("user-7", event{
		no: 1, id: id, name: `App\User\Registered`, payload: `{ "name": "Zoë 🗿", "amount": 1.0, "big": 12345678901234567890, "a": {"b": []} }`,
		metadata: `{"_aggregate_version": 1, "_causation_id": "é\t\"", "int": -7, "whole": 1.0, "third": 0.1, "great": 1.5e300, "yes": true}`,
		at:       start,
	})

	journal, report := imported(t, prooph.Config{URL: s.url})

	require.Equal(t, []persistence.Recorded{{
		Stream: "user-7", Version: 1, At: start,
		Event: persistence.Event{
			ID: persistence.EventID(id), Type: `App\User\Registered`,
			Payload: []byte(`{ "name": "Zoë 🗿", "amount": 1.0, "big": 12345678901234567890, "a": {"b": []} }`),
			Metadata: persistence.Metadata{
				"_aggregate_version": persistence.Int(1), "_causation_id": persistence.String("é\t\""), "int": persistence.Int(-7), "whole": persistence.Float(1),
				"third": persistence.Float(0.1), "great": persistence.Float(1.5e300), "yes": persistence.Bool(true),
			},
		},
	}}, journal.events)
	require.Equal(t, prooph.Report{Tables: 1, Streams: 1, Rows: 1, Stored: 1}, report)
}

func TestImportByStrategy(t *testing.T) {
	t.Parallel()
	s := newHostileStore(t)
	s.create(aggregate, "user-1", "")
	s.write("user-1", versions(1, 2)...)
	s.create(single, "events", "[]")
	s.write("events",
		event{payload: "1", metadata: of("todo", "a", 1), at: start.Add(time.Minute)}, event{payload: "2", metadata: of("todo", "b", `"1"`), at: start.Add(time.Minute)},
		event{payload: "3", metadata: of("todo", "a", 2), at: start.Add(time.Minute)}, event{payload: "4", metadata: of("note", "a-1", 1), at: start.Add(time.Minute)},
	)
	s.create(simple, "log", "{}")
	s.write("log", event{payload: "1", metadata: of("x", "y", 7), at: start.Add(time.Hour)}, event{payload: "2", at: start.Add(time.Hour)})
	kept := prooph.Config{URL: s.url}
	split := prooph.Config{URL: s.url, Split: true}
	renamed := prooph.Config{URL: s.url, Split: true, Rename: func(name string) string { return strings.Replace(name, "todo-", "task-", 1) }}
	forced := prooph.Config{URL: s.url, Streams: []string{"log"}, Strategy: prooph.AggregateStream, Policies: prooph.Policies{prooph.Hole: prooph.Mend}}

	cases := map[string]struct {
		config  prooph.Config
		want    []string
		streams int
	}{
		"tables are streams":      {kept, []string{"user-1 1 1", "user-1 2 2", "events 1 1", "events 2 2", "events 3 3", "events 4 4", "log 1 1", "log 2 2"}, 3},
		"aggregates are streams":  {split, []string{"user-1 1 1", "user-1 2 2", "todo-a 1 1", "todo-b 1 2", "todo-a 2 3", "note-a-1 1 4", "log 1 1", "log 2 2"}, 5},
		"under other names":       {renamed, []string{"user-1 1 1", "user-1 2 2", "task-a 1 1", "task-b 1 2", "task-a 2 3", "note-a-1 1 4", "log 1 1", "log 2 2"}, 5},
		"by a strategy not shown": {forced, []string{"log 1 1", "log 2 2"}, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			journal, report := imported(t, c.config)

			require.Equal(t, c.want, said(journal.events))
			require.Equal(t, c.streams, report.Streams)
		})
	}
}

// TestImportMergesByTime has clocks that are equal and that go back.
func TestImportMergesByTime(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	second := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	for i, seconds := range [][]int{{3, 5, 1, 9}, {3, 4, 5}, {}, {0, 0, 7}} {
		stream := fmt.Sprintf("s%d", i)
		s.create(simple, stream, "")
		for _, at := range seconds {
			s.write(stream, event{payload: fmt.Sprint(at), at: second(at)})
		}
	}

	journal, _ := imported(t, prooph.Config{URL: s.url})

	require.Equal(t, []string{
		"s3 1 0", "s3 2 0", "s0 1 3", "s1 1 3", "s1 2 4", "s0 2 5", "s0 3 1", "s1 3 5", "s3 3 7", "s0 4 9",
	}, said(journal.events))
}

func TestImportOfVersionsThatDoNotFollow(t *testing.T) {
	t.Parallel()
	all := func(policy prooph.Policy) prooph.Policies {
		return prooph.Policies{prooph.Hole: policy, prooph.BackDated: policy, prooph.Duplicate: policy, prooph.Version: policy}
	}
	s := newStore(t)
	s.create(simple, "user-1", "")
	s.write("user-1", versions(1, 5, 3, 6, 3, 2, 2, 8)...)
	s.write("user-1", event{no: 9, payload: "9", metadata: `{"_aggregate_version": "x"}`}, event{no: 10, payload: "10", metadata: `{"_aggregate_version": 1.5}`}, event{no: 11, payload: "11"})

	cases := map[string]struct {
		policies prooph.Policies
		want     []string
		problems map[prooph.Problem]int64
	}{
		"mended": {
			all(prooph.Mend),
			[]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"},
			map[prooph.Problem]int64{prooph.Hole: 2, prooph.BackDated: 2, prooph.Duplicate: 2, prooph.Version: 2},
		},
		// 5 is as if it had never been, 3 and 6 too; then 2 follows 1, and 8 does not follow.
		"skipped": {all(prooph.Skip), []string{"1", "6", "11"}, map[prooph.Problem]int64{prooph.Hole: 5, prooph.Duplicate: 1, prooph.Version: 2}},
		"in part": {
			prooph.Policies{prooph.Hole: prooph.Mend, prooph.BackDated: prooph.Skip, prooph.Duplicate: prooph.Skip, prooph.Version: prooph.Mend},
			[]string{"1", "2", "4", "8", "9", "10", "11"},
			map[prooph.Problem]int64{prooph.Hole: 2, prooph.BackDated: 4, prooph.Version: 2},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			journal, report := imported(t, prooph.Config{URL: s.url, Strategy: prooph.AggregateStream, Policies: c.policies})

			var rows []string
			for i, recorded := range journal.events {
				require.Equal(t, persistence.Version(i+1), recorded.Version, "no version is left out")
				rows = append(rows, string(recorded.Payload))
			}
			require.Equal(t, c.want, rows)
			require.Equal(t, c.problems, report.Problems)
		})
	}

	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		journal := newStub()

		report, err := prooph.Import(t.Context(), journal, prooph.Config{URL: s.url, Strategy: prooph.AggregateStream})

		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.EqualError(t, err, `import from prooph: refuse: version hole 5 in "user-1" row 2`)
		require.Empty(t, journal.events)
		require.Equal(t, int64(1), report.Refused)
		checked, err := prooph.Check(t.Context(), prooph.Config{URL: s.url, Strategy: prooph.AggregateStream})
		require.NoError(t, err, "a check goes on")
		require.Equal(t, int64(8), checked.Refused)
		require.Equal(t, map[prooph.Problem]int64{prooph.Hole: 2, prooph.BackDated: 2, prooph.Duplicate: 2, prooph.Version: 2}, checked.Problems)
	})
}

func TestImportOfMetadataThatIsNotFlat(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.create(aggregate, "user-1", `{"rights": ["read", "write"], "none": null}`)
	bad := []string{
		`{"_aggregate_version": 1, "who": {"name": "ann", "roles": [1, null]}, "none": null, "n": 1}`,
		`{"_aggregate_version": 2, "list": [], "great": 1` + strings.Repeat("0", 400) + `}`,
	}
	for i, metadata := range bad {
		s.write("user-1", event{no: int64(i + 1), metadata: metadata})
	}
	s.write("user-1", event{no: 3, metadata: `{"_aggregate_version": 3}`})
	s.create(simple, "worse", "")
	s.write("worse", event{metadata: `["a"]`}, event{metadata: `{"": 1}`})

	t.Run("mended", func(t *testing.T) {
		t.Parallel()
		config := prooph.Config{URL: s.url, Streams: []string{"user-1"}, Policies: prooph.Policies{prooph.Metadata: prooph.Mend}}

		journal, report := imported(t, config)

		events := journal.events

		require.Equal(t, persistence.Metadata{
			"_aggregate_version": persistence.Int(1), "n": persistence.Int(1), "who": persistence.String(`{"name": "ann", "roles": [1, null]}`),
		}, events[0].Metadata)
		require.Equal(t, persistence.Metadata{
			"_aggregate_version": persistence.Int(2), "list": persistence.String("[]"), "great": persistence.String("1" + strings.Repeat("0", 400)),
		}, events[1].Metadata)
		require.Equal(t, map[prooph.Problem]int64{prooph.Metadata: 3}, report.Problems)
		info, err := journal.Stream(t.Context(), "user-1")
		require.NoError(t, err)
		require.Equal(t, persistence.Metadata{"rights": persistence.String(`["read", "write"]`)}, info.Metadata)
	})

	t.Run("skipped", func(t *testing.T) {
		t.Parallel()

		journal, report := imported(t, prooph.Config{URL: s.url, Policies: prooph.Policies{prooph.Metadata: prooph.Skip}})

		require.Len(t, journal.events, 1, "the version of what was skipped is no hole")
		require.Equal(t, persistence.Version(1), journal.events[0].Version)
		require.Equal(t, int64(1), report.Renumbered)
		require.Equal(t, int64(5), report.Problems[prooph.Metadata])
	})

	t.Run("what cannot be mended is refused", func(t *testing.T) {
		t.Parallel()

		report, err := prooph.Check(t.Context(), prooph.Config{URL: s.url, Streams: []string{"worse"}, Policies: prooph.Policies{prooph.Metadata: prooph.Mend}})

		require.NoError(t, err)
		require.Equal(t, int64(2), report.Refused)
	})
}

func TestImportOfNamesAndValuesThatBreakRules(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, stream := range []string{"$ct-user", "a\tb", "", strings.Repeat("é", 150)} {
		s.create(simple, stream, "")
		s.write(stream, event{})
	}
	s.create(simple, "$empty", "")
	s.create(simple, "types", "")
	s.write("types", event{name: strings.Repeat("é", 100)}, event{name: "$deleted"}, event{name: "a\nb"}, event{name: strings.Repeat("🗿", 100)}, event{name: strings.Repeat("é", 100) + "", payload: "1"})
	s.create(simple, "values", "")
	s.write("values", event{payload: `"` + strings.Repeat("x", persistence.MaxPayload) + `"`}, event{id: uuid.Max}, event{at: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)})
	quoted, _ := tableOf("values")
	s.exec("INSERT INTO " + quoted + " (event_id, event_name, payload, metadata, created_at) VALUES ('00000000-0000-0000-0000-000000000000', 'n', '[]', '[]', now()), (gen_random_uuid(), 'n', '[]', '[]', 'infinity'), (gen_random_uuid(), 'n', '[]', '[]', '-infinity'), (gen_random_uuid(), 'n', '[]', '[]', '20000-01-01')")
	s.create(single, "events", "")
	s.write("events", event{metadata: of("a-b", "c", 1)}, event{metadata: of("", "c", 1)}, event{metadata: of("a", "", 1)}, event{metadata: of("$a", "b", 1)}, event{metadata: of("ok", "b-c", 1)})
	config := prooph.Config{URL: s.url, Split: true, Policies: prooph.Policies{prooph.Name: prooph.Skip, prooph.Value: prooph.Skip}}

	journal, report := imported(t, config)

	require.Len(t, journal.events, 4)
	require.Equal(t, []string{"ok-b-c 1 []", "types 1 []", "types 2 1", "values 1 []"}, said(sorted(journal.events)))
	require.Equal(t, map[prooph.Problem]int64{prooph.Name: 4 + 1 + 3 + 4, prooph.Value: 6}, report.Problems)
	for _, finding := range report.Findings {
		require.ErrorIs(t, finding.Err, persistence.ErrInvalid, "%s", finding)
	}
}
