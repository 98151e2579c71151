// Package compare tells whether two messages or states mean the same, names the
// first part in which they differ, and prints values for people:
//
//	if d := compare.First(want, got); d != nil {
//		t.Fatalf("they differ: %s", d) // Lines[2].Price: 30, not 31
//	}
//
// It looks at unexported fields too, and changes nothing.
package compare

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
)

// Equal compares messages and states by what they mean:
//
//   - Protobuf messages are compared as package proto does, and times as instants,
//     wherever they stand.
//   - An empty slice or map equals a nil one, because no encoding is bound to tell
//     them apart. For the same reason raw JSON is compared by what it says.
//   - A type with marshallers of its own and a method Equal is compared by it, because
//     its fields are nobody else's matter.
//   - NaN equals NaN.
func Equal(a, b any) bool { return First(a, b) == nil }

// Difference is the first part in which two values differ.
type Difference struct {
	// At is the place, as an expression in Go behind the value: ".Lines[2].Price". It is
	// empty when the values themselves differ, as those of two types do.
	At string
	// A and B are the values there. One that is not valid is missing.
	A, B reflect.Value
}

// First returns the first part in which two values differ, or nil.
func First(a, b any) *Difference {
	return (&comparison{}).same(reflect.ValueOf(a), reflect.ValueOf(b))
}

// Lost returns the first part of a value that another one lacks or has otherwise, or
// nil. A zero in the value does not count, whatever the other one has there.
func Lost(value, other any) *Difference {
	return (&comparison{lost: true}).same(reflect.ValueOf(value), reflect.ValueOf(other))
}

// String says where they differ and how, for the one who wanted A.
func (d *Difference) String() string {
	text := printed(d.A) + ", not " + printed(d.B)
	if d.At == "" {
		return text
	}
	return d.Place() + ": " + text
}

// Place is At as it is written for people.
func (d *Difference) Place() string {
	if len(d.At) > 0 && d.At[0] == '.' {
		return d.At[1:]
	}
	return d.At
}

// in is the difference as a part of what holds it.
func (d *Difference) in(place string) *Difference {
	if d != nil {
		d.At = place + d.At
	}
	return d
}

// comparison remembers the pointers under way, so that states may be cyclic.
type comparison struct {
	lost  bool // what is zero in a does not count
	pairs map[pair]bool
}

type pair struct {
	a, b uintptr
	of   reflect.Type
}

func (c *comparison) same(a, b reflect.Value) *Difference {
	differ := &Difference{A: a, B: b}
	switch {
	case !a.IsValid() || !b.IsValid():
		return unless(a.IsValid() == b.IsValid(), differ)
	case a.Type() != b.Type():
		return differ
	case c.lost && a.IsZero():
		return nil
	}
	switch a.Kind() {
	case reflect.Pointer:
		return c.pointers(a, b)
	case reflect.Interface:
		return c.same(a.Elem(), b.Elem())
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return unless(a.UnsafePointer() == b.UnsafePointer(), differ)
	}
	if equal, own := ownEqual(a, b); own {
		return unless(equal, differ)
	}
	return c.content(a, b)
}

// content compares two values of one type that has no comparison of its own.
func (c *comparison) content(a, b reflect.Value) *Difference {
	differ := &Difference{A: a, B: b}
	switch a.Kind() {
	case reflect.Struct:
		return c.structs(a, b)
	case reflect.Slice, reflect.Array:
		return c.lists(a, b)
	case reflect.Map:
		return c.maps(a, b)
	case reflect.Float32, reflect.Float64:
		return unless(a.Float() == b.Float() || a.Float() != a.Float() && b.Float() != b.Float(), differ) //nolint:gocritic // NaN equals NaN here
	default:
		return unless(a.Equal(b), differ)
	}
}

func unless(equal bool, d *Difference) *Difference {
	if equal {
		return nil
	}
	return d
}

func (c *comparison) pointers(a, b reflect.Value) *Difference {
	if a.IsNil() || b.IsNil() {
		return unless(a.IsNil() == b.IsNil(), &Difference{A: a, B: b})
	}
	if a.Type().Implements(reflect.TypeFor[proto.Message]()) {
		x, y := messageOf(a), messageOf(b)
		if proto.Equal(x, y) {
			return nil
		}
		return cmp.Or(messages(x.ProtoReflect(), y.ProtoReflect()), &Difference{A: a, B: b})
	}
	visit := pair{a.Pointer(), b.Pointer(), a.Type()}
	if visit.a == visit.b || c.pairs[visit] {
		return nil
	}
	if c.pairs == nil {
		c.pairs = map[pair]bool{}
	}
	c.pairs[visit] = true
	return c.same(a.Elem(), b.Elem())
}

// messageOf reads a message, also out of an unexported field: its pointer is not.
func messageOf(v reflect.Value) proto.Message {
	message, _ := reflect.TypeAssert[proto.Message](reflect.NewAt(v.Type().Elem(), v.UnsafePointer()))
	return message
}

func (c *comparison) structs(a, b reflect.Value) *Difference {
	for i := range a.NumField() {
		if d := c.same(a.Field(i), b.Field(i)); d != nil {
			return d.in("." + a.Type().Field(i).Name)
		}
	}
	return nil
}

// ownEqual compares what is nobody else's matter to compare.
func ownEqual(a, b reflect.Value) (equal, own bool) {
	switch a.Type() {
	case reflect.TypeFor[time.Time]():
		x, ok := readable[time.Time](a)
		y, _ := readable[time.Time](b)
		return x.Equal(y), ok
	case reflect.TypeFor[json.RawMessage]():
		return sameJSON(a.Bytes(), b.Bytes()), true
	}
	if !marshalsItself(a.Type()) || !a.CanInterface() {
		return false, false
	}
	method := a.MethodByName("Equal")
	if !method.IsValid() {
		return false, false
	}
	if t := method.Type(); t.NumIn() != 1 || t.In(0) != a.Type() || t.NumOut() != 1 || t.Out(0).Kind() != reflect.Bool || t.IsVariadic() {
		return false, false
	}
	return method.Call([]reflect.Value{b})[0].Bool(), true
}

// marshalsItself reports that JSON does not look at the parts of a type.
func marshalsItself(t reflect.Type) bool {
	pointer := reflect.PointerTo(t)
	return pointer.Implements(reflect.TypeFor[json.Marshaler]()) || pointer.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// readable reads a value, also out of an unexported field.
func readable[T any](v reflect.Value) (value T, ok bool) {
	if v.CanAddr() {
		v = reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
	}
	if !v.CanInterface() {
		return value, false
	}
	return reflect.TypeAssert[T](v)
}

// sameJSON compares raw JSON. Nothing at all is what encoding/json writes as null.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	parse := func(data []byte) (value any, err error) {
		if len(data) == 0 {
			return nil, nil
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		err = decoder.Decode(&value)
		return value, err
	}
	x, errX := parse(a)
	y, errY := parse(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func (c *comparison) lists(a, b reflect.Value) *Difference {
	for i := range min(a.Len(), b.Len()) {
		if d := c.same(a.Index(i), b.Index(i)); d != nil {
			return d.in("[" + strconv.Itoa(i) + "]")
		}
	}
	switch {
	case a.Len() > b.Len():
		return (&Difference{A: a.Index(b.Len())}).in("[" + strconv.Itoa(b.Len()) + "]")
	case a.Len() < b.Len():
		return (&Difference{B: b.Index(a.Len())}).in("[" + strconv.Itoa(a.Len()) + "]")
	}
	return nil
}

func (c *comparison) maps(a, b reflect.Value) *Difference {
	for entries := a.MapRange(); entries.Next(); {
		key := entries.Key()
		if d := c.same(entries.Value(), b.MapIndex(key)); d != nil {
			return d.in("[" + printed(key) + "]")
		}
	}
	if a.Len() < b.Len() {
		for entries := b.MapRange(); entries.Next(); {
			if key := entries.Key(); !a.MapIndex(key).IsValid() {
				return (&Difference{B: entries.Value()}).in("[" + printed(key) + "]")
			}
		}
	}
	return nil
}
