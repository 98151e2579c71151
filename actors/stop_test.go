package actors_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
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

// gated is a journal whose reads of list-a wait until the gate is opened.
func gated(t *testing.T) (journal *faultjournal.Journal, open func()) {
	t.Helper()
	gate := make(chan struct{})
	return faulty(t, faultjournal.Config{Read: func(stream persistence.StreamID, _ int) faultjournal.ReadFault {
		if stream == "list-a" {
			return faultjournal.ReadFault{Until: gate}
		}
		return faultjournal.ReadFault{}
	}}), func() { close(gate) }
}

// tenQueued asks ten commands one after the other; they wait in the mailbox.
func tenQueued(t *testing.T, system *actors.System) (answers [10]<-chan answer) {
	t.Helper()
	for i := range answers {
		answers[i] = put(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)})
		synctest.Wait()
	}
	return answers
}

// Commands that wait when an activation stops are handled by the next one, or by
// this one before it goes, in order.
func TestQueuedWhenStopping(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*testing.T, *actors.System) (wait func() error){
		"passivation": func(t *testing.T, system *actors.System) func() error {
			t.Helper()
			require.True(t, system.Passivate("list", "a"))
			require.False(t, system.Passivate("list", "a"), "stopping already")
			return func() error { return nil }
		},
		"close": func(t *testing.T, system *actors.System) func() error {
			t.Helper()
			closed := make(chan error, 1)
			go func() { closed <- system.Close(t.Context()) }() // ends with the system
			return func() error { return <-closed }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal, openGate := gated(t)
				system := open(t, actors.Config{Journal: journal})
				began := time.Now()
				answers := tenQueued(t, system)

				wait := stop(t, system)
				synctest.Wait()
				if name == "close" { // nothing new while stopping
					_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "late"})
					require.ErrorIs(t, err, persistence.ErrUnavailable)
					require.Equal(t, "stopping", failure(t, err).Reason)
				}
				openGate()

				want := []string{}
				for i, answered := range answers {
					got := <-answered
					require.NoError(t, got.err)
					want = append(want, fmt.Sprint(i))
					require.Equal(t, want, got.Tags)
				}
				require.NoError(t, wait())
				require.Zero(t, time.Since(began))
				require.Zero(t, system.Stats().InFlight)
			})
		})
	}
}

// While an activation drains, commands are parked for the next, which sees what
// the first has stored.
func TestParkedWhileStopping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
			return faultjournal.Fault{Delay: time.Second}
		}})
		system := open(t, actors.Config{Journal: journal, Mailbox: 3})
		first := put(t.Context(), system, "a", Put{Tag: "first"})
		synctest.Wait()
		require.True(t, system.Passivate("list", "a"))
		var parked []<-chan answer
		for i := range 3 {
			parked = append(parked, put(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)}))
			synctest.Wait()
		}

		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "one too many"})
		require.ErrorIs(t, err, persistence.ErrOverloaded)

		require.NoError(t, (<-first).err)
		for i, answered := range parked {
			got := <-answered
			require.NoError(t, got.err)
			require.Len(t, got.Tags, i+2)
		}
		require.EqualValues(t, 1, system.Stats().Passivations)
		require.EqualValues(t, 2, system.Stats().Recoveries)
	})
}

// Held commands are handled in the order in which they came, each for its own
// caller and with what its caller said.
func TestHeldInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal, openGate := gated(t)
		system := open(t, actors.Config{Journal: journal})
		var answers []<-chan answer
		tags := []string{"a", "b", "c"}
		for _, tag := range tags {
			ctx := actors.WithMetadata(t.Context(), persistence.Metadata{"caller": persistence.String(tag)})
			answers = append(answers, put(ctx, system, "a", Put{Tag: tag}))
			synctest.Wait()
		}

		openGate()

		for i, answered := range answers {
			require.Equal(t, tags[:i+1], (<-answered).Tags)
		}
		i := 0
		for recorded, err := range journal.Read(t.Context(), "list-a", persistence.ReadOptions{}) {
			require.NoError(t, err)
			require.Equal(t, persistence.Metadata{"caller": persistence.String(tags[i])}, recorded.Metadata)
			i++
		}
		require.Equal(t, 3, i)
	})
}

// However often an aggregate is stopped while it is asked: never do two
// activations handle its commands at a time, and none is lost.
func TestNeverTwoActivations(t *testing.T) {
	t.Parallel()
	const rounds, callers = 10_000, 8
	var inside, twice, handled atomic.Int64
	system := open(t, actors.Config{Aggregates: []actors.Definition{watched(func(*actors.Tx, Put) {
		if inside.Add(1) != 1 {
			twice.Add(1)
		}
		handled.Add(1)
		runtime.Gosched()
		inside.Add(-1)
	})}})
	_, err := PutInto.Ask(t.Context(), system, "a", Put{}) // so that there is something to read
	require.NoError(t, err)
	handled.Store(0)
	var left, stops atomic.Int64
	left.Store(rounds)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				// Rejected, so that the state stays small; it is read anew all the same.
				if _, err := PutInto.Ask(t.Context(), system, "a", Put{Do: reject}); !errors.Is(err, errRejected) {
					t.Errorf("want a rejection, got %v", err)
				}
			}
		})
	}
	group.Go(func() {
		for left.Load() > 0 {
			if system.Passivate("list", "a") {
				stops.Add(1)
			}
			runtime.Gosched()
		}
	})
	group.Wait()

	require.Zero(t, twice.Load())
	require.EqualValues(t, rounds, handled.Load())
	require.Greater(t, stops.Load(), int64(50))
	require.Zero(t, system.Stats().InFlight)
}

// More aggregates than memory may hold come and go under load: nothing is lost,
// nothing is done twice, and the limit holds.
func TestLongPassivationUnderLoad(t *testing.T) {
	t.Parallel()
	const ids, active, commands, callers = 10_000, 100, 12_000, 32
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal, MaxActive: active})
	var left, most atomic.Int64
	var asked [ids]atomic.Int64
	left.Store(commands)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				id := rand.N(ids)
				if n%4 == 0 {
					id = rand.N(active / 2) // some are asked again and again
				}
				seen, err := PutInto.Ask(t.Context(), system, fmt.Sprint(id), Put{Tag: fmt.Sprint(n)})
				if err != nil || seen.Tags[len(seen.Tags)-1] != fmt.Sprint(n) {
					t.Errorf("put %d into %d: %v %v", n, id, seen.Tags, err)
				}
				asked[id].Add(1)
				if now := int64(system.Stats().Active); now > most.Load() {
					most.Store(now)
				}
			}
		})
	}
	group.Wait()

	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, commands, head[0])
	tags := map[string]bool{}
	for id := range ids {
		kept := stored(t, journal, fmt.Sprint(id))
		require.Len(t, kept, int(asked[id].Load()))
		for _, tag := range kept {
			require.False(t, tags[tag], "tag %s twice", tag)
			tags[tag] = true
		}
	}
	require.LessOrEqual(t, most.Load(), int64(active+active/10+callers))
	require.Greater(t, system.Stats().Passivations, uint64(5000))
}

func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := actors.NewCommand[Put, Seen]("long")
		short := actors.NewCommand[Put, Seen]("short")
		system := open(t, actors.Config{Idle: time.Minute, Aggregates: []actors.Definition{
			lists(),
			actors.Define("long", actors.Handle(long, (*list).put), actors.On((*list).kept), actors.Idle[list](time.Hour)),
			actors.Define("short", actors.Handle(short, (*list).put), actors.On((*list).kept), actors.Idle[list](2*time.Second)),
		}})
		time.Sleep(900 * time.Millisecond) // just before a tick
		for _, contract := range []actors.Command[Put, Seen]{PutInto, long, short} {
			_, err := contract.Ask(t.Context(), system, "a", Put{Tag: "x"})
			require.NoError(t, err)
		}
		active := func() int {
			synctest.Wait()
			return system.Stats().Active
		}

		require.Equal(t, 3, active())
		time.Sleep(1900 * time.Millisecond)
		require.Equal(t, 3, active(), "nothing goes early")
		time.Sleep(2 * time.Second)
		require.Equal(t, 2, active())
		for range 3 { // using it keeps it
			time.Sleep(40 * time.Second)
			_, err := GetOf.Ask(t.Context(), system, "a", Get{})
			require.NoError(t, err)
		}
		require.Equal(t, 2, active())
		require.EqualValues(t, 3, system.Stats().Recoveries)
		time.Sleep(59500 * time.Millisecond)
		require.Equal(t, 2, active(), "nothing goes early")
		time.Sleep(2500 * time.Millisecond)
		require.Equal(t, 1, active())
		time.Sleep(time.Hour)
		require.Equal(t, 0, active())
		seen, err := long.Ask(t.Context(), system, "a", Put{Tag: "y"})
		require.NoError(t, err)
		require.Equal(t, []string{"x", "y"}, seen.Tags)
	})
}

// An aggregate with an answer outstanding is not idle, however long that takes.
func TestBusyIsNotIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		journal := faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
			return faultjournal.Fault{Until: gate}
		}})
		system := open(t, actors.Config{Journal: journal, Idle: time.Second, MaxActive: 1, AskTimeout: time.Hour})
		answered := put(t.Context(), system, "a", Put{Tag: "x"})
		time.Sleep(time.Minute)
		require.Equal(t, 1, system.Stats().Active)
		_, err := GetOf.Ask(t.Context(), system, "b", Get{}) // eviction finds nobody to evict
		require.NoError(t, err)

		close(gate)

		require.NoError(t, (<-answered).err)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Zero(t, system.Stats().Active)
	})
}

// When all are busy a few more are let in, and the next is refused at once.
func TestMaxActive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		journal := faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
			return faultjournal.Fault{Until: gate}
		}})
		system := open(t, actors.Config{Journal: journal, MaxActive: 20})
		var answers []<-chan answer
		for i := range 23 { // ten per cent more, and one
			answers = append(answers, put(t.Context(), system, fmt.Sprint(i), Put{Tag: "x"}))
			synctest.Wait()
		}
		_, err := PutInto.Ask(t.Context(), system, "more", Put{Tag: "x"})
		require.ErrorIs(t, err, persistence.ErrOverloaded)
		require.Equal(t, "too-many-active", failure(t, err).Reason)

		close(gate)

		for _, answered := range answers {
			require.NoError(t, (<-answered).err)
		}
		for i := range 30 { // the least recently used makes room
			_, err = PutInto.Ask(t.Context(), system, fmt.Sprint("later ", i), Put{Tag: "x"})
			require.NoError(t, err)
			synctest.Wait()
		}
		require.LessOrEqual(t, system.Stats().Active, 23)
	})
}

// Fifty thousand idle aggregates are gone with one Close.
func TestLongCloseManyIdle(t *testing.T) {
	t.Parallel()
	const ids, callers = 50_000, 64
	system := open(t, actors.Config{})
	var left atomic.Int64
	left.Store(ids)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				if _, err := GetOf.Ask(t.Context(), system, fmt.Sprint(n), Get{}); err != nil {
					t.Errorf("get %d: %v", n, err)
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, ids, system.Stats().Active)

	shut(t, system)

	require.Zero(t, system.Stats().Active)
	require.EqualValues(t, ids, system.Stats().Passivations)
}

func TestCloseIsFinal(t *testing.T) {
	t.Parallel()
	system := open(t, actors.Config{})
	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
	require.NoError(t, err)
	shut(t, system)
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	require.NoError(t, system.Close(t.Context()), "the second time")
	require.NoError(t, system.Close(ended), "there is nothing to wait for")
	for _, id := range []string{"a", "b"} {
		_, err = PutInto.Ask(t.Context(), system, id, Put{Tag: "y"})
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.Equal(t, "stopping", failure(t, err).Reason)
	}
	require.Zero(t, system.Stats().InFlight)
}

// Close with Asks coming in all the time: each gets an answer, what was answered
// is stored, and nothing comes to life afterwards.
func TestCloseUnderLoad(t *testing.T) {
	t.Parallel()
	for round := range 30 {
		journal := new(memory.Journal)
		system := open(t, actors.Config{Journal: journal, MaxActive: 20})
		var acked atomic.Int64
		var group, started sync.WaitGroup
		for caller := range 8 {
			started.Add(1)
			group.Go(func() {
				for n := 0; ; n++ {
					id := fmt.Sprint(caller, "/", rand.N(50))
					_, err := PutInto.Ask(t.Context(), system, id, Put{Tag: fmt.Sprint(n)})
					if n == 20 {
						started.Done()
					}
					if err != nil {
						if failure(t, err).Reason != "stopping" {
							t.Errorf("round %d: %v", round, err)
						}
						return
					}
					acked.Add(1)
				}
			})
		}
		started.Wait()

		shut(t, system)
		group.Wait()

		head, err := journal.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, acked.Load(), head[0])
		require.Zero(t, system.Stats().Active)
		require.Zero(t, system.Stats().InFlight)
	}
}

// stuckJournal never returns from an append until it is let go.
type stuckJournal struct {
	*memory.Journal
	free chan struct{}
}

func (j stuckJournal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	<-j.free
	return j.Journal.Append(ctx, appends...)
}

// A journal that hangs does not keep Close beyond its context. Who still waits
// is told the truth, and when the journal lets go nothing is left running.
func TestCloseOnStuckJournal(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(t *testing.T, free chan struct{}) persistence.Journal{
		"own queue": func(_ *testing.T, free chan struct{}) persistence.Journal {
			return plain{stuckJournal{new(memory.Journal), free}}
		},
		"submitter": func(t *testing.T, free chan struct{}) persistence.Journal {
			t.Helper()
			return faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
				return faultjournal.Fault{Until: free}
			}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				journal := wrap(t, free)
				definition := lists(actors.Strict[list]())
				system, err := actors.Open(t.Context(), actors.Config{Journal: journal, Aggregates: []actors.Definition{definition}, AskTimeout: time.Hour})
				require.NoError(t, err)
				decided := put(t.Context(), system, "a", Put{Tag: "1"})
				synctest.Wait()
				queued := put(t.Context(), system, "a", Put{Tag: "2"})
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()

				err = system.Close(ctx)

				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "2 commands unanswered")
				require.Equal(t, time.Second, time.Since(began))
				first := failure(t, (<-decided).err)
				require.Equal(t, persistence.ErrUnknownOutcome, first.Kind)
				require.NotZero(t, first.Command)
				require.Equal(t, persistence.ErrUnavailable, failure(t, (<-queued).err).Kind)
				require.Equal(t, time.Second, time.Since(began))
				require.Equal(t, err, system.Close(t.Context()))
				close(free)
				synctest.Wait()
				require.Equal(t, []string{"1"}, stored(t, journal, "a"), "the decided one, and it alone")
			}) // fails when a goroutine is left
		})
	}
}

// deafJournal reads without listening to its context.
type deafJournal struct {
	plain
	free chan struct{}
}

func (j deafJournal) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	<-j.free
	return j.Journal.Read(ctx, stream, options)
}

func TestCloseOnStuckRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		system, err := actors.Open(t.Context(), actors.Config{
			Journal: deafJournal{plain{new(memory.Journal)}, free}, Aggregates: []actors.Definition{lists()},
		})
		require.NoError(t, err)
		queued := put(t.Context(), system, "a", Put{Tag: "1"})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		require.ErrorContains(t, system.Close(ctx), "1 commands unanswered")

		require.Equal(t, persistence.ErrUnavailable, failure(t, (<-queued).err).Kind)
		close(free)
	})
}
