package tail_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/persistence/upcast"
)

// What one stored event has become is on one page, however small pages are, and
// every place that can be remembered is before or behind all of it: who goes on from
// one gets the rest, and nothing twice.
func TestPagesNeverSplitWhatWasOne(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Drop("noise"), upcast.Rename("couple", "pair"), upcast.Upcaster{
		From: "pair", To: []string{"left", "noise", "right", "trio"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
			return []upcast.Raw{raw.As("left", nil), raw.As("noise", nil), raw.As("trio", nil), raw.As("right", nil)}, nil
		},
	}, upcast.Upcaster{From: "trio", To: []string{"one"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
		return []upcast.Raw{raw.As("one", nil), raw.As("one", nil), raw.As("one", nil)}, nil
	}})
	require.NoError(t, err)
	journal := memory.New(memory.Config{})
	store(t, journal, "a-1", "noise", "pair", "a", "noise", "couple", "pair", "noise", "trio", "b", "noise")
	reader := upcast.Reader(journal, chain)
	var whole []string
	for page, err := range reader.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		whole = append(whole, named(page.Events)...)
	}
	require.Len(t, whole, 3*5+3+2)

	for kind, open := range opens {
		for _, options := range []tail.Options{{PageRows: 1}, {PageRows: 2}, {PageRows: 3}, {PageBytes: 1}, {}} {
			t.Run(fmt.Sprintf("%s, %d rows, %d bytes", kind, options.PageRows, options.PageBytes), func(t *testing.T) {
				t.Parallel()
				subscription, err := open(t.Context(), reader, options)
				require.NoError(t, err)
				var got []string
				for page, err := range subscription.Pages(t.Context()) {
					require.NoError(t, err)
					for i, e := range page.Events {
						if e.SubCount > 0 {
							require.Equal(t, e.SubCount, page.Events[i-int(e.Sub)].SubCount)
							require.Less(t, i-int(e.Sub)+int(e.SubCount)-1, len(page.Events), "a page ends in the midst of what was one")
						}
						require.True(t, page.Next.Covers(e.Position))
					}
					got = append(got, named(page.Events)...)

					checkpoint, err := subscription.Checkpoint(t.Context(), page.Next)
					require.NoError(t, err)
					again, err := tail.Open(t.Context(), reader, tail.Options{Checkpoint: checkpoint, PageRows: options.PageRows})
					require.NoError(t, err)
					require.Equal(t, whole, append(append([]string(nil), got...), rest(t, again)...))
					if page.AtHead {
						break
					}
				}
				require.Equal(t, whole, got)
			})
		}
	}
}

func named(events []persistence.Recorded) (all []string) {
	for _, e := range events {
		all = append(all, fmt.Sprintf("%s %s %d/%d", e.Position, e.Type, e.Sub, e.SubCount))
	}
	return all
}

// rest is what a subscription yields until the head.
func rest(t *testing.T, subscription *tail.Subscription) (all []string) {
	t.Helper()
	for page, err := range subscription.Pages(t.Context()) {
		require.NoError(t, err)
		if all = append(all, named(page.Events)...); page.AtHead {
			break
		}
	}
	return all
}
