package actors_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// rivalled is a journal where another writer comes first, so often.
func rivalled(t *testing.T, times int) *faultjournal.Journal {
	t.Helper()
	return faulty(t, faultjournal.Config{Append: func(_ *persistence.Append, n int) faultjournal.Fault {
		if n <= times {
			return faultjournal.Fault{Foreign: []persistence.Event{foreign(fmt.Sprint("theirs ", n))}}
		}
		return faultjournal.Fault{}
	}})
}

// A command that loses to another writer is decided again on what that one
// wrote, twice at most.
func TestConflict(t *testing.T) {
	t.Parallel()
	for conflicts, want := range [][]string{
		{"ours"},
		{"theirs 1", "ours"},
		{"theirs 1", "theirs 2", "ours"},
		{"theirs 1", "theirs 2", "theirs 3"},
	} {
		t.Run(fmt.Sprint(conflicts), func(t *testing.T) {
			t.Parallel()
			journal := rivalled(t, conflicts)
			var decided atomic.Int64
			system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{watched(func(*actors.Tx, Put) { decided.Add(1) })}})

			seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "ours"})

			require.Equal(t, want, stored(t, journal, "a"))
			require.EqualValues(t, min(conflicts+1, 3), decided.Load())
			require.EqualValues(t, conflicts, system.Stats().Conflicts)
			if conflicts < 3 {
				require.NoError(t, err)
				require.Equal(t, want, seen.Tags)
				return
			}
			failed := failure(t, err)
			require.Equal(t, persistence.ErrConflict, failed.Kind)
			conflict, ok := errors.AsType[*persistence.ConflictError](err)
			require.True(t, ok)
			require.Equal(t, persistence.ConflictError{Stream: "list-a", Expected: persistence.Exact(2), Actual: 3}, *conflict)
			seen, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "next"})
			require.NoError(t, err)
			require.Equal(t, append(want, "next"), seen.Tags)
		})
	}
}

// What was decided on top of the loser is decided again with it, in order, and
// does not count as its own defeat.
func TestConflictUnderPipelining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rivals atomic.Int64
		journal := faulty(t, faultjournal.Config{Append: func(_ *persistence.Append, n int) faultjournal.Fault {
			fault := faultjournal.Fault{Delay: 100 * time.Millisecond}
			if n == 1 || n == 11 { // the first command, twice; nine rest on its first attempt
				fault.Foreign = []persistence.Event{foreign(fmt.Sprint("theirs ", rivals.Add(1)))}
			}
			return fault
		}})
		system := open(t, actors.Config{Journal: journal})
		answers := tenQueued(t, system)
		read := make(chan answer, 1)
		go func() { // ends with the answer
			seen, err := GetOf.Ask(t.Context(), system, "a", Get{})
			read <- answer{Seen: seen, err: err}
		}()

		want := []string{"theirs 1", "theirs 2"}
		for i, answered := range answers {
			got := <-answered
			require.NoError(t, got.err)
			want = append(want, fmt.Sprint(i))
			require.Equal(t, want, got.Tags)
		}
		require.Equal(t, want, (<-read).Tags)
		require.EqualValues(t, 2, system.Stats().Conflicts)
	})
}

// A command for one version is not decided on another one.
func TestIfVersion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conflicts int
		version   persistence.Version
		decided   int64
		actual    persistence.Version // of the conflict, 0 when there is none
		want      []string
	}{
		"right":     {0, 1, 1, 0, []string{"first", "ours"}},
		"behind":    {0, 0, 0, 1, []string{"first"}},
		"ahead":     {0, 2, 0, 1, []string{"first"}},
		"overtaken": {1, 1, 1, 2, []string{"first", "theirs 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := rivalled(t, c.conflicts)
			seed(t, journal.Journal, "a", "first")
			var decided atomic.Int64
			system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{watched(func(*actors.Tx, Put) { decided.Add(1) })}})

			seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "ours"}, actors.IfVersion(c.version))

			require.Equal(t, c.decided, decided.Load())
			require.Equal(t, c.want, stored(t, journal, "a"))
			if c.actual == 0 {
				require.NoError(t, err)
				require.Equal(t, c.want, seen.Tags)
				return
			}
			require.Equal(t, persistence.ErrConflict, failure(t, err).Kind)
			conflict, ok := errors.AsType[*persistence.ConflictError](err)
			require.True(t, ok)
			require.Equal(t, persistence.ConflictError{Stream: "list-a", Expected: persistence.Exact(c.version), Actual: c.actual}, *conflict)
		})
	}
}

// A version that was never durable is not a version: who asks for it is judged
// by what the stream really says.
func TestIfVersionBehindFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := faulty(t, faultjournal.Config{Append: func(_ *persistence.Append, n int) faultjournal.Fault {
			fault := faultjournal.Fault{Delay: time.Second}
			if n == 1 {
				fault.Foreign = []persistence.Event{foreign("theirs 1"), foreign("theirs 2")}
			}
			return fault
		}})
		system := open(t, actors.Config{Journal: journal})
		first := put(t.Context(), system, "a", Put{Tag: "1"})
		synctest.Wait()
		stale := put(t.Context(), system, "a", Put{Tag: "2"}, actors.IfVersion(1)) // the first one's, not durable yet
		synctest.Wait()
		right := put(t.Context(), system, "a", Put{Tag: "3"}, actors.IfVersion(3)) // as it comes out in the end

		require.Equal(t, []string{"theirs 1", "theirs 2", "1"}, (<-first).Tags)
		require.ErrorIs(t, (<-stale).err, persistence.ErrConflict)
		require.Equal(t, []string{"theirs 1", "theirs 2", "1", "3"}, (<-right).Tags)
	})
}

// Two systems on one journal hammer the same aggregates. Neither knows of the
// other, and both stay right.
func TestTwoSystems(t *testing.T) {
	t.Parallel()
	const aggregates, callers, each = 4, 4, 60
	journal := new(memory.Journal)
	systems := []*actors.System{
		open(t, actors.Config{Journal: journal}),
		open(t, actors.Config{Journal: plain{journal}, MaxActive: 3}), // which also forgets, and has room for its callers
	}
	var acked, conflicts [aggregates]atomic.Int64
	var group sync.WaitGroup
	for node, system := range systems {
		for caller := range callers {
			group.Go(func() {
				for n := range each {
					id, tag := n%aggregates, fmt.Sprint(node, ".", caller, ".", n)
					seen, err := PutInto.Ask(t.Context(), system, fmt.Sprint(id), Put{Tag: tag})
					switch {
					case errors.Is(err, persistence.ErrConflict):
						conflicts[id].Add(1)
					case err != nil:
						t.Errorf("put %s: %v", tag, err)
					case seen.Tags[len(seen.Tags)-1] != tag:
						t.Errorf("asked %s, answered %v", tag, seen.Tags)
					default:
						acked[id].Add(1)
					}
				}
			})
		}
	}
	group.Wait()

	for id := range aggregates {
		history := stored(t, journal, fmt.Sprint(id))
		require.Len(t, history, int(acked[id].Load()), "the total is what was acknowledged")
		require.EqualValues(t, 2*callers*each/aggregates, acked[id].Load()+conflicts[id].Load())
		for _, system := range systems {
			// An append shows an activation what it has missed.
			seen, err := PutInto.Ask(t.Context(), system, fmt.Sprint(id), Put{Tag: "last"})
			require.NoError(t, err)
			history = append(history, "last")
			require.Equal(t, history, seen.Tags)
		}
	}
	require.Positive(t, systems[0].Stats().Conflicts+systems[1].Stats().Conflicts)
}
