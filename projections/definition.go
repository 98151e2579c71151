package projections

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Definition says how a projection makes a read model of events. Handlers write to a T: a
// transaction, a state, a client of some other system. Make one with [Define]. It is a
// value without any connection, and several runners may use one definition.
type Definition[T any] struct {
	spec
	handlers map[string]handler[T] // by type, of today
	any      func(context.Context, T, persistence.Recorded) error
	setup    func(context.Context, T) error
	truncate func(context.Context, T) error
	drop     func(context.Context, T) error
	activate func(context.Context, T) error
	erased   func(context.Context, T, string) error
}

// spec is the part of a definition that the runner needs, whatever its target.
type spec struct {
	name     string
	version  int
	source   source
	types    []string // handled, sorted; none when every event is
	erasures bool     // has OnErased
	workers  int
	policy   Policy
	retries  int
	backoff  time.Duration
	timeout  time.Duration
	timed    bool // timeout was given
	lane     func(*persistence.Recorded) string
	grows    bool // it may choose other events from now on without being another version
	problems []error
}

// handler applies a decoded event.
type handler[T any] struct {
	event *codec.Type
	apply func(ctx context.Context, tx T, recorded *persistence.Recorded, message any) error
}

// Part is one part of a definition. These functions return parts: [On], [Any], [Setup],
// [Truncate], [Drop], [Activate], [OnErased].
type Part[T any] func(*Definition[T])

// Define declares a projection. Its name is one for all versions and matches
// [a-z][a-z0-9_.-]{0,63}; the version is at least 1. Raise it when the projection makes
// something else of the events, so that the new one can be built beside the old one: see
// [Runner.Switch]. Mistakes are reported by [New], all at once.
func Define[T any](name string, version int, parts ...Part[T]) *Definition[T] {
	d := &Definition[T]{
		spec:     spec{name: name, version: version, workers: 1, retries: defaultRetries, backoff: defaultBackoff, timeout: DefaultTimeout},
		handlers: map[string]handler[T]{},
	}
	for _, part := range parts {
		part(d)
	}
	d.types = slices.Sorted(maps.Keys(d.handlers))
	return d
}

// Name is the projection's name, which all its versions share.
func (d *Definition[T]) Name() string { return d.name }

// Version is the definition's version.
func (d *Definition[T]) Version() int { return d.version }

// Event is a recorded event together with its message.
type Event[E any] struct {
	persistence.Recorded
	// Data is the message, in the form of today.
	Data E
}

// Key identifies the event, also among several that upcasters make of one stored event.
// It is the same on every delivery and in every version of the projection, so that
// receivers can recognise repeated deliveries (an idempotency key).
func (e *Event[E]) Key() persistence.EventID { return Key(&e.Recorded) }

// Key is [Event.Key] for an event without its message.
func Key(recorded *persistence.Recorded) persistence.EventID {
	if recorded.SubCount == 0 {
		return recorded.ID
	}
	return derive(recorded.ID[:], fmt.Appendf(nil, "%d", recorded.Sub))
}

// On handles one type of event. An error or a panic is a failure of that event, see
// [OnFailure]. The changes that the handler made through tx become durable together with
// the projection's checkpoint, or at least once when the target has no transaction. It
// runs in one goroutine for the events of one stream, and in their order.
func On[T, E any](handle func(ctx context.Context, tx T, event Event[E]) error) Part[T] {
	return func(d *Definition[T]) {
		event, err := codec.Of[E]()
		switch {
		case err != nil:
			d.problem("event %s: %w", reflect.TypeFor[E](), err)
			return
		case handle == nil:
			d.problem("event %s has a nil handler: give On a function", event.Name())
		case d.handlers[event.Name()].event != nil:
			d.problem("event %s is handled twice: remove one On", event.Name())
		}
		d.handlers[event.Name()] = handler[T]{event: event, apply: func(ctx context.Context, tx T, recorded *persistence.Recorded, message any) error {
			return handle(ctx, tx, Event[E]{Recorded: *recorded, Data: message.(E)})
		}}
	}
}

// Any handles every event of the source, as bytes. It excludes [On].
func Any[T any](handle func(ctx context.Context, tx T, recorded persistence.Recorded) error) Part[T] {
	return func(d *Definition[T]) {
		if d.any != nil || handle == nil {
			d.problem("Any is given twice or without a function")
		}
		d.any = handle
	}
}

// Setup makes the read model, such as its tables. It runs once for a version,
// before its first event, in a transaction of its own. It must be repeatable:
// where the target has no transaction it may run again after a crash.
func Setup[T any](do func(ctx context.Context, tx T) error) Part[T] {
	return once("Setup", func(d *Definition[T]) *func(context.Context, T) error { return &d.setup }, do)
}

// Truncate empties the read model for [Runner.Reset], in the transaction that puts
// the checkpoint back.
func Truncate[T any](do func(ctx context.Context, tx T) error) Part[T] {
	return once("Truncate", func(d *Definition[T]) *func(context.Context, T) error { return &d.truncate }, do)
}

// Drop removes the read model for [Runner.Delete], in the transaction that removes
// the checkpoint.
func Drop[T any](do func(ctx context.Context, tx T) error) Part[T] {
	return once("Drop", func(d *Definition[T]) *func(context.Context, T) error { return &d.drop }, do)
}

// Activate runs in the transaction in which this version becomes the one that readers
// use, in place of another: see [Runner.Switch]. It lets a view of the database point to
// the tables of this version.
func Activate[T any](do func(ctx context.Context, tx T) error) Part[T] {
	return once("Activate", func(d *Definition[T]) *func(context.Context, T) error { return &d.activate }, do)
}

func once[T any](what string, field func(*Definition[T]) *func(context.Context, T) error, do func(context.Context, T) error) Part[T] {
	return func(d *Definition[T]) {
		if *field(d) != nil || do == nil {
			d.problem("%s is given twice or without a function", what)
		}
		*field(d) = do
	}
}

// TypePersonErased is the type of the event that says that the data of a person was
// erased. The event is in a stream of the category [PersonCategory], whose name ends with
// the person's token.
const (
	TypePersonErased = "stele.v1.PersonErased"
	PersonCategory   = "$person"
)

// OnErased is called for every person whose data was erased, with the person's token, in
// the order of all events, whatever the source and the filter of the projection are.
func OnErased[T any](handle func(ctx context.Context, tx T, person string) error) Part[T] {
	return func(d *Definition[T]) {
		if d.erased != nil || handle == nil {
			d.problem("OnErased is given twice or without a function")
		}
		d.erased, d.erasures = handle, true
	}
}

// personOf is the person whose erasure an event tells, or "".
func personOf(recorded *persistence.Recorded) string {
	if recorded.Type != TypePersonErased || recorded.Stream.Category() != PersonCategory {
		return ""
	}
	return strings.TrimPrefix(string(recorded.Stream), PersonCategory+"-")
}

// handle applies one event as it is today. Events without a handler pass.
func (d *Definition[T]) handle(ctx context.Context, tx T, recorded *persistence.Recorded) error {
	if d.erased != nil {
		if person := personOf(recorded); person != "" {
			return d.erased(ctx, tx, person)
		}
	}
	if !d.source.chooses(recorded) {
		return nil // came along for the sake of erasures
	}
	if d.any != nil {
		return d.any(ctx, tx, *recorded)
	}
	h, found := d.handlers[recorded.Type]
	if !found {
		return nil
	}
	message, err := h.event.Decode(recorded.Payload)
	if err != nil {
		return &persistence.CorruptError{Stream: recorded.Stream, Version: recorded.Version, Reason: "the payload cannot be decoded", Err: err}
	}
	return h.apply(ctx, tx, recorded, message)
}

func (d *Definition[T]) problem(format string, args ...any) {
	d.problems = append(d.problems, fmt.Errorf(format, args...))
}

// check returns everything that is wrong with the definition.
func (d *Definition[T]) check() error {
	var problems []error
	if err := checkName(d.name); err != nil {
		problems = append(problems, err)
	}
	if d.version < 1 {
		problems = append(problems, errors.New("the version is below 1: give Define 1 for the first"))
	}
	switch {
	case d.any != nil && len(d.handlers) > 0:
		problems = append(problems, errors.New("Any and On exclude each other: keep one"))
	case d.any == nil && len(d.handlers) == 0 && d.erased == nil:
		problems = append(problems, errors.New("no handler: add an On, or Any"))
	}
	problems = append(problems, d.problems...)
	for _, eventType := range d.types {
		if err := d.handlers[eventType].event.Prove(); err != nil {
			problems = append(problems, fmt.Errorf("event %s: %w", eventType, err))
		}
	}
	problems = append(problems, d.source.check(d.types))
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("projection %s: %w", d.name, err)
	}
	return nil
}

func checkName(name string) error {
	valid := name != "" && len(name) <= 64 && name[0] >= 'a' && name[0] <= 'z'
	for _, r := range name {
		valid = valid && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-')
	}
	if !valid {
		return &persistence.InvalidError{Field: "projection", Reason: "must match [a-z][a-z0-9_.-]{0,63}"}
	}
	return nil
}

// fingerprint names what a definition chooses. One version whose fingerprint
// changes has been given another meaning without a new number.
func (s *spec) fingerprint() string {
	if s.grows {
		return "grows"
	}
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%q %s", s.types, s.source.String())
	return fmt.Sprintf("%016x", hash.Sum64())
}
