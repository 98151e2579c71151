package codec

import (
	"fmt"
	"hash"
	"hash/fnv"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Shape is a number for what the stored form of a Go type consists of: names and
// types of its fields, and of those below, as the encoding sees them. Types of the
// same shape read what the other wrote with the same meaning of every field; it
// changes when a field is added, removed or renamed in the stored form. It does
// not depend on the program, its version or the platform.
func Shape(t reflect.Type) uint64 {
	sum := fnv.New64a()
	shape{sum: sum, types: map[reflect.Type]int{}, messages: map[protoreflect.FullName]bool{}}.of(t)
	return sum.Sum64()
}

// shape walks a type. It names a type that it has met before by its place, so that types
// may contain themselves.
type shape struct {
	sum      hash.Hash64
	types    map[reflect.Type]int
	messages map[protoreflect.FullName]bool
}

func (s shape) say(words ...any) { fmt.Fprintln(s.sum, words...) }

func (s shape) of(t reflect.Type) {
	if t.Kind() == reflect.Pointer && t.Implements(reflect.TypeFor[proto.Message]()) {
		message, _ := reflect.TypeAssert[proto.Message](reflect.Zero(t))
		s.message(message.ProtoReflect().Descriptor())
		return
	}
	if place, met := s.types[t]; met {
		s.say("again", place)
		return
	}
	s.types[t] = len(s.types)
	switch t.Kind() {
	case reflect.Pointer:
		s.of(t.Elem()) // encoded as what it points to
	case reflect.Slice, reflect.Array:
		s.say("list", t.Kind(), lengthOf(t))
		s.of(t.Elem())
	case reflect.Map:
		s.say("map")
		s.of(t.Key())
		s.of(t.Elem())
	case reflect.Struct:
		s.structure(t)
	default:
		s.say(t.Kind())
	}
	delete(s.types, t)
}

// structure describes the fields that an encoding can see. A type with a marshaller
// of its own is described by its name too, which is all that can be known of it.
func (s shape) structure(t reflect.Type) {
	s.say("struct")
	if _, own := reflect.PointerTo(t).MethodByName("MarshalJSON"); own {
		s.say("marshals itself", t.String())
	}
	for field := range t.Fields() {
		if !field.IsExported() && !field.Anonymous {
			continue
		}
		s.say(field.Name, field.Anonymous, field.Tag.Get("json"))
		s.of(field.Type)
	}
	s.say("end")
}

func (s shape) message(d protoreflect.MessageDescriptor) {
	s.say("message", d.FullName())
	if s.messages[d.FullName()] {
		return
	}
	s.messages[d.FullName()] = true
	fields := make([]protoreflect.FieldDescriptor, d.Fields().Len())
	for i := range fields {
		fields[i] = d.Fields().Get(i)
	}
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	for _, f := range fields {
		s.say(f.Number(), f.Name(), f.Kind(), f.Cardinality(), f.HasPresence(), f.ContainingOneof() != nil)
		if f.Message() != nil {
			s.message(f.Message())
		}
	}
}

func lengthOf(t reflect.Type) int {
	if t.Kind() == reflect.Array {
		return t.Len()
	}
	return -1
}
