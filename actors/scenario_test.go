package actors_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
)

func TestScenario(t *testing.T) {
	t.Parallel()
	PutInto.Given(t, lists(), Kept{Tag: "1"}, Kept{Tag: "2"}).
		When(Put{Tag: "3", Events: 2}).
		Then(Kept{Tag: "3.0"}, Kept{Tag: "3.1"}).
		Reply(Seen{Tags: []string{"1", "2", "3.0", "3.1"}, Version: 4})
	PutInto.Given(t, lists()).When(Put{Do: reject}).Fails(errRejected)
	GetOf.Given(t, lists(), Kept{Tag: "1"}).When(Get{}).Then().Reply(Seen{Tags: []string{"1"}, Version: 1})
	Deposit.Given(t, Accounts, wrapperspb.UInt64(3)).
		When(wrapperspb.Int64(4)).
		Then(wrapperspb.UInt64(4)).
		Reply(wrapperspb.String("7"))
}

// A history may be told once and asked about twice.
func TestScenarioIsAValue(t *testing.T) {
	t.Parallel()
	history := make([]any, 1, 10)
	history[0] = Kept{Tag: "1"}
	given := PutInto.Given(t, lists(), history...)
	given.When(Put{Tag: "2"}).Then(Kept{Tag: "2"})
	given.When(Put{Tag: "3"}).Reply(Seen{Tags: []string{"1", "3"}, Version: 2})
	require.Equal(t, []any{Kept{Tag: "1"}}, history)
}

func TestScenarioIDAndTime(t *testing.T) {
	t.Parallel()
	stamp := actors.NewCommand[Get, Put]("list")
	definition := actors.Define("list", actors.Handle(stamp, func(_ *list, tx *actors.Tx, _ Get) (Put, error) {
		return Put{Tag: fmt.Sprint(tx.ID, " ", tx.Version, " ", tx.Now().Format(time.RFC3339), " ", len(tx.NewID()))}, nil
	}), actors.On((*list).kept))

	stamp.Given(t, definition).When(Get{}).Reply(Put{Tag: "test 0 2000-01-01T00:00:00Z 36"})
	stamp.Given(t, definition, Kept{}).ID("ann").At(time.Date(2026, 7, 1, 2, 0, 0, 0, time.FixedZone("", 3600))).
		When(Get{}).Reply(Put{Tag: "ann 1 2026-07-01T01:00:00Z 36"})
}

// failed is what a test kit said that stopped its test; empty when it did not.
func failed(test func(actors.TB)) (said string) {
	done := make(chan struct{})
	go func() { // ends with the test
		defer close(done)
		test(recorder{&said})
	}()
	<-done
	return said
}

// recorder is a test that remembers why it was stopped.
type recorder struct{ said *string }

func (recorder) Helper() {}

func (r recorder) Fatalf(format string, args ...any) {
	*r.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// Noted has a field that its marshaller forgets, Timed some for what comes from a
// clock.
type (
	Noted struct {
		Text   string
		hidden string
	}
	Timed struct {
		At   time.Time
		Unix int64
		Text string
	}
	Pointed struct{}
)

func (n Noted) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]string{"Text": n.Text}) }
func (Pointed) MessageName() string          { return "test.pointed" }

func (Noted) MessageName() string { return "test.noted" }
func (Timed) MessageName() string { return "test.timed" }

// The kit is worth what it finds: definitions that are wrong on purpose, each in
// its own way and with its own message.
func TestKitFindsMistakes(t *testing.T) {
	t.Parallel()
	asked, refused := 0, false
	for name, c := range map[string]struct {
		decide func(*list, *actors.Tx, Put) (Seen, error)
		says   string
	}{
		"state changed in the handler": {func(l *list, _ *actors.Tx, c Put) (Seen, error) {
			l.tags = append(l.tags, c.Tag)
			return Seen{}, nil
		}, "the state changed outside an On method"},
		"state changed by a rejection": {func(l *list, _ *actors.Tx, c Put) (Seen, error) {
			l.tags = append(l.tags, c.Tag)
			return Seen{}, errRejected
		}, "the state changed outside an On method"},
		"clock": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Timed{At: time.Now()})
			return Seen{}, nil
		}, "deciding again gave another result; is a clock"},
		"clock cut to the second": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Timed{At: time.Now().Truncate(time.Second)})
			return Seen{}, nil
		}, "the time of this machine is in the events, at [0].At: take the time from tx.Now"},
		"clock cut to the day": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Timed{At: time.Now().UTC().Truncate(24 * time.Hour)})
			return Seen{}, nil
		}, "at [0].At: take the time from tx.Now"},
		"clock as a number": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Timed{Unix: time.Now().Unix()})
			return Seen{}, nil
		}, "at [0].Unix: take the time from tx.Now"},
		"clock as a text": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Timed{Text: "opened on " + time.Now().Format(time.DateOnly)})
			return Seen{}, nil
		}, "at [0].Text: take the time from tx.Now"},
		"clock in the reply": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			return Seen{Version: time.Now().Nanosecond()}, nil
		}, "deciding again gave another result"},
		"clock in On": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Put{Tag: "clock"})
			return Seen{}, nil
		}, "or an On depends on more than state and event"},
		"chance": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Kept{Tag: fmt.Sprint(rand.Uint64())})
			return Seen{}, nil
		}, "deciding again gave another result"},
		"another verdict each time": {func(*list, *actors.Tx, Put) (Seen, error) {
			if refused = !refused; refused {
				return Seen{}, errRejected
			}
			return Seen{}, nil
		}, "deciding again gave another result"},
		"map order": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			for tag := range map[string]bool{"a": true, "b": true, "c": true, "d": true} {
				tx.Raise(Kept{Tag: tag})
			}
			return Seen{}, nil
		}, "deciding again gave another result; is a clock, chance or map order in the handler?"},
		"memory of its own": {func(*list, *actors.Tx, Put) (Seen, error) {
			asked++
			return Seen{Version: asked}, nil
		}, "deciding again gave another result"},
		"rejection after raise": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Kept{Tag: "x"})
			return Seen{}, errRejected
		}, "the command raised actors_test.Kept{Tag:\"x\", Pad:\"\", Float:0} and then failed with no: decide first, raise after"},
		"missing On": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Kept{Tag: "x"}, Unknown{})
			return Seen{}, nil
		}, "raise: invalid: event actors_test.Unknown has no On in kind list: add one"},
		"missing On, and rejected": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Unknown{})
			return Seen{}, errRejected
		}, "has no On in kind list: add one"},
		"pointer for a value": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(&Kept{})
			return Seen{}, nil
		}, "*actors_test.Kept has no On in kind list, actors_test.Kept has: raise it without &"},
		"value for a pointer": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Pointed{})
			return Seen{}, nil
		}, "actors_test.Pointed has no On in kind list, *actors_test.Pointed has: raise it with &"},
		"nil event": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise((*wrapperspb.Int64Value)(nil))
			return Seen{}, nil
		}, "*wrapperspb.Int64Value is nil"},
		"field that is not stored": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Noted{Text: "x", hidden: "y"})
			return Seen{}, nil
		}, "test.noted does not survive its encoding; what do its marshallers leave out?\n before actors_test.Noted{Text:\"x\", hidden:\"y\"}\n after  actors_test.Noted{Text:\"x\", hidden:\"\"}\n differ at hidden: \"y\", not \"\""},
		"number that cannot be stored": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Kept{Float: math.Inf(1)})
			return Seen{}, nil
		}, "raise: "},
		"text that cannot be stored": {func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
			tx.Raise(Kept{Tag: "\xff"})
			return Seen{}, nil
		}, "not valid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			definition := actors.Define("list", actors.Handle(PutInto, c.decide),
				actors.On((*list).kept), actors.On(func(*list, Noted) {}), actors.On(func(*list, Timed) {}), actors.On(func(*list, *wrapperspb.Int64Value) {}), actors.On(func(*list, *Pointed) {}),
				actors.On(func(l *list, _ Put) { l.tags = append(l.tags, fmt.Sprint(time.Now().UnixNano())) }))
			require.Contains(t, failed(func(tb actors.TB) { PutInto.Given(tb, definition).When(Put{Tag: "x"}) }), c.says)
		})
	}
}

func TestKitFindsUnusableMessages(t *testing.T) {
	t.Parallel()
	note := actors.NewCommand[Noted, Noted]("list")
	notes := actors.Define("list", actors.Handle(note, func(_ *list, _ *actors.Tx, c Noted) (Noted, error) {
		return Noted{hidden: c.Text}, nil
	}))
	empty := actors.NewCommand[Get, *wrapperspb.Int64Value]("list")
	empties := actors.Define("list", actors.Handle(empty, func(*list, *actors.Tx, Get) (*wrapperspb.Int64Value, error) { return nil, nil }))

	require.Empty(t, failed(func(tb actors.TB) { note.Given(tb, notes).When(Noted{}) }))
	require.Contains(t, failed(func(tb actors.TB) { note.Given(tb, notes).When(Noted{hidden: "x"}) }), "test.noted does not survive its encoding")
	require.Contains(t, failed(func(tb actors.TB) { note.Given(tb, notes).When(Noted{Text: "x"}) }), "test.noted does not survive its encoding")
	require.Contains(t, failed(func(tb actors.TB) { empty.Given(tb, empties).When(Get{}) }), "encode google.protobuf.Int64Value: invalid: google.protobuf.Int64Value is nil")
}

// A handler that only compares with the clock is found where the clock can be moved; a
// time that the test has given may be in what is decided.
func TestKitMovesTheClock(t *testing.T) {
	t.Parallel()
	begin := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
	late := actors.Define("list", actors.On((*list).kept), actors.Handle(PutInto, func(_ *list, tx *actors.Tx, _ Put) (Seen, error) {
		if time.Now().After(begin) {
			tx.Raise(Kept{Tag: "late"})
		}
		return Seen{}, nil
	}))
	synctest.Test(t, func(t *testing.T) {
		require.Contains(t, failed(func(tb actors.TB) { PutInto.Given(tb, late).When(Put{}) }), "deciding again gave another result; is a clock")
	})

	given := actors.NewCommand[Timed, Seen]("list")
	timed := actors.Define("list", actors.On(func(*list, Timed) {}), actors.Handle(given, func(_ *list, tx *actors.Tx, c Timed) (Seen, error) {
		tx.Raise(c)
		return Seen{}, nil
	}))
	today := Timed{At: time.Now().UTC().Round(0), Unix: time.Now().Unix()}
	given.Given(t, timed).When(today).Then(today)
	PutInto.Given(t, lists()).At(time.Now()).When(Put{Tag: "today"}).Then(Kept{Tag: "today"})
}

// Mistakes of the test read differently from those of the definition.
func TestKitArrangement(t *testing.T) {
	t.Parallel()
	elsewhere := actors.NewCommand[Put, Seen]("elsewhere")
	otherReply := actors.NewCommand[Put, Kept]("list")
	unhandled := actors.NewCommand[Look, Seen]("list")
	for name, c := range map[string]struct {
		test func(actors.TB)
		says string
	}{
		"nil definition":    {func(tb actors.TB) { PutInto.Given(tb, nil) }, "arrange: the definition is nil"},
		"typed nil":         {func(tb actors.TB) { PutInto.Given(tb, (*actors.Aggregate[list])(nil)) }, "arrange: the definition is nil"},
		"broken definition": {func(tb actors.TB) { PutInto.Given(tb, lists(actors.On((*list).kept))) }, "arrange: aggregate list: event test.kept is applied twice"},
		"another kind":      {func(tb actors.TB) { elsewhere.Given(tb, lists()) }, `arrange: the contract belongs to kind "elsewhere", the definition to "list"`},
		"another reply":     {func(tb actors.TB) { otherReply.Given(tb, lists()) }, "arrange: test.put is answered by actors_test.Seen, not by actors_test.Kept"},
		"unhandled":         {func(tb actors.TB) { unhandled.Given(tb, lists()) }, "arrange: kind list does not handle actors_test.Look: add a Handle"},
		"event without On":  {func(tb actors.TB) { PutInto.Given(tb, lists(), Unknown{}).When(Put{}) }, "arrange: actors_test.Unknown has no On in kind list: add one"},
		"event nil":         {func(tb actors.TB) { PutInto.Given(tb, lists(), nil).When(Put{}) }, "arrange: an event is nil"},
		"command nil":       {func(tb actors.TB) { Deposit.Given(tb, Accounts).When(nil) }, "encode google.protobuf.Int64Value"},
		"other events":      {func(tb actors.TB) { PutInto.Given(tb, lists()).When(Put{Tag: "x"}).Then(Kept{Tag: "y"}) }, "events:\n want actors_test.Kept{Tag:\"y\", Pad:\"\", Float:0}\n got  actors_test.Kept{Tag:\"x\", Pad:\"\", Float:0}\n differ at [0].Tag: \"y\", not \"x\""},
		"no events":         {func(tb actors.TB) { PutInto.Given(tb, lists()).When(Put{Tag: "x"}).Then() }, "events:\n want none\n got  actors_test.Kept"},
		"fewer events":      {func(tb actors.TB) { PutInto.Given(tb, lists()).When(Put{Events: 2}).Then(Kept{Tag: ".0"}) }, "events:\n want"},
		"other type":        {func(tb actors.TB) { PutInto.Given(tb, lists()).When(Put{Tag: "x"}).Then(&Kept{Tag: "x"}) }, "want &actors_test.Kept{Tag:\"x\""},
		"other order": {func(tb actors.TB) {
			PutInto.Given(tb, lists()).When(Put{Events: 2}).Then(Kept{Tag: ".1"}, Kept{Tag: ".0"})
		}, "events:\n want"},
		"another answer": {func(tb actors.TB) { GetOf.Given(tb, lists()).When(Get{}).Reply(Seen{Version: 1}) }, "reply:\n want actors_test.Seen{Tags:{}, Version:1}\n got  actors_test.Seen{Tags:{}, Version:0}\n differ at Version: 1, not 0"},
		"protobuf answer": {func(tb actors.TB) {
			Deposit.Given(tb, Accounts).When(wrapperspb.Int64(4)).Reply(wrapperspb.String("5"))
		}, "reply:\n want"},
		"Then of a failure":  {func(tb actors.TB) { PutInto.Given(tb, lists()).When(Put{Do: reject}).Then() }, "the command failed: no"},
		"Reply of a failure": {func(tb actors.TB) { PutInto.Given(tb, lists()).When(Put{Do: reject}).Reply(Seen{}) }, "the command failed: no"},
		"no failure":         {func(tb actors.TB) { PutInto.Given(tb, lists()).When(Put{Tag: "x"}).Fails(errRejected) }, "want error no, got <nil> and events actors_test.Kept{Tag:\"x\""},
		"another failure":    {func(tb actors.TB) { PutInto.Given(tb, lists()).When(Put{Do: reject}).Fails(persistence.ErrConflict) }, "want error conflict, got no and events none"},
		"any failure":        {func(tb actors.TB) { PutInto.Given(tb, lists()).When(Put{Tag: "x"}).Fails(nil) }, "want error <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, failed(c.test), c.says)
		})
	}
	require.PanicsWithValue(t, "secret x", func() { PutInto.Given(t, lists()).When(Put{Tag: "x", Do: panics}) })
}

// What became of a sent command, and an event that is heard, are no command to ask. The
// chain says so by its text, and the clock may be chosen on the way.
func TestKitOfSentAndHeard(t *testing.T) {
	t.Parallel()
	var now time.Time
	of := actors.Define("list", actors.On((*list).kept), actors.Handle(GetOf, func(*list, *actors.Tx, Get) (Seen, error) { return Seen{}, nil }),
		actors.Result(PutInto, func(_ *list, tx *actors.Tx, _ Seen, err error) error {
			now = tx.Now()
			tx.Raise(Kept{Tag: "done"})
			return nil
		}),
		actors.React(func(actors.Event[Kept]) string { return "x" }, func(_ *list, tx *actors.Tx, _ actors.Event[Kept]) error { return nil }))
	at := time.Date(2026, 7, 1, 2, 0, 0, 0, time.UTC)

	PutInto.Sent(t, of).At(at).Replies(Seen{}).Then(Kept{Tag: "done"})
	require.Equal(t, at, now)
	PutInto.Sent(t, of).ID("a").At(at).Fails(errRejected).Then(Kept{Tag: "done"})

	const sent, heard = "to hear what became of a command, write Sent(…).Replies(reply) or Sent(…).Fails(err)", "to hear an event, write Hears[…](…).When(event)"
	for says, tests := range map[string][]func(actors.TB){
		sent: {
			func(tb actors.TB) { PutInto.Sent(tb, of).When(Put{}) },
			func(tb actors.TB) { PutInto.Sent(tb, of).At(at).When(Put{}) },
			func(tb actors.TB) { PutInto.Sent(tb, of).Scenario.ID("a").When(Put{}) },
			func(tb actors.TB) { GetOf.Sent(tb, of).When(Get{}) }, // which it also handles
		},
		heard: {
			func(tb actors.TB) { actors.Hears[Kept](tb, of).Scenario.When(Kept{}) },
			func(tb actors.TB) { actors.Hears[Kept](tb, of).At(at).Scenario.ID("x").When(Kept{}) },
		},
	} {
		for _, test := range tests {
			require.Contains(t, failed(test), says)
		}
	}
}

// Rich is a state of everything that a comparison could stumble over.
type rich struct {
	message  *durationpb.Duration
	messages map[string]*structpb.Value
	at       time.Time
	times    map[string]time.Time
	any      any
	self     *rich
	floats   []float64
	empty    []string
	names    map[string]int
	act      func()
	pair     [2]*wrapperspb.StringValue
}

// Rich states are compared by what they mean: no false alarm, and still no
// change goes unseen.
func TestKitComparesStates(t *testing.T) {
	t.Parallel()
	act := func() {}
	berlin := time.FixedZone("CET", 3600)
	fold := func(s *rich, e Timed) {
		*s = rich{
			message: durationpb.New(time.Second), messages: map[string]*structpb.Value{"a": structpb.NewStringValue("x")},
			at: e.At, times: map[string]time.Time{"a": e.At.UTC()}, any: wrapperspb.Bool(true), self: s,
			floats: []float64{math.NaN(), 1}, empty: []string{}, names: map[string]int{"a": 1, "b": 2, "c": 3}, act: act,
			pair: [2]*wrapperspb.StringValue{wrapperspb.String("x"), nil},
		}
	}
	for name, change := range map[string]func(*rich){
		"":                  func(*rich) {},
		"empty for nil":     func(s *rich) { s.empty = nil },
		"same instant":      func(s *rich) { s.at = s.at.In(berlin) },
		"message":           func(s *rich) { s.message.Seconds++ },
		"message in a map":  func(s *rich) { s.messages["a"] = structpb.NewStringValue("y") },
		"message in an any": func(s *rich) { s.any = wrapperspb.Bool(false) },
		"type in an any":    func(s *rich) { s.any = 1 },
		"nil in an any":     func(s *rich) { s.any = nil },
		"message lost":      func(s *rich) { s.message = nil },
		"message in a pair": func(s *rich) { s.pair[1] = wrapperspb.String("") },
		"time":              func(s *rich) { s.at = s.at.Add(1) },
		"time in a map":     func(s *rich) { s.times["a"] = s.times["a"].Add(1) },
		"float":             func(s *rich) { s.floats[1] = 2 },
		"longer":            func(s *rich) { s.floats = append(s.floats, 3) },
		"map":               func(s *rich) { s.names["a"]++ },
		"map key":           func(s *rich) { delete(s.names, "a"); s.names["z"] = 1 },
		"map smaller":       func(s *rich) { delete(s.names, "a") },
		"function":          func(s *rich) { s.act = nil },
		"self":              func(s *rich) { s.self = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := actors.NewCommand[Put, Seen]("rich")
			definition := actors.Define("rich", actors.On(fold), actors.Handle(command, func(s *rich, tx *actors.Tx, _ Put) (Seen, error) {
				tx.Raise(Timed{At: tx.Now().In(berlin)})
				change(s)
				return Seen{}, nil
			}))

			said := failed(func(tb actors.TB) {
				command.Given(tb, definition).When(Put{}).Then(Timed{At: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)})
			})

			if name == "" || name == "empty for nil" || name == "same instant" {
				require.Empty(t, said)
				return
			}
			require.Contains(t, said, "the state changed outside an On method")
		})
	}
}
