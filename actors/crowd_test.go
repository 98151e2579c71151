package actors_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// Ten thousand aggregates asked in the same moment, with streams of all lengths
// to read: each is served, none times out.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const ids = 10_000
	for name, wrap := range map[string]func(*memory.Journal) persistence.Journal{
		"pages":  func(j *memory.Journal) persistence.Journal { return j },
		"single": func(j *memory.Journal) persistence.Journal { return submitting{j, j} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := new(memory.Journal)
			lengths := map[int]int{3: actors.FirstPage - 1, 4: actors.FirstPage, 5: actors.FirstPage + 1, 6: actors.RecoveryPage, 7: actors.RecoveryPage + actors.FirstPage, 8: 1, 9: 3 * actors.RecoveryPage}
			for id := range ids {
				if lengths[id] == 0 {
					lengths[id] = 1
				}
				fill(t, journal, fmt.Sprint(id), lengths[id])
			}
			system := open(t, actors.Config{Journal: wrap(journal), AskTimeout: 30 * time.Second})
			var group sync.WaitGroup
			start := make(chan struct{})
			var failed atomic.Int64
			for id := range ids {
				group.Go(func() {
					<-start
					seen, err := PutInto.Ask(t.Context(), system, fmt.Sprint(id), Put{Tag: "x"})
					if err != nil || len(seen.Tags) != lengths[id]+1 {
						failed.Add(1)
						t.Errorf("put into %d: %d tags, %v", id, len(seen.Tags), err)
					}
				})
			}
			close(start)
			group.Wait()

			require.Zero(t, failed.Load())
			require.EqualValues(t, ids, system.Stats().Recoveries)
		})
	}
}

// Streams that wait to be read are read together. Each has its own outcome, and
// none waits for the rest of a long one.
func TestReadTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, rest := make(chan struct{}), make(chan struct{})
		journal := faulty(t, faultjournal.Config{Read: func(stream persistence.StreamID, n int) faultjournal.ReadFault {
			switch {
			case stream == "list-first":
				return faultjournal.ReadFault{Until: gate}
			case stream == "list-long" && n == 2, stream == "list-longer" && n == 2:
				return faultjournal.ReadFault{Until: rest}
			case stream == "list-broken" && n == 1:
				return faultjournal.ReadFault{Err: &persistence.UnavailableError{Reason: "down"}}
			}
			return faultjournal.ReadFault{}
		}})
		lengths := map[string]int{
			"first": 0, "empty": 0, "broken": 3, "short": 7, "almost": actors.FirstPage - 1, "exact": actors.FirstPage,
			"long": actors.FirstPage + 1, "longer": actors.FirstPage + actors.RecoveryPage,
		}
		for id, length := range lengths {
			fill(t, journal.Journal, id, length)
		}
		outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "list-corrupt", Events: []persistence.Event{{Type: "odd"}}})
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
		system := open(t, actors.Config{Journal: journal, Recoveries: 1})
		answers := map[string]<-chan answer{}
		for _, id := range []string{"first", "long", "longer", "empty", "broken", "corrupt", "short", "almost", "exact"} {
			answers[id] = put(t.Context(), system, id, Put{Tag: "x"})
			synctest.Wait()
		}
		began := time.Now()

		close(gate) // from here on one worker reads all the others

		require.ErrorIs(t, (<-answers["broken"]).err, persistence.ErrUnavailable)
		require.ErrorIs(t, (<-answers["corrupt"]).err, persistence.ErrCorrupt)
		check := func(ids ...string) {
			t.Helper()
			for _, id := range ids {
				got := <-answers[id]
				require.NoError(t, got.err)
				require.Len(t, got.Tags, lengths[id]+1, id)
			}
		}
		check("first", "empty", "short", "almost")
		time.Sleep(time.Second)
		close(rest)
		check("exact", "long", "longer")
		require.Equal(t, time.Second, time.Since(began))
		seen, err := PutInto.Ask(t.Context(), system, "broken", Put{Tag: "x"})
		require.NoError(t, err)
		require.Len(t, seen.Tags, 4)
	})
}

// The same on a journal that takes 100 ms for each reading and each commit: nobody
// waits for long, because streams are read many at a time.
func TestLongManyAtOnceOnSlowJournal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ids, slow = 10_000, 100 * time.Millisecond
		under := new(memory.Journal)
		for id := range 100 {
			fill(t, under, fmt.Sprint(100*id), actors.FirstPage+1) // which takes two readings
		}
		journal := slowPages{faulty(t, faultjournal.Config{Journal: under, Append: func(*persistence.Append, int) faultjournal.Fault {
			return faultjournal.Fault{Delay: slow}
		}}), under, slow}
		system := open(t, actors.Config{Journal: journal, AskTimeout: 10 * time.Second})
		began := time.Now()
		var group sync.WaitGroup
		for id := range ids {
			group.Go(func() {
				if _, err := PutInto.Ask(t.Context(), system, fmt.Sprint(id), Put{Tag: "x"}); err != nil {
					t.Errorf("put into %d: %v", id, err)
				}
			})
		}
		group.Wait()

		require.Less(t, time.Since(began), 3*time.Second)
	})
}

// slowPages takes a time for each reading, of one stream or of many.
type slowPages struct {
	*faultjournal.Journal
	under *memory.Journal
	slow  time.Duration
}

func (j slowPages) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	time.Sleep(j.slow)
	return j.under.ReadPages(ctx, requests)
}

func (j slowPages) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	time.Sleep(j.slow)
	return j.under.Read(ctx, stream, options)
}

// An aggregate that has lost its state in the middle of its work is read before those
// that have waited for longer to begin.
func TestRebuildsComeFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var mu sync.Mutex
		var order []persistence.StreamID
		journal := faulty(t, faultjournal.Config{Read: func(stream persistence.StreamID, _ int) faultjournal.ReadFault {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, stream)
			if stream == "list-slow" {
				return faultjournal.ReadFault{Until: gate}
			}
			return faultjournal.ReadFault{}
		}})
		system := open(t, actors.Config{Journal: journal, Recoveries: 1, AskTimeout: time.Minute})
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
		require.NoError(t, err)
		answers := []<-chan answer{put(t.Context(), system, "slow", Put{Tag: "x"})}
		synctest.Wait() // reading it keeps the only worker
		for i := range 100 {
			answers = append(answers, put(t.Context(), system, fmt.Sprint(i), Put{Tag: "x"}))
		}
		synctest.Wait()
		answers = append(answers, put(t.Context(), system, "a", Put{Do: panicsLate}))
		synctest.Wait()
		answers = append(answers, put(t.Context(), system, "a", Put{Tag: "y"}))
		synctest.Wait()

		close(gate)

		for i, answered := range answers {
			if err := (<-answered).err; i == 101 {
				require.ErrorIs(t, err, persistence.ErrRejected)
			} else {
				require.NoError(t, err)
			}
		}
		require.Equal(t, []persistence.StreamID{"list-a", "list-slow", "list-a"}, order[:3])
	})
}

// noPages is a journal whose ReadPages fails as a whole, so often.
type noPages struct {
	*faultjournal.Journal
	left atomic.Int64
}

func (j *noPages) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	if j.left.Add(-1) >= 0 {
		return nil, errors.New("no idea")
	}
	return j.Journal.ReadPages(ctx, requests)
}

func TestReadTogetherFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner, openGate := gated(t)
		journal := &noPages{Journal: inner}
		journal.left.Store(1)
		system := open(t, actors.Config{Journal: journal, Recoveries: 1})
		first := put(t.Context(), system, "a", Put{Tag: "x"})
		synctest.Wait()
		var others []<-chan answer
		for i := range 5 {
			others = append(others, put(t.Context(), system, fmt.Sprint(i), Put{Tag: "x"}))
			synctest.Wait()
		}
		openGate()

		require.NoError(t, (<-first).err)
		for i, answered := range others {
			require.Equal(t, persistence.ErrUnavailable, failure(t, (<-answered).err).Kind)
			time.Sleep(time.Second)
			_, err := PutInto.Ask(t.Context(), system, fmt.Sprint(i), Put{Tag: "x"})
			require.NoError(t, err)
		}
	})
}

func fill(t *testing.T, journal persistence.Journal, id string, length int) {
	t.Helper()
	for done := 0; done < length; {
		n := min(length-done, persistence.MaxAppendEvents)
		events := make([]persistence.Event, n)
		for i := range events {
			events[i] = foreign(strings.Repeat("x", 20))
		}
		outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: persistence.StreamID("list-" + id), Expected: persistence.Any, Events: events})
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
		done += n
	}
}

// A long stream is read page by page, and what was read is let go.
func TestLongStream(t *testing.T) {
	t.Parallel()
	const length = 200_000
	journal := &remembering{Journal: new(memory.Journal)}
	fill(t, journal.Journal, "a", length)
	count := actors.NewCommand[Get, Put]("list")
	type counter struct{ n int }
	system := open(t, actors.Config{Journal: journal, AskTimeout: time.Minute, Aggregates: []actors.Definition{actors.Define("list",
		actors.Handle(count, func(c *counter, _ *actors.Tx, _ Get) (Put, error) { return Put{Events: c.n}, nil }),
		actors.On(func(c *counter, _ Kept) { c.n++ }),
	)}})

	reply, err := count.Ask(t.Context(), system, "a", Get{})

	require.NoError(t, err)
	require.Equal(t, length, reply.Events)
	require.Equal(t, length/actors.RecoveryPage+1, journal.pages)
	require.Positive(t, journal.looks)
	require.LessOrEqual(t, journal.alive*sampled, actors.RecoveryPage, "events still in memory when others are read")
}

// remembering is a journal that remembers some of the events it gave out, for as
// long as anybody else does.
type remembering struct {
	persistence.Journal
	pages, read, looks, alive int
	given                     []weak.Pointer[byte]
}

// sampled is how many events stand for one that is remembered.
const sampled = 100

func (j *remembering) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	j.pages++
	return func(yield func(persistence.Recorded, error) bool) {
		for recorded, err := range j.Journal.Read(ctx, stream, options) {
			if err == nil {
				j.look(&recorded)
			}
			if !yield(recorded, err) {
				return
			}
		}
	}
}

func (j *remembering) look(recorded *persistence.Recorded) {
	if j.read++; j.read%sampled == 0 {
		j.given = append(j.given, weak.Make(&recorded.Payload[0]))
	}
	if j.read%20_000 > 0 {
		return
	}
	j.looks++
	runtime.GC()
	alive := 0
	for _, payload := range j.given {
		if payload.Value() != nil {
			alive++
		}
	}
	j.alive = max(j.alive, alive)
}
