package projections_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// table says which node a worker runs on.
type table struct {
	mu      sync.Mutex // protects the rest
	owner   string
	changed chan struct{}
}

func (p *table) give(owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owner = owner
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *table) of(node string) placement { return placement{p, node} }

type placement struct {
	*table
	node string
}

func (p placement) Owns(string) (bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owner == p.node, p.changed
}

func TestPlacement(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		projection := projections.Define("sums", 1, projections.On(inState)).Into(projections.Persist[sums](books))
		owners := &table{owner: "one", changed: make(chan struct{})}
		one, _ := w.run(projections.Config{Node: "one", Placement: owners.of("one")}, projection)
		two, _ := w.run(projections.Config{Node: "two", Placement: owners.of("two")}, projection)
		for i := range 10 {
			last := w.add("a-1", 1)
			w.waitFor(one, "sums", last)
			w.waitFor(two, "sums", last)
			info, err := one.Info(t.Context(), "sums")
			require.NoError(t, err)
			require.Contains(t, info.Workers[0].Node, []string{"one/", "two/"}[i%2])

			owners.give([]string{"two", "one"}[i%2])
			settle()
		}
	})
}

// A worker that does not know that it has lost its part cannot save anything.
func TestTwoOwners(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		definition := projections.Define("sums", 1, projections.On(
			func(ctx context.Context, s *projections.State[sums], e projections.Event[added]) error {
				time.Sleep(10 * time.Millisecond)
				return inState(ctx, s, e)
			}))
		one, _ := w.run(projections.Config{Node: "one"}, definition.Into(projections.Persist[sums](books)))
		two, _ := w.run(projections.Config{Node: "two"}, definition.Into(projections.Persist[sums](books)))
		var last persistence.Position
		for range 200 {
			last = w.add("a-1", 1)
			time.Sleep(15 * time.Millisecond)
		}

		w.waitFor(one, "sums", last)
		w.waitFor(two, "sums", last)

		folded, _, err := projections.Fold(t.Context(), w, definition, projections.FoldOptions[sums]{})
		require.NoError(t, err)
		require.Equal(t, 200, folded.Of["a-1"])
		require.Len(t, folded.Seen, 200)
		again, _, err := projections.Fold(t.Context(), w, projections.Define("sums", 1, projections.On(inState)), projections.FoldOptions[sums]{})
		require.NoError(t, err)
		require.Equal(t, again, folded)
	})
}
