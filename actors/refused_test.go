package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/hooks"
	"github.com/stele-es/stele/persistence/memory"
)

// refusing is a journal that takes no append of its own accord.
type refusing struct {
	*memory.Journal
	err error
}

func (r refusing) Submit(persistence.Append, *persistence.Chain, func(persistence.Outcome)) error {
	return r.err
}

// Whoever refuses an append before the journal takes it, the asker knows that nothing
// was done, and finds the reason; commands beside it are done.
func TestRefusedAppend(t *testing.T) {
	t.Parallel()
	no := errors.New("not on a Sunday")
	refusal := hooks.Hook{Name: "sunday", BeforeAppend: func(_ context.Context, a *persistence.Append) error {
		if slices.ContainsFunc(a.Events, func(e persistence.Event) bool { return string(e.Payload) == `{"Tag":"sunday","Pad":"","Float":0}` }) {
			return no
		}
		return nil
	}}
	for name, behind := range map[string]func() persistence.Journal{
		"a hook before a journal that can submit": func() persistence.Journal { return new(memory.Journal) },
		"a hook before one that cannot":           func() persistence.Journal { return plain{new(memory.Journal)} },
		"a hook before one that is slow": func() persistence.Journal {
			return faultjournal.New(faultjournal.Config{Journal: new(memory.Journal), Append: func(*persistence.Append, int) faultjournal.Fault {
				return faultjournal.Fault{Delay: time.Second}
			}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := hooks.New(hooks.Config{Journal: behind()})
				journal.Add(refusal)
				system := open(t, actors.Config{Journal: journal})
				answers := map[string]<-chan answer{}
				for i, tag := range []string{"1", "2", "sunday", "3", "4"} {
					answers[tag] = put(t.Context(), system, "a", Put{Tag: tag}, actors.Once(fmt.Sprint(i)))
				}
				for tag, answered := range answers {
					got := <-answered
					if tag != "sunday" {
						require.NoError(t, got.err, tag)
						continue
					}
					require.Equal(t, persistence.ErrRejected, failure(t, got.err).Kind)
					require.ErrorIs(t, got.err, no)
				}
				require.Len(t, stored(t, journal, "a"), 4)
				require.Zero(t, system.Stats().Unknown)
				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "monday"}, actors.Once("2"))
				require.NoError(t, err, "the key is not used up")
				require.Len(t, seen.Tags, 5)
				shut(t, system)
				require.NoError(t, journal.Close())
			})
		})
	}
	for kind, says := range map[persistence.ErrorKind]error{
		persistence.ErrRejected:    no,
		persistence.ErrUnavailable: fmt.Errorf("reach it: %w", context.DeadlineExceeded),
	} {
		t.Run("a journal of somebody's own says "+string(kind), func(t *testing.T) {
			t.Parallel()
			system := open(t, actors.Config{Journal: refusing{new(memory.Journal), says}})
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "1"})
			require.Equal(t, kind, failure(t, err).Kind)
			require.ErrorIs(t, err, says)
		})
	}
}
