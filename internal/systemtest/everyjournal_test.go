package systemtest

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
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
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/persistence/upcast"
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
			ability, ok := persistence.As[persistence.Schemas](journal)
			require.True(t, ok)
			described := 0
			for round := range 2 {
				schemas, err := ability.Schemas(t.Context())
				require.NoError(t, err)
				described = len(schemas)
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
			schemas, err := ability.Schemas(t.Context())
			require.NoError(t, err)
			require.Positive(t, described)
			require.Len(t, schemas, described, "the second node has found those of the first")
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

// An operator can ask about a release while another one is at work on the same file.
func TestCheckBesideTheProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters, allVisits}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, node.Stop(context.WithoutCancel(t.Context()))) })
	_, err = visitPage.Ask(t.Context(), node, "a", visit{"/home"})
	require.NoError(t, err)
	beside, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, ReadOnly: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, beside.Close()) })

	findings, err := stele.Check(t.Context(), stele.Config{Journal: beside, Aggregates: stele.Aggregates{Counters, allVisits}})
	require.NoError(t, err)
	require.Empty(t, findings)
	findings, err = stele.Check(t.Context(), stele.Config{Journal: beside, Aggregates: stele.Aggregates{
		Counters, actors.Define("visits", actors.On(func(v *visits, e later) { v.n = int(e.Nth) })),
	}})
	require.NoError(t, err)
	require.Len(t, findings, 2)
	_, err = visitPage.Ask(t.Context(), node, "a", visit{"/home"})
	require.NoError(t, err, "the program goes on")
}

// Whoever reads hears the same of events that were stored in an old form, and what
// is stored stays as it is.
func TestUpcastersAreForAll(t *testing.T) {
	t.Parallel()
	type pages struct{ all []string }
	history := actors.Define("visits",
		actors.Handle(visitPage, func(p *pages, _ *actors.Tx, _ visit) (visited, error) {
			return visited{Page: strings.Join(p.all, " "), Nth: len(p.all)}, nil
		}),
		actors.On(func(p *pages, e visited) { p.all = append(p.all, e.Page) }),
	)
	page := func(name string) []byte { return fmt.Appendf(nil, `{"Page":%q}`, name) }
	chain, err := upcast.New(
		upcast.Drop("visits.noise"), upcast.Rename("visits.seen", "visits.visited"), upcast.Rename("visits.oldest", "visits.tour"),
		upcast.Upcaster{From: "visits.tour", To: []string{"visits.seen", "visits.noise", "visits.visited"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
			name := string(raw.Payload)
			return []upcast.Raw{raw.As("visits.seen", page(name+"1")), raw.As("visits.noise", nil), raw.As("visits.visited", page(name+"2"))}, nil
		}},
	)
	require.NoError(t, err)
	const want = "a1 a2 b c1 c2 d"
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := open(t)
			stored := []persistence.Event{
				{Type: "visits.tour", Payload: []byte("a")},
				{Type: "visits.noise"},
				{Type: "visits.seen", Payload: page("b")},
				{Type: "visits.oldest", Payload: []byte("c")},
				{Type: "visits.visited", Payload: page("d")},
				{Type: "visits.noise"},
			}
			outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "visits-a", Events: stored})
			require.NoError(t, err)
			require.NoError(t, outcomes[0].Err)
			reader := upcast.Reader(journal, chain)
			heard := map[string][]persistence.Recorded{}

			for recorded, err := range reader.Read(t.Context(), "visits-a", persistence.ReadOptions{}) {
				require.NoError(t, err)
				heard["of a stream"] = append(heard["of a stream"], recorded)
			}
			for page, err := range reader.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: 1}) {
				require.NoError(t, err)
				heard["of all"] = append(heard["of all"], page.Events...)
			}
			alone, err := tail.Open(t.Context(), reader, tail.Options{PageRows: 1})
			require.NoError(t, err)
			shared, err := tail.NewTailer(tail.Config{Reader: reader}).Open(t.Context(), tail.Options{Category: "visits"})
			require.NoError(t, err)
			for who, subscription := range map[string]*tail.Subscription{"by subscription": alone, "by tailer": shared} {
				for page, err := range subscription.Pages(t.Context()) {
					require.NoError(t, err)
					if heard[who] = append(heard[who], page.Events...); page.AtHead {
						break
					}
				}
			}
			node, err := stele.Start(t.Context(), stele.Config{
				Journal: journal, Aggregates: stele.Aggregates{history}, Upcasters: chain,
			})
			require.NoError(t, err)
			recovered, err := visitPage.Ask(t.Context(), node, "a", visit{})
			require.NoError(t, err)
			require.NoError(t, node.Stop(t.Context()))

			require.Equal(t, want, recovered.Page)
			require.Len(t, heard, 4)
			for who, events := range heard {
				require.Equal(t, heard["of all"], events, who)
			}
			var said []string
			for _, e := range heard["of all"] {
				require.Equal(t, "visits.visited", e.Type)
				var event visited
				require.NoError(t, json.Unmarshal(e.Payload, &event))
				said = append(said, event.Page)
			}
			require.Equal(t, want, strings.Join(said, " "))
			i := 0
			for recorded, err := range journal.Read(t.Context(), "visits-a", persistence.ReadOptions{}) {
				require.NoError(t, err)
				require.Equal(t, stored[i].Type, recorded.Type)
				require.Equal(t, string(stored[i].Payload), string(recorded.Payload))
				i++
			}
			require.Len(t, stored, i)
		})
	}
}
