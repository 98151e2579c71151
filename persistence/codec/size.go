package codec

import (
	"reflect"

	"google.golang.org/protobuf/proto"
)

// Size returns the approximate number of bytes of a message, for limits that need no more
// than that: of a protobuf message as it is encoded, of a plain struct about as it lies
// in memory, with what its strings, slices, maps and pointers hold. It is much cheaper
// than [Type.Encode]. The message must be of this type, or nil.
func (c *Type) Size(message any) int {
	if m, ok := message.(proto.Message); ok && c.form == protobuf {
		return proto.Size(m)
	}
	if c.flat || message == nil {
		return int(c.goType.Size())
	}
	v := reflect.ValueOf(message)
	return int(c.goType.Size()) + beyond(v, sizeDepth)
}

// sizeDepth ends the way through messages that hold themselves.
const sizeDepth = 10

// beyond is the number of bytes that a value refers to outside of itself.
func beyond(v reflect.Value, depth int) (size int) {
	if depth == 0 {
		return 0
	}
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return 0
		}
		return int(v.Elem().Type().Size()) + beyond(v.Elem(), depth-1)
	case reflect.Struct:
		for i := range v.NumField() { //nolint:modernize // iterators allocate
			size += beyond(v.Field(i), depth)
		}
	case reflect.Slice:
		size = v.Len() * int(v.Type().Elem().Size())
		fallthrough
	case reflect.Array:
		for i := 0; i < v.Len() && !flat(v.Type().Elem()); i++ {
			size += beyond(v.Index(i), depth-1)
		}
	case reflect.Map:
		size = v.Len() * int(v.Type().Key().Size()+v.Type().Elem().Size())
		if flat(v.Type().Key()) && flat(v.Type().Elem()) {
			return size
		}
		for entry := v.MapRange(); entry.Next(); {
			size += beyond(entry.Key(), depth-1) + beyond(entry.Value(), depth-1)
		}
	}
	return size
}

// flat reports that values of a type hold nothing outside of themselves.
func flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		return false
	case reflect.Array:
		return flat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() { //nolint:modernize // iterators allocate
			if !flat(t.Field(i).Type) {
				return false
			}
		}
	}
	return true
}
