// Package codec turns messages into the bytes that journals store, and back.
//
//	opened, err := codec.Of[*bankpb.Opened]()
//	payload, err := opened.Encode(&bankpb.Opened{Owner: "ann"})
//	message, err := opened.Decode(payload)
//
// A message is a protobuf message, stored as protobuf under its full name, or a
// plain Go struct that names itself, stored as JSON under that name:
//
//	func (Opened) MessageName() string { return "bank.opened" }
//
// # What is stored
//
// A protobuf message is stored whole: with its extensions, and with the fields that a
// newer program has set and this one does not know.
//
// A plain struct is stored as encoding/json writes it, so the program gets back the value
// that encoding/json reads from that:
//
//   - Exported fields, under their name or that of their json tag. Those of an embedded
//     struct count as the struct's own.
//   - Numbers, texts and booleans as they are. A number that is not finite and a text
//     that is not valid UTF-8 are refused when they are encoded.
//   - A time as its instant with its offset from UTC. The name of its zone and the
//     reading of a monotonic clock are not stored.
//   - A type with MarshalJSON or MarshalText as these methods write it.
//   - json.RawMessage by what it says: blanks are not stored.
//   - A pointer to a nil pointer, list or map as a nil pointer; so is one to a struct that
//     is embedded when all of its fields were left out.
//
// Some things may look alike once they are stored, and count as equal for that: a list
// or map that is nil and one that is empty; raw JSON that is nil and null.
//
// # What is refused
//
// A type of which a part would not come back is refused, before anything of it is
// stored. [Of] refuses what the type alone shows, each with its field: a field that is
// unexported, tagged json:"-", or hidden by another one of the same name in JSON; an
// interface, any too, because only the content would be stored and not the type; a
// func, a channel, a complex number; a map keyed by what is neither text nor integer nor
// written as text; a protobuf message inside of a plain struct, which encoding/json does
// not know how to write; a type in a map whose marshaller needs its address. Fields that
// hold nothing, such as struct{}, may be anything.
//
// [Type.Prove] then has a value encoded and decoded in which every field holds something.
// It finds marshallers that lose what they are given, those of an embedded field that
// stand for the whole, and types that can be written and not be read. [Of] does not do
// that, because it may run before the variables are set that marshallers use. Marshallers
// may return errors for values that they do not know; this proves nothing against them.
// Tests find losses in other values, because the given/when/then kit of package actors
// and the systems of package actorstest decode every message again: see [Type.Strict].
//
// The package does not know who uses a message for what: commands, events and
// replies are all the same to it.
package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stele-es/stele/internal/compare"
	"github.com/stele-es/stele/persistence"
)

// Named is the interface of plain Go structs that serve as messages. The name is stored,
// so it must not change with the name of the type; it must be the same for all values,
// the zero value included: [Type.Prove] asks one that is not zero.
type Named interface {
	// MessageName returns the name, which is the type of an event.
	MessageName() string
}

// Type is the codec of one Go type. It is safe for concurrent use.
type Type struct {
	name   string
	goType reflect.Type
	form   form
	flat   bool // a struct that holds nothing outside of itself
	alike  bool // both readers of JSON make the same of it
	// message makes a protobuf message.
	message protoreflect.MessageType
	strict  bool // each message is decoded again
	*proof
}

// proof is the result of [Type.Prove], for all copies of a Type.
type proof struct {
	once sync.Once
	loss error
}

type form uint8

const (
	protobuf form = iota
	structValue
	structPointer
)

// Of returns the codec of T: a pointer to a generated protobuf message, or a
// struct or pointer to struct with a MessageName method. Anything else is an
// error that says what is missing. So is a type of which a part would not come back
// from its stored form, as far as the type alone tells: a [*LossError] for each.
func Of[T any]() (*Type, error) {
	t := reflect.TypeFor[T]()
	if known, ok := types.Load(t); ok {
		return known.(answer).unpack()
	}
	c, err := of(t)
	known, _ := types.LoadOrStore(t, answer{c, err})
	return known.(answer).unpack()
}

// types holds what [Of] has answered, by the type: it is asked whenever a projection
// emits, and what it says cannot change.
var types sync.Map

type answer struct {
	of  *Type
	err error
}

func (a answer) unpack() (*Type, error) { return a.of, a.err }

func of(t reflect.Type) (*Type, error) {
	if t.Kind() == reflect.Pointer && t.Implements(reflect.TypeFor[proto.Message]()) {
		return ofMessage(t)
	}
	c := formOf(t)
	element := c.element()
	if element.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is neither a protobuf message nor a struct", t)
	}
	named, ok := reflect.TypeAssert[Named](reflect.New(element))
	if !ok {
		return nil, fmt.Errorf("%s has no stored name: add `func (%s) MessageName() string`", t, element.Name())
	}
	c.name = named.MessageName()
	if err := checkName(c.name); err != nil {
		return nil, fmt.Errorf("name of %s: %w", t, err)
	}
	if err := losses(element); err != nil {
		return nil, err
	}
	return c, nil
}

// OfState returns the codec of what is stored for a type without a name of its own,
// under a name for error texts: a snapshot, or the state of a projection. It may be any
// type of which all comes back from JSON, or a protobuf message.
func OfState(t reflect.Type, name string) (*Type, error) {
	if t.Kind() == reflect.Pointer && t.Implements(reflect.TypeFor[proto.Message]()) {
		c, err := ofMessage(t)
		if err == nil {
			c.name = name
		}
		return c, err
	}
	c := formOf(t)
	c.name = name
	if err := losses(c.element()); err != nil {
		return nil, err
	}
	return c, nil
}

// ofMessage is the codec of a protobuf message. A struct that embeds one looks like one.
func ofMessage(t reflect.Type) (c *Type, err error) {
	defer func() {
		if recover() != nil {
			c, err = nil, fmt.Errorf("%s is no protobuf message, though it has the methods of one: does it embed one? Give it a field with a name", t)
		}
	}()
	message, _ := reflect.TypeAssert[proto.Message](reflect.Zero(t))
	if made := message.ProtoReflect().New().Interface(); reflect.TypeOf(made) != t {
		panic("another type") //nolint:forbidigo // recovered above
	}
	return &Type{name: string(message.ProtoReflect().Descriptor().FullName()), goType: t, form: protobuf, message: message.ProtoReflect().Type()}, nil
}

// formOf is the codec of a plain type, without a name yet.
func formOf(t reflect.Type) *Type {
	c := &Type{goType: t, form: structValue, proof: new(proof)}
	if t.Kind() == reflect.Pointer {
		c.form = structPointer
	}
	c.flat = c.form == structValue && flat(t)
	c.alike = readAlike(c.element())
	return c
}

// element is the type that is written as JSON.
func (c *Type) element() reflect.Type {
	if c.form == structPointer {
		return c.goType.Elem()
	}
	return c.goType
}

// Strict returns a codec of the same type whose Encode also decodes what it wrote, and
// refuses a message that comes back changed with [persistence.ErrInvalid]: for tests,
// where it finds what marshallers lose that [Type.Prove] could not try.
func (c *Type) Strict() *Type {
	strict := *c
	strict.strict = true
	return &strict
}

func checkName(name string) error {
	probe := persistence.Append{Stream: "x", Events: []persistence.Event{{Type: name}}}
	if strings.HasPrefix(name, "$") {
		return &persistence.InvalidError{Field: "type", Reason: `begins with "$", which belongs to the system`}
	}
	return probe.Check()
}

// Name is the wire name: what an event of this type is stored under.
func (c *Type) Name() string { return c.name }

// GoType is the Go type, as given to [Of].
func (c *Type) GoType() reflect.Type { return c.goType }

// Descriptor describes a protobuf message; it is nil for a plain struct.
func (c *Type) Descriptor() protoreflect.MessageDescriptor {
	if c.form != protobuf {
		return nil
	}
	message, _ := reflect.TypeAssert[proto.Message](reflect.Zero(c.goType))
	return message.ProtoReflect().Descriptor()
}

// Encode writes a message. The same message gives the same bytes within one
// build. Text that is not valid UTF-8 is refused in both forms, because it would
// come back changed. The error is a [*persistence.InvalidError] or wraps what the
// message's own marshaller said.
func (c *Type) Encode(message any) ([]byte, error) { return c.Append(nil, message) }

// Append is Encode that appends to out. With an error out comes back as it was.
func (c *Type) Append(out []byte, message any) ([]byte, error) {
	data, err := c.append(out, message)
	if err == nil && c.strict {
		err = c.comesBack(data[len(out):], message)
	}
	if err != nil {
		return out, err
	}
	return data, nil
}

// comesBack reports how a message is changed by being stored.
func (c *Type) comesBack(data []byte, message any) error {
	back, err := c.Decode(data)
	if err != nil {
		return &persistence.InvalidError{Field: c.name, Reason: "cannot be decoded again: mend its marshallers"}
	}
	if d := compare.First(message, back); d != nil {
		return &persistence.InvalidError{Field: strings.TrimSuffix(c.name+" "+d.Place(), " "), Reason: "comes back changed: mend the marshallers of its type"}
	}
	return nil
}

func (c *Type) append(out []byte, message any) ([]byte, error) {
	if c.IsNil(message) {
		return nil, &persistence.InvalidError{Field: c.name, Reason: "is nil"}
	}
	if reflect.TypeOf(message) != c.goType {
		return nil, &persistence.InvalidError{Field: c.name, Reason: fmt.Sprintf("cannot be made of a %T", message)}
	}
	if m, ok := message.(proto.Message); ok && c.form == protobuf {
		return proto.MarshalOptions{Deterministic: true}.MarshalAppend(out, m)
	}
	data, err := c.encodeJSON(message)
	if len(out) == 0 {
		return data, err
	}
	return append(out, data...), err
}

func (c *Type) encodeJSON(message any) ([]byte, error) {
	source := message
	if c.form == structValue {
		// By its address, or marshallers with a pointer receiver would be left out,
		// also those of fields, while decoding finds them.
		target := reflect.New(c.goType)
		target.Elem().Set(reflect.ValueOf(message))
		source = target.Interface()
	}
	data, err := json.Marshal(source)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(data, replacement) {
		if back, err := c.Decode(data); err != nil || !compare.Equal(back, message) {
			return nil, &persistence.InvalidError{Field: c.name, Reason: "holds text that is not valid UTF-8"}
		}
	}
	return data, nil
}

// replacement is the character that encoding/json writes for a byte that is not UTF-8. A
// backslash before it, or JSON that was there already, make it harmless.
var replacement = []byte(`\ufffd`)

// Decode reads what Encode wrote, into a new message. Fields that the type does
// not know survive in protobuf and are ignored in JSON. Garbage is an error.
func (c *Type) Decode(data []byte) (any, error) {
	if c.form == protobuf {
		message := c.message.New().Interface()
		if err := proto.Unmarshal(data, message); err != nil {
			return nil, fmt.Errorf("decode %s: %w", c.name, err)
		}
		return message, nil
	}
	element := c.element()
	// encoding/json takes null for nothing to do. It is what a list or map is that is nil.
	if (c.form == structPointer || element.Kind() == reflect.Struct) && string(bytes.TrimSpace(data)) == "null" {
		return nil, fmt.Errorf("decode %s: not a JSON object", c.name)
	}
	target, err := fromJSON(data, element, c.alike)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", c.name, withoutContent(err))
	}
	if c.form == structPointer {
		return target.Interface(), nil
	}
	return target.Elem().Interface(), nil
}

// withoutContent keeps stored data out of error texts: encoding/json quotes it.
func withoutContent(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %s has the wrong type", wrong.Field)
	}
	if strings.HasSuffix(err.Error(), "after top-level value") {
		return errors.New("more than one JSON value")
	}
	return errors.New("not valid JSON")
}

// IsNil reports whether message is nil or a nil pointer.
func (c *Type) IsNil(message any) bool {
	if message == nil {
		return true
	}
	switch c.form {
	case structValue:
		return false
	case protobuf:
		m, ok := message.(proto.Message)
		return ok && !m.ProtoReflect().IsValid()
	default:
		v := reflect.ValueOf(message)
		return v.Kind() == reflect.Pointer && v.IsNil()
	}
}

// Clone returns a copy that shares nothing with a protobuf message. A plain
// struct is copied shallowly.
func (c *Type) Clone(message any) any {
	if c.form == structPointer {
		v := reflect.New(c.goType.Elem())
		v.Elem().Set(reflect.ValueOf(message).Elem())
		return v.Interface()
	}
	if m, ok := message.(proto.Message); ok && c.form == protobuf {
		return proto.Clone(m)
	}
	return message
}
