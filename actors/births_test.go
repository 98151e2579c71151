package actors_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// Where most aggregates that are asked for are new, no more of them are read, and
// where they are old all are.
func TestNewOnesAreNotRead(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	journal := faulty(t, faultjournal.Config{Read: func(persistence.StreamID, int) faultjournal.ReadFault {
		reads.Add(1)
		return faultjournal.ReadFault{}
	}})
	system := open(t, actors.Config{Journal: journal})
	const count = 4 * actors.BirthsMost

	for i := range count {
		seen, err := PutInto.Ask(t.Context(), system, fmt.Sprint(i), Put{Tag: "x"})
		require.NoError(t, err)
		require.Equal(t, Seen{Tags: []string{"x"}, Version: 1}, seen)
	}

	require.EqualValues(t, actors.BirthsFrom, reads.Load())
	require.EqualValues(t, actors.BirthsFrom, system.Stats().Recoveries)
	require.EqualValues(t, count-actors.BirthsFrom, system.Stats().Births)
	seen, err := PutInto.Ask(t.Context(), system, fmt.Sprint(count-1), Put{Tag: "x"})
	require.NoError(t, err)
	require.Len(t, seen.Tags, 2)
	require.EqualValues(t, count-actors.BirthsFrom, system.Stats().Births, "each is born once")

	for i := range count - 1 {
		require.True(t, system.Passivate("list", fmt.Sprint(i)))
		seen, err := PutInto.Ask(t.Context(), system, fmt.Sprint(i), Put{Tag: "y"})
		require.NoError(t, err)
		require.Equal(t, Seen{Tags: []string{"x", "y"}, Version: 2}, seen)
	}

	const wrong = (actors.BirthsMost-actors.BirthsFrom)/actors.BirthsLoss + 1
	require.EqualValues(t, wrong, system.Stats().Rebuilds, "so many were guessed")
	require.EqualValues(t, actors.BirthsFrom+count-1, reads.Load())
	require.Zero(t, system.Stats().Conflicts)
}

// Whatever is asked of whatever aggregate: a guess, right or wrong, changes neither the
// answer nor what is stored.
func TestGuessChangesNothing(t *testing.T) {
	t.Parallel()
	first := persistence.CommandID{1}
	for name, c := range map[string]struct {
		ask     Put
		options []actors.AskOption
	}{
		"accepted":                  {ask: Put{Tag: "z"}},
		"several events":            {ask: Put{Tag: "z", Events: 3}},
		"rejected":                  {ask: Put{Do: reject}},
		"rejected after a raise":    {ask: Put{Do: rejectLate}},
		"panic":                     {ask: Put{Do: panics}},
		"panic after a raise":       {ask: Put{Do: panicsLate}},
		"event without On":          {ask: Put{Do: raisesUnknown}},
		"event not to be encoded":   {ask: Put{Do: raisesNaN}},
		"new key":                   {ask: Put{Tag: "z"}, options: []actors.AskOption{actors.Once("new")}},
		"rejected with a key":       {ask: Put{Do: reject}, options: []actors.AskOption{actors.Once("new")}},
		"known key":                 {ask: Put{Tag: "x"}, options: []actors.AskOption{actors.Once("known")}},
		"known key, other command":  {ask: Put{Tag: "z"}, options: []actors.AskOption{actors.Once("known")}},
		"again":                     {ask: Put{Tag: "y"}, options: []actors.AskOption{actors.Again(first)}},
		"again, and not there":      {ask: Put{Tag: "y"}, options: []actors.AskOption{actors.Again(persistence.CommandID{9})}},
		"sent":                      {ask: Put{Tag: "z"}, options: []actors.AskOption{actors.Sent(persistence.CommandID{8}, time.Time{})}},
		"sent and rejected":         {ask: Put{Do: reject}, options: []actors.AskOption{actors.Sent(persistence.CommandID{8}, time.Time{})}},
		"sent and rejected late":    {ask: Put{Do: rejectLate}, options: []actors.AskOption{actors.Sent(persistence.CommandID{8}, time.Time{})}},
		"at the version":            {ask: Put{Tag: "z"}, options: []actors.AskOption{actors.IfVersion(2)}},
		"at the version of nothing": {ask: Put{Tag: "z"}, options: []actors.AskOption{actors.IfVersion(0)}},
	} {
		for _, id := range []string{"old", "none"} {
			t.Run(name+" of "+id, func(t *testing.T) {
				t.Parallel()
				run := func(guess bool) []any {
					journal := new(memory.Journal)
					before := open(t, actors.Config{Journal: journal, NewCommandID: func() persistence.CommandID { return first }})
					_, err := PutInto.Ask(t.Context(), before, "old", Put{Tag: "x"}, actors.Once("known"))
					require.NoError(t, err)
					_, err = PutInto.Ask(t.Context(), before, "old", Put{Tag: "y"})
					require.NoError(t, err)
					shut(t, before)
					system := open(t, actors.Config{Journal: journal, NewCommandID: func() persistence.CommandID { return persistence.CommandID{2} }})
					if guess {
						system.GuessNew("list")
					}

					seen, err := PutInto.Ask(t.Context(), system, id, c.ask, c.options...)
					again, err2 := PutInto.Ask(t.Context(), system, id, c.ask, c.options...)
					got, err3 := GetOf.Ask(t.Context(), system, id, Get{})

					results := []any{seen, fmt.Sprint(err), again, fmt.Sprint(err2), got, fmt.Sprint(err3), system.Stats().Panics, system.Stats().Conflicts}
					for recorded, err := range journal.Read(t.Context(), persistence.StreamID("list-"+id), persistence.ReadOptions{}) {
						if !errors.Is(err, persistence.ErrNotFound) {
							require.NoError(t, err)
							results = append(results, recorded.Type, string(recorded.Payload), recorded.Headers)
						}
					}
					return results
				}

				require.Equal(t, run(false), run(true))
			})
		}
	}
}

// What only reads is answered from what is stored, of old ones and of those that do
// not exist.
func TestGuessAndReading(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	seed(t, journal, "old", "x", "y")
	system := open(t, actors.Config{Journal: journal})
	system.GuessNew("list")

	seen, err := GetOf.Ask(t.Context(), system, "old", Get{})
	require.NoError(t, err)
	require.Equal(t, Seen{Tags: []string{"x", "y"}, Version: 2}, seen)
	seen, err = GetOf.Ask(t.Context(), system, "none", Get{})
	require.NoError(t, err)
	require.Equal(t, Seen{Tags: []string{}}, seen)
}

// A handler that changes its command gets it as it was asked when it decides again.
func TestGuessKeepsTheCommand(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	for want := 5; want <= 15; want += 5 {
		system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{Accounts}})
		system.GuessNew("account")
		balance, err := Deposit.Ask(t.Context(), system, "ann", wrapperspb.Int64(5))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(want), balance.Value)
		shut(t, system)
	}
}

// What has to do with what an aggregate has sent is of one that exists: its timers, and
// the outcomes that it hears.
func TestGuessAndWhatIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := faulty(t, faultjournal.Config{Append: func(a *persistence.Append, _ int) faultjournal.Fault {
			if a.Stream == "list-l" {
				return faultjournal.Fault{Delay: 5 * time.Second}
			}
			return faultjournal.Fault{}
		}})
		system := open(t, actors.Config{
			Journal: journal, Idle: time.Second,
			Aggregates: []actors.Definition{lists(), clocks(actors.Result(PutInto, hearTold))},
		})
		began := time.Now()
		arm(t, system, "a", Arm{Name: "near", Delay: 30 * time.Second})
		arm(t, system, "a", Arm{Name: "far", Delay: time.Hour})
		_, err := TellClock.Ask(t.Context(), system, "b", Tell{List: "l", Put: Put{Tag: "x"}})
		require.NoError(t, err)
		for range 100 {
			system.GuessNew("clock")
			<-time.After(time.Minute)
		}

		shut(t, system)
		var got []string
		for _, id := range []string{"clock-a", "clock-b"} {
			for recorded, err := range journal.Read(t.Context(), persistence.StreamID(id), persistence.ReadOptions{}) {
				require.NoError(t, err)
				if event, err := system.Decode(recorded); err == nil { // not one of the system's own
					got = append(got, fmt.Sprint(event.(Heard).Text, " after ", recorded.At.Sub(began).Round(time.Second))) //nolint:forcetypeassert // it raises nothing else
				}
			}
		}
		require.Equal(t, []string{"near after 30s", "far after 1h0m0s", "[x] <nil> after 5s"}, got)
	})
}

// Systems that take the same aggregates for new at the same time do not lose a command
// of each other.
func TestTwoGuess(t *testing.T) {
	t.Parallel()
	const ids, each = 200, 3
	journal := new(memory.Journal)
	var group sync.WaitGroup
	for range 2 {
		system := open(t, actors.Config{Journal: journal})
		for id := range ids {
			group.Go(func() {
				for range each {
					system.GuessNew("list")
					seen, err := PutInto.Ask(t.Context(), system, fmt.Sprint(id), Put{Tag: "x"})
					for errors.Is(err, persistence.ErrConflict) { // the other one was faster three times
						seen, err = PutInto.Ask(t.Context(), system, fmt.Sprint(id), Put{Tag: "x"})
					}
					if err != nil || len(seen.Tags) != seen.Version {
						t.Errorf("put into %d: %d tags at version %d, %v", id, len(seen.Tags), seen.Version, err)
					}
				}
			})
		}
	}
	group.Wait()

	for id := range ids {
		require.Len(t, stored(t, journal, fmt.Sprint(id)), 2*each)
	}
}

// A first append without an outcome leaves nothing behind that the next command could
// take for the aggregate.
func TestGuessWithoutOutcome(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faultjournal.Fault{
		"not stored": {Before: &persistence.UnavailableError{Reason: "away"}},
		"lost":       {Lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := faulty(t, faultjournal.Config{Append: func(_ *persistence.Append, n int) faultjournal.Fault {
				if n == 1 {
					return fault
				}
				return faultjournal.Fault{}
			}})
			system := open(t, actors.Config{Journal: journal})
			system.GuessNew("list")

			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
			require.Error(t, err)
			kept := stored(t, journal, "a")
			seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "y"})

			require.NoError(t, err)
			require.Equal(t, append(kept, "y"), seen.Tags)
			require.Equal(t, seen.Tags, stored(t, journal, "a"))
		})
	}
}
