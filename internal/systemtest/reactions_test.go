package systemtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
	pgtarget "github.com/stele-es/stele/projections/postgres"
	sqlitetarget "github.com/stele-es/stele/projections/sqlite"
)

// An echo hears what all counters are told.
type (
	echo   struct{}
	echoed struct {
		Of string
		N  uint64
	}
)

func (echoed) MessageName() string { return "test.echoed" }

var echoes = actors.Define("echo",
	actors.React(func(e actors.Event[*wrapperspb.UInt64Value]) string { return string(e.Stream) },
		func(_ *echo, tx *actors.Tx, e actors.Event[*wrapperspb.UInt64Value]) error {
			tx.Raise(echoed{fmt.Sprint(e.Version), e.Data.Value})
			return nil
		}),
	actors.On(func(*echo, echoed) {}),
)

// Whatever becomes of the nodes, and however many there are, every event of others
// has its effect once and in order, on every journal.
func TestReactions(t *testing.T) {
	t.Parallel()
	const rounds, counters, each = 6, 5, 20
	stores := map[string]func(*testing.T) projections.Store{
		"memory": func(*testing.T) projections.Store { return new(projections.Books) },
		"sqlite": func(t *testing.T) projections.Store {
			t.Helper()
			target, err := sqlitetarget.Open(t.Context(), sqlitetarget.Config{Path: filepath.Join(t.TempDir(), "views.db")})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, target.Close()) })
			return target
		},
		"postgres": func(t *testing.T) projections.Store {
			t.Helper()
			target, err := pgtarget.Open(t.Context(), pgtarget.Config{Pool: pgtest.Open(t), Migrate: true})
			require.NoError(t, err)
			return target
		},
	}
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal, store := open(t), stores[name](t)
			start := func() *stele.Node {
				node, err := stele.Start(t.Context(), stele.Config{
					Journal: journal, Aggregates: stele.Aggregates{Counters, echoes}, Checkpoints: store,
					AskTimeout: 2 * time.Minute, // a busy machine is no failure
				})
				require.NoError(t, err)
				return node
			}
			halt := func(node *stele.Node) { // without time for much
				brief, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				_ = node.Stop(brief)
				_ = node.Stop(t.Context()) // waits for the rest, and says the same
			}
			for range rounds {
				one, other := start(), start()
				for i := range each {
					_, err := Count.Ask(t.Context(), one, fmt.Sprint(i%counters), wrapperspb.UInt64(1))
					require.NoError(t, err)
				}
				if rand.N(2) == 0 {
					<-time.After(rand.N(30 * time.Millisecond)) // wherever they are by then
				}
				halt(one)
				halt(other)
			}
			last := start()
			require.NoError(t, last.Projections().CatchUp(t.Context()))
			require.NoError(t, last.Stop(t.Context()))

			for counter := range counters {
				stream := persistence.StreamID(fmt.Sprint("echo-counter-", counter))
				var heard []string
				for recorded, err := range journal.Read(t.Context(), stream, persistence.ReadOptions{}) {
					require.NoError(t, err)
					heard = append(heard, strings.Split(string(recorded.Payload), `"`)[3])
				}
				var want []string
				for i := range rounds * each / counters {
					want = append(want, fmt.Sprint(i+1))
				}
				require.Equal(t, want, heard, stream)
			}
		})
	}
}

func TestReactionsNeedCheckpoints(t *testing.T) {
	t.Parallel()
	_, err := stele.Start(t.Context(), stele.Config{Journal: new(memory.Journal), Aggregates: stele.Aggregates{echoes}})
	require.ErrorContains(t, err, "set Config.Checkpoints to a target of package projections/postgres or sqlite")
}
