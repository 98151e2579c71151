package codec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"github.com/stele-es/stele/internal/compare"
)

// Prove encodes a value of the type in which every field holds something, decodes it,
// and returns a [*LossError] when it comes back changed. It is meant for the start of a
// program: [Of] has refused what the type alone shows, and Prove finds what only
// methods of the user's can lose. It runs them once; the answer is kept.
//
// A type with marshallers of its own decides which values there are. So what they
// return an error for, or what cannot be made from outside, proves nothing; the type is
// refused when of all values that could be made none has come back. Whether others do
// is decided by [Type.Strict], in tests.
func (c *Type) Prove() error {
	if c.form == protobuf {
		return nil // keeps all that it knows, and what it does not know too
	}
	c.once.Do(func() { c.loss = prove(c.element()) })
	return c.loss
}

// prove proves a type that is encoded by its address.
func prove(t reflect.Type) error {
	g := &generator{own: map[reflect.Type]sample{}}
	g.root = t
	value := reflect.New(t).Elem()
	g.fill(value, "", true)
	if renamed(value) {
		return &LossError{Type: t, Reason: "has a MessageName that is not the same for all values, so what is stored under one is not found under another: return a constant"}
	}
	if g.loss != nil || g.undecided || ownFormOf(t, true).writes {
		return g.loss // of a type with a form of its own all has been seen
	}
	lost, err := storeOnce(value)
	_, unwritten := err.(*writeError) //nolint:errorlint // never wrapped
	switch {
	case unwritten:
		return &LossError{Type: t, Reason: "cannot be written: " + err.Error()}
	case err != nil:
		return &LossError{Type: t, Reason: "cannot be read again: " + err.Error()}
	case lost != nil:
		return &LossError{Type: t, Field: lost.Place(), Reason: "comes back changed: mend its marshallers and tags"}
	}
	return nil
}

// renamed reports that a value has another name than the zero value of its type, which
// is the one that counts.
func renamed(value reflect.Value) (differs bool) {
	defer func() {
		if recover() != nil {
			differs = true
		}
	}()
	named, ok := reflect.TypeAssert[Named](value.Addr())
	if !ok {
		return false
	}
	zero, _ := reflect.TypeAssert[Named](reflect.New(value.Type()))
	return named.MessageName() != zero.MessageName()
}

// storeOnce stores a value, reads it again, and returns what it has lost. Panics of the
// user's methods are errors.
func storeOnce(value reflect.Value) (lost *compare.Difference, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			lost, err = nil, &writeError{fmt.Errorf("a method panicked with a %T", reason)}
		}
	}()
	source := reflect.New(value.Type())
	source.Elem().Set(value)
	data, err := json.Marshal(source.Interface())
	if err != nil {
		return nil, &writeError{err}
	}
	target, err := fromJSON(data, value.Type(), readAlike(value.Type()))
	if err != nil {
		return nil, err
	}
	return compare.Lost(value.Interface(), target.Elem().Interface()), nil
}

// writeError tells that a value could not be encoded from one that cannot be decoded.
type writeError struct{ error }

// generator makes values in which every field holds something, each another thing, so
// that exchanged fields are seen too.
type generator struct {
	root      reflect.Type
	count     int
	made      int
	variant   int            // how much is in a value
	above     []reflect.Type // structs under way
	own       map[reflect.Type]sample
	loss      error
	undecided bool // a part holds nothing and cannot be stored then
}

// maxValues bounds how many values one type is filled with, for types that hold one
// another in many ways.
const maxValues = 1000

// times are a moment with less and less in it: a type may keep seconds, or days.
var times = [...]time.Time{
	time.Date(2001, 2, 3, 4, 5, 6, 7000, time.UTC), time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC),
}

// sample is a value of a type with a form of its own that has come back.
type sample struct {
	value reflect.Value
	found bool
}

func (g *generator) fill(v reflect.Value, at string, addressable bool) {
	t := v.Type()
	if t == reflect.TypeFor[time.Time]() && v.CanSet() {
		v.Set(reflect.ValueOf(times[g.variant]))
		return
	}
	if own := ownFormOf(t, addressable); own.writes || own.reads {
		g.fillOwn(v, at, own)
		return
	}
	g.fillParts(v, at, addressable)
}

// fillParts fills a value by its kind. A type inside of itself stays empty.
func (g *generator) fillParts(v reflect.Value, at string, addressable bool) {
	t := v.Type()
	switch t.Kind() {
	case reflect.Pointer:
		if g.room(t.Elem()) {
			target := reflect.New(t.Elem())
			g.fill(target.Elem(), at, true)
			v.Set(target)
		}
	case reflect.Slice:
		if g.room(t.Elem()) {
			list := reflect.MakeSlice(t, 2, 2)
			g.fill(list.Index(0), at+"[]", true)
			g.fill(list.Index(1), at+"[]", true)
			v.Set(list)
		}
	case reflect.Array:
		for i := range v.Len() {
			g.fill(v.Index(i), at+"[]", addressable)
		}
	case reflect.Map:
		if g.room(t.Elem()) {
			key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			g.fill(key, at, false)
			g.fill(value, at+"[]", false)
			v.Set(reflect.MakeMap(t))
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		g.above = append(g.above, t)
		for i := range v.NumField() {
			if f := t.Field(i); f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct {
				g.fill(v.Field(i), at+"."+f.Name, addressable)
			}
		}
		g.above = g.above[:len(g.above)-1]
	default:
		g.scalar(v)
	}
}

// room reports that values of a type may be made here.
func (g *generator) room(t reflect.Type) bool {
	g.made++
	return g.made <= maxValues && !slices.Contains(g.above, t)
}

// scalar sets a value that holds no others. Numbers are small, because a type may give
// only these a meaning, and become whole, as texts become plain: a type may keep no more
// than that.
func (g *generator) scalar(v reflect.Value) {
	if !v.CanSet() {
		return
	}
	g.count = g.count%100 + 1
	switch kind := v.Kind(); {
	case kind == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(g.count))
	case v.CanUint():
		v.SetUint(uint64(g.count)) //nolint:gosec // 1 to 100
	case v.CanFloat():
		v.SetFloat(float64(g.count) + []float64{0.5, 0, 0}[g.variant])
	case v.Type() == reflect.TypeFor[json.Number]():
		v.SetString(strconv.Itoa(g.count))
	case kind == reflect.String:
		v.SetString([]string{"text ", "TEXT", ""}[g.variant] + strconv.Itoa(g.count))
	}
}

// fillOwn fills a value whose type has a form of its own with one that comes back.
func (g *generator) fillOwn(v reflect.Value, at string, own ownForm) {
	known, met := g.own[v.Type()]
	if !met {
		known = g.sample(v.Type(), at, own)
		g.own[v.Type()] = known
	}
	if known.found {
		if v.CanSet() {
			v.Set(known.value)
		}
		return
	}
	if _, err := storeOnce(reflect.Zero(v.Type())); err != nil {
		g.undecided = true
	}
}

// sample looks for a value that comes back. When values were made and every one was
// lost, that is the loss of the type.
func (g *generator) sample(t reflect.Type, at string, own ownForm) (found sample) {
	g.own[t] = sample{} // while it is looked for, so that types may hold themselves
	var lost, refused error
	for _, value := range g.candidates(t, at) {
		part, err := storeOnce(value)
		_, unwritten := err.(*writeError) //nolint:errorlint // never wrapped
		switch {
		case err == nil && part == nil:
			return sample{value, true}
		case err == nil:
			if lost == nil {
				lost = &LossError{Type: g.root, Field: trimmed(at + part.At), Reason: fmt.Sprintf("comes back changed through the marshallers of %s: "+
					"let them keep it, or return an error for a value that they cannot keep (those of an embedded field are the type's own)", t)}
			}
		case !unwritten && refused == nil && !own.reads:
			refused = &LossError{Type: g.root, Field: trimmed(at), Reason: fmt.Sprintf("can be written by the methods of %s and not be read again: "+
				"give it UnmarshalJSON or UnmarshalText", t)}
		}
	}
	if lost == nil {
		lost = refused
	}
	if lost != nil && g.loss == nil {
		g.loss = lost
	}
	return sample{}
}

func trimmed(at string) string {
	if at != "" && at[0] == '.' {
		return at[1:]
	}
	return at
}

// candidates are values of a type with a form of its own that it may well have: some
// with all fields that are open to everybody, and what it makes itself of texts that
// are often stored.
func (g *generator) candidates(t reflect.Type, at string) (all []reflect.Value) {
	switch t {
	case reflect.TypeFor[time.Time](): // as the key of a map, for one
		return []reflect.Value{reflect.ValueOf(times[0])}
	case reflect.TypeFor[json.RawMessage]():
		return []reflect.Value{reflect.ValueOf(json.RawMessage(`{"a":1}`))}
	}
	add := func(v reflect.Value) {
		if !v.IsZero() {
			all = append(all, v)
		}
	}
	for variant := range times {
		inner := &generator{root: g.root, count: variant, variant: variant, made: g.made, own: g.own, above: g.above}
		value := reflect.New(t).Elem()
		inner.fillParts(value, at, true)
		openOnly(value, inner)
		if inner.undecided {
			break
		}
		add(value)
	}
	for _, text := range []string{
		`"a"`, `1`, `"1"`, `1.5`, `"1.5"`, `true`, `"2001-02-03T04:05:06Z"`, `"2001-02-03"`, `"04:05:06"`, `"1h2m"`,
		`"01234567-89ab-4def-8123-456789abcdef"`, `"127.0.0.1"`, `"a@example.org"`, `"https://example.org/a"`, `["a"]`, `[1]`, `{"a":"b"}`,
	} {
		if value, err := parsed(t, text); err == nil && full(value) {
			add(value)
		}
	}
	return all
}

// parsed is the value that a type makes of a text. Panics of the user's methods are
// errors.
func parsed(t reflect.Type, text string) (value reflect.Value, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("an unmarshaller panicked with a %T", reason)
		}
	}()
	target, err := fromJSON([]byte(text), t, readAlike(t))
	return target.Elem(), err
}

// full reports that all open fields of a struct hold something: a value that lacks what
// another one has lost says nothing about it.
func full(v reflect.Value) bool {
	if v.Kind() != reflect.Struct {
		return true
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() && v.Field(i).IsZero() {
			return false
		}
	}
	return true
}

// openOnly sets the field of a struct that holds nothing but one unexported field of a
// plain kind. Several unexported fields may depend on one another in ways that only
// their own package knows, so they are left alone.
func openOnly(v reflect.Value, g *generator) {
	if v.Kind() != reflect.Struct || v.NumField() != 1 || v.Type().Field(0).IsExported() {
		return
	}
	field := v.Field(0)
	open := reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem() //nolint:gosec // the value was made here
	g.scalar(open)
}
