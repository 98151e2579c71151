package actors

import (
	"errors"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// TB is what the test kit needs of *testing.T, so that no program links package
// testing.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Scenario is an aggregate with a history, about to be asked. See [Command.Given].
type Scenario[C, R any] struct {
	t       TB
	d       *definition
	history []any
	version persistence.Version
}

// Given begins a scenario: an aggregate of this definition with this history.
//
//	Withdraw.Given(t, Accounts, &bankpb.Opened{}, &bankpb.Deposited{Cents: 100}).
//		When(&bankpb.Withdraw{Cents: 30}).
//		Then(&bankpb.Withdrawn{Cents: 30}).
//		Reply(&bankpb.Balance{Cents: 70})
//
// It stops the test when the definition is wrong or has no On for an event.
func (c Command[C, R]) Given(t TB, of Definition, history ...any) Scenario[C, R] {
	t.Helper()
	d := of.definition()
	if err := d.check(); err != nil {
		t.Fatalf("arrange: %v", err)
	}
	return Scenario[C, R]{t: t, d: d, history: history}
}

// Result is what a command led to.
type Result[R any] struct {
	t      TB
	events []any
	reply  R
	err    error
}

// When asks the command. Beyond that it proves that the decision can be relied
// on, and stops the test when it cannot: replaying history and events gives the
// live state, so nothing changed outside an On; deciding again on a fresh state
// gives the same events and reply, so no clock, chance or map order is hidden in
// the handler; every message survives its encoding; a rejection raised nothing.
func (s Scenario[C, R]) When(command C) Result[R] {
	s.t.Helper()
	first := s.decide(command)
	second := s.decide(command)
	s.compare(first, second)
	return Result[R]{t: s.t, events: first.events, reply: first.reply, err: first.err}
}

type decision[R any] struct {
	state  any
	events []any
	reply  R
	err    error
}

// decide folds the history and runs the handler once.
func (s Scenario[C, R]) decide(command C) decision[R] {
	s.t.Helper()
	h := s.d.handlers[reflect.TypeFor[C]()]
	if h == nil {
		s.t.Fatalf("arrange: kind %s does not handle %s", s.d.kind, reflect.TypeFor[C]())
	}
	state := s.replay(s.history)
	tx := &Tx{
		ID: "test", Version: persistence.Version(len(s.history)), CommandID: persistence.CommandID{1},
		state: state, on: s.d, now: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	reply, err := h.decide(state, tx, s.stored(h.command, command))
	d := decision[R]{state: state, err: errors.Join(tx.problem)}
	if err != nil {
		d.err = err
	}
	for _, r := range tx.raised {
		d.events = append(d.events, s.stored(r.event, r.value))
	}
	if d.err == nil {
		d.reply, _ = s.reply(h, reply).(R)
	}
	return d
}

func (s Scenario[C, R]) reply(h *handler, reply any) any {
	s.t.Helper()
	of, err := codec.Of[R]()
	if err != nil {
		s.t.Fatalf("reply to %s: %v", h.command.Name(), err)
	}
	return s.stored(of, reply)
}

// stored is a message as it comes back from its encoding.
func (s Scenario[C, R]) stored(of *codec.Type, message any) any {
	s.t.Helper()
	data, err := of.Encode(message)
	if err != nil {
		s.t.Fatalf("encode %s: %v", of.Name(), err)
	}
	back, err := of.Decode(data)
	if err != nil {
		s.t.Fatalf("%s does not survive its encoding: %v", of.Name(), err)
	}
	if !same(message, back) {
		s.t.Fatalf("%s does not survive its encoding:\n before %+v\n after  %+v", of.Name(), message, back)
	}
	return back
}

// replay folds events into a new state.
func (s Scenario[C, R]) replay(events []any) any {
	s.t.Helper()
	state := s.d.newState()
	for _, event := range events {
		on := s.d.appliers[reflect.TypeOf(event)]
		if on == nil {
			s.t.Fatalf("arrange: kind %s has no On for %T", s.d.kind, event)
		}
		on.apply(state, s.stored(on.event, event))
	}
	return state
}

func (s Scenario[C, R]) compare(first, second decision[R]) {
	s.t.Helper()
	if first.err != nil && len(first.events) > 0 {
		s.t.Fatalf("the command raised %v and then failed with %v: decide first, raise after", first.events, first.err)
	}
	if replayed := s.replay(append(s.history[:len(s.history):len(s.history)], first.events...)); !same(first.state, replayed) {
		s.t.Fatalf("the state changed outside an On method:\n live   %+v\n replay %+v", first.state, replayed)
	}
	if !same(first.events, second.events) || !same(first.reply, second.reply) || (first.err == nil) != (second.err == nil) {
		s.t.Fatalf("deciding again gave another result; is a clock, chance or map order in the handler?\n first  %+v %+v %v\n second %+v %+v %v",
			first.events, first.reply, first.err, second.events, second.reply, second.err)
	}
}

// same compares messages and states by value; protobuf messages in the protobuf
// way, also inside slices.
func same(a, b any) bool {
	if m, ok := a.(proto.Message); ok {
		n, ok := b.(proto.Message)
		return ok && proto.Equal(m, n)
	}
	if list, ok := a.([]any); ok {
		other, ok := b.([]any)
		if !ok || len(list) != len(other) {
			return false
		}
		for i := range list {
			if !same(list[i], other[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// Then checks the events raised, all of them and in order. Without arguments it
// checks that there were none.
func (r Result[R]) Then(want ...any) Result[R] {
	r.t.Helper()
	if r.err != nil {
		r.t.Fatalf("the command failed: %v", r.err)
	}
	if len(want) != len(r.events) {
		r.t.Fatalf("want %d events %+v, got %d %+v", len(want), want, len(r.events), r.events)
	}
	for i := range want {
		if !same(want[i], r.events[i]) {
			r.t.Fatalf("event %d:\n want %T %+v\n got  %T %+v", i, want[i], want[i], r.events[i], r.events[i])
		}
	}
	return r
}

// Reply checks the reply.
func (r Result[R]) Reply(want R) Result[R] {
	r.t.Helper()
	if r.err != nil {
		r.t.Fatalf("the command failed: %v", r.err)
	}
	if !same(want, r.reply) {
		r.t.Fatalf("reply:\n want %+v\n got  %+v", want, r.reply)
	}
	return r
}

// Fails checks that the command was refused with an error that errors.Is finds.
func (r Result[R]) Fails(want error) {
	r.t.Helper()
	if !errors.Is(r.err, want) {
		r.t.Fatalf("want error %v, got %v and events %+v", want, r.err, r.events)
	}
}
