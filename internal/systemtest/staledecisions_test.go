package systemtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/projections"
)

// Whoever rings at a door that is open comes in. A door that is shut raises nothing when
// somebody rings.
type (
	openDoor struct{}
	opened   struct{}
	lookIn   struct{}
	isOpen   struct{ Open bool }
	ring     struct{}
	rang     struct{}
	entered  struct{}

	door struct{ open bool }
	bell struct{}
)

func (openDoor) MessageName() string { return "test.open-door" }
func (opened) MessageName() string   { return "test.opened" }
func (lookIn) MessageName() string   { return "test.look-in" }
func (isOpen) MessageName() string   { return "test.is-open" }
func (ring) MessageName() string     { return "test.ring" }
func (rang) MessageName() string     { return "test.rang" }
func (entered) MessageName() string  { return "test.entered" }

var (
	openTheDoor = actors.NewCommand[openDoor, isOpen]("door")
	lookIntoIt  = actors.NewCommand[lookIn, isOpen]("door")
	ringTheBell = actors.NewCommand[ring, isOpen]("bell")

	doors = actors.Define("door",
		actors.Handle(openTheDoor, func(_ *door, tx *actors.Tx, _ openDoor) (isOpen, error) {
			tx.Raise(opened{})
			return isOpen{true}, nil
		}),
		actors.Handle(lookIntoIt, func(d *door, _ *actors.Tx, _ lookIn) (isOpen, error) { return isOpen{d.open}, nil }),
		actors.React(func(e actors.Event[rang]) string { return strings.TrimPrefix(string(e.Stream), "bell-") }, func(d *door, tx *actors.Tx, _ actors.Event[rang]) error {
			if d.open {
				tx.Raise(entered{})
			}
			return nil
		}),
		actors.On(func(d *door, _ opened) { d.open = true }),
		actors.On(func(*door, entered) {}),
	)
	bells = actors.Define("bell",
		actors.Handle(ringTheBell, func(_ *bell, tx *actors.Tx, _ ring) (isOpen, error) {
			tx.Raise(rang{})
			return isOpen{}, nil
		}),
		actors.On(func(*bell, rang) {}),
	)
)

// here runs projections on one node only.
type here bool

func (h here) Owns(string) (bool, <-chan struct{}) { return bool(h), nil }

// A node that delivers a reaction has the aggregate in memory from before another node
// has written it, on every journal that several nodes can share.
func TestReactionsSeeWhatOtherNodesWrote(t *testing.T) {
	t.Parallel()
	pairs := map[string]func(*testing.T) [2]persistence.Journal{
		"postgres, each its own": func(t *testing.T) [2]persistence.Journal {
			t.Helper()
			config := pgtest.Config(t)
			var pair [2]persistence.Journal
			for i := range pair {
				journal, err := postgres.Open(t.Context(), config)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, journal.Close()) })
				pair[i] = journal
			}
			return pair
		},
	}
	for name, open := range journals() {
		pairs[name] = func(t *testing.T) [2]persistence.Journal {
			t.Helper()
			journal := open(t)
			return [2]persistence.Journal{journal, journal}
		}
	}
	for name, open := range pairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const many = 20
			pair, books := open(t), new(projections.Books)
			var nodes [2]*stele.Node
			for i := range nodes {
				node, err := stele.Start(t.Context(), stele.Config{
					Journal: pair[i], Aggregates: stele.Aggregates{doors, bells}, Checkpoints: books, Placement: here(i == 1),
				})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, node.Stop(context.WithoutCancel(t.Context()))) })
				nodes[i] = node
			}
			writes, delivers := nodes[0], nodes[1]
			for i := range many { // both know it shut
				for _, node := range nodes {
					seen, err := lookIntoIt.Ask(t.Context(), node, fmt.Sprint(i), lookIn{})
					require.NoError(t, err)
					require.False(t, seen.Open)
				}
			}

			var group sync.WaitGroup
			for i := range many {
				group.Go(func() {
					_, err := openTheDoor.Ask(t.Context(), writes, fmt.Sprint(i), openDoor{})
					if err == nil {
						_, err = ringTheBell.Ask(t.Context(), writes, fmt.Sprint(i), ring{})
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			require.NoError(t, delivers.Projections().CatchUp(t.Context()))

			for i := range many {
				var types []string
				for recorded, err := range pair[0].Read(t.Context(), persistence.StreamID(fmt.Sprint("door-", i)), persistence.ReadOptions{}) {
					require.NoError(t, err)
					types = append(types, recorded.Type)
				}
				require.Equal(t, []string{"test.opened", "test.entered"}, types)
			}

			// The other one does not know who came in, and is told when it asks for it.
			var receipt actors.Receipt
			_, err := lookIntoIt.Ask(t.Context(), writes, "0", lookIn{}, actors.Fresh(), actors.ReceiptTo(&receipt))
			require.NoError(t, err)
			require.EqualValues(t, 2, receipt.Version)
		})
	}
}
