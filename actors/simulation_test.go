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

// simulated is the whole runtime on a journal where everything goes wrong, and with
// less room than the story needs.
func simulated(seeds int) actorstest.Simulation {
	return actorstest.Simulation{
		Aggregates: []actors.Definition{lists(every(7), asTags()), clocks(actors.Result(PutInto, hearTold), actors.SnapshotEvery[clock](5))},
		Config:     actors.Config{Idle: 5 * time.Second, MaxActive: 2},
		Rates:      actorstest.Rates{Before: 0.1, Lost: 0.1, Zombie: 0.1, Twice: 0.1, Read: 0.1, Delay: time.Second},
		Seeds:      seeds,
	}
}

// How many callers there are, how often each asks, and how many lists.
const callers, each, targets = 6, 20, 3

// retries is a story of callers who repeat each command until they know its outcome,
// while the system crashes under them. So many more are told to the lists meanwhile.
func retries(t *testing.T, run *actorstest.Run, told int) {
	t.Helper()
	var replies sync.Map
	for caller := range callers {
		run.Go(func(c *actorstest.Caller) {
			for i := range each {
				// Two callers know each key, so that they also meet.
				key, id := fmt.Sprint(caller/2, ".", i), fmt.Sprint((caller/2+i)%targets)
				seen := insist(t, c, func() (Seen, error) {
					return PutInto.Ask(t.Context(), run, id, Put{Tag: key}, actors.Once(key))
				})
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
	run.Go(func(c *actorstest.Caller) {
		for i := range targets {
			id := fmt.Sprint(i)
			tags := stored(t, run.Journal(), id)
			all = append(all, tags...)
			seen := insist(t, c, func() (Seen, error) { return GetOf.Ask(t.Context(), run, id, Get{}) })
			require.Equal(t, tags, seen.Tags)
		}
	})
	run.Settle()
	slices.Sort(all)
	require.Len(t, all, callers/2*each+told)
	require.Len(t, slices.Compact(all), callers/2*each+told)
}

// clockwork has a clock tell the lists, and another one ring at times.
func clockwork(t *testing.T, run *actorstest.Run) {
	t.Helper()
	run.Go(func(c *actorstest.Caller) {
		for i := range each {
			key := fmt.Sprint("told ", i)
			insist(t, c, func() (Heard, error) {
				return TellClock.Ask(t.Context(), run, "a", Tell{List: fmt.Sprint(i % targets), Put: Put{Tag: key}}, actors.Once(key))
			})
			insist(t, c, func() (Heard, error) {
				return ArmClock.Ask(t.Context(), run, "b", Arm{Name: key, Delay: time.Duration(i) * time.Second}, actors.Once(key))
			})
			c.Pause(3 * time.Second)
		}
	})
}

// insist repeats what fails for reasons of the runtime.
func insist[R any](t *testing.T, c *actorstest.Caller, ask func() (R, error)) (reply R) {
	t.Helper()
	for range 1000 {
		reply, err := ask()
		if err == nil {
			return reply
		}
		switch persistence.ErrorKindOf(err) {
		case persistence.ErrConflict, persistence.ErrUnavailable, persistence.ErrUnknownOutcome, persistence.ErrOverloaded:
			c.Pause(5 * time.Second)
		default:
			require.NoError(t, err)
		}
	}
	t.Error("no outcome")
	return reply
}

// Whatever goes wrong, a command that is repeated has one effect and one reply; what an
// aggregate sends is done once, its outcome heard once, and its timers ring once.
func TestLongSimulation(t *testing.T) {
	t.Parallel()
	simulated(6).Run(t, func(t *testing.T, run *actorstest.Run) {
		clockwork(t, run)
		retries(t, run, each)

		require.Len(t, heard(run.System, "a"), each, "outcomes")
		rung := heard(run.System, "b")
		slices.Sort(rung)
		require.Len(t, rung, each, "timers")
		require.Len(t, slices.Compact(rung), each)
	})
}

// A seed does the same again, to the last byte; another seed does something else.
func TestLongSimulationRepeatsItself(t *testing.T) {
	t.Parallel()
	digests := map[string]int{}
	for range 2 {
		simulated(3).Run(t, func(t *testing.T, run *actorstest.Run) {
			retries(t, run, 0)
			digests[run.Digest()]++
		})
	}
	require.Len(t, digests, 3)
	for _, times := range digests {
		require.Equal(t, 2, times)
	}
}
