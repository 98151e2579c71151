package actors_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// tellsReads is a journal that counts the events which are read of streams, and tells
// when one is read from behind its beginning.
type tellsReads struct {
	persistence.Journal
	events atomic.Int64
	behind atomic.Pointer[func()]
}

func (j *tellsReads) Unwrap() persistence.Journal { return j.Journal }

func (j *tellsReads) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	if behind := j.behind.Load(); behind != nil && options.From > 1 && options.Limit > 2 {
		j.behind.Store(nil)
		(*behind)()
	}
	return func(yield func(persistence.Recorded, error) bool) {
		for recorded, err := range j.Journal.Read(ctx, stream, options) {
			if j.events.Add(1); !yield(recorded, err) {
				return
			}
		}
	}
}

// ReadPages is the reading of several streams, which counts too.
func (j *tellsReads) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	pages, _ := persistence.As[persistence.PageReader](j.Journal)
	all, err := pages.ReadPages(ctx, requests)
	for i := range all {
		j.events.Add(int64(len(all[i].Events)))
	}
	return all, err
}

// A state that turns out not to be current is brought up to date by what it lacks, and not
// read from the beginning.
func TestAStateThatIsBehindIsReadFromWhereItIs(t *testing.T) {
	t.Parallel()
	for _, many := range []int{1, 50} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			t.Parallel()
			const long = 300
			inner := new(memory.Journal)
			journal := &tellsReads{Journal: inner}
			definitions := []actors.Definition{meters(nil)}
			one := open(t, actors.Config{Journal: inner, Aggregates: definitions, Delivering: true})
			other := open(t, actors.Config{Journal: journal, Aggregates: definitions, Delivering: true})
			fresh := func(want int) {
				t.Helper()
				answers := make(chan int, many)
				for i := range many {
					go func() { // ends with the answer
						total, err := PeekAt.Ask(context.Background(), other, fmt.Sprint(i), Peek{}, actors.Fresh()) //nolint:forbidigo // it ends with the test
						if err != nil {
							total.N = -1
						}
						answers <- total.N
					}()
				}
				for range many {
					require.Equal(t, want, <-answers)
				}
			}
			for i := range many {
				countUp(t, one, fmt.Sprint(i), long)
			}
			fresh(long)
			for i := range many {
				countUp(t, one, fmt.Sprint(i), 3)
			}
			before := journal.events.Load()

			fresh(long + 3)

			read := journal.events.Load() - before
			require.LessOrEqual(t, read, int64(many*(2+1+3)), "of each the proof, the event that is known, and what is new")
			before = journal.events.Load()
			fresh(long + 3)
			require.LessOrEqual(t, journal.events.Load()-before, int64(many), "it is current now")
		})
	}
}

// Between the look that found a stream ahead and the reading of what it lacks the stream
// may have become another one, which the state is no beginning of.
func TestAStreamThatIsAnotherOneIsReadFromItsBeginning(t *testing.T) {
	t.Parallel()
	inner := new(memory.Journal)
	journal := &tellsReads{Journal: inner}
	definitions := []actors.Definition{meters(nil)}
	one := open(t, actors.Config{Journal: inner, Aggregates: definitions, Delivering: true})
	other := open(t, actors.Config{Journal: journal, Aggregates: definitions, Delivering: true})
	countUp(t, one, "a", 10)
	_, err := PeekAt.Ask(t.Context(), other, "a", Peek{})
	require.NoError(t, err)
	countUp(t, one, "a", 1)
	became := false
	replace := func() {
		_, err := inner.Delete(t.Context(), "meter-a", persistence.Any)
		require.NoError(t, err)
		outcomes, err := inner.Append(t.Context(), persistence.Append{Stream: "meter-a", Expected: persistence.Any, Events: []persistence.Event{
			{Type: "test.counted", Payload: []byte("{}")}, {Type: "test.counted", Payload: []byte("{}")},
		}})
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
		became = true
	}
	journal.behind.Store(&replace)

	total, err := PeekAt.Ask(t.Context(), other, "a", Peek{}, actors.Fresh())

	require.NoError(t, err)
	require.True(t, became)
	require.Equal(t, 2, total.N)
}
