package actors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// commands are the entries of a log.
func commands(t *testing.T, system *actors.System, kind string, options persistence.ReadOptions) []actors.LoggedCommand {
	t.Helper()
	var all []actors.LoggedCommand
	for command, err := range system.Commands(t.Context(), kind, options) {
		require.NoError(t, err)
		all = append(all, command)
	}
	return all
}

// The log says of every command what became of it, also of those that were refused.
func TestLogCommands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UTC()
		system := open(t, actors.Config{
			Aggregates: []actors.Definition{lists(actors.LogCommands[list](actors.Contents)), Counters},
			Around: []actors.Around{actors.Guard(func(_ context.Context, asked actors.Asked) error {
				if asked.ID == "forbidden" {
					return actors.NewError("list", "forbidden", "you may not")
				}
				return nil
			})},
		})
		ctx := actors.WithActor(actors.WithMetadata(t.Context(), persistence.Metadata{"tenant": persistence.String("acme")}), "ann")
		correlation := persistence.CommandID{9}
		var receipt actors.Receipt
		_, err := PutInto.Ask(actors.WithCorrelation(ctx, correlation), system, "a", Put{Tag: "x", Events: 2}, actors.ReceiptTo(&receipt), actors.Once("k"))
		require.NoError(t, err)
		_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x", Events: 2}, actors.Once("k"))
		require.NoError(t, err)
		for _, c := range []Put{{Do: reject}, {Do: panics}, {Do: raisesNil}} {
			_, err = PutInto.Ask(t.Context(), system, "a", c)
			require.Error(t, err)
		}
		_, err = PutInto.Ask(t.Context(), system, "forbidden", Put{Tag: "y"})
		require.Error(t, err)
		_, err = GetOf.Ask(t.Context(), system, "a", Get{})
		require.NoError(t, err)
		_, err = AddTo.Ask(t.Context(), system, "a", Add{1})
		require.NoError(t, err)
		time.Sleep(time.Second)

		all := commands(t, system, "list", persistence.ReadOptions{})

		require.Len(t, all, 7)
		require.Equal(t, actors.LoggedCommand{
			ID: "a", Command: "test.put", CommandID: receipt.Command, Actor: "ann", Correlation: correlation,
			Metadata: persistence.Metadata{"tenant": persistence.String("acme")}, Outcome: actors.Accepted,
			First: 1, Last: 2, At: began, Content: Put{Tag: "x", Events: 2},
		}, all[0])
		type outcome struct{ id, command, outcome, code, text string }
		var outcomes []outcome
		for _, c := range all[1:] {
			outcomes = append(outcomes, outcome{c.ID, c.Command, c.Outcome, c.Code, c.Text})
			require.Zero(t, c.First)
			require.NotZero(t, c.CommandID)
		}
		require.Equal(t, []outcome{
			{"a", "test.put", actors.Repeated, "", ""},
			{"a", "test.put", "rejected", actors.Unregistered, "no"},
			{"a", "test.put", "rejected", "panic", ""},
			{"a", "test.put", "invalid", "", ""},
			{"forbidden", "test.put", "rejected", "forbidden", "you may not"},
			{"a", "test.get", actors.Accepted, "", ""},
		}, outcomes)
		acme := persistence.ReadOptions{Filter: filter.Meta("tenant").Text().Eq("acme")}
		require.Equal(t, all[:1], commands(t, system, "list", acme))
		require.Equal(t, all[6:], commands(t, system, "list", persistence.ReadOptions{Backward: true, Limit: 1}))
		require.Empty(t, commands(t, system, "counter", persistence.ReadOptions{}))
		require.Zero(t, system.Stats().Unlogged)
	})
}

// A journal that is away for a while, or does not tell, costs entries nothing; when
// it stays away they are dropped and counted, and nobody waits.
func TestLogUnderFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   faultjournal.Fault
		times   int
		dropped bool
	}{
		"away for a while": {faultjournal.Fault{Before: &persistence.UnavailableError{Reason: "down"}}, 3, false},
		"lost answers":     {faultjournal.Fault{Lost: true}, 3, false},
		"away for good":    {faultjournal.Fault{Before: errors.New("down")}, 1000, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := faulty(t, faultjournal.Config{Append: func(a *persistence.Append, n int) faultjournal.Fault {
					if a.Stream == "$commands-list" && n <= c.times {
						return c.fault
					}
					return faultjournal.Fault{}
				}})
				config := actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(actors.LogCommands[list](actors.Outcomes))}}
				system := open(t, config)
				for i := range 300 {
					_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)})
					require.NoError(t, err)
				}
				time.Sleep(10 * time.Second)
				began := time.Now()
				shut(t, system)
				require.LessOrEqual(t, time.Since(began), 2*time.Second)

				if c.dropped {
					require.EqualValues(t, 300, system.Stats().Unlogged)
					return
				}
				all := commands(t, open(t, config), "list", persistence.ReadOptions{})
				require.Len(t, all, 300)
				for i, command := range all {
					require.EqualValues(t, i+1, command.First)
				}
			})
		})
	}
}
