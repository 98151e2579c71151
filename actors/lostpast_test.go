package actors_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// An aggregate in memory knows a command from a life of its stream that was ended
// through the journal. The command is new to the next life: it is done once, at the first
// ask, as on a system that has nothing in memory.
func TestCommandOfAnEndedLifeIsNew(t *testing.T) {
	t.Parallel()
	sent := persistence.CommandID{7: 1}
	born := time.Now()
	for class, option := range map[string]func(actors.Receipt) actors.AskOption{
		"once":  func(actors.Receipt) actors.AskOption { return actors.Once("key") },
		"sent":  func(actors.Receipt) actors.AskOption { return actors.Sent(sent, born) },
		"again": func(first actors.Receipt) actors.AskOption { return actors.Again(first.Command) },
	} {
		for name, written := range map[string]int{"deleted": 0, "written again": 1, "written again further than before": 5} {
			t.Run(class+", "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					journal := new(memory.Journal)
					system, other := open(t, actors.Config{Journal: journal}), open(t, actors.Config{Journal: journal})
					_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "first"})
					require.NoError(t, err)
					var first actors.Receipt
					options := []actors.AskOption{actors.ReceiptTo(&first)}
					if class != "again" {
						options = append(options, option(first))
					}
					_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, options...)
					require.NoError(t, err)
					_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, option(first)) // found in the memory, or the history
					require.NoError(t, err)
					_, err = journal.Delete(t.Context(), "list-a", persistence.Any)
					require.NoError(t, err)
					want := []string{}
					for i := range written {
						want = append(want, fmt.Sprint(i))
						_, err = PutInto.Ask(t.Context(), other, "a", Put{Tag: fmt.Sprint(i)})
						require.NoError(t, err)
					}
					want = append(want, "x")

					for range 2 {
						seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, option(first))
						require.NoError(t, err)
						require.Equal(t, want, seen.Tags)
					}

					require.Equal(t, want, stored(t, journal, "a"))
					seen, err := PutInto.Ask(t.Context(), other, "a", Put{Tag: "x"}, option(first))
					require.NoError(t, err)
					require.Equal(t, want, seen.Tags)
				})
			})
		}
	}
}

// Many that ask at once have the state read again once, not once each.
func TestManyCommandsOfAnEndedLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 200
		journal := new(memory.Journal)
		system := open(t, actors.Config{Journal: journal})
		for range 2 {
			before := system.Stats().Rebuilds
			var answers []<-chan answer
			for i := range many {
				answers = append(answers, put(t.Context(), system, "a", Put{Tag: "x"}, actors.Once(fmt.Sprint(i))))
			}
			for _, answered := range answers {
				require.NoError(t, (<-answered).err)
			}
			require.LessOrEqual(t, system.Stats().Rebuilds-before, uint64(2))
			require.Len(t, stored(t, journal, "a"), many)
			_, err := journal.Delete(t.Context(), "list-a", persistence.Any)
			require.NoError(t, err)
		}
	})
}

// The first of two that ask under one key at once is stored at a version that nobody
// could know, since the stream was deleted before.
func TestRepeatedBeforeItsVersionIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		seed(t, journal, "a", "1", "2", "3")
		_, err := journal.Delete(t.Context(), "list-a", persistence.Any)
		require.NoError(t, err)
		slow := faulty(t, faultjournal.Config{Journal: journal, Append: func(*persistence.Append, int) faultjournal.Fault {
			return faultjournal.Fault{Delay: time.Second}
		}})
		system := open(t, actors.Config{Journal: slow})

		first := put(t.Context(), system, "a", Put{Tag: "x"}, actors.Once("key"))
		second := put(t.Context(), system, "a", Put{Tag: "x"}, actors.Once("key"))

		for _, answered := range []<-chan answer{first, second} {
			got := <-answered
			require.NoError(t, got.err)
			require.Equal(t, []string{"x"}, got.Tags)
		}
		require.Equal(t, []string{"x"}, stored(t, journal, "a"))
	})
}

// What a search has read of a life that ended says nothing about the next one, which
// begins further on.
func TestSearchBeyondAnEndedLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		system := open(t, actors.Config{Journal: journal})
		again := func(tag string) (Seen, error) {
			return PutInto.Ask(t.Context(), system, "a", Put{Tag: tag}, actors.Again(persistence.CommandID(persistence.NewEventID())))
		}
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "1"})
		require.NoError(t, err)
		_, err = again("2")
		require.NoError(t, err)
		seed(t, journal, "a", "3", "4")
		_, err = journal.Delete(t.Context(), "list-a", persistence.Any)
		require.NoError(t, err)
		seed(t, journal, "a", "5")
		seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "6"}) // has the state read again
		require.NoError(t, err)
		require.Equal(t, []string{"5", "6"}, seen.Tags)

		seen, err = again("7")

		require.NoError(t, err)
		require.Equal(t, []string{"5", "6", "7"}, seen.Tags)
	})
}

// What was truncated in the life of the stream was done, and the aggregate stays in
// memory: read again it would lack what was truncated.
func TestReplyThatIsTruncated(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal})
	for _, tag := range []string{"1", "2"} {
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: tag}, actors.Once(tag))
		require.NoError(t, err)
	}
	_, err := journal.Truncate(t.Context(), "list-a", 2)
	require.NoError(t, err)

	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "1"}, actors.Once("1"))

	require.Equal(t, persistence.ErrUnknownOutcome, failure(t, err).Kind)
	require.Equal(t, "reply-not-kept", failure(t, err).Reason)
	seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "3"})
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3"}, seen.Tags)
}
