package actors_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// plain hides every ability of a journal but the contract itself.
type plain struct{ persistence.Journal }

// submitting hides the ability to read pages.
type submitting struct {
	persistence.Journal
	persistence.Submitter
}

// paging hides the ability to submit.
type paging struct {
	persistence.Journal
	persistence.PageReader
}

// A journal need not be able to do more than the contract says.
func TestAsk(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*memory.Journal) persistence.Journal{
		"all abilities":          func(j *memory.Journal) persistence.Journal { return j },
		"no submitting":          func(j *memory.Journal) persistence.Journal { return paging{j, j} },
		"no pages":               func(j *memory.Journal) persistence.Journal { return submitting{j, j} },
		"nothing but a contract": func(j *memory.Journal) persistence.Journal { return plain{j} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := new(memory.Journal)
			for range 2 { // the second system reads what the first has stored
				system := open(t, actors.Config{Journal: wrap(journal)})
				for i := range 5 {
					id := fmt.Sprint(i)
					before, err := GetOf.Ask(t.Context(), system, id, Get{})
					require.NoError(t, err)
					for n := range 3 {
						seen, err := PutInto.Ask(t.Context(), system, id, Put{Tag: fmt.Sprint(before.Version, n), Events: 2})
						require.NoError(t, err)
						require.Equal(t, stored(t, journal, id), seen.Tags)
						require.Len(t, seen.Tags, before.Version+2*(n+1))
					}
					_, err = PutInto.Ask(t.Context(), system, id, Put{Do: reject})
					require.Equal(t, errRejected, err, "the handler's own error, unchanged")
				}
				shut(t, system)
			}
			head, err := journal.Head(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 2*5*3*2, head[0])
		})
	}
}

type account struct{ cents int64 }

// Protobuf messages need nothing of ours: here those that come with the module.
var (
	Deposit  = actors.NewCommand[*wrapperspb.Int64Value, *wrapperspb.StringValue]("account")
	Accounts = accounts()
)

// accounts defines aggregates whose state does not grow.
func accounts(more ...actors.Part[account]) *actors.Aggregate[account] {
	return actors.Define("account", append([]actors.Part[account]{
		actors.Handle(Deposit, func(a *account, tx *actors.Tx, c *wrapperspb.Int64Value) (*wrapperspb.StringValue, error) {
			tx.Raise(wrapperspb.UInt64(uint64(c.Value)))
			c.Value = 0 // a copy: the caller's own is not touched
			return wrapperspb.String(fmt.Sprint(a.cents)), nil
		}),
		actors.On(func(a *account, e *wrapperspb.UInt64Value) { a.cents += int64(e.Value) }),
	}, more...)...)
}

func TestProtobufMessages(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	for round := range 3 {
		system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{Accounts}})
		command := wrapperspb.Int64(5)
		reply, err := Deposit.Ask(t.Context(), system, "ann", command)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(5*(round+1)), reply.Value)
		require.EqualValues(t, 5, command.Value)
		shut(t, system)
	}
	for recorded, err := range journal.Read(t.Context(), "account-ann", persistence.ReadOptions{}) {
		require.NoError(t, err)
		require.Equal(t, "google.protobuf.UInt64Value", recorded.Type)
	}
}

// With TrustCallers the handler gets the caller's own message.
func TestTrustCallers(t *testing.T) {
	t.Parallel()
	system := open(t, actors.Config{Aggregates: []actors.Definition{Accounts}, TrustCallers: true})
	command := wrapperspb.Int64(5)
	_, err := Deposit.Ask(t.Context(), system, "ann", command)
	require.NoError(t, err)
	require.Zero(t, command.Value)
}

// A command sees the time and the ids of its first decision when it is decided
// again, and what it puts into an event comes back as it was.
func TestTx(t *testing.T) {
	t.Parallel()
	var seen []actors.Tx
	var ids [][2]string
	var times []time.Time
	rivals := 2
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{watched(func(tx *actors.Tx, _ Put) {
		if rivals > 0 {
			rivals--
			seed(t, journal, "a", "theirs")
		}
		seen, times = append(seen, actors.Tx{ID: tx.ID, Version: tx.Version, CommandID: tx.CommandID}), append(times, tx.Now())
		ids = append(ids, [2]string{tx.NewID(), tx.NewID()})
	})}})

	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
	require.NoError(t, err)

	require.Len(t, seen, 3)
	for i := range seen {
		require.Equal(t, "a", seen[i].ID)
		require.EqualValues(t, i, seen[i].Version)
		require.Equal(t, seen[0].CommandID, seen[i].CommandID)
		require.Equal(t, ids[0], ids[i])
		require.Equal(t, times[0], times[i])
	}
	require.NotEqual(t, ids[0][0], ids[0][1])
	require.NotZero(t, seen[0].CommandID)
	require.Equal(t, time.UTC, times[0].Location())
	text, err := times[0].MarshalText()
	require.NoError(t, err)
	var back time.Time
	require.NoError(t, back.UnmarshalText(text))
	require.Equal(t, fmt.Sprintf("%#v", back), fmt.Sprintf("%#v", times[0]), "no reading of the monotonic clock")
	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "y"})
	require.NoError(t, err)
	require.NotEqual(t, ids[0], ids[3])
}

// Who keeps a Tx and raises later is told so, and nobody else's command gets the
// event.
func TestTxIsOverWithItsHandler(t *testing.T) {
	t.Parallel()
	var kept *actors.Tx
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{watched(func(tx *actors.Tx, c Put) {
		switch c.Tag {
		case "keep":
			kept = tx
		case "raise":
			kept.Raise(Kept{Tag: "strayed"})
		}
	})}})
	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "keep"})
	require.NoError(t, err)
	require.PanicsWithValue(t, "actors: Raise on a Tx whose handler has returned", func() { kept.Raise(Kept{Tag: "strayed"}) })

	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "raise"})

	require.ErrorIs(t, err, persistence.ErrRejected)
	require.Equal(t, "panic", failure(t, err).Reason)
	require.Equal(t, []string{"keep"}, stored(t, journal, "a"))
}

// What the handler does to an event after raising it reaches nobody.
func TestEventsAreFixedWhenRaised(t *testing.T) {
	t.Parallel()
	increase := actors.NewCommand[*wrapperspb.Int64Value, *wrapperspb.Int64Value]("sum")
	journal := new(memory.Journal)
	ask := func(n int64) int64 {
		system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{actors.Define("sum",
			actors.Handle(increase, func(a *account, tx *actors.Tx, c *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
				event := wrapperspb.UInt64(uint64(c.Value))
				tx.Raise(event)
				event.Value = 1000
				return wrapperspb.Int64(a.cents), nil
			}),
			actors.On(func(a *account, e *wrapperspb.UInt64Value) { a.cents += int64(e.Value) }),
		)}})
		defer shut(t, system)
		sum, err := increase.Ask(t.Context(), system, "a", wrapperspb.Int64(n))
		require.NoError(t, err)
		return sum.Value
	}

	require.EqualValues(t, 5, ask(5))
	require.EqualValues(t, 12, ask(7))
}

// A definition may be hosted by several systems with other defaults, and a kind
// may only read.
func TestDefinitionIsShared(t *testing.T) {
	t.Parallel()
	reader := actors.Define("list", actors.Handle(GetOf, (*list).get))
	for _, idle := range []time.Duration{time.Second, time.Hour} {
		system := open(t, actors.Config{Aggregates: []actors.Definition{reader, Accounts}, Idle: idle})
		seen, err := GetOf.Ask(t.Context(), system, "a", Get{})
		require.NoError(t, err)
		require.Equal(t, Seen{Tags: []string{}}, seen)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	long := strings.Repeat("k", 64)
	longKind := actors.NewCommand[Put, Seen](long)
	system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{
		lists(), Accounts, actors.Define(long, actors.Handle(longKind, (*list).put), actors.On((*list).kept)),
	}})
	ask := func(id string, options ...actors.AskOption) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := PutInto.Ask(ctx, system, id, Put{Tag: "x"}, options...)
			return err
		}
	}
	with := func(change func(context.Context) context.Context) func(context.Context) error {
		return func(ctx context.Context) error { return ask("a")(change(ctx)) }
	}
	metadata := func(m persistence.Metadata) func(context.Context) error {
		return with(func(ctx context.Context) context.Context { return actors.WithMetadata(ctx, m) })
	}
	many := persistence.Metadata{}
	for i := range persistence.MaxMetadataKeys + 1 {
		many[fmt.Sprint(i)] = persistence.Int(1)
	}
	for name, c := range map[string]struct {
		ask  func(context.Context) error
		want persistence.ErrorKind
	}{
		"empty id": {ask(""), persistence.ErrInvalid},
		"long id":  {ask(strings.Repeat("i", 201)), persistence.ErrInvalid},
		"long id and long kind": {func(ctx context.Context) error {
			_, err := longKind.Ask(ctx, system, strings.Repeat("i", 200), Put{})
			return err
		}, persistence.ErrInvalid},
		"NUL in id":            {ask("a\x00b"), persistence.ErrInvalid},
		"control in id":        {ask("a\nb"), persistence.ErrInvalid},
		"delete in id":         {ask("a\x7fb"), persistence.ErrInvalid},
		"override in id":       {ask("a\u202eb"), persistence.ErrInvalid},
		"no UTF-8 in id":       {ask("a\xffb"), persistence.ErrInvalid},
		"version out of range": {ask("a", actors.IfVersion(persistence.MaxVersion+1)), persistence.ErrInvalid},
		"greatest version":     {ask("a", actors.IfVersion(persistence.MaxVersion)), persistence.ErrConflict},
		"zero contract": {func(ctx context.Context) error {
			_, err := actors.Command[Put, Seen]{}.Ask(ctx, system, "a", Put{})
			return err
		}, persistence.ErrNotFound},
		"zero request": {func(ctx context.Context) error { _, err := system.Ask(ctx, actors.Request{}); return err }, persistence.ErrNotFound},
		"unknown kind": {func(ctx context.Context) error {
			_, err := actors.NewCommand[Put, Seen]("other").Ask(ctx, system, "a", Put{})
			return err
		}, persistence.ErrNotFound},
		"unknown command": {func(ctx context.Context) error {
			_, err := actors.NewCommand[Kept, Seen]("list").Ask(ctx, system, "a", Kept{})
			return err
		}, persistence.ErrInvalid},
		"pointer for a value": {func(ctx context.Context) error {
			_, err := actors.NewCommand[*Put, Seen]("list").Ask(ctx, system, "a", &Put{})
			return err
		}, persistence.ErrInvalid},
		"other reply": {func(ctx context.Context) error {
			_, err := actors.NewCommand[Put, Kept]("list").Ask(ctx, system, "a", Put{})
			return err
		}, persistence.ErrInvalid},
		"nil command":        {func(ctx context.Context) error { _, err := Deposit.Ask(ctx, system, "a", nil); return err }, persistence.ErrInvalid},
		"system metadata":    {metadata(persistence.Metadata{"stele.x": persistence.Int(1)}), persistence.ErrInvalid},
		"metadata unset":     {metadata(persistence.Metadata{"x": {}}), persistence.ErrInvalid},
		"metadata empty key": {metadata(persistence.Metadata{"": persistence.Int(1)}), persistence.ErrInvalid},
		"metadata too large": {metadata(persistence.Metadata{"x": persistence.String(strings.Repeat("x", 8<<10))}), persistence.ErrInvalid},
		"metadata too many":  {metadata(many), persistence.ErrInvalid},
		"actor too long":     {with(func(ctx context.Context) context.Context { return actors.WithActor(ctx, strings.Repeat("a", 257)) }), persistence.ErrInvalid},
		"actor not UTF-8":    {with(func(ctx context.Context) context.Context { return actors.WithActor(ctx, "a\xff") }), persistence.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.ask(t.Context())

			require.ErrorIs(t, err, c.want)
			failed := failure(t, err)
			require.Equal(t, c.want, failed.Kind)
			require.NotContains(t, err.Error(), "\xff")
			require.Less(t, len(err.Error()), 300)
		})
	}
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	require.Zero(t, head[0], "nothing was stored")
	for _, id := range []string{"-", "a-b", "../..", "%2e", "$all", "/", "🜁", "\u00e9", "e\u0301", strings.Repeat("i", 200)} {
		_, err := PutInto.Ask(t.Context(), system, id, Put{Tag: id})
		require.NoError(t, err, id)
		require.Equal(t, []string{id}, stored(t, journal, id), "ids are compared bytewise")
	}
}

// Mistakes in raising fail their command alone, and the state is right after.
func TestBadEvents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		Put
		says string
	}{
		"too large":    {Put{Tag: "x", Pad: persistence.MaxPayload}, "too large"},
		"one too many": {Put{Tag: "x", Events: persistence.MaxAppendEvents + 1}, "too many"},
		"large in all": {Put{Tag: "x", Events: 100, Pad: 100 << 10}, "too large"},
		"without On":   {Put{Tag: "x", Do: raisesUnknown}, "actors_test.Unknown has no On in kind list: add one"},
		"nil":          {Put{Tag: "x", Do: raisesNil}, "is nil"},
		"unencodable":  {Put{Tag: "x", Do: raisesNaN}, "encode test.kept"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := new(memory.Journal)
			system := open(t, actors.Config{Journal: journal})
			want := []string{}
			for _, tag := range []string{"1", "2", "3"} {
				_, err := PutInto.Ask(t.Context(), system, "a", c.Put)
				require.ErrorIs(t, err, persistence.ErrInvalid)
				require.Contains(t, err.Error(), c.says)
				failed := failure(t, err)
				require.EqualValues(t, "list-a", failed.Stream)
				require.NotZero(t, failed.Command)

				want = append(want, tag)
				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: tag})
				require.NoError(t, err)
				require.Equal(t, want, seen.Tags)
				require.Equal(t, want, stored(t, journal, "a"))
			}
		})
	}
	t.Run("not quite too many", func(t *testing.T) {
		t.Parallel()
		system := open(t, actors.Config{})
		seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x", Events: persistence.MaxAppendEvents})
		require.NoError(t, err)
		require.Len(t, seen.Tags, persistence.MaxAppendEvents)
	})
}

// A handler that hides the panic of an On, after which the state is half
// changed, does not get away with it: the event would make the aggregate
// unrecoverable.
func TestHiddenPanicOfOn(t *testing.T) {
	t.Parallel()
	mark := actors.NewCommand[Put, Seen]("mark")
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{actors.Define("mark",
		actors.Handle(mark, func(l *list, tx *actors.Tx, c Put) (Seen, error) {
			defer func() { _ = recover() }()
			tx.Raise(Kept{Tag: c.Tag})
			return l.seen(1), nil
		}),
		actors.On(func(l *list, e Kept) {
			l.tags = append(l.tags, e.Tag)
			if e.Tag == "bad" {
				panic("half done")
			}
		}),
	)}})

	_, err := mark.Ask(t.Context(), system, "a", Put{Tag: "bad"})
	require.ErrorIs(t, err, persistence.ErrInvalid)

	seen, err := mark.Ask(t.Context(), system, "a", Put{Tag: "good"})
	require.NoError(t, err)
	require.Equal(t, []string{"good"}, seen.Tags)
}

// pickyJournal refuses more than the contract does, and as a whole.
type pickyJournal struct {
	persistence.Journal
	free chan struct{}
}

func (j pickyJournal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	<-j.free
	for _, a := range appends {
		for _, event := range a.Events {
			if strings.Contains(string(event.Payload), "poison") {
				return nil, &persistence.InvalidError{Field: "payload", Reason: "is not to the taste of this journal"}
			}
		}
	}
	return j.Journal.Append(ctx, appends...)
}

// What a journal refuses of one aggregate is not held against others that were
// to be stored together with it.
func TestOneInvalidAppendFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := pickyJournal{new(memory.Journal), make(chan struct{})}
		system := open(t, actors.Config{Journal: journal})
		var answers []<-chan answer
		tags := []string{"fine", "fine", "poison", "fine", "poison"}
		for i, tag := range tags {
			answers = append(answers, put(t.Context(), system, fmt.Sprint(i), Put{Tag: tag}))
			synctest.Wait() // the first is on its way, the others come together behind it
		}
		close(journal.free)
		for i, tag := range tags {
			got := <-answers[i]
			if tag == "poison" {
				require.ErrorIs(t, got.err, persistence.ErrInvalid)
				require.Empty(t, stored(t, journal, fmt.Sprint(i)))
				continue
			}
			require.NoError(t, got.err)
			require.Equal(t, []string{tag}, stored(t, journal, fmt.Sprint(i)))
		}
	})
}

func BenchmarkAsk(b *testing.B) {
	system, err := actors.Open(b.Context(), actors.Config{Journal: new(memory.Journal), Aggregates: []actors.Definition{Accounts}})
	require.NoError(b, err)
	b.ReportAllocs()
	b.SetParallelism(256)
	command := wrapperspb.Int64(1)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := Deposit.Ask(b.Context(), system, "account "+strconv.Itoa(i%16), command); err != nil {
				b.Error(err)
			}
		}
	})
	require.NoError(b, system.Close(b.Context()))
}
