package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence/codec"
)

// shape is the part of JSON Schema that says what encoding/json writes. The zero
// shape is any value.
type shape struct {
	Dialect    string            `json:"$schema,omitempty"`
	Title      string            `json:"title,omitempty"`
	Ref        string            `json:"$ref,omitempty"`
	Type       jsonTypes         `json:"type,omitempty"`
	Format     string            `json:"format,omitempty"`
	Encoding   string            `json:"contentEncoding,omitempty"`
	Items      *shape            `json:"items,omitempty"`
	MaxItems   *int              `json:"maxItems,omitempty"`
	Properties map[string]*shape `json:"properties,omitempty"`
	Required   []string          `json:"required,omitempty"`
	Additional *shape            `json:"additionalProperties,omitempty"`
	Defs       map[string]*shape `json:"$defs,omitempty"`
}

const (
	dialect    = "https://json-schema.org/draft/2020-12/schema"
	toRoot     = "#"
	toDefs     = "#/$defs/"
	base64Text = "base64"
)

// jsonTypes are the types that a value may have: one, and perhaps "null".
type jsonTypes []string

// MarshalJSON writes a single one without brackets, as people do.
func (t jsonTypes) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// UnmarshalJSON reads both forms.
func (t *jsonTypes) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = jsonTypes{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

const null = "null"

func (t jsonTypes) nullable() bool { return slices.Contains(t, null) }

// describeStruct is the body of the JSON Schema of a plain struct.
func describeStruct(t *codec.Type) []byte { return describeType(t.GoType(), t.Name()) }

func describeType(root reflect.Type, title string) []byte {
	if root.Kind() == reflect.Pointer {
		root = root.Elem()
	}
	s := structs{root: root, names: map[reflect.Type]string{}, defs: map[string]*shape{}}
	described := *s.named(root)
	described.Dialect, described.Title, described.Defs = dialect, title, s.defs
	body, err := json.Marshal(&described)
	if err != nil {
		return nil // strings and numbers only: there is nothing to fail
	}
	return body
}

// structs describes one struct and those it holds.
type structs struct {
	root  reflect.Type
	names map[reflect.Type]string
	defs  map[string]*shape
}

// of describes a type as a part of another one.
func (s *structs) of(t reflect.Type) *shape {
	if t.Kind() == reflect.Pointer {
		return orNull(s.of(t.Elem()))
	}
	if t.Kind() != reflect.Struct || t.Name() == "" || t == reflect.TypeFor[time.Time]() || marshals(t) {
		return s.named(t)
	}
	if t == s.root {
		return &shape{Ref: toRoot}
	}
	name, known := s.names[t]
	if !known {
		name = s.name(t)
		s.names[t] = name
		s.defs[name] = nil // taken, also while it is described
		s.defs[name] = s.named(t)
	}
	return &shape{Ref: toDefs + name}
}

// name is a name among the definitions that needs no escaping in a reference.
func (s *structs) name(t reflect.Type) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '_'
	}, t.Name())
	name := plain
	for i := 2; ; i++ {
		if _, taken := s.defs[name]; !taken {
			return name
		}
		name = fmt.Sprintf("%s_%d", plain, i)
	}
}

// named describes a type by what it is made of.
func (s *structs) named(t reflect.Type) *shape {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &shape{Type: jsonTypes{"string"}, Format: "date-time"}
	case t == reflect.TypeFor[json.Number]():
		return &shape{Type: jsonTypes{"number"}}
	case marshals(t):
		return new(shape) // nobody but its method knows what it writes
	case implements[encoding.TextMarshaler](t):
		return &shape{Type: jsonTypes{"string"}}
	}
	if one := scalar(t); one != nil {
		return one
	}
	switch t.Kind() {
	case reflect.Slice:
		if element := t.Elem(); element.Kind() == reflect.Uint8 && !marshals(element) && !implements[encoding.TextMarshaler](element) {
			return &shape{Type: jsonTypes{"string", null}, Encoding: base64Text}
		}
		return &shape{Type: jsonTypes{"array", null}, Items: s.of(t.Elem())}
	case reflect.Array:
		length := t.Len()
		return &shape{Type: jsonTypes{"array"}, Items: s.of(t.Elem()), MaxItems: &length}
	case reflect.Map:
		return &shape{Type: jsonTypes{"object", null}, Additional: s.of(t.Elem())}
	case reflect.Struct:
		return s.object(t)
	}
	return new(shape)
}

// scalar describes a boolean, a text or a number; it returns nil for other types.
func scalar(t reflect.Type) *shape {
	switch t.Kind() {
	case reflect.Bool:
		return &shape{Type: jsonTypes{"boolean"}}
	case reflect.String:
		return &shape{Type: jsonTypes{"string"}}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return &shape{Type: jsonTypes{"integer"}, Format: integerFormat(t)}
	case reflect.Float32, reflect.Float64:
		return &shape{Type: jsonTypes{"number"}, Format: map[reflect.Kind]string{reflect.Float32: "float", reflect.Float64: "double"}[t.Kind()]}
	}
	return nil
}

func integerFormat(t reflect.Type) string {
	bits := t.Bits()
	if k := t.Kind(); k == reflect.Int || k == reflect.Uint || k == reflect.Uintptr {
		bits = 64 // on every machine, or its size would make it another schema
	}
	if strings.HasPrefix(t.Kind().String(), "uint") {
		return fmt.Sprintf("uint%d", bits)
	}
	return fmt.Sprintf("int%d", bits)
}

// object describes the fields of a struct, all of which are always written unless
// they say that they may be left out.
func (s *structs) object(t reflect.Type) *shape {
	described := &shape{Type: jsonTypes{"object"}}
	for _, f := range codec.Fields(t) {
		if described.Properties == nil {
			described.Properties = map[string]*shape{}
		}
		value := s.of(f.Type)
		if f.Quoted && len(value.Type) > 0 && slices.Contains([]string{"boolean", "integer", "number", "string"}, value.Type[0]) && value.Encoding == "" {
			value.Type = slices.Clone(value.Type)
			value.Format = strings.TrimPrefix(value.Format+" in quotes", " ")
			value.Type[0] = "string"
		}
		described.Properties[f.Name] = value
		if !f.Optional {
			described.Required = append(described.Required, f.Name)
		}
	}
	slices.Sort(described.Required)
	return described
}

func orNull(s *shape) *shape {
	if s.Ref != "" {
		return s // objects may be null anyway: see sameShape
	}
	if len(s.Type) > 0 && !s.Type.nullable() {
		s.Type = append(slices.Clone(s.Type), null)
	}
	return s
}

func marshals(t reflect.Type) bool { return implements[json.Marshaler](t) }

// implements also finds methods of the pointer: values are encoded by their address.
func implements[I any](t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[I]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[I]())
}
