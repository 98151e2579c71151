package prooph_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/prooph"
	"github.com/stele-es/stele/persistence/sqlite"
)

// journals are those that events are imported into.
var journals = map[string]func(t *testing.T) persistence.Journal{
	"memory": func(*testing.T) persistence.Journal { return memory.New(memory.Config{}) },
	"sqlite": func(t *testing.T) persistence.Journal {
		journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "journal.db"), Relaxed: true})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, journal.Close()) })
		return journal
	},
	"postgres": func(t *testing.T) persistence.Journal { return pgtest.Journal(t) },
}

// planted has tables of every strategy with whatever can be wrong in them.
func planted(t *testing.T) (*store, prooph.Config) {
	t.Helper()
	s := newStore(t)
	s.create(aggregate, "user-Zoë 🗿", `{"owner": "ann"}`)
	s.write("user-Zoë 🗿", versions(1, 2, 5, 6)...)
	s.create(single, "app.events", "[]")
	for i := range 40 {
		at := start.Add(time.Duration(i*37%23) * time.Second)
		s.write("app.events", event{
			name: `App\Todo\Posted`, payload: fmt.Sprintf(`{"text":"é %d","share":%d.0}`, i, i), at: at,
			metadata: fmt.Sprintf(`{"_aggregate_type": "todo", "_aggregate_id": "%d", "_aggregate_version": %d, "share": %d.5, "whole": 1.0, "nested": {"i": %d}}`, i%7, 1+i/7+i/20, i, i),
		})
	}
	s.create(simple, "log", `{"kept": 1.0}`)
	s.write("log", event{payload: "1"}, event{payload: "2", name: "$odd"}, event{payload: "3", at: start.Add(-time.Hour)})
	s.create(simple, "$ct-user", "")
	s.write("$ct-user", event{})
	s.create(simple, "bare", `{"n": null}`)
	return s, prooph.Config{
		URL: s.url, Split: true,
		Policies: prooph.Policies{prooph.Hole: prooph.Mend, prooph.Metadata: prooph.Mend, prooph.Name: prooph.Skip},
	}
}

// stored is what a journal holds, in the form in which a stub was given it.
func stored(t *testing.T, journal persistence.Journal) []persistence.Recorded {
	t.Helper()
	var events []persistence.Recorded
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		for _, recorded := range page.Events {
			require.Equal(t, int64(len(events)+1), recorded.Position.Offset, "positions have no gap")
			recorded.Position, recorded.At = persistence.Position{}, recorded.At.UTC()
			if len(recorded.Metadata) == 0 {
				recorded.Metadata = nil
			}
			recorded.Headers, recorded.Tags = nil, nil
			events = append(events, recorded)
		}
	}
	return events
}

func TestImportIntoJournals(t *testing.T) {
	t.Parallel()
	for name, open := range journals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, config := planted(t)
			want, checked := imported(t, config)
			journal := open(t)

			for range 2 { // the second time it is all there
				report, err := prooph.Import(t.Context(), journal, config)
				require.NoError(t, err)
				require.Equal(t, checked, report)
				require.Equal(t, want.events, stored(t, journal))
			}

			info, err := journal.Stream(t.Context(), "user-Zoë 🗿")
			require.NoError(t, err)
			require.Equal(t, persistence.Version(4), info.Version)
			require.Equal(t, persistence.Metadata{"owner": persistence.String("ann")}, info.Metadata)
			_, err = journal.Stream(t.Context(), "bare")
			require.NoError(t, err)

			s.write("log", event{payload: "4", at: start.Add(-2 * time.Hour)})
			_, err = prooph.Import(t.Context(), journal, config)
			require.NoError(t, err)
			events := stored(t, journal)
			require.Len(t, events, len(want.events)+1)
			require.Equal(t, "log 3 4", said(events[len(events)-1:])[0], "what is new comes last")

			outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "log", Expected: persistence.Exact(3), Events: []persistence.Event{{Type: "own"}}})
			require.NoError(t, err)
			require.NoError(t, outcomes[0].Err)
			s.write("log", event{payload: "5"})
			_, err = prooph.Import(t.Context(), journal, config)
			require.ErrorIs(t, err, persistence.ErrConflict, "two have written the stream")
		})
	}
}

// interrupted fails two of each three of its first calls of Import: one before it
// is done, one after.
type interrupted struct {
	persistence.Journal
	calls int
}

var errInterrupted = errors.New("interrupted")

func (i *interrupted) Unwrap() persistence.Journal { return i.Journal }

func (i *interrupted) Import(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
	i.calls++
	turn := i.calls % 3
	if i.calls > 30 {
		turn = 0
	}
	if turn == 1 {
		return persistence.Position{}, errInterrupted
	}
	able, _ := persistence.As[persistence.Importer](i.Journal)
	position, err := able.Import(ctx, events)
	if err == nil && turn == 2 {
		err = &persistence.UnknownOutcomeError{Err: errInterrupted}
	}
	return position, err
}

func (i *interrupted) ImportStreams(context.Context, []persistence.StreamInfo) error { return nil }

// TestLongImportOfManyRows has a hundred thousand rows of a thousand aggregates, with
// holes, and ends the import early again and again.
func TestLongImportOfManyRows(t *testing.T) {
	t.Parallel()
	for name, open := range journals {
		rows := 100_000
		if name == "sqlite" {
			rows = 20_000 // the race detector makes ten of each one of its instructions
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const aggregates, holes = 1000, 9
			s := newStore(t)
			s.many(rows, aggregates, holes)
			config := prooph.Config{URL: s.url, Split: true, Policies: prooph.Policies{prooph.Hole: prooph.Mend}}
			left := rows - holes
			journal := open(t)
			front := &interrupted{Journal: journal}
			ends := 0

			report, err := prooph.Import(t.Context(), front, config)
			for ; err != nil; report, err = prooph.Import(t.Context(), front, config) {
				require.ErrorIs(t, err, errInterrupted)
				ends++
			}

			require.Equal(t, 20, ends)
			require.Equal(t, int64(left), report.Stored)
			require.Equal(t, aggregates, report.Streams)
			require.Equal(t, int64(holes), report.Problems[prooph.Hole])
			next, count := map[persistence.StreamID]persistence.Version{}, 0
			last := map[persistence.StreamID]string{}
			for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: persistence.MaxPageRows}) {
				require.NoError(t, err)
				for _, recorded := range page.Events {
					count++
					next[recorded.Stream]++
					if next[recorded.Stream] != recorded.Version || recorded.Position.Offset != int64(count) {
						t.Fatalf("%s has version %d at position %d", recorded.Stream, recorded.Version, recorded.Position.Offset)
					}
					last[recorded.Stream] = string(recorded.Payload)
				}
			}
			require.Equal(t, left, count)
			require.Len(t, last, aggregates)
			for stream, payload := range last {
				id := strings.TrimPrefix(string(stream), "todo-")
				require.Contains(t, payload, fmt.Sprintf(`"n" : %d%s%s,`, rows/aggregates-1, strings.Repeat("0", 3-len(id)), id), "the last row of an aggregate is its last event")
			}
		})
	}
}

// many adds a table of so many rows of so many aggregates. Holes are the events
// that some of them have lost, never the last one.
func (s *store) many(rows, aggregates, holes int) {
	s.t.Helper()
	s.create(single, "events", "")
	quoted, _ := tableOf("events")
	s.exec(fmt.Sprintf(`INSERT INTO %[1]s (event_id, event_name, payload, metadata, created_at)
		SELECT gen_random_uuid(), 'posted', json_build_object('n', n, 'text', repeat('x', n %% 200)),
		       jsonb_build_object('_aggregate_type', 'todo', '_aggregate_id', (n %% %[2]d)::text, '_aggregate_version', 1 + n / %[2]d, 'share', n / 8.0),
		       timestamp '2017-01-01' + n * interval '1 microsecond' - (n %% 5) * interval '1 second'
		FROM generate_series(0, %[3]d - 1) n`, quoted, aggregates, rows))
	s.exec(fmt.Sprintf("DELETE FROM %s WHERE no %% 997 = 0 AND no <= 997 * %d", quoted, holes))
}
