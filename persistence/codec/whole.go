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

// ErrNotWhole is the [persistence.ErrCorrupt] of stored data that holds something that
// the type has no place for.
var ErrNotWhole = persistence.NewErrorKind("holds what the type does not know", persistence.ErrCorrupt)

// DecodeWhole is [Type.Decode] for what is read once and then done with, such as a
// command: data that says more than the message can hold is an error that matches
// [ErrNotWhole], because that part would be lost for good. A field that the type does not
// know and that holds nothing but its zero value is no loss. A type with a marshaller of
// its own decides itself about the data.
func (c *Type) DecodeWhole(data []byte) (any, error) {
	message, err := c.Decode(data)
	if err != nil {
		return nil, err
	}
	if m, ok := message.(proto.Message); ok && c.form == protobuf {
		if name, found := unknownIn(m.ProtoReflect()); found {
			return nil, fmt.Errorf("decode %s: %w: a field in %s", c.name, ErrNotWhole, name)
		}
		return message, nil
	}
	if err := knowsJSON(data, reflect.New(c.element()).Interface()); err != nil {
		return nil, fmt.Errorf("decode %s: %w", c.name, err)
	}
	return message, nil
}

// unknownIn names the message, of m and those in it, that has fields which its type
// does not know.
func unknownIn(m protoreflect.Message) (name protoreflect.FullName, found bool) {
	if len(m.GetUnknown()) > 0 {
		return m.Descriptor().FullName(), true
	}
	m.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, one protoreflect.Value) bool {
					name, found = unknownIn(one.Message())
					return !found
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := 0; i < value.List().Len() && !found; i++ {
				name, found = unknownIn(value.List().Get(i).Message())
			}
		default:
			name, found = unknownIn(value.Message())
		}
		return !found
	})
	return name, found
}

// knowsJSON reports, with an error that matches [ErrNotWhole], that JSON holds members
// for which the type of target has no field. Members that are null, zero or empty do
// not count. Target is a pointer, and is written to.
func knowsJSON(data []byte, target any) error {
	unknown := strictly(data, target)
	if unknown == nil {
		return nil
	}
	// Rarely: without what is empty, is there still something unknown?
	var value any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return nil //nolint:nilerr // the decoding proper says so
	}
	pruned, err := json.Marshal(withoutZeros(value))
	if err != nil {
		return nil //nolint:nilerr // it came from JSON
	}
	if unknown = strictly(pruned, target); unknown == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNotWhole, strings.TrimPrefix(unknown.Error(), "json: "))
}

// strictly returns what encoding/json says of an unknown field, and nothing else that
// it may find wrong.
func strictly(data []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(target)
	if err == nil || errors.Is(err, io.EOF) || !strings.HasPrefix(err.Error(), "json: unknown field ") {
		return nil
	}
	return err
}

// withoutZeros leaves out members of objects that hold nothing.
func withoutZeros(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if member = withoutZeros(member); isZero(member) {
				delete(v, name)
			} else {
				v[name] = member
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutZeros(v[i])
		}
	}
	return value
}

func isZero(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case json.Number:
		number, err := v.Float64()
		return err == nil && number == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
