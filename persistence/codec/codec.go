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
// The package does not know who uses a message for what: commands, events and
// replies are all the same to it.
package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stele-es/stele/persistence"
)

// Named is what a plain Go struct must be to serve as a message. The name is
// what is stored, so it must not change with the type's; it must be the same for
// all values, the zero value included.
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
}

type form uint8

const (
	protobuf form = iota
	structValue
	structPointer
)

// Of returns the codec of T: a pointer to a generated protobuf message, or a
// struct or pointer to struct with a MessageName method. Anything else is an
// error that says what is missing.
func Of[T any]() (*Type, error) { return of(reflect.TypeFor[T]()) }

func of(t reflect.Type) (*Type, error) {
	if t.Kind() == reflect.Pointer && t.Implements(reflect.TypeFor[proto.Message]()) {
		message, _ := reflect.TypeAssert[proto.Message](reflect.Zero(t))
		return &Type{name: string(message.ProtoReflect().Descriptor().FullName()), goType: t, form: protobuf}, nil
	}
	c := &Type{goType: t, form: structValue}
	element := t
	if t.Kind() == reflect.Pointer {
		c.form, element = structPointer, t.Elem()
	}
	if element.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is neither a protobuf message nor a struct", t)
	}
	named, ok := reflect.TypeAssert[Named](reflect.New(element))
	if !ok {
		return nil, fmt.Errorf("%s has no stored name: add `func (%s) MessageName() string`", t, element.Name())
	}
	c.name, c.flat = named.MessageName(), c.form == structValue && flat(t)
	if err := checkName(c.name); err != nil {
		return nil, fmt.Errorf("name of %s: %w", t, err)
	}
	return c, nil
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

// Append is Encode behind what stands in out already. With an error out comes back
// as it was.
func (c *Type) Append(out []byte, message any) ([]byte, error) {
	data, err := c.append(out, message)
	if err != nil {
		return out, err
	}
	return data, nil
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
		if back, err := c.Decode(data); err != nil || !reflect.DeepEqual(back, message) {
			return nil, &persistence.InvalidError{Field: c.name, Reason: "holds text that is not valid UTF-8"}
		}
	}
	return data, nil
}

// replacement is what encoding/json writes for a byte that is not UTF-8. A
// backslash before it, or JSON that was there already, make it harmless.
var replacement = []byte(`\ufffd`)

// Decode reads what Encode wrote, into a new message. Fields that the type does
// not know survive in protobuf and are ignored in JSON. Garbage is an error.
func (c *Type) Decode(data []byte) (any, error) {
	if c.form == protobuf {
		zero, _ := reflect.TypeAssert[proto.Message](reflect.Zero(c.goType))
		message := zero.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(data, message); err != nil {
			return nil, fmt.Errorf("decode %s: %w", c.name, err)
		}
		return message, nil
	}
	element := c.goType
	if c.form == structPointer {
		element = element.Elem()
	}
	if string(bytes.TrimSpace(data)) == "null" { // which encoding/json takes for nothing to do
		return nil, fmt.Errorf("decode %s: not a JSON object", c.name)
	}
	target := reflect.New(element)
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(target.Interface()); err != nil {
		return nil, fmt.Errorf("decode %s: %w", c.name, withoutContent(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("decode %s: more than one JSON value", c.name)
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
	return errors.New("not valid JSON")
}

// New returns a pointer to a new message that holds nothing, to decode into.
func (c *Type) New() any {
	element := c.goType
	if c.form != structValue {
		element = element.Elem()
	}
	return reflect.New(element).Interface()
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
