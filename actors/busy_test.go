package actors_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// An aggregate that is sent more than it remembers does not have to look into its
// stream for what cannot be there: the events that sent it came after all of it.
func TestSentToBusy(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][]actors.Part[list]{"events": nil, "snapshots": {every(10), asTags()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := &backward{Journal: new(memory.Journal)}
				system := actorstest.StartWith(t, actors.Config{
					Journal: journal, RememberMax: 3, Aggregates: []actors.Definition{lists(parts...), clocks(actors.Result(PutInto, hearTold))},
				})
				tell := func(from, until int) {
					for i := from; i < until; i++ {
						_, err := TellClock.Ask(t.Context(), system, fmt.Sprint(i%7), Tell{List: "l", Put: Put{Tag: fmt.Sprint(i)}})
						require.NoError(t, err)
						synctest.Wait()
					}
				}
				tell(0, 50)
				system.Restart()
				tell(50, 100)

				require.Len(t, system.Events("list-l"), 100)
				require.Zero(t, journal.reads.Load())
			})
		})
	}
}

// backward counts readings from the end of the streams of lists.
type backward struct {
	persistence.Journal
	reads atomic.Int64
}

func (j *backward) Unwrap() persistence.Journal { return j.Journal }

func (j *backward) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	if options.Backward && stream.Category() == "list" {
		j.reads.Add(1)
	}
	return j.Journal.Read(ctx, stream, options)
}
