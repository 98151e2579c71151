package actors_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
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

// crashing is a journal that panics in Submit, on the activation's goroutine,
// after it has taken the append: the worst moment for a mistake of ours.
type crashing struct {
	*memory.Journal
	armed atomic.Bool
	mu    sync.Mutex
	taken []func()
}

func (j *crashing) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if j.armed.Load() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.taken = append(j.taken, func() { _ = j.Journal.Submit(a, chain, done) })
		panic("a mistake in the journal")
	}
	return j.Journal.Submit(a, chain, done)
}

// late executes what was taken before the panics, as if the journal had only
// been slow.
func (j *crashing) late() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, execute := range j.taken {
		execute()
	}
}

// A panic in our own code or in the journal ends one activation. All who wait are
// answered at once and honestly, the next command works, and the journal's late
// outcome finds nobody else's command.
func TestCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &crashing{Journal: new(memory.Journal)}
		reads := faulty(t, faultjournal.Config{Journal: journal.Journal, Read: func(persistence.StreamID, int) faultjournal.ReadFault {
			return faultjournal.ReadFault{Delay: time.Second}
		}})
		logged := &records{}
		system := open(t, actors.Config{Logger: logged.logger(), Journal: struct {
			persistence.Journal
			persistence.Submitter
		}{reads, journal}})
		journal.armed.Store(true)
		began := time.Now()
		answers := tenQueued(t, system)

		time.Sleep(time.Second)

		for i, answered := range answers {
			failed := failure(t, (<-answered).err)
			require.Equal(t, "crash", failed.Reason)
			if i == 0 {
				require.Equal(t, persistence.ErrUnknownOutcome, failed.Kind, "the journal had it already")
				continue
			}
			require.Equal(t, persistence.ErrUnavailable, failed.Kind, "surely not done")
		}
		require.Equal(t, time.Second, time.Since(began))
		require.Contains(t, logged.text(), "activation crashed")
		require.NotContains(t, logged.text(), "a mistake in the journal")
		require.Zero(t, system.Stats().InFlight)

		journal.armed.Store(false)
		seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "next"})
		require.NoError(t, err)
		require.Equal(t, []string{"next"}, seen.Tags)
		// Calls are in use again while the outcome of the first one comes.
		others := put(t.Context(), system, "b", Put{Tag: "other"})
		synctest.Wait()
		journal.late() // a conflict by now
		require.NoError(t, (<-others).err)
		seen, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "last"})
		require.NoError(t, err)
		require.Equal(t, []string{"next", "last"}, seen.Tags)
	})
}

// A crash again and again, with late outcomes in between, never gives a caller
// the answer of another.
func TestCrashNeverMixesAnswers(t *testing.T) {
	t.Parallel()
	journal := &crashing{Journal: new(memory.Journal)}
	system := open(t, actors.Config{Journal: journal})
	var group sync.WaitGroup
	for caller := range 8 {
		group.Go(func() {
			for n := range 300 {
				tag := fmt.Sprint(caller, ".", n)
				seen, err := PutInto.Ask(t.Context(), system, fmt.Sprint(n%3), Put{Tag: tag})
				if err != nil {
					failure(t, err)
				} else if last := seen.Tags[len(seen.Tags)-1]; last != tag {
					t.Errorf("asked %s, answered %s", tag, last)
				}
				if n%20 == caller {
					journal.armed.Store(true)
				} else {
					journal.armed.Store(false)
				}
				if caller == 0 && n%30 == 29 {
					journal.late()
				}
			}
		})
	}
	group.Wait()
	require.Zero(t, system.Stats().InFlight)
}

// A handler that ends its goroutine, as t.FailNow does in a test, takes nothing
// else with it.
func TestHandlerEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal, openGate := gated(t)
		system := open(t, actors.Config{Journal: journal})
		bad := put(t.Context(), system, "a", Put{Do: exits})
		synctest.Wait()
		behind := put(t.Context(), system, "a", Put{Tag: "behind"})
		synctest.Wait()
		began := time.Now()
		openGate()

		require.Equal(t, "panic", failure(t, (<-bad).err).Reason)
		require.NoError(t, (<-behind).err)
		for i := range 3 {
			seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)})
			require.NoError(t, err)
			require.Len(t, seen.Tags, i+2)
		}
		require.Zero(t, time.Since(began))
	})
}

// A panic fails its command alone. The aggregate comes back with the state that
// its stream says, and nobody else notices.
func TestPanic(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]deed{"before raising": panics, "after raising": panicsLate} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
					return faultjournal.Fault{Delay: time.Second}
				}})
				logged := &records{}
				system := open(t, actors.Config{Journal: journal, Logger: logged.logger()})
				neighbour := put(t.Context(), system, "b", Put{Tag: "x"})
				before := put(t.Context(), system, "a", Put{Tag: "before"})
				synctest.Wait()
				bad := put(t.Context(), system, "a", Put{Tag: "bad", Do: do})
				synctest.Wait()
				after := put(t.Context(), system, "a", Put{Tag: "after"})

				require.Equal(t, []string{"before"}, (<-before).Tags)
				got := <-bad
				failed := failure(t, got.err)
				require.Equal(t, persistence.ErrRejected, failed.Kind)
				require.Equal(t, "panic", failed.Reason)
				require.EqualValues(t, "list-a", failed.Stream)
				require.NotZero(t, failed.Command)
				require.NotContains(t, got.err.Error(), "secret")
				require.Equal(t, []string{"before", "after"}, (<-after).Tags)
				require.NoError(t, (<-neighbour).err)
				require.Contains(t, logged.text(), "handler panicked")
				require.Contains(t, logged.text(), "domain_test.go", "the stack")
				require.NotContains(t, logged.text(), "secret")
				require.EqualValues(t, 1, system.Stats().Panics)
				require.EqualValues(t, 1, system.Stats().Rebuilds)
			})
		})
	}
}

// Five panics in a minute put an aggregate away, longer each time; it stays in
// memory for that, and its neighbours go on.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := open(t, actors.Config{Idle: time.Second, MaxActive: 1})
		panicked := func(times int) {
			t.Helper()
			for range times {
				_, err := PutInto.Ask(t.Context(), system, "a", Put{Do: panics})
				require.Equal(t, "panic", failure(t, err).Reason)
			}
		}
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
		require.NoError(t, err)
		panicked(4)
		seen, err := GetOf.Ask(t.Context(), system, "a", Get{})
		require.NoError(t, err, "four are not too many")
		require.Equal(t, []string{"x"}, seen.Tags)

		panicked(1)
		for _, minutes := range []int{1, 2, 4, 8, 16, 30, 30} {
			length := time.Duration(minutes) * time.Minute
			began := time.Now()
			for range 3 { // the advice counts down
				_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
				failed := failure(t, err)
				require.Equal(t, persistence.ErrUnavailable, failed.Kind)
				require.Equal(t, "quarantined", failed.Reason)
				require.Equal(t, length-time.Since(began), failed.RetryAfter)
				_, err = GetOf.Ask(t.Context(), system, "b", Get{})
				require.NoError(t, err, "a neighbour, which also wants the place")
				time.Sleep(10 * time.Second)
			}
			time.Sleep(length - time.Since(began) - time.Millisecond)
			_, err = GetOf.Ask(t.Context(), system, "a", Get{})
			require.Equal(t, "quarantined", failure(t, err).Reason)
			time.Sleep(time.Millisecond)
			seen, err = GetOf.Ask(t.Context(), system, "a", Get{})
			require.NoError(t, err)
			require.Equal(t, []string{"x"}, seen.Tags)
			panicked(5)
		}
	})
}

// Panics that are far apart are no loop.
func TestPanicsOverTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := open(t, actors.Config{})
		for range 20 {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Do: panics})
			require.Equal(t, "panic", failure(t, err).Reason)
			time.Sleep(16 * time.Second)
		}
	})
}

// records keeps what is logged.
type records struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *records) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(line)
}

func (r *records) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

func (r *records) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// Handlers must not ask; one that does it all the same, and even itself, waits
// for AskTimeout and not for ever, and only its own aggregate waits with it.
func TestHandlerAsksItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var system *actors.System
		var inner error
		system = open(t, actors.Config{AskTimeout: 10 * time.Second, Aggregates: []actors.Definition{watched(func(_ *actors.Tx, c Put) {
			if c.Tag == "self" {
				_, inner = PutInto.Ask(context.WithoutCancel(t.Context()), system, "a", Put{Tag: "never"})
			}
		})}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		outer := put(ctx, system, "a", Put{Tag: "self"})
		synctest.Wait()
		_, err := PutInto.Ask(t.Context(), system, "b", Put{Tag: "x"})
		require.NoError(t, err)
		require.Zero(t, time.Since(began))

		got := <-outer

		require.NoError(t, got.err)
		require.Equal(t, []string{"self"}, got.Tags)
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Equal(t, persistence.ErrUnavailable, failure(t, inner).Kind)
	})
}
