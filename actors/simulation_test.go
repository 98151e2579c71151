package actors_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
)

// simulated is the whole runtime on a journal where everything goes wrong.
func simulated(seeds int) actorstest.Simulation {
	return actorstest.Simulation{
		Aggregates: []actors.Definition{lists(every(7), asTags())},
		Config:     actors.Config{Idle: 5 * time.Second},
		Rates:      actorstest.Rates{Before: 0.1, Lost: 0.1, Zombie: 0.1, Twice: 0.1, Delay: time.Second},
		Seeds:      seeds,
	}
}

// retries is a story of callers who repeat each command until they know its outcome,
// while the system crashes under them.
func retries(t *testing.T, run *actorstest.Run) {
	t.Helper()
	const callers, each, lists = 6, 20, 3
	var replies sync.Map
	for caller := range callers {
		run.Go(func(c *actorstest.Caller) {
			for i := range each {
				// Two callers know each key, so that they also meet.
				key, id := fmt.Sprint(caller/2, ".", i), fmt.Sprint((caller/2+i)%lists)
				seen := persist(t, run, c, id, key)
				if first, known := replies.LoadOrStore(key, seen); known {
					require.Equal(t, first, seen)
				}
				c.Pause(3 * time.Second)
			}
		})
	}
	for range 5 {
		run.Pause(30 * time.Second)
		run.Crash()
	}
	run.Settle()

	var all []string
	for i := range lists {
		id := fmt.Sprint(i)
		tags := stored(t, run.Journal(), id)
		all = append(all, tags...)
		seen, err := GetOf.Ask(t.Context(), run, id, Get{})
		require.NoError(t, err)
		require.Equal(t, tags, seen.Tags)
	}
	slices.Sort(all)
	require.Len(t, all, callers/2*each)
	require.Len(t, slices.Compact(all), callers/2*each)
}

func persist(t *testing.T, run *actorstest.Run, c *actorstest.Caller, id, key string) Seen {
	t.Helper()
	for range 1000 {
		seen, err := PutInto.Ask(t.Context(), run, id, Put{Tag: key}, actors.Once(key))
		if err == nil {
			return seen
		}
		switch persistence.KindOf(err) {
		case persistence.ErrConflict, persistence.ErrUnavailable, persistence.ErrUnknownOutcome, persistence.ErrOverloaded:
			c.Pause(5 * time.Second)
		default:
			require.NoError(t, err)
		}
	}
	t.Error("no outcome")
	return Seen{}
}

// Whatever goes wrong, a command that is repeated has one effect and one reply.
func TestSimulation(t *testing.T) {
	t.Parallel()
	simulated(6).Run(t, retries)
}

// A seed does the same again, to the last byte; another seed does something else.
func TestSimulationRepeatsItself(t *testing.T) {
	t.Parallel()
	digests := map[string]int{}
	for range 2 {
		simulated(2).Run(t, func(t *testing.T, run *actorstest.Run) {
			retries(t, run)
			digests[run.Digest()]++
		})
	}
	require.Len(t, digests, 2)
	for _, times := range digests {
		require.Equal(t, 2, times)
	}
}
