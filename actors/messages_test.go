package actors_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
)

// Hidden would come back with nothing in it.
type Hidden struct{ cents int }

func (Hidden) MessageName() string { return "test.hidden" }

// Forgetful looks well and forgets: only a value shows that.
type Forgetful struct{ Cents int }

func (Forgetful) MessageName() string          { return "test.forgetful" }
func (Forgetful) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }

// A type of which a part would not come back is refused at the start, whatever it is
// stored as, with the type, the field and what to do.
func TestMessagesThatDoNotSurviveAreRefused(t *testing.T) {
	t.Parallel()
	for name, definition := range map[string]struct{ hidden, forgetful actors.Definition }{
		"event":        {define(actors.On(func(*list, Hidden) {})), define(actors.On(func(*list, Forgetful) {}))},
		"command":      {define(handle[Hidden, Seen]()), define(handle[Forgetful, Seen]())},
		"reply":        {define(handle[Get, Hidden]()), define(handle[Get, Forgetful]())},
		"sent command": {define(result[Hidden, Seen]()), define(result[Forgetful, Seen]())},
		"its reply":    {define(result[Get, Hidden]()), define(result[Get, Forgetful]())},
		"reaction":     {define(react[Hidden]()), define(react[Forgetful]())},
		"state":        {actors.Define("list", handleOf[Hidden](), actors.SnapshotEvery[Hidden](1)), actors.Define("list", handleOf[Forgetful](), actors.SnapshotEvery[Forgetful](1))},
		"saved state": {
			define(actors.SnapshotEvery[list](1), actors.SnapshotAs(func(*list) Hidden { return Hidden{} }, func(Hidden) *list { return nil })),
			define(actors.SnapshotEvery[list](1), actors.SnapshotAs(func(*list) []Forgetful { return nil }, func([]Forgetful) *list { return nil })),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for field, refused := range map[string]actors.Definition{"cents": definition.hidden, "Cents": definition.forgetful} {
				_, err := actors.Open(t.Context(), actors.Config{Journal: new(memory.Journal), Aggregates: []actors.Definition{refused}, Delivering: true})

				require.ErrorContains(t, err, "aggregate list: ")
				loss, ok := errors.AsType[*codec.LossError](err)
				require.True(t, ok, "%v", err)
				require.Contains(t, loss.Field, field)
				require.ErrorIs(t, err, persistence.ErrInvalid)
			}
		})
	}
}

func define(parts ...actors.Part[list]) actors.Definition {
	return actors.Define("list", append([]actors.Part[list]{actors.Handle(PutInto, (*list).put), actors.On((*list).kept)}, parts...)...)
}

func handle[C, R any]() actors.Part[list] {
	return actors.Handle(actors.NewCommand[C, R]("list"), func(*list, *actors.Tx, C) (reply R, err error) { return reply, nil })
}

func handleOf[S any]() actors.Part[S] {
	return actors.Handle(actors.NewCommand[Get, Seen]("list"), func(*S, *actors.Tx, Get) (reply Seen, err error) { return reply, nil })
}

func result[C, R any]() actors.Part[list] {
	return actors.Result(actors.NewCommand[C, R]("other"), func(*list, *actors.Tx, R, error) error { return nil })
}

func react[E any]() actors.Part[list] {
	return actors.React(func(actors.Event[E]) string { return "" }, func(*list, *actors.Tx, actors.Event[E]) error { return nil })
}

// A command that is sent to a kind of another program is known when it is sent first.
func TestSendRefusesWhatDoesNotSurvive(t *testing.T) {
	t.Parallel()
	hidden, forgetful := actors.NewCommand[Hidden, Seen]("other"), actors.NewCommand[Forgetful, Seen]("other")
	for says, send := range map[string]func(*actors.Tx){
		"actors_test.Hidden does not survive being stored: its field cents":    func(tx *actors.Tx) { hidden.Send(tx, "a", Hidden{30}) },
		"actors_test.Forgetful does not survive being stored: its field Cents": func(tx *actors.Tx) { forgetful.SendAfter(tx, time.Hour, "a", Forgetful{30}) },
	} {
		journal := new(memory.Journal)
		system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{
			actors.Define("list", actors.Sends[list](), actors.On((*list).kept), actors.Handle(PutInto, func(_ *list, tx *actors.Tx, c Put) (Seen, error) {
				tx.Raise(Kept{Tag: c.Tag})
				send(tx)
				return Seen{}, nil
			})),
		}})

		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})

		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, says)
		head, err := journal.Head(t.Context())
		require.NoError(t, err)
		require.Zero(t, head.Of(0).Offset)
	}
}

// What an upcaster makes is encoded between two steps.
func TestUpcastersThatLoseAreRefused(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Map(func(Put) (Forgetful, error) { return Forgetful{}, nil }))
	require.NoError(t, err)

	_, err = actors.Open(t.Context(), actors.Config{Journal: new(memory.Journal), Aggregates: []actors.Definition{lists()}, Upcasters: chain})

	require.ErrorContains(t, err, "upcaster of test.put: actors_test.Forgetful does not survive being stored: its field Cents")
}

// Secret forgets what nobody but its package can set, so no start finds it.
type Secret struct {
	Text  string
	cents int
}

func (Secret) MessageName() string            { return "test.secret" }
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]string{"Text": s.Text}) }

// In tests each message is decoded again: a system of package actorstest refuses one
// that comes back changed, whatever it is.
func TestActorstestFindsWhatIsLost(t *testing.T) {
	t.Parallel()
	tell := actors.NewCommand[Secret, Secret]("secret")
	sent := actors.NewCommand[Secret, Secret]("elsewhere")
	definition := actors.Define("secret", actors.Sends[list](), actors.On(func(*list, Secret) {}), actors.On((*list).kept),
		actors.Handle(tell, func(_ *list, tx *actors.Tx, c Secret) (reply Secret, err error) {
			switch c.Text {
			case "event":
				tx.Raise(Secret{cents: 7})
			case "reply":
				tx.Raise(Kept{})
				return Secret{cents: 7}, nil
			case "sent":
				tx.Raise(Kept{})
				sent.Send(tx, "a", Secret{cents: 7})
			case "whole":
				tx.Raise(Secret{Text: "whole"})
			}
			return reply, nil
		}))
	system := actorstest.Start(t, definition)
	for _, command := range []Secret{{Text: "event"}, {Text: "reply"}, {Text: "sent"}, {Text: "command", cents: 7}} {
		_, err := tell.Ask(t.Context(), system, "a", command, actors.Once(command.Text))

		require.ErrorIs(t, err, persistence.ErrInvalid, command.Text)
		require.ErrorContains(t, err, "comes back changed: mend the marshallers of its type", command.Text)
		require.NotContains(t, err.Error(), "7")
	}

	_, err := tell.Ask(t.Context(), system, "a", Secret{Text: "whole"}, actors.Once("whole"))
	require.NoError(t, err)
}
