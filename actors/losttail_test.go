package actors_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// replaced is a journal whose server is replaced by one that lacks the newest events,
// and that does not tell so.
type replaced struct {
	persistence.Journal
	at atomic.Pointer[memory.Journal]
}

func (r *replaced) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	return r.at.Load().Append(ctx, appends...)
}

func (r *replaced) Read(ctx context.Context, stream persistence.StreamID, o persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return r.at.Load().Read(ctx, stream, o)
}

func (r *replaced) ReadAll(ctx context.Context, o persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return r.at.Load().ReadAll(ctx, o)
}

func (r *replaced) Head(ctx context.Context) (persistence.Positions, error) {
	return r.at.Load().Head(ctx)
}

func (r *replaced) Stream(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
	return r.at.Load().Stream(ctx, stream)
}

func (r *replaced) Wait(ctx context.Context, after persistence.Positions) error {
	return r.at.Load().Wait(ctx, after)
}

// A journal that ends before where it had come has lost its tail. No proof rests on what
// the system has written there, also when others have used the positions again.
func TestFreshWhenTheJournalHasLostItsTail(t *testing.T) {
	t.Parallel()
	first, behind := new(memory.Journal), new(memory.Journal) // behind is the standby that takes over
	journal := &replaced{Journal: first}
	journal.at.Store(first)
	config := actors.Config{Journal: journal, Aggregates: []actors.Definition{meters(nil)}, Delivering: true}
	system := open(t, config)
	config.Journal = behind
	other := open(t, config)
	fresh := func(id string) int {
		t.Helper()
		total, err := PeekAt.Ask(t.Context(), system, id, Peek{}, actors.Fresh())
		require.NoError(t, err)
		return total.N
	}
	for _, id := range []string{"a", "b"} {
		countUp(t, system, id, 1)
		countUp(t, other, id, 1)
	}
	countUp(t, system, "a", 3)
	require.Equal(t, 4, fresh("a"))
	require.Equal(t, 1, fresh("b"))

	journal.at.Store(behind)

	require.Equal(t, 1, fresh("a"), "the journal ends before what is known")
	countUp(t, other, "b", 3)
	countUp(t, system, "c", 2) // behind all that was lost
	require.Equal(t, 4, fresh("b"), "others have used the positions again")
	require.Equal(t, 1, fresh("a"))
}
