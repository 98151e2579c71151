package actors_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
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

// The journal is away for a minute under load, in each of the ways in which journals
// are away. Every call ends by its deadline with an error that says what is known,
// what waits stays bounded, everything works within 15 s of the return, and of what
// callers repeat under its key nothing is lost and nothing done twice.
func TestLongJournalDownForAMinute(t *testing.T) {
	t.Parallel()
	const timeout, callers, down = 2 * time.Second, 100, time.Minute
	refused := &persistence.UnavailableError{Reason: "connection refused", RetryAfter: time.Second}
	for name, c := range map[string]struct {
		append func(until <-chan struct{}, n int) faultjournal.Fault
		read   func(until <-chan struct{}) faultjournal.ReadFault
	}{
		"refuses": {
			func(<-chan struct{}, int) faultjournal.Fault { return faultjournal.Fault{Before: refused} },
			func(<-chan struct{}) faultjournal.ReadFault { return faultjournal.ReadFault{Err: refused} },
		},
		"hangs": {
			func(until <-chan struct{}, _ int) faultjournal.Fault { return faultjournal.Fault{Until: until} },
			func(until <-chan struct{}) faultjournal.ReadFault { return faultjournal.ReadFault{Until: until} },
		},
		"loses answers": {
			func(_ <-chan struct{}, n int) faultjournal.Fault {
				return faultjournal.Fault{Delay: time.Second, Lost: n%2 == 0, Zombie: time.Duration(n%2) * 30 * time.Second}
			},
			func(<-chan struct{}) faultjournal.ReadFault { return faultjournal.ReadFault{} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var away atomic.Bool
				back := make(chan struct{})
				journal := faulty(t, faultjournal.Config{
					Append: func(_ *persistence.Append, n int) faultjournal.Fault {
						if away.Load() {
							return c.append(back, n)
						}
						return faultjournal.Fault{Delay: 10 * time.Millisecond}
					},
					Read: func(persistence.StreamID, int) faultjournal.ReadFault {
						if away.Load() {
							return c.read(back)
						}
						return faultjournal.ReadFault{}
					},
				})
				system := open(t, actors.Config{Journal: journal, AskTimeout: timeout, Idle: 10 * time.Second})
				var acked, failures atomic.Int64
				var latest atomic.Int64 // when the last command was done that was asked before the return
				began := time.Now()
				over := began.Add(down + 30*time.Second)
				var group sync.WaitGroup
				for caller := range callers {
					group.Go(func() {
						for i := 0; time.Now().Before(over); i++ {
							key := fmt.Sprint(caller, ".", i)
							for asked := time.Now(); ; {
								at := time.Now()
								_, err := PutInto.Ask(t.Context(), system, fmt.Sprint(caller%20), Put{Tag: key}, actors.Once(key))
								if took := time.Since(at); took > timeout+50*time.Millisecond {
									t.Errorf("a call took %s", took)
								}
								if err == nil {
									acked.Add(1)
									if asked.Before(began.Add(down + time.Second)) {
										latest.Store(max(latest.Load(), time.Since(began).Nanoseconds()))
									}
									break
								}
								failures.Add(1)
								failed := failure(t, err)
								if !slices.Contains([]persistence.ErrorKind{persistence.ErrUnavailable, persistence.ErrUnknownOutcome, persistence.ErrOverloaded, persistence.ErrConflict}, failed.Kind) {
									t.Errorf("unexpected %v", err)
								}
								time.Sleep(time.Second)
							}
							time.Sleep(300 * time.Millisecond)
						}
					})
				}
				time.Sleep(time.Second)
				away.Store(true)
				time.Sleep(down)
				waiting := system.Stats()
				away.Store(false)
				close(back)
				group.Wait()
				time.Sleep(time.Hour)

				require.LessOrEqual(t, waiting.InFlight, callers*int(down/timeout), "commands of callers who have left are not more than they asked")
				require.LessOrEqual(t, waiting.Active, 20)
				require.Positive(t, failures.Load())
				require.LessOrEqual(t, time.Duration(latest.Load()), down+time.Second+15*time.Second)
				var all []string
				for id := range 20 {
					all = append(all, stored(t, journal, fmt.Sprint(id))...)
				}
				slices.Sort(all)
				require.Len(t, slices.Compact(slices.Clone(all)), len(all), "done twice")
				require.Len(t, all, int(acked.Load()), "lost, or done and never told")
			})
		})
	}
}

// Two systems without a cluster fight for the same aggregates, and callers repeat
// what conflicts or is unknown: both stay right.
func TestLongConflictStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		under := new(memory.Journal)
		systems := make([]*actors.System, 3)
		for i := range systems {
			journal := faulty(t, faultjournal.Config{Journal: under, Append: faultjournal.Random(uint64(i), faultjournal.Rates{Lost: 0.05, Delay: 20 * time.Millisecond})})
			systems[i] = open(t, actors.Config{Journal: journal})
		}
		var group sync.WaitGroup
		for caller := range 30 {
			group.Go(func() {
				for i := range 20 {
					key := fmt.Sprint(caller, ".", i)
					until(t, systems[(caller+i)%len(systems)], key)
				}
			})
		}
		group.Wait()

		tags := stored(t, under, "a")
		require.Len(t, tags, 600)
		slices.Sort(tags)
		require.Len(t, slices.Compact(tags), 600)
		conflicts := uint64(0)
		for _, system := range systems {
			conflicts += system.Stats().Conflicts
		}
		require.Greater(t, conflicts, uint64(100))
	})
}

// What is refused for lack of room is refused in less than a millisecond, also when
// everybody is refused at once.
func TestRefusalsAreFast(t *testing.T) {
	t.Parallel()
	journal, openGate := gated(t)
	system := open(t, actors.Config{Journal: journal, MaxInFlight: 1, AskTimeout: time.Minute})
	first := put(t.Context(), system, "a", Put{Tag: "first"})
	for system.Stats().InFlight == 0 {
		runtime.Gosched()
	}
	took := make([]time.Duration, 2000)
	for i := range took {
		began := time.Now()
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "more"})
		took[i] = time.Since(began)
		require.Equal(t, persistence.ErrOverloaded, failure(t, err).Kind)
	}
	openGate()
	require.NoError(t, (<-first).err)

	slices.Sort(took)
	require.Less(t, took[len(took)/2], time.Millisecond) // a busy machine may delay some
}

// An operator who has mended the cause need not wait for the end of a quarantine or
// of a back-off.
func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		journal := faulty(t, faultjournal.Config{Read: func(persistence.StreamID, int) faultjournal.ReadFault {
			if broken.Load() {
				return faultjournal.ReadFault{Err: errors.New("broken")}
			}
			return faultjournal.ReadFault{}
		}})
		system := open(t, actors.Config{Journal: journal})
		require.False(t, system.Retry("list", "a"))
		require.False(t, system.Retry("nothing", "a"))
		for range 5 {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Do: panics})
			require.ErrorIs(t, err, persistence.ErrRejected)
		}
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
		require.Equal(t, "quarantined", failure(t, err).Reason)

		require.True(t, system.Retry("list", "a"))
		_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
		require.NoError(t, err)
		broken.Store(true)
		_, err = PutInto.Ask(t.Context(), system, "b", Put{Tag: "x"})
		require.Equal(t, persistence.ErrUnavailable, failure(t, err).Kind)
		broken.Store(false)
		_, err = PutInto.Ask(t.Context(), system, "b", Put{Tag: "x"})
		require.Equal(t, persistence.ErrUnavailable, failure(t, err).Kind)
		require.True(t, system.Retry("list", "b"))
		_, err = PutInto.Ask(t.Context(), system, "b", Put{Tag: "x"})
		require.NoError(t, err)
	})
}
