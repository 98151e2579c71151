package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// A process that has the projections is killed while another one waits for them: that
// takes over within the time that it is told, and not while the first is alive.
func TestLongTakesOverFromAProcessThatIsKilled(t *testing.T) {
	t.Parallel()
	const after = 2 * time.Second
	where := "postgres " + pgtest.URL(t)
	child := start(t, "silent "+where, after)
	p, err := openPlace(t.Context(), where)
	require.NoError(t, err)
	defer func() { require.NoError(t, p.close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	runner, err := projections.New(projections.Config{Journal: p.journal, Projections: p.all, Node: "waiting", TakeOverAfter: after})
	require.NoError(t, err)
	owners := func() (mine, others int) {
		infos, err := runner.List(ctx, projections.ListOptions{})
		require.NoError(t, err)
		for _, info := range infos {
			for _, w := range info.Workers {
				switch {
				case strings.HasPrefix(w.Node, "waiting/"):
					mine++
				case w.Node != "":
					others++
				}
			}
		}
		return mine, others
	}
	require.Eventually(t, func() bool { _, others := owners(); return others == 4 }, time.Minute, 10*time.Millisecond, "the child has them all")
	add := func() {
		outcomes, err := p.journal.Append(ctx, persistence.Append{
			Stream: "a-1", Expected: persistence.Any, Events: []persistence.Event{{Type: "added", Payload: []byte(`{"N":1}`)}},
		})
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
	}
	group := lifecycle.Start(ctx, lifecycle.Component{Name: "runner", Run: runner.Run})
	defer func() { require.NoError(t, group.Stop(context.WithoutCancel(ctx))) }()
	add()
	require.NoError(t, runner.CatchUp(ctx))
	within(t, 2*after)
	mine, _ := owners()
	require.Zero(t, mine, "the child is alive")

	child.Kill()
	began := time.Now()
	add()
	require.NoError(t, runner.CatchUp(ctx))

	t.Logf("taken over %s after the kill", time.Since(began))
	require.Greater(t, time.Since(began), after/2)
	mine, others := owners()
	require.Equal(t, 4, mine, "%d are of others", others)
}
