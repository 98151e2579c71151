package upcast

import (
	"strings"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Raw is the part of an event that upcasters see and may change.
type Raw struct {
	// Type is the name under which the event is stored.
	Type string
	// Schema refers to the description of the payload in the journal; 0 is none.
	Schema persistence.SchemaID
	// Payload is as stored; an upcaster must not change it in place.
	Payload []byte
	// Metadata is the writer's.
	Metadata persistence.Metadata
}

// As is the event under another type with another payload. The metadata stays.
// The schema does not, because it describes the form before.
func (r Raw) As(eventType string, payload []byte) Raw {
	return Raw{Type: eventType, Payload: payload, Metadata: r.Metadata}
}

// Upcaster says how events of one type are read.
type Upcaster struct {
	// From is the type of the events.
	From string
	// To are the types of what it may yield: anything else is an error when it
	// happens. Nil is From alone, an empty list is nothing at all.
	To []string
	// Upcast returns what an event is today, in the order in which it happened;
	// nothing means that there is no such event any more. It must depend on nothing
	// but its argument, may be called by several goroutines, and must not change the
	// bytes and the metadata it is given, which it may share with what it returns. Its
	// error says that the event cannot be understood; it is shown to operators and
	// should hold nothing of the event.
	Upcast func(Raw) ([]Raw, error)

	one     bool // it never yields nothing
	rename  bool // it changes nothing but the type
	problem error

	before, after *codec.Type // of [Map]
}

// Rename reads events of one type under another one. The payload stays as it is.
func Rename(from, to string) Upcaster {
	return Upcaster{From: from, To: []string{to}, one: true, rename: true, Upcast: func(raw Raw) ([]Raw, error) {
		return []Raw{raw.As(to, raw.Payload)}, nil
	}}
}

// Drop reads no events of a type: they are stored, and nobody hears of them.
func Drop(eventType string) Upcaster {
	return Upcaster{From: eventType, To: []string{}, Upcast: func(Raw) ([]Raw, error) { return nil, nil }}
}

// Map reads messages of one type as messages of another, or of the same, which
// package codec knows both. The function must not keep or change its argument.
func Map[Old, New any](upcast func(Old) (New, error)) Upcaster {
	before, err := codec.Of[Old]()
	if err != nil {
		return Upcaster{problem: err}
	}
	after, err := codec.Of[New]()
	if err != nil {
		return Upcaster{From: before.Name(), problem: err}
	}
	if upcast == nil {
		return Upcaster{From: before.Name()}
	}
	return Upcaster{From: before.Name(), To: []string{after.Name()}, one: true, before: before, after: after, Upcast: func(raw Raw) ([]Raw, error) {
		message, err := before.Decode(raw.Payload)
		if err != nil {
			return nil, err
		}
		mapped, err := upcast(message.(Old)) //nolint:forcetypeassert // what a codec of Old decodes is an Old
		if err != nil {
			return nil, err
		}
		payload, err := after.Encode(mapped)
		if err != nil {
			return nil, err
		}
		return []Raw{raw.As(after.Name(), payload)}, nil
	}}
}

// types are those that it may yield.
func (u *Upcaster) types() []string {
	if u.To == nil {
		return []string{u.From}
	}
	return u.To
}

// check returns what is wrong with the upcaster alone.
func (u *Upcaster) check() error {
	if u.problem != nil {
		return &persistence.InvalidError{Field: "upcaster", Reason: "cannot be made: " + u.problem.Error()}
	}
	if u.Upcast == nil {
		return u.invalid("has no function: set Upcast")
	}
	for _, eventType := range append([]string{u.From}, u.types()...) {
		if strings.HasPrefix(eventType, "$") {
			return u.invalid(`touches a type that begins with "$", which belongs to the system`)
		}
		probe := persistence.Append{Stream: "x", Events: []persistence.Event{{Type: eventType}}}
		if err := probe.Check(); err != nil {
			return u.invalid("names what cannot be an event's type")
		}
	}
	return nil
}

func (u *Upcaster) invalid(reason string) error {
	return &persistence.InvalidError{Field: "upcaster of " + u.From, Reason: reason}
}
