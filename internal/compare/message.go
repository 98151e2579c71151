package compare

import (
	"reflect"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// messages returns the first field in which two protobuf messages of one type differ, by
// its name in their file, or nil when the difference is in no field of theirs.
func messages(a, b protoreflect.Message) *Difference {
	fields := a.Descriptor().Fields()
	if b.Descriptor().Fields() != fields {
		return nil // made at run time
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		if d := fieldsOf(f, a, b); d != nil {
			return d.in("." + string(f.Name()))
		}
	}
	return nil
}

func fieldsOf(f protoreflect.FieldDescriptor, a, b protoreflect.Message) *Difference {
	x, y := a.Get(f), b.Get(f)
	switch {
	case a.Has(f) && b.Has(f) && x.Equal(y), !a.Has(f) && !b.Has(f):
		return nil
	case f.IsList():
		return lists(f, x.List(), y.List())
	case a.Has(f) && b.Has(f) && f.Message() != nil && !f.IsMap():
		return messages(x.Message(), y.Message())
	}
	return &Difference{A: plain(f, x, a.Has(f) || !f.HasPresence()), B: plain(f, y, b.Has(f) || !f.HasPresence())}
}

func lists(f protoreflect.FieldDescriptor, a, b protoreflect.List) *Difference {
	for i := range max(a.Len(), b.Len()) {
		var d *Difference
		switch {
		case i >= a.Len():
			d = &Difference{B: one(f, b.Get(i))}
		case i >= b.Len():
			d = &Difference{A: one(f, a.Get(i))}
		case a.Get(i).Equal(b.Get(i)):
			continue
		case f.Message() != nil:
			d = messages(a.Get(i).Message(), b.Get(i).Message())
		default:
			d = &Difference{A: one(f, a.Get(i)), B: one(f, b.Get(i))}
		}
		return d.in("[" + strconv.Itoa(i) + "]")
	}
	return nil
}

// plain is a field's value as Go has it, for people. It is not valid when nothing is set.
func plain(f protoreflect.FieldDescriptor, v protoreflect.Value, set bool) reflect.Value {
	switch {
	case !set:
		return reflect.Value{}
	case f.IsMap():
		entries := map[string]any{}
		for key, value := range v.Map().Range {
			entries[key.String()] = one(f.MapValue(), value).Interface()
		}
		return reflect.ValueOf(entries)
	}
	return one(f, v)
}

func one(f protoreflect.FieldDescriptor, v protoreflect.Value) reflect.Value {
	switch {
	case f.Message() != nil:
		return reflect.ValueOf(v.Message().Interface())
	case f.Enum() != nil:
		if value := f.Enum().Values().ByNumber(v.Enum()); value != nil {
			return reflect.ValueOf(string(value.Name()))
		}
		return reflect.ValueOf(int32(v.Enum()))
	}
	return reflect.ValueOf(v.Interface())
}
