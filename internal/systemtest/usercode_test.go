package systemtest

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// unreturning is a filter that ends its goroutine at some events, in a panic or without.
type unreturning struct{ end func() }

func (u unreturning) Match(recorded *persistence.Recorded) bool {
	if recorded.Stream == "bad-1" {
		u.end()
	}
	return true
}

func (unreturning) Check() error { return nil }

// A filter that does not return, in the midst of reading a journal, keeps nothing of it:
// the projection fails, and others, writers and the end of the journal do not wait.
func TestFiltersThatDoNotReturn(t *testing.T) {
	t.Parallel()
	for name, open := range journals() {
		for what, end := range map[string]func(){"goexit": runtime.Goexit, "panic": func() { panic("on purpose") }} {
			t.Run(name+" by "+what, func(t *testing.T) {
				t.Parallel()
				journal := open(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				count := func(_ context.Context, n *int, _ persistence.Recorded) error {
					*n++
					return nil
				}
				var all []projections.Projection
				for _, name := range []string{"bad-a", "bad-b", "bad-c", "bad-d", "bad-e", "bad-f"} {
					all = append(all, projections.Define(name, 1, projections.Any(count)).With(projections.Where(unreturning{end})).Into(projections.InMemory(new(int))))
				}
				all = append(all, projections.Define("good", 1, projections.Any(count)).Into(projections.InMemory(new(int))))
				add := func(stream persistence.StreamID) persistence.Position {
					outcomes, err := journal.Append(ctx, persistence.Append{Stream: stream, Expected: persistence.Any, Events: []persistence.Event{{Type: "t"}}})
					require.NoError(t, err)
					require.NoError(t, outcomes[0].Err)
					return outcomes[0].Position
				}
				add("a-1")
				add("bad-1")
				runner, err := projections.New(projections.Config{Journal: journal, Projections: all})
				require.NoError(t, err)
				group := lifecycle.Start(ctx, lifecycle.Component{Name: "runner", Run: runner.Run})
				defer func() { require.NoError(t, group.Stop(ctx)) }()

				last := add("a-1")
				for _, bad := range all[:6] {
					require.ErrorIs(t, runner.WaitFor(ctx, bad.Name(), last), projections.ErrBehind)
					require.NoError(t, runner.Start(ctx, bad.Name()))
					err := runner.WaitFor(ctx, bad.Name(), last)
					require.ErrorIs(t, err, projections.ErrBehind)
					require.ErrorContains(t, err, "the definition ")
				}
				require.NoError(t, runner.WaitFor(ctx, "good", last))
				require.NoError(t, runner.WaitFor(ctx, "good", add("a-2")))
				events := 0
				for page, err := range journal.ReadAll(ctx, persistence.ReadAllOptions{}) {
					require.NoError(t, err)
					events += len(page.Events)
				}
				require.Equal(t, 4, events)
			})
		}
	}
}
