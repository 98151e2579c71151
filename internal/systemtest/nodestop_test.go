package systemtest

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// A node that stops in the midst of work has nothing to warn of: what is not done goes on
// with the next start.
func TestStopIsQuiet(t *testing.T) {
	t.Parallel()
	for round := range 8 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := new(logBook)
				journal := faultjournal.New(faultjournal.Config{Journal: new(memory.Journal), Append: func(*persistence.Append, int) faultjournal.Fault {
					return faultjournal.Fault{Delay: 7 * time.Millisecond}
				}})
				asking := actors.NewCommand[remind, remind]("asker")
				askers := actors.Define("asker",
					actors.Handle(asking, func(_ *reminder, tx *actors.Tx, c remind) (remind, error) {
						for i := range 5 {
							Count.Send(tx, fmt.Sprint(c.Text, i), wrapperspb.UInt64(1))
						}
						return c, nil
					}),
					actors.Result(Count, func(_ *reminder, tx *actors.Tx, _ *wrapperspb.UInt64Value, err error) error {
						tx.Raise(come{"x"})
						return err
					}),
					actors.On(func(*reminder, come) {}))
				node, err := stele.Start(t.Context(), stele.Config{
					Journal: journal, Aggregates: stele.Aggregates{Counters, askers, echoes}, Checkpoints: new(projections.Books), Logger: log.logger(),
				})
				require.NoError(t, err)
				var asked sync.WaitGroup
				for i := range 40 {
					asked.Go(func() { _, _ = asking.Ask(t.Context(), node, fmt.Sprint(i%10), remind{fmt.Sprint(i)}) }) // some are refused
				}
				<-time.After(time.Duration(5+9*round) * time.Millisecond)

				require.NoError(t, node.Stop(t.Context()))

				asked.Wait()
				require.Equal(t, []string{""}, log.lines())
				require.NoError(t, journal.Close())
			})
		})
	}
}
