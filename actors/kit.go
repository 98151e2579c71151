package actors

import (
	"reflect"
	"slices"
	"time"

	"github.com/stele-es/stele/internal/compare"
	"github.com/stele-es/stele/persistence"
)

// Sending is a command that a handler sends, for [Outcome.Sends]. Make one with
// [Command.To].
type Sending struct {
	kind, id string
	command  any
	after    time.Duration
	key      string
}

// To returns the command as sent to the aggregate of this id.
func (c Command[C, R]) To(id string, command C) Sending {
	return Sending{kind: c.kind, id: id, command: command}
}

// After returns the command as sent with a delay: a timer.
func (s Sending) After(delay time.Duration) Sending {
	s.after = delay
	return s
}

// Key returns the command as sent under a key.
func (s Sending) Key(key string) Sending {
	s.key = key
	return s
}

// Sends checks all commands that were sent, in order. Without arguments it checks that
// there were none.
func (r Outcome[R]) Sends(want ...Sending) Outcome[R] {
	r.t.Helper()
	r.succeeded()
	if d := compare.First(want, r.sends); d != nil {
		r.t.Fatalf("sends:\n want %s\n got  %s\n differ at %s", compare.Show(want), compare.Show(r.sends), d)
	}
	return r
}

// Cancels checks that the commands sent under a key are cancelled.
func (r Outcome[R]) Cancels(key string) Outcome[R] {
	r.t.Helper()
	r.succeeded()
	if !slices.Contains(r.cancels, key) {
		r.t.Fatalf("nothing under the key %q is cancelled, only under %q", key, r.cancels)
	}
	return r
}

// Answer is a scenario of an aggregate that hears the outcome of a command which it has
// sent. See [Command.Sent].
type Answer[C, R any] struct{ Scenario[C, R] }

// Sent begins a scenario like [Command.Given], of an aggregate that has sent the command and
// hears its outcome. Go on with [Answer.Replies] or [Answer.Fails]; When fails the test.
//
//	Withdraw.Sent(t, Transfers, &bankpb.TransferStarted{…}).
//		Fails(ErrInsufficient).
//		Then(&bankpb.TransferFailed{Reason: "insufficient funds"}).
//		Sends()
func (c Command[C, R]) Sent(t TB, by Definition, history ...any) Answer[C, R] {
	t.Helper()
	if by == nil || by.definition() == nil {
		t.Fatalf("arrange: the definition is nil")
	}
	d := by.definition()
	if err := d.check(); err != nil {
		t.Fatalf("arrange: %v", err)
	}
	return Answer[C, R]{Scenario[C, R]{
		t: t, d: d, history: history, id: "test", now: scenarioTime,
		instead: "to hear what became of a command, write Sent(…).Replies(reply) or Sent(…).Fails(err)",
	}}
}

// ID chooses the aggregate's id.
func (a Answer[C, R]) ID(id string) Answer[C, R] {
	a.id = id
	return a
}

// At chooses the time at which the aggregate hears the outcome.
func (a Answer[C, R]) At(now time.Time) Answer[C, R] {
	a.Scenario = a.Scenario.At(now)
	return a
}

// Replies says that the command had this reply.
func (a Answer[C, R]) Replies(reply R) Outcome[R] {
	a.t.Helper()
	h := a.result()
	return a.lead(reply, func() decision[R] { return a.decide(h, &outcome{reply: a.stored(h.reply, reply)}) })
}

// Fails says that the command was refused with an error. In a system an error that was not
// made by [NewError] reaches the aggregate with its text only, unless the kind that refuses
// registers it; here it comes as it is.
func (a Answer[C, R]) Fails(err error) Outcome[R] {
	a.t.Helper()
	h := a.result()
	return a.lead(err, func() decision[R] { return a.decide(h, &outcome{err: err}) })
}

func (a Answer[C, R]) result() *handler {
	a.t.Helper()
	for _, h := range a.d.results {
		if h.command.GoType() == reflect.TypeFor[C]() {
			return h
		}
	}
	a.t.Fatalf("arrange: kind %s has no Result for %s", a.d.kind, reflect.TypeFor[C]())
	return nil
}

// Reaction is a scenario of an aggregate that reacts to an event. See [Hears].
type Reaction[E any] struct{ Scenario[E, E] }

// Hears begins a scenario like [Command.Given], of an aggregate that reacts to an event. The
// history is that of the aggregate which the event names.
//
//	actors.Hears[Paid](t, orders, Placed{…}).
//		When(Paid{Order: "7"}).
//		Then(Settled{}).
//		Sends(ship.To("7", Ship{}))
func Hears[E any](t TB, by Definition, history ...any) Reaction[E] {
	t.Helper()
	if by == nil || by.definition() == nil {
		t.Fatalf("arrange: the definition is nil")
	}
	d := by.definition()
	if err := d.check(); err != nil {
		t.Fatalf("arrange: %v", err)
	}
	r := Reaction[E]{Scenario[E, E]{
		t: t, d: d, history: history, now: scenarioTime,
		instead: "to hear an event, write Hears[…](…).When(event), and not When of its Scenario",
	}}
	r.reacts = &persistence.Recorded{Stream: "test-test", Version: 1, Position: persistence.Position{Offset: 1}, At: r.now}
	r.reacts.ID = persistence.EventID{1}
	r.reacts.Type = r.reaction().command.Name()
	return r
}

// ID says which aggregate has to react; without it any may.
func (r Reaction[E]) ID(id string) Reaction[E] {
	r.id = id
	return r
}

// At chooses the time of the event and of the reaction.
func (r Reaction[E]) At(now time.Time) Reaction[E] {
	r.now = now.UTC().Round(0)
	return r.about(func(event *persistence.Recorded) { event.At = r.now })
}

// From says in which stream the event stands; it is "test-test" otherwise.
func (r Reaction[E]) From(stream persistence.StreamID) Reaction[E] {
	return r.about(func(event *persistence.Recorded) { event.Stream = stream })
}

func (r Reaction[E]) about(change func(*persistence.Recorded)) Reaction[E] {
	changed := *r.reacts
	change(&changed)
	r.reacts = &changed
	return r
}

// When has the aggregate react to the event, and proves the same as [Scenario.When].
func (r Reaction[E]) When(event E) Outcome[E] {
	r.t.Helper()
	on, id := r.reaction(), r.key(event)
	switch {
	case id == "":
		r.t.Fatalf("nobody reacts to %s: its key is empty", compare.Show(event))
	case r.id != "" && r.id != id:
		r.t.Fatalf("the key of %s:\n want %q\n got  %q", compare.Show(event), r.id, id)
	}
	r.id = id
	return r.lead(event, func() decision[E] { return r.decide(&on.handler, r.stored(on.command, event)) })
}

// Ignores checks that nobody reacts to an event, because its key is empty.
func (r Reaction[E]) Ignores(event E) {
	r.t.Helper()
	if id := r.key(event); id != "" {
		r.t.Fatalf("%q reacts to %s", id, compare.Show(event))
	}
}

func (r Reaction[E]) key(event E) string {
	r.t.Helper()
	on := r.reaction()
	return on.key(r.reacts, r.stored(on.command, event))
}

func (r Reaction[E]) reaction() *reaction {
	r.t.Helper()
	for _, on := range r.d.reactions {
		if on.command.GoType() == reflect.TypeFor[E]() {
			return on
		}
	}
	r.t.Fatalf("arrange: kind %s does not react to %s: add a React", r.d.kind, reflect.TypeFor[E]())
	return nil
}
