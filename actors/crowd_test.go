package actors_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
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
			for id, length := range lengths {
				fill(t, journal, fmt.Sprint(id), length)
			}
			system := open(t, actors.Config{Journal: wrap(journal)})
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
