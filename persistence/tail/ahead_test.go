package tail_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// A subscription that reads ahead has one page more, and gets what others get.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	for kind, open := range opens {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := newParted(1)
				for range 20 {
					journal.add(0, "a-1", "t")
				}
				subscription, err := open(t.Context(), journal, tail.Options{PageRows: 2, ReadAhead: true})
				require.NoError(t, err)

				taken, offset := 0, int64(0)
				for page, err := range subscription.Pages(t.Context()) {
					require.NoError(t, err)
					taken++
					for _, e := range page.Events {
						require.Equal(t, offset+1, e.Position.Offset)
						offset++
					}
					checkpoint, err := subscription.Checkpoint(t.Context(), page.Next)
					require.NoError(t, err)
					require.Equal(t, page.Events[len(page.Events)-1].ID, checkpoint.Marks[0].EventID)
					time.Sleep(time.Hour) // in the bubble
					reads, busy := journal.counts()
					require.Zero(t, busy, "the journal is held")
					require.LessOrEqual(t, reads, taken+1)
					if page.AtHead {
						break
					}
				}
				require.Equal(t, 10, taken)
				require.EqualValues(t, 20, offset)
			})
		})
	}
}

// A reader that leaves in the middle leaves nothing behind, and one that comes back has
// missed nothing.
func TestReadAheadEndsWithItsReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := newParted(1)
		for range 20 {
			journal.add(0, "a-1", "t")
		}
		subscription, err := tail.Open(t.Context(), journal, tail.Options{PageRows: 2, ReadAhead: true})
		require.NoError(t, err)
		for range 3 {
			ctx, leave := context.WithCancel(t.Context())
			for page, err := range subscription.Pages(ctx) {
				if err != nil {
					require.ErrorIs(t, err, persistence.ErrUnavailable)
					break
				}
				require.EqualValues(t, 1, page.Events[0].Position.Offset)
				leave()
			}
			leave()
			for range subscription.Pages(t.Context()) {
				break
			}
			synctest.Wait()
			_, busy := journal.counts()
			require.Zero(t, busy)
		}
	})
}

// explosive is a filter of a user that panics at the second page.
type explosive struct{}

func (explosive) Match(recorded *persistence.Recorded) bool {
	if recorded.Position.Offset > 2 {
		panic("the filter")
	}
	return true
}

func (explosive) Check() error { return nil }

// What a filter does happens to its reader, and not to the process.
func TestReadAheadMeetsAFilterThatPanics(t *testing.T) {
	t.Parallel()
	journal := newParted(1)
	for range 6 {
		journal.add(0, "a-1", "t")
	}
	subscription, err := tail.Open(t.Context(), journal, tail.Options{PageRows: 2, ReadAhead: true, Filter: explosive{}})
	require.NoError(t, err)
	pages := 0

	require.PanicsWithValue(t, "the filter", func() {
		for range subscription.Pages(t.Context()) {
			pages++
		}
	})

	require.Equal(t, 1, pages)
}
