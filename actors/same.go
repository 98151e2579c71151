package actors

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// same compares messages and states by what they mean: protobuf messages in the
// protobuf way and times as instants, wherever they stand; an empty slice or map
// equals a nil one, because no encoding is bound to tell them apart.
func same(a, b any) bool {
	return (&comparison{}).same(reflect.ValueOf(a), reflect.ValueOf(b))
}

// comparison remembers the pointers under way, so that states may be cyclic.
type comparison struct{ pairs map[pair]bool }

type pair struct {
	a, b uintptr
	of   reflect.Type
}

func (c *comparison) same(a, b reflect.Value) bool {
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	if a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Pointer:
		return c.pointers(a, b)
	case reflect.Interface:
		return c.same(a.Elem(), b.Elem())
	case reflect.Struct:
		return c.structs(a, b)
	case reflect.Slice, reflect.Array:
		return c.lists(a, b)
	case reflect.Map:
		return c.maps(a, b)
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return a.UnsafePointer() == b.UnsafePointer()
	case reflect.Float32, reflect.Float64:
		return a.Float() == b.Float() || a.Float() != a.Float() && b.Float() != b.Float() //nolint:gocritic // NaN equals NaN here
	default:
		return a.Equal(b)
	}
}

func (c *comparison) pointers(a, b reflect.Value) bool {
	if a.IsNil() || b.IsNil() {
		return a.IsNil() == b.IsNil()
	}
	if a.Type().Implements(reflect.TypeFor[proto.Message]()) {
		// A field may be unexported, its pointer is not.
		x, _ := reflect.TypeAssert[proto.Message](reflect.NewAt(a.Type().Elem(), a.UnsafePointer()))
		y, _ := reflect.TypeAssert[proto.Message](reflect.NewAt(b.Type().Elem(), b.UnsafePointer()))
		return proto.Equal(x, y)
	}
	visit := pair{a.Pointer(), b.Pointer(), a.Type()}
	if visit.a == visit.b || c.pairs[visit] {
		return true
	}
	if c.pairs == nil {
		c.pairs = map[pair]bool{}
	}
	c.pairs[visit] = true
	return c.same(a.Elem(), b.Elem())
}

func (c *comparison) structs(a, b reflect.Value) bool {
	if a.Type() == reflect.TypeFor[time.Time]() {
		if x, ok := instant(a); ok {
			y, _ := instant(b)
			return x.Equal(y)
		}
	}
	for i := range a.NumField() {
		if !c.same(a.Field(i), b.Field(i)) {
			return false
		}
	}
	return true
}

// instant reads a time, also out of an unexported field.
func instant(v reflect.Value) (time.Time, bool) {
	if v.CanAddr() {
		v = reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
	}
	if !v.CanInterface() {
		return time.Time{}, false
	}
	return reflect.TypeAssert[time.Time](v)
}

func (c *comparison) lists(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !c.same(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

func (c *comparison) maps(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for entries := a.MapRange(); entries.Next(); {
		other := b.MapIndex(entries.Key())
		if !other.IsValid() || !c.same(entries.Value(), other) {
			return false
		}
	}
	return true
}

// show prints messages for people: each with its type, and not its address.
func show(messages []any) string {
	if len(messages) == 0 {
		return "none"
	}
	var text strings.Builder
	for i, message := range messages {
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "%T%s", message, strings.TrimPrefix(fmt.Sprintf("%+v", message), "&"))
	}
	return text.String()
}
