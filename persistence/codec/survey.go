package codec

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
)

// LossError says that a type holds a part that does not come back from its stored
// form. It is of kind [persistence.ErrInvalid].
type LossError struct {
	// Type is the type that was to be stored.
	Type reflect.Type
	// Field is the part of it, as an expression in Go: "Lines[].price". It is empty when
	// the whole does not come back.
	Field string
	// Reason says what happens to it, and what to do.
	Reason string
}

// Error fulfils error.
func (e *LossError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s does not survive being stored: it %s", e.Type, e.Reason)
	}
	return fmt.Sprintf("%s does not survive being stored: its field %s %s", e.Type, e.Field, e.Reason)
}

// Is matches [persistence.ErrInvalid].
func (e *LossError) Is(target error) bool { return target == persistence.ErrInvalid }

// survey looks for parts of a type that JSON leaves out or cannot give back, as far as
// the type tells. It looks at each type once, at the first place where it stands.
type survey struct {
	root   reflect.Type
	met    map[place]bool
	losses []error
}

// place is a type as encoding/json meets it. A value that has no address is not
// encoded by a method of its pointer.
type place struct {
	of          reflect.Type
	addressable bool
}

// losses returns every loss that the type shows, or nil.
func losses(t reflect.Type) error {
	s := &survey{root: t, met: map[place]bool{}}
	s.of(t, "", true)
	return errors.Join(s.losses...)
}

func (s *survey) lost(at, reason string, args ...any) {
	s.losses = append(s.losses, &LossError{Type: s.root, Field: strings.TrimPrefix(at, "."), Reason: fmt.Sprintf(reason, args...)})
}

func (s *survey) of(t reflect.Type, at string, addressable bool) {
	if s.met[place{t, addressable}] {
		return
	}
	s.met[place{t, addressable}] = true
	own := ownFormOf(t, addressable)
	switch {
	case t.Kind() == reflect.Interface:
		s.lost(at, "is an interface, of which only the content is stored and not the type: use the type itself, or json.RawMessage for content that is read elsewhere")
	case own.writes && own.reads:
		return // what its methods do is for Prove
	case !addressable && ownFormOf(t, true).writes && !own.writes:
		s.lost(at, "has a marshaller with a pointer receiver, which encoding/json passes over in a map: use a map of pointers")
	case isMessage(t):
		s.lost(at, "is a protobuf message inside of JSON, which loses its oneofs, extensions and unknown fields: "+
			"make all of it a protobuf message, or keep the result of proto.Marshal in a []byte")
	case own.writes:
		return // its fields are not what is written: for Prove too
	default:
		s.parts(t, at, addressable)
	}
}

// parts looks at a type that encoding/json writes by its kind.
func (s *survey) parts(t reflect.Type, at string, addressable bool) {
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		s.lost(at, "is a %s, which has no form in JSON: leave it out", t.Kind())
	case reflect.Pointer:
		s.of(t.Elem(), at, true)
	case reflect.Slice:
		s.of(t.Elem(), at+"[]", true)
	case reflect.Array:
		s.of(t.Elem(), at+"[]", addressable)
	case reflect.Map:
		s.key(t.Key(), at)
		s.of(t.Elem(), at+"[]", false)
	case reflect.Struct:
		s.fields(t, at, addressable)
	}
}

// key looks at what a map is keyed by.
func (s *survey) key(t reflect.Type, at string) {
	switch kind := t.Kind(); {
	case kind == reflect.Interface, kind == reflect.Pointer:
		s.lost(at, "is a map keyed by %s, which comes back as another key: key it by a value", t)
	case kind == reflect.String, kind >= reflect.Int && kind <= reflect.Uintptr:
	case !t.Implements(reflect.TypeFor[encoding.TextMarshaler]()), !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		s.lost(at, "is a map keyed by %s, which has no form in JSON: key it by a string, an integer, or a type with MarshalText and UnmarshalText", t)
	}
}

// fields looks at the fields of a struct and at those of the structs that it embeds,
// which count as its own. encoding/json leaves out all but one of several fields with
// one name, and often all of them, so there must be one.
func (s *survey) fields(t reflect.Type, at string, addressable bool) {
	byName := map[string]string{}
	for _, f := range s.flatten(t, at, nil) {
		if other, taken := byName[f.Name]; taken {
			s.lost(f.at, "has the same name in JSON as %s, which is %q: rename one, or give it a json tag", strings.TrimPrefix(other, "."), f.Name)
			continue
		}
		byName[f.Name] = f.at
		s.of(f.Type, f.at, addressable)
	}
}

// Field is a part of the JSON of a plain struct.
type Field struct {
	// Name is its name in JSON.
	Name string
	// Type is that of the field in Go.
	Type reflect.Type
	// Optional is one that is left out when it is empty, or zero.
	Optional bool
	// Quoted is a number, text or boolean that is written as a text of JSON.
	Quoted bool

	at string
}

// Fields returns what encoding/json writes of a struct that [Of] accepts, in the order
// of its fields. Those of structs that it embeds count as its own.
func Fields(t reflect.Type) []Field { return (&survey{root: t}).flatten(t, "", nil) }

func (s *survey) flatten(t reflect.Type, at string, above []reflect.Type) (all []Field) {
	above = append(above, t)
	for f := range t.Fields() {
		here, inside := at+"."+f.Name, embedded(f)
		if holdsNothing(f, inside != nil) {
			continue
		}
		switch loss := lossOf(f); {
		case loss != "":
			s.lost(here, "%s", loss)
		case !f.IsExported() && !f.Anonymous:
			s.lost(here, "is unexported, so encoding/json leaves it out: export it, or give %s MarshalJSON and UnmarshalJSON", t)
		case inside != nil && slices.Contains(above, inside):
			s.lost(here, "embeds its own type, whose fields hide one another: give it a name")
		case inside != nil:
			all = append(all, s.flatten(inside, here, above)...)
		default:
			all = append(all, fieldOf(f, here))
		}
	}
	return all
}

// embedded returns the struct whose fields count as those of the struct around it, nil
// when the field is one of its own.
func embedded(f reflect.StructField) reflect.Type {
	element := elementOf(f)
	if f.Anonymous && nameInTag(f.Tag.Get("json")) == "" && element.Kind() == reflect.Struct {
		return element
	}
	return nil
}

// elementOf returns the type of a field, or what an embedded pointer points to.
func elementOf(f reflect.StructField) reflect.Type {
	if f.Anonymous && f.Type.Kind() == reflect.Pointer {
		return f.Type.Elem()
	}
	return f.Type
}

// holdsNothing reports that nothing is lost when a field is left out, and that it hides no
// other field.
func holdsNothing(f reflect.StructField, inside bool) bool {
	return f.Name == "_" || f.Type.Size() == 0 && !inside && (!f.IsExported() || f.Tag.Get("json") == "-")
}

// lossOf says why encoding/json does not store a field that is embedded or has a tag, ""
// when it does.
func lossOf(f reflect.StructField) string {
	switch {
	case f.Tag.Get("json") == "-":
		return `has the tag json:"-", so it is not stored: remove the tag, or the field`
	case f.IsExported() || !f.Anonymous:
		return ""
	case elementOf(f).Kind() != reflect.Struct:
		return "is embedded and its type is unexported, so encoding/json leaves it out: give it a name"
	case f.Type.Kind() == reflect.Pointer:
		return "is a pointer to an unexported type that is embedded, which encoding/json cannot set: embed the type itself, or export it"
	}
	return ""
}

func fieldOf(f reflect.StructField, at string) Field {
	tag := f.Tag.Get("json")
	one := Field{Name: cmp.Or(nameInTag(tag), f.Name), Type: f.Type, at: at}
	_, options, _ := strings.Cut(tag, ",")
	for option := range strings.SplitSeq(options, ",") {
		one.Optional = one.Optional || option == "omitempty" || option == "omitzero"
		one.Quoted = one.Quoted || option == "string"
	}
	return one
}

// nameInTag is the name that a tag gives a field, if it is one for encoding/json.
func nameInTag(tag string) string {
	name, _, _ := strings.Cut(tag, ",")
	for _, r := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return ""
		}
	}
	return name
}

// ownForm says in which directions a type is encoded by methods of its own.
type ownForm struct{ writes, reads bool }

func ownFormOf(t reflect.Type, addressable bool) ownForm {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return ownForm{} // what it points to is looked at
	}
	pointer := reflect.PointerTo(t)
	writer := t
	if addressable {
		writer = pointer
	}
	return ownForm{
		writes: writer.Implements(reflect.TypeFor[json.Marshaler]()) || writer.Implements(reflect.TypeFor[encoding.TextMarshaler]()),
		reads:  pointer.Implements(reflect.TypeFor[json.Unmarshaler]()) || pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()),
	}
}

// isMessage reports that a struct is one of protobuf.
func isMessage(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(reflect.TypeFor[proto.Message]())
}
