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

// Who asked is what operators look for when something was refused: by what the context
// of who refused it says, which others may have filled before. What cannot be stored of
// it is left out.
func TestLogOfRefusals(t *testing.T) {
	t.Parallel()
	bad := string([]byte{'b', 0xff})
	authenticate := func(ctx context.Context, _ actors.Asked, next func(context.Context) (any, error)) (any, error) {
		return next(actors.WithActor(ctx, "ann, by her token"))
	}
	refuse := actors.Guard(func(context.Context, actors.Asked) error { return errRejected })
	type told struct {
		actor       string
		correlation [16]byte
		metadata    persistence.Metadata
	}
	cause := persistence.CommandID{9}
	tenant, added := persistence.Metadata{"tenant": persistence.String("acme")}, persistence.String("by the program")
	both := persistence.Metadata{"tenant": persistence.String("acme"), "added": added}
	cases := map[string]struct {
		around []actors.Around
		ask    func(ctx context.Context) context.Context
		want   told
	}{
		"by the outermost":                {[]actors.Around{refuse, authenticate}, nil, told{"ann", cause, both}},
		"behind one that says who it was": {[]actors.Around{authenticate, refuse}, nil, told{"ann, by her token", cause, both}},
		"what is not the caller's to say": {[]actors.Around{authenticate}, func(ctx context.Context) context.Context {
			return actors.WithMetadata(ctx, persistence.Metadata{"stele.x": persistence.String("not theirs")})
		}, told{"ann, by her token", cause, nil}},
		"an actor that is no text": {[]actors.Around{refuse}, func(ctx context.Context) context.Context { return actors.WithActor(ctx, bad) }, told{"b�", cause, nil}},
		"a caller who has left": {[]actors.Around{authenticate}, func(ctx context.Context) context.Context {
			gone, cancel := context.WithCancel(ctx)
			cancel()
			return gone
		}, told{"ann, by her token", cause, both}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				system := open(t, actors.Config{
					Aggregates: []actors.Definition{lists(actors.LogCommands[list](actors.Outcomes))}, Around: c.around,
					Enrich: func(context.Context) persistence.Metadata { return persistence.Metadata{"added": added} },
				})
				ctx := actors.WithCorrelation(actors.WithActor(actors.WithMetadata(t.Context(), tenant), "ann"), cause)
				if c.ask != nil {
					ctx = c.ask(ctx)
				}
				_, err := PutInto.Ask(ctx, system, "a", Put{})
				require.Error(t, err)
				<-time.After(time.Second)

				all := commands(t, system, "list", persistence.ReadOptions{})
				require.Len(t, all, 1)
				require.Equal(t, c.want, told{all[0].Actor, all[0].Correlation, all[0].Metadata})
			})
		})
	}
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
