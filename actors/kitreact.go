package actors

import (
	"reflect"
	"time"

	"github.com/stele-es/stele/internal/compare"
	"github.com/stele-es/stele/persistence"
)

// Reaction is an aggregate about to hear of an event. See [Hears].
type Reaction[E any] struct{ Scenario[E, E] }

// Hears begins a scenario like [Command.Given], of an aggregate that reacts to an
// event. The one that the event names has the history.
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

// When lets the event happen, and proves the same as [Scenario.When].
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
