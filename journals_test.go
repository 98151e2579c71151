package stele_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/sqlite"
)

// journals are ways to open an empty journal of each kind.
func journals() map[string]func(*testing.T) persistence.Journal {
	return map[string]func(*testing.T) persistence.Journal{
		"memory": func(*testing.T) persistence.Journal { return new(memory.Journal) },
		"sqlite": func(t *testing.T) persistence.Journal {
			t.Helper()
			journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "journal.db")})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, journal.Close()) })
			return journal
		},
		"postgres": func(t *testing.T) persistence.Journal {
			t.Helper()
			return pgtest.Journal(t)
		},
	}
}

type (
	visit   struct{ Page string }
	visited struct {
		Page string
		Nth  int
	}
	visits struct{ n int }
)

func (visit) MessageName() string   { return "visits.visit" }
func (visited) MessageName() string { return "visits.visited" }

var (
	visitPage = actors.NewCommand[visit, visited]("visits")

	allVisits = actors.Define("visits",
		actors.Handle(visitPage, func(v *visits, tx *actors.Tx, c visit) (visited, error) {
			event := visited{c.Page, v.n + 1}
			tx.Raise(event)
			return event, nil
		}),
		actors.On(func(v *visits, e visited) { v.n = e.Nth }),
	)
)

// What a node stores can be read without it, and its events say how.
func TestEventsAreDescribed(t *testing.T) {
	t.Parallel()
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := open(t)
			for round := range 2 {
				node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters, allVisits}})
				require.NoError(t, err)
				_, err = Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(uint64(round)))
				require.NoError(t, err)
				_, err = visitPage.Ask(t.Context(), node, "a", visit{"/home"})
				require.NoError(t, err)
				require.NoError(t, node.Stop(t.Context()))
			}

			var said []string
			decoder := schema.NewDecoder(journal)
			for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
				require.NoError(t, err)
				for i := range page.Events {
					require.Positive(t, page.Events[i].Schema)
					decoded, err := decoder.Decode(t.Context(), &page.Events[i].Event)
					require.NoError(t, err)
					said = append(said, fmt.Sprintf("%s %s", page.Events[i].Type, decoded.JSON))
				}
			}

			require.Equal(t, []string{
				`google.protobuf.UInt64Value "0"`, `visits.visited {"Page":"/home","Nth":1}`,
				`google.protobuf.UInt64Value "1"`, `visits.visited {"Page":"/home","Nth":2}`,
			}, said)
			ability, ok := persistence.As[persistence.Schemas](journal)
			require.True(t, ok)
			schemas, err := ability.Schemas(t.Context())
			require.NoError(t, err)
			require.Len(t, schemas, 2, "the second node has found those of the first")
		})
	}
}

// A journal that keeps no schemas stores events all the same.
func TestEventsWithoutDescription(t *testing.T) {
	t.Parallel()
	journal := struct{ persistence.Journal }{new(memory.Journal)}
	node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{allVisits}})
	require.NoError(t, err)
	_, err = visitPage.Ask(t.Context(), node, "a", visit{"/home"})
	require.NoError(t, err)
	require.NoError(t, node.Stop(t.Context()))
	for recorded, err := range journal.Read(t.Context(), "visits-a", persistence.ReadOptions{}) {
		require.NoError(t, err)
		require.Zero(t, recorded.Schema)
	}
}

// later is what visited has become in the next release.
type later struct {
	Page []string
	Nth  int8
}

func (later) MessageName() string { return "visits.visited" }

// A release that cannot read what is stored is told so before it runs.
func TestCheck(t *testing.T) {
	t.Parallel()
	changed := actors.Define("visits", actors.On(func(v *visits, e later) { v.n = int(e.Nth) }))
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := open(t)
			node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters, allVisits}})
			require.NoError(t, err)
			for range 3 {
				_, err = visitPage.Ask(t.Context(), node, "a", visit{"/home"})
				require.NoError(t, err)
			}
			require.NoError(t, node.Stop(t.Context()))

			findings, err := stele.Check(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters, allVisits}})
			require.NoError(t, err)
			require.Empty(t, findings)

			findings, err = stele.Check(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters, changed}})
			require.NoError(t, err)
			require.Len(t, findings, 2)
			for i, field := range []string{"Nth", "Page"} {
				require.Equal(t, schema.BreaksReading, findings[i].Severity)
				require.Equal(t, schema.FieldTypeChanged, findings[i].Change)
				require.Equal(t, field, findings[i].Field)
				require.EqualValues(t, 3, findings[i].Events)
			}
		})
	}
}
