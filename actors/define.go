package actors

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/upcast"
)

// Definition is an [Aggregate] whose state type is hidden. A [System] hosts definitions.
type Definition interface {
	// Kind returns the kind of the aggregates, which is the category of their streams.
	Kind() string

	definition() *definition
}

// Aggregate says how aggregates of one kind with state S behave. Use [Define].
type Aggregate[S any] struct{ d definition }

// definition is an Aggregate without its types, as the runtime needs it.
type definition struct {
	kind      string
	newState  func() any
	handlers  map[reflect.Type]*handler // by type of the command
	appliers  map[reflect.Type]*applier // by type of the event
	stored    map[string]*applier       // by stored name of the event
	results   map[string]*handler       // of outcomes, by stored name of the command
	process   bool                      // it sends commands
	hasSent   bool                      // it has sent commands in another program, as the journal says
	sendsTo   []string                  // kinds, as far as results say
	reactions map[string]*reaction      // to events of others, by their stored name
	since     time.Time                 // of reactions
	rejects   map[string]error          // by code
	codes     []string                  // of them, in the order of the definition
	strict    bool
	proving   bool // see [Config.ProveMessages]
	logging   Logging
	snapshots *snapshotting // nil is none
	idle      time.Duration
	problems  []error

	upcasters *upcast.Chain // of the system
	notes     *notes        // of the system, nil when its journal keeps none

	showPanics bool // the system does
}

// handler decides one type of command.
type handler struct {
	command *codec.Type
	shape   uint64 // of the command
	// protobuf says that no user code takes part in encoding the command.
	protobuf bool
	reply    *codec.Type
	decide   func(state any, tx *Tx, command any) (any, error)
	schema   persistence.SchemaID // the id of the command's schema in the journal
}

// applier changes the state by one type of event.
type applier struct {
	event  *codec.Type
	apply  func(state, event any)
	schema persistence.SchemaID // the id of the event's schema in the journal
	noted  *atomic.Bool         // the journal knows that such events may be stored
}

// Part is a piece of a definition.
type Part[S any] func(*Aggregate[S])

// Define declares the aggregates of one kind. The zero value of S is the state
// of an aggregate without events. Define never fails: mistakes are collected and
// reported all together by [Open] and by the test kit.
func Define[S any](kind string, parts ...Part[S]) *Aggregate[S] {
	a := &Aggregate[S]{d: definition{
		kind:      kind,
		newState:  func() any { return new(S) },
		handlers:  map[reflect.Type]*handler{},
		appliers:  map[reflect.Type]*applier{},
		stored:    map[string]*applier{},
		results:   map[string]*handler{},
		rejects:   map[string]error{},
		reactions: map[string]*reaction{},
	}}
	if err := persistence.CheckKind(kind); err != nil {
		a.d.problem("%w", err)
	}
	for i, part := range parts {
		if part == nil {
			a.d.problem("part %d is nil: remove it", i+1)
			continue
		}
		part(a)
	}
	a.d.completeSnapshots()
	return a
}

// Kind fulfils [Definition].
func (a *Aggregate[S]) Kind() string { return a.d.kind }

func (a *Aggregate[S]) definition() *definition {
	if a == nil {
		return nil
	}
	return &a.d
}

// Handle binds a contract to the method that decides it. Returning an error
// stores nothing and gives the error to the caller; decide first and raise
// after, because an error after [Tx.Raise] costs a replay of the aggregate.
//
// The reply belongs to the caller while the aggregate goes on, so it must not share memory
// with the state. A handler must not ask aggregates itself: its own aggregate would wait
// meanwhile, and up to [Config.AskTimeout] if it asks itself.
func Handle[S, C, R any](contract Command[C, R], decide func(*S, *Tx, C) (R, error)) Part[S] {
	return func(a *Aggregate[S]) {
		command, err := codec.Of[C]()
		if err != nil {
			a.d.problem("command %s: %w", reflect.TypeFor[C](), err)
			return
		}
		reply, err := codec.Of[R]()
		if err != nil {
			a.d.problem("reply to %s: %w", command.Name(), err)
		}
		if contract.kind != a.d.kind {
			a.d.problem("command %s belongs to kind %q: make its contract with NewCommand(%q)", command.Name(), contract.kind, a.d.kind)
		}
		if decide == nil {
			a.d.problem("command %s has a nil handler: give Handle a method", command.Name())
		}
		for _, other := range a.d.handlers {
			if other.command.Name() == command.Name() {
				a.d.problem("command %s is handled twice: remove one Handle", command.Name())
			}
		}
		a.d.handlers[command.GoType()] = &handler{
			command:  command,
			shape:    codec.Shape(command.GoType()),
			protobuf: command.Descriptor() != nil,
			reply:    reply,
			decide: func(state any, tx *Tx, message any) (any, error) {
				return decide(state.(*S), tx, message.(C))
			},
		}
	}
}

// On says how one type of event changes the state, and registers the type. The method must
// depend on nothing but the state and the event, and must not keep the event. After a panic
// in it the aggregate cannot be read until the program is mended.
func On[S, E any](apply func(*S, E)) Part[S] {
	return func(a *Aggregate[S]) {
		event, err := codec.Of[E]()
		if err != nil {
			a.d.problem("event %s: %w", reflect.TypeFor[E](), err)
			return
		}
		if a.d.stored[event.Name()] != nil {
			a.d.problem("event %s is applied twice: remove one On", event.Name())
		}
		if apply == nil {
			a.d.problem("event %s has a nil applier: give On a method", event.Name())
		}
		on := &applier{event: event, apply: func(state, message any) { apply(state.(*S), message.(E)) }}
		a.d.appliers[event.GoType()] = on
		a.d.stored[event.Name()] = on
	}
}

// Strict lets an aggregate decide a command only when the events of the command before are
// durable, instead of deciding ahead. It costs throughput on a busy aggregate, and saves
// work when conflicts are common.
func Strict[S any]() Part[S] { return func(a *Aggregate[S]) { a.d.strict = true } }

// Idle sets the time for which an unused aggregate of this kind stays in memory, in place
// of [Config.Idle]. It must be positive.
func Idle[S any](d time.Duration) Part[S] {
	return func(a *Aggregate[S]) {
		if d <= 0 {
			a.d.problem("idle time %s is not positive", d)
		}
		a.d.idle = d
	}
}

func (d *definition) problem(format string, args ...any) {
	d.problems = append(d.problems, fmt.Errorf("aggregate %s: "+format, append([]any{d.kind}, args...)...))
}

// clone returns a copy that one system may make its own.
func (d *definition) clone() *definition {
	own := *d
	own.appliers, own.stored = make(map[reflect.Type]*applier, len(d.appliers)), make(map[string]*applier, len(d.stored))
	for goType, on := range d.appliers {
		copied := *on
		copied.noted = new(atomic.Bool)
		own.appliers[goType], own.stored[on.event.Name()] = &copied, &copied
	}
	own.handlers = make(map[reflect.Type]*handler, len(d.handlers))
	for goType, h := range d.handlers {
		copied := *h
		own.handlers[goType] = &copied
	}
	return &own
}

// byName returns the handler of a command with a stored name, or nil.
func (d *definition) byName(command string) *handler {
	if d == nil {
		return nil
	}
	for _, h := range d.handlers {
		if h.command.Name() == command {
			return h
		}
	}
	return nil
}

// byLoggedName returns the handler of a name in the log, or nil: that of a command, or that of
// an event that the kind reacts to.
func (d *definition) byLoggedName(command string) *handler {
	if h := d.byName(command); h != nil {
		return h
	}
	if on := d.reactions[command]; on != nil {
		return &on.handler
	}
	return nil
}

// check returns everything that is wrong with the definition.
func (d *definition) check() error {
	problems := append(slices.Clip(d.problems), d.prove()...)
	if len(d.handlers)+len(d.reactions) == 0 {
		problems = append(problems, fmt.Errorf("aggregate %s handles no command: add a Handle", d.kind))
	}
	return errors.Join(problems...)
}

// refold folds a stored event in the form of today. The journal is not read through the
// upcasters, because an event that they drop has a version too.
func (d *definition) refold(state any, stored *persistence.Recorded) error {
	if !d.upcasters.Touches(stored.Type) {
		return d.fold(state, stored)
	}
	today, err := d.upcasters.Upcast(nil, stored)
	for i := range today {
		if err := d.fold(state, &today[i]); err != nil {
			return err
		}
	}
	return err
}

// fold applies one event to a state, or says why that cannot be done.
func (d *definition) fold(state any, recorded *persistence.Recorded) (err error) {
	if strings.HasPrefix(recorded.Type, "$") {
		return nil // events of the system count as versions, and have no On
	}
	defer func() {
		if reason := recover(); reason != nil {
			err = corrupt(recorded, fmt.Sprintf("On for %s %v", recorded.Type, ended(reason, d.showPanics)), nil)
		}
	}()
	on, event, err := d.decode(recorded)
	if err == nil {
		on.apply(state, event)
	}
	return err
}

// withoutOn says what to do about an event that a kind has no On for.
func (d *definition) withoutOn(event any) string {
	t := reflect.TypeOf(event)
	if t == nil {
		return "an event is nil"
	}
	if t.Kind() == reflect.Pointer && d.appliers[t.Elem()] != nil {
		return fmt.Sprintf("%T has no On in kind %s, %s has: raise it without &", event, d.kind, t.Elem())
	}
	if pointer := reflect.PointerTo(t); d.appliers[pointer] != nil {
		return fmt.Sprintf("%T has no On in kind %s, %s has: raise it with &", event, d.kind, pointer)
	}
	return fmt.Sprintf("%T has no On in kind %s: add one", event, d.kind)
}

// decode turns a stored event into the message that its On takes.
func (d *definition) decode(recorded *persistence.Recorded) (*applier, any, error) {
	on := d.stored[recorded.Type]
	if on == nil {
		return nil, nil, corrupt(recorded, fmt.Sprintf("kind %s has no On for event type %s", d.kind, recorded.Type), nil)
	}
	event, err := on.event.Decode(recorded.Payload)
	if err != nil {
		return nil, nil, corrupt(recorded, "the payload cannot be decoded", err)
	}
	return on, event, nil
}

func corrupt(recorded *persistence.Recorded, reason string, err error) error {
	return &persistence.CorruptError{Stream: recorded.Stream, Version: recorded.Version, Reason: reason, Err: err}
}

// Decide binds a contract to a pure function in place of a method: given the state
// and the command it returns the events, or an error that stores nothing. The reply
// is made of the state after the events. Use it with [Evolve]:
//
//	var Accounts = actors.Define("account",
//		actors.Decide(Withdraw, withdraw, balance),
//		actors.Evolve(withdrawn),
//	)
//
//	func withdraw(a Account, c Withdraw) ([]any, error)
//	func balance(a Account) Balance
//	func withdrawn(a Account, e Withdrawn) Account
//
// Functions and methods, [Handle] and [On], may stand side by side in a definition.
// A decision that needs the time or an id takes it from the command, or is a method
// and takes it from [Tx].
func Decide[S, C, R any](contract Command[C, R], decide func(state S, command C) (events []any, err error), reply func(state S) R) Part[S] {
	return func(a *Aggregate[S]) {
		if decide == nil || reply == nil {
			Handle[S](contract, nil)(a)
			return
		}
		Handle(contract, func(state *S, tx *Tx, command C) (none R, err error) {
			events, err := decide(*state, command)
			if err != nil {
				return none, err
			}
			tx.Raise(events...)
			return reply(*state), nil
		})(a)
	}
}

// Evolve says how one type of event changes the state, as a pure function in place
// of a method: see [On].
func Evolve[S, E any](evolve func(state S, event E) S) Part[S] {
	if evolve == nil {
		return On[S, E](nil)
	}
	return On(func(state *S, event E) { *state = evolve(*state, event) })
}
