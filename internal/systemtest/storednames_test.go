package systemtest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// Types that share a name in what is stored.
type (
	openedHere  struct{ Owner string }
	openedThere struct{ Name string }
	openIt      struct{ By string }
)

func (openedHere) MessageName() string  { return "bank.opened" }
func (openedThere) MessageName() string { return "bank.opened" }
func (openIt) MessageName() string      { return "bank.open" }

func opening[C, R, E any](kind string) actors.Definition {
	type state struct{}
	return actors.Define(kind, actors.On(func(*state, E) {}),
		actors.Handle(actors.NewCommand[C, R](kind), func(*state, *actors.Tx, C) (reply R, err error) { return reply, nil }))
}

func reading[E any]() projections.Projection {
	type state struct{}
	return projections.Define("owners", 1, projections.On(func(context.Context, *state, projections.Event[E]) error { return nil })).
		Into(projections.InMemory(new(state)))
}

// One of two Go types with one stored name would be read as the other, wherever they
// stand.
func TestTwoTypesOfOneName(t *testing.T) {
	t.Parallel()
	here := opening[openIt, openIt, openedHere]("here")
	for name, config := range map[string]stele.Config{
		"events of two kinds":                   {Aggregates: stele.Aggregates{here, opening[openIt, openIt, openedThere]("there")}},
		"an event and a command":                {Aggregates: stele.Aggregates{here, opening[openedThere, openIt, openedHere]("there")}},
		"an event and a reply":                  {Aggregates: stele.Aggregates{here, opening[openIt, *openedThere, openedHere]("there")}},
		"an event and a reply of the same kind": {Aggregates: stele.Aggregates{opening[openIt, openedThere, openedHere]("there")}},
		"an aggregate and a projection":         {Aggregates: stele.Aggregates{here}, Projections: stele.Projections{reading[openedThere]()}},
		"two projections": {Aggregates: stele.Aggregates{opening[openIt, openIt, openIt]("here")}, Projections: stele.Projections{
			reading[openedHere](),
			projections.Define("others", 1, projections.On(func(context.Context, *int, projections.Event[openedThere]) error { return nil })).Into(projections.InMemory(new(int))),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config.Journal = new(memory.Journal)

			_, err := stele.Start(t.Context(), config)

			require.ErrorIs(t, err, persistence.ErrInvalid)
			require.ErrorContains(t, err, "bank.opened is the stored name of two Go types, github.com/stele-es/stele/internal/systemtest.opened")
			require.ErrorContains(t, err, "openedHere (")
			require.ErrorContains(t, err, "openedThere (")
		})
	}
	t.Run("one type, also by a pointer", func(t *testing.T) {
		t.Parallel()

		node, err := stele.Start(t.Context(), stele.Config{
			Journal:     new(memory.Journal),
			Aggregates:  stele.Aggregates{here, opening[*openIt, openIt, *openedHere]("there")},
			Projections: stele.Projections{reading[openedHere]()},
		})

		require.NoError(t, err)
		require.NoError(t, node.Stop(t.Context()))
	})
}
