package actors

import (
	"reflect"
	"slices"
	"time"

	"github.com/stele-es/stele/internal/compare"
)

// Sending is a command that a handler sends, for [Outcome.Sends]. Make one with
// [Command.To].
type Sending struct {
	kind, id string
	command  any
	after    time.Duration
	key      string
}

// To is the command sent to the aggregate of this id.
func (c Command[C, R]) To(id string, command C) Sending {
	return Sending{kind: c.kind, id: id, command: command}
}

// After is the command sent as a timer.
func (s Sending) After(delay time.Duration) Sending {
	s.after = delay
	return s
}

// Key is the command sent under a key.
func (s Sending) Key(key string) Sending {
	s.key = key
	return s
}

// Sends checks the commands sent, all of them and in order. Without arguments it
// checks that there were none.
func (r Outcome[R]) Sends(want ...Sending) Outcome[R] {
	r.t.Helper()
	r.succeeded()
	if d := compare.First(want, r.sends); d != nil {
		r.t.Fatalf("sends:\n want %s\n got  %s\n differ at %s", compare.Show(want), compare.Show(r.sends), d)
	}
	return r
}

// Cancels checks that what was sent under a key is taken back.
func (r Outcome[R]) Cancels(key string) Outcome[R] {
	r.t.Helper()
	r.succeeded()
	if !slices.Contains(r.cancels, key) {
		r.t.Fatalf("nothing under the key %q is cancelled, only under %q", key, r.cancels)
	}
	return r
}

// Answer is an aggregate about to hear the outcome of a command that it sent. See
// [Command.Sent].
type Answer[C, R any] struct{ Scenario[C, R] }

// Sent begins a scenario like [Command.Given], of an aggregate that has sent the
// command and hears what became of it: that is said by [Answer.Replies] or [Answer.Fails],
// and not by When, which fails the test.
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

// At chooses the time at which the aggregate hears of it.
func (a Answer[C, R]) At(now time.Time) Answer[C, R] {
	a.Scenario = a.Scenario.At(now)
	return a
}

// Replies lets the command have this reply.
func (a Answer[C, R]) Replies(reply R) Outcome[R] {
	a.t.Helper()
	h := a.result()
	return a.lead(reply, func() decision[R] { return a.decide(h, &outcome{reply: a.stored(h.reply, reply)}) })
}

// Fails lets the command have been refused. An error that was not made by [NewError]
// reaches the aggregate with its text only, unless the kind that refuses registers it;
// here it comes as it is.
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
