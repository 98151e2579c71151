package actors_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
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

// The log names the caller of a command that was refused, because operators look for
// it. The name comes from the context of the function that refused, which functions
// around it may have filled. A part that cannot be stored is left out.
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

// The log holds what a command said on its day. Whoever reads it in a later program gets
// all of that, through the upcasters, or hears why not.
func TestLogOfOlderForms(t *testing.T) {
	t.Parallel()
	logging := actors.LogCommands[bell](actors.Contents)
	first := open(t, actors.Config{Aggregates: []actors.Definition{
		bells(func(s string) strike1 { return strike1{s} }, func(c strike1) string { return c.Name }, logging),
	}})
	_, err := actors.NewCommand[strike1, Heard]("bell").Ask(t.Context(), first, "b", strike1{"old"})
	require.NoError(t, err)
	journal := first.Journal()
	shut(t, first)
	rename := upcast.Rename("test.strike", "test.stroke")
	ends := upcast.Upcaster{From: "test.strike", Upcast: func(upcast.Raw) ([]upcast.Raw, error) {
		runtime.Goexit()
		return nil, nil
	}}
	twice := upcast.Upcaster{From: "test.strike", To: []string{"test.stroke"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
		return []upcast.Raw{raw.As("test.stroke", raw.Payload), raw.As("test.stroke", raw.Payload)}, nil
	}}
	for name, c := range map[string]struct {
		hosted    actors.Definition
		upcasters []upcast.Upcaster
		want      any
		kind      error  // of ContentErr
		says      string // in ContentErr
	}{
		"one field more":                   {hosted: bells5(), want: strike5{"old", ""}},
		"a field with another name":        {hosted: bells3(), kind: codec.ErrNotWhole, says: "Name"},
		"a field of another type":          {hosted: bells4(), kind: persistence.ErrCorrupt},
		"another name":                     {hosted: bells2(), says: "kind bell has no Handle for test.strike"},
		"another name with an upcaster":    {hosted: bells2(), upcasters: []upcast.Upcaster{rename}, want: strike2{"old"}},
		"another field with an upcaster":   {hosted: bells3(), upcasters: []upcast.Upcaster{upcast.Map(func(c strike1) (strike3, error) { return strike3{c.Name}, nil })}, want: strike3{"old"}},
		"an upcaster to what is not there": {hosted: bells3(), upcasters: []upcast.Upcaster{rename}, says: "kind bell has no Handle for test.stroke"},
		"an upcaster that drops it":        {hosted: bells3(), upcasters: []upcast.Upcaster{upcast.Drop("test.strike")}, says: "drops"},
		"an upcaster that makes two":       {hosted: bells2(), upcasters: []upcast.Upcaster{twice}, says: "make 2 commands"},
		"an upcaster that ends":            {hosted: bells2(), upcasters: []upcast.Upcaster{ends}, kind: persistence.ErrCorrupt, says: "$commands-bell at version 1"},
		"a kind of other programs":         {hosted: Counters, says: "not hosted here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{c.hosted}, Upcasters: chainOf(t, c.upcasters...)})

			all := commands(t, system, "bell", persistence.ReadOptions{})

			require.Len(t, all, 1)
			require.Equal(t, "test.strike", all[0].Command, "as it is stored")
			require.Equal(t, c.want, all[0].Content)
			if c.want != nil {
				require.NoError(t, all[0].ContentErr)
				return
			}
			require.ErrorContains(t, all[0].ContentErr, c.says)
			if c.kind != nil {
				require.ErrorIs(t, all[0].ContentErr, c.kind)
			}
		})
	}
}

// The log of a kind that reacts to events of others holds those events.
func TestLogOfReactions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		config := actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(), mirrors(nil, actors.LogCommands[mirror](actors.Contents))}}
		first := actorstest.StartWith(t, config)
		putTags(t, first, "l", "a/x")
		<-time.After(time.Minute)
		synctest.Wait()
		first.Stop()
		config.Delivering = true // nobody does
		next, err := actors.Open(t.Context(), config)
		require.NoError(t, err)

		all := commands(t, next, "mirror", persistence.ReadOptions{})

		require.Len(t, all, 1)
		require.NoError(t, all[0].ContentErr)
		require.Equal(t, Kept{Tag: "a/x"}, all[0].Content)
		require.NoError(t, next.Close(t.Context()))
	})
}
