package actors

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/stele-es/stele/actors/internal/wallclock"
	"github.com/stele-es/stele/internal/compare"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// TB is the part of *testing.T that the test kit needs, so that no program links package
// testing. Fatalf must not return.
type TB interface {
	Helper()                           // marks the caller as a helper
	Fatalf(format string, args ...any) // fails the test and ends its goroutine
}

// Scenario is an aggregate with a history, which a command is asked. See [Command.Given].
type Scenario[C, R any] struct {
	t       TB
	d       *definition
	history []any
	id      string
	now     time.Time
	reacts  *persistence.Recorded
	instead string // of When: what to write, when no command is asked
}

// Given begins a scenario: an aggregate of this definition with this history.
//
//	Withdraw.Given(t, Accounts, &bankpb.Opened{}, &bankpb.Deposited{Cents: 100}).
//		When(&bankpb.Withdraw{Cents: 30}).
//		Then(&bankpb.Withdrawn{Cents: 30}).
//		Reply(&bankpb.Balance{Cents: 70})
//
// It stops the test when the definition is wrong or has no On for an event. The id of the
// aggregate is "test", and the time is the beginning of the year 2000; [Scenario.ID] and
// [Scenario.At] choose others.
func (c Command[C, R]) Given(t TB, of Definition, history ...any) Scenario[C, R] {
	t.Helper()
	if of == nil || of.definition() == nil {
		t.Fatalf("arrange: the definition is nil")
	}
	d := of.definition()
	if err := d.check(); err != nil {
		t.Fatalf("arrange: %v", err)
	}
	if c.kind != d.kind {
		t.Fatalf("arrange: the contract belongs to kind %q, the definition to %q", c.kind, d.kind)
	}
	h := d.handlers[reflect.TypeFor[C]()]
	switch {
	case h == nil:
		t.Fatalf("arrange: kind %s does not handle %s: add a Handle", d.kind, reflect.TypeFor[C]())
	case h.reply.GoType() != reflect.TypeFor[R]():
		t.Fatalf("arrange: %s is answered by %s, not by %s", h.command.Name(), h.reply.GoType(), reflect.TypeFor[R]())
	}
	return Scenario[C, R]{t: t, d: d, history: history, id: "test", now: scenarioTime}
}

var scenarioTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// ID chooses the aggregate's id, as the handler sees it in [Tx.ID].
func (s Scenario[C, R]) ID(id string) Scenario[C, R] {
	s.id = id
	return s
}

// At chooses the time of the command, as the handler sees it in [Tx.Now].
func (s Scenario[C, R]) At(now time.Time) Scenario[C, R] {
	s.now = now.UTC().Round(0)
	return s
}

// Outcome is the outcome of a scenario.
type Outcome[R any] struct {
	t       TB
	events  []any
	sends   []Sending
	cancels []string
	reply   R
	err     error
}

// decisions is the number of times that When decides a command. A map of two entries has
// the same order in all of them in one of a thousand tests.
const decisions = 11

// When asks the command. It also proves that the decision is reliable, and stops the test
// otherwise:
//
//   - replaying the history and the events gives the live state, so that nothing was changed
//     outside an On; so does a snapshot, if the kind keeps any;
//   - deciding again on a fresh state, at another time of the machine's clock, gives the same
//     events and reply, so that no clock, chance or map order is hidden in the handler;
//   - every message comes back whole from its encoding;
//   - a rejection raised nothing.
//
// In a bubble of testing/synctest the clock stands still, so When moves it by 25 hours.
// Elsewhere it searches the decision for the time of the machine, unless that stands in the
// history, the command or [Scenario.At]. A handler that only compares times with the clock
// is found in a bubble.
func (s Scenario[C, R]) When(command C) Outcome[R] {
	s.t.Helper()
	if s.instead != "" {
		s.t.Fatalf("arrange: When asks the aggregate a command, and this one is not asked: %s", s.instead)
	}
	h := s.d.handlers[reflect.TypeFor[C]()]
	return s.lead(command, func() decision[R] { return s.decide(h, s.stored(h.command, command)) })
}

// lead decides, and proves that the decision is reliable.
func (s Scenario[C, R]) lead(about any, decide func() decision[R]) Outcome[R] {
	s.t.Helper()
	clock := wallclock.Span{From: time.Now()}
	first := decide()
	s.check(first)
	wallclock.Advance()
	for range decisions - 1 {
		s.compare(first, decide())
	}
	clock.Until = time.Now()
	s.checkClock(clock, about, first)
	return Outcome[R]{t: s.t, events: first.events, sends: first.sends, cancels: first.cancels, reply: first.reply, err: first.err}
}

// checkClock proves that the time of the machine is not in what was decided.
func (s Scenario[C, R]) checkClock(clock wallclock.Span, about any, d decision[R]) {
	s.t.Helper()
	if _, found := clock.Find([]any{s.history, about, s.now, s.id}); found {
		return // so it may come from there
	}
	var commands []any
	for _, sent := range d.sends {
		commands = append(commands, sent.command)
	}
	for what, value := range map[string]any{"the events": d.events, "what is sent": commands, "the reply": d.reply} {
		if at, found := clock.Find(value); found {
			s.t.Fatalf("the time of this machine is in %s, at %s: take the time from tx.Now or from the command, because it is decided again after a conflict", what, strings.TrimPrefix(at, "."))
		}
	}
}

type decision[R any] struct {
	state   any
	events  []any
	sends   []Sending
	cancels []string
	reply   R
	err     error
}

// decide folds the history and runs the handler once.
func (s Scenario[C, R]) decide(h *handler, message any) decision[R] {
	s.t.Helper()
	d := decision[R]{state: s.replay(s.history)}
	tx := &Tx{
		ID: s.id, Version: persistence.Version(len(s.history)), CommandID: persistence.CommandID{1},
		state: d.state, on: s.d, now: s.now, reacts: s.reacts,
	}
	tx.observe = func(of *codec.Type, event any) { d.events = append(d.events, s.stored(of, event)) }
	reply, err := h.decide(d.state, tx, message)
	tx.state = nil
	if tx.problem != nil { // a mistake in the definition, whatever the handler made of it
		s.t.Fatalf("raise: %v", tx.problem)
	}
	for _, sent := range tx.sends {
		d.sends = append(d.sends, Sending{sent.GetKind(), sent.GetId(), sent.message, sent.due().Sub(s.now), sent.GetKey()})
	}
	d.cancels = tx.cancelled
	if d.err = err; err == nil && reply != nil {
		d.reply, _ = s.stored(h.reply, reply).(R)
	}
	return d
}

// stored returns a message as it comes back from its encoding.
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
	if d := compare.First(message, back); d != nil {
		s.t.Fatalf("%s does not survive its encoding; what do its marshallers leave out?\n before %s\n after  %s\n differ at %s", of.Name(), compare.Show(message), compare.Show(back), d)
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
			s.t.Fatalf("arrange: %s", s.d.withoutOn(event))
		}
		on.apply(state, s.stored(on.event, event))
	}
	return state
}

// check proves that a decision is reliable.
func (s Scenario[C, R]) check(d decision[R]) {
	s.t.Helper()
	if d.err != nil && len(d.events) > 0 {
		s.t.Fatalf("the command raised %s and then failed with %v: decide first, raise after", show(d.events), d.err)
	}
	s.checkSnapshot(d.state)
	history := append(slices.Clip(s.history), d.events...)
	if replayed := s.replay(history); !compare.Equal(d.state, replayed) {
		s.t.Fatalf("the state changed outside an On method, or an On depends on more than state and event:\n live   %s\n replay %s\n differ at %s",
			compare.Show(d.state), compare.Show(replayed), compare.First(d.state, replayed))
	}
}

// checkSnapshot proves that a snapshot holds the whole state.
func (s Scenario[C, R]) checkSnapshot(state any) {
	s.t.Helper()
	of := s.d.snapshots
	if of == nil {
		return
	}
	saved := state
	if of.save != nil {
		saved = of.save(state)
	}
	data, err := of.codec.Encode(saved)
	if err != nil {
		s.t.Fatalf("encode a snapshot: %v", err)
	}
	back, err := of.decode(data)
	if err != nil {
		s.t.Fatalf("decode a snapshot: %v", err)
	}
	if d := compare.First(state, back); d != nil {
		s.t.Fatalf("the state does not survive a snapshot:\n live      %s\n snapshot  %s\n differ at %s", compare.Show(state), compare.Show(back), d)
	}
}

// compare proves that deciding again makes no difference.
func (s Scenario[C, R]) compare(first, again decision[R]) {
	s.t.Helper()
	var differ *compare.Difference
	for _, pair := range [][2]any{{first.events, again.events}, {first.sends, again.sends}, {first.reply, again.reply}} {
		if differ == nil {
			differ = compare.First(pair[0], pair[1])
		}
	}
	if differ == nil && (first.err == nil) == (again.err == nil) {
		return
	}
	at := ""
	if differ != nil {
		at = "\n differ at " + differ.String()
	}
	s.t.Fatalf("deciding again gave another result; is a clock, chance or map order in the handler?\n first  %s; reply %s; error %v\n second %s; reply %s; error %v%s",
		show(first.events), compare.Show(first.reply), first.err, show(again.events), compare.Show(again.reply), again.err, at)
}

// Then checks all events that were raised, in order. Without arguments it checks that there
// were none.
func (r Outcome[R]) Then(want ...any) Outcome[R] {
	r.t.Helper()
	r.succeeded()
	if d := compare.First(want, r.events); d != nil {
		r.t.Fatalf("events:\n want %s\n got  %s\n differ at %s", show(want), show(r.events), d)
	}
	return r
}

// Reply checks the reply.
func (r Outcome[R]) Reply(want R) Outcome[R] {
	r.t.Helper()
	r.succeeded()
	if d := compare.First(want, r.reply); d != nil {
		r.t.Fatalf("reply:\n want %s\n got  %s\n differ at %s", compare.Show(want), compare.Show(r.reply), d)
	}
	return r
}

func (r Outcome[R]) succeeded() {
	r.t.Helper()
	if r.err != nil {
		r.t.Fatalf("the command failed: %v", r.err)
	}
}

// Fails checks that the command was refused with an error that errors.Is finds.
func (r Outcome[R]) Fails(want error) {
	r.t.Helper()
	if r.err == nil || !errors.Is(r.err, want) {
		r.t.Fatalf("want error %v, got %v and events %s", want, r.err, show(r.events))
	}
}

// show prints messages for people.
func show(messages []any) string {
	if len(messages) == 0 {
		return "none"
	}
	texts := make([]string, len(messages))
	for i, message := range messages {
		texts[i] = compare.Show(message)
	}
	return strings.Join(texts, ", ")
}
