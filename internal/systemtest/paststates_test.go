package systemtest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
)

// route is where a visitor went.
type route struct{ Pages []string }

var (
	goTo = actors.NewCommand[visit, visited]("route")

	routes = actors.Define("route",
		actors.Handle(goTo, func(r *route, tx *actors.Tx, c visit) (visited, error) {
			tx.Raise(visited{c.Page, len(r.Pages) + 1})
			return visited{}, nil
		}),
		actors.On(func(r *route, e visited) { r.Pages = append(r.Pages, e.Page) }),
		actors.SnapshotEvery[route](40),
	)
)

// On every journal the state at a version, a position or a time is what the events up
// to there come to, and a stream that is not there or not whole says so.
func TestStateAt(t *testing.T) {
	t.Parallel()
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const visits = 60
			journal := open(t)
			node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{routes}})
			require.NoError(t, err)
			for i := range visits {
				for _, id := range []string{"ann", "bob"} {
					_, err := goTo.Ask(t.Context(), node, id, visit{fmt.Sprint(i)})
					require.NoError(t, err)
				}
			}
			require.NoError(t, node.Stop(t.Context())) // which writes the snapshots

			var recorded []persistence.Recorded
			for event, err := range journal.Read(t.Context(), "route-ann", persistence.ReadOptions{}) {
				require.NoError(t, err)
				recorded = append(recorded, event)
			}
			require.Len(t, recorded, visits)
			check := func(count int, options actors.StateOptions) {
				t.Helper()
				state, version, err := routes.StateAt(t.Context(), journal, "ann", options)
				require.NoError(t, err)
				require.EqualValues(t, count, version)
				require.Len(t, state.Pages, count)
				for i, page := range state.Pages {
					require.Equal(t, fmt.Sprint(i), page)
				}
			}
			for i := range recorded {
				at := recorded[i].At
				check(i+1, actors.StateOptions{UntilVersion: recorded[i].Version})
				check(i+1, actors.StateOptions{Until: recorded[i].Position})
				last := i + 1
				for last < visits && !recorded[last].At.After(at) {
					last++
				}
				check(last, actors.StateOptions{UntilTime: at})
			}
			check(visits, actors.StateOptions{})
			check(0, actors.StateOptions{UntilTime: recorded[0].At.Add(-1)})

			_, err = journal.Truncate(t.Context(), "route-ann", 30)
			require.NoError(t, err)
			check(visits, actors.StateOptions{}) // from the snapshot
			_, _, err = routes.StateAt(t.Context(), journal, "ann", actors.StateOptions{UntilVersion: 39})
			require.ErrorIs(t, err, persistence.ErrTruncated)
			_, err = journal.Delete(t.Context(), "route-ann", persistence.Any)
			require.NoError(t, err)
			_, _, err = routes.StateAt(t.Context(), journal, "ann", actors.StateOptions{UntilVersion: 1})
			require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		})
	}
}
