package actors_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
)

// oldEvents are what was stored once: one for two tags, and one that says nothing.
func oldEvents(tag string) []persistence.Event {
	return []persistence.Event{{Type: "old.pair", Payload: []byte(tag)}, {Type: "old.noise"}}
}

func upcasters(t *testing.T, more ...upcast.Upcaster) *upcast.Chain {
	t.Helper()
	kept := func(raw upcast.Raw, tag string) upcast.Raw {
		return raw.As("test.kept", fmt.Appendf(nil, `{"Tag":%q}`, tag))
	}
	chain, err := upcast.New(append(more,
		upcast.Drop("old.noise"),
		upcast.Upcaster{From: "old.pair", To: []string{"test.kept"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
			return []upcast.Raw{kept(raw, string(raw.Payload)+"-1"), kept(raw, string(raw.Payload)+"-2")}, nil
		}},
	)...)
	require.NoError(t, err)
	return chain
}

// An aggregate whose events were stored in an old form goes on where it stands,
// however its history is cut into pages: also when a page, or all of it, ends
// with events of which nothing is left.
func TestRecoveryUpcasts(t *testing.T) {
	t.Parallel()
	for _, pairs := range []int{1, actors.FirstPage / 2, actors.RecoveryPage / 2, actors.RecoveryPage/2 + 1} {
		t.Run(fmt.Sprint(pairs), func(t *testing.T) {
			t.Parallel()
			journal := new(memory.Journal)
			var tags []string
			for i := range pairs {
				outcomes, err := journal.Append(t.Context(),
					persistence.Append{Stream: "list-a", Expected: persistence.Any, Events: oldEvents(fmt.Sprint(i))},
					persistence.Append{Stream: "list-b", Expected: persistence.Any, Events: oldEvents(fmt.Sprint(i))},
				)
				require.NoError(t, err)
				require.NoError(t, errors.Join(outcomes[0].Err, outcomes[1].Err))
				tags = append(tags, fmt.Sprint(i, "-1"), fmt.Sprint(i, "-2"))
			}
			system := open(t, actors.Config{Journal: journal, Upcasters: upcasters(t), Recoveries: 1})

			// Two at a time are read together.
			type answer struct {
				seen Seen
				err  error
			}
			answers := make(chan answer, 2)
			for _, id := range []string{"a", "b"} {
				go func() { // ends with its answer, which is awaited below
					seen, err := PutInto.Ask(t.Context(), system, id, Put{Tag: "today"})
					answers <- answer{seen, err}
				}()
			}

			for range 2 {
				got := <-answers
				require.NoError(t, got.err)
				require.Equal(t, append(tags, "today"), got.seen.Tags)
				require.Equal(t, 2*pairs+1, got.seen.Version)
			}
		})
	}
}

// An event that cannot be upcast fails the aggregate that has it, and no other.
func TestRecoveryCannotUpcast(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	_, err := journal.Append(t.Context(),
		persistence.Append{Stream: "list-a", Events: []persistence.Event{{Type: "old.pair"}, {Type: "old.riddle"}}},
		persistence.Append{Stream: "list-b", Events: oldEvents("x")},
	)
	require.NoError(t, err)
	riddle := upcast.Upcaster{From: "old.riddle", Upcast: func(upcast.Raw) ([]upcast.Raw, error) { return nil, errors.New("nobody knows") }}
	system := open(t, actors.Config{Journal: journal, Upcasters: upcasters(t, riddle)})

	_, err = GetOf.Ask(t.Context(), system, "a", Get{})
	require.ErrorIs(t, err, persistence.ErrCorrupt)
	require.ErrorContains(t, err, "list-a at version 2")
	seen, err := GetOf.Ask(t.Context(), system, "b", Get{})
	require.NoError(t, err)
	require.Equal(t, []string{"x-1", "x-2"}, seen.Tags)
}
