package codec_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/internal/compare"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Types with marshallers that do what their name says.
type (
	// empty writes nothing of what it holds.
	empty struct{ cents int } //nolint:unused // it is what is lost
	// partial leaves out a field that everybody can set.
	partial struct {
		A string
		B int
	}
	// oneWay can be written and not be read again.
	oneWay int
	// computed is written with more than it holds.
	computed struct{ A int }
	// color is one of three, and any other one is an error.
	color int
	// level is one of two, and any other one is written as nothing.
	level int
	// word is one of some, in a text.
	word string
	// day keeps no time of the day, and clock no day.
	day   struct{ time.Time }
	clock struct{ time.Time }
	// stamped gets the marshaller of a field that it embeds.
	stamped struct {
		time.Time
		Note string
	}
	alone struct{ time.Time }
	// decimal has many forms of one number, and knows when they are equal.
	decimal struct{ value, exponent int64 }
	// set holds one thing twice, and knows how to make one of the other.
	set struct {
		members map[string]bool
		order   []string
	}
	// lying says of values that they are zero.
	lying struct{ N int }
	// panicking does not get that far.
	panicking struct{ N int }
	// validated refuses what is not in its range, when it is read.
	validated struct{ percent int }
	// textKey is written in another way as the key of a map.
	textKey string
	// shouted keeps only capitals, and rounded no parts of a number.
	shouted struct {
		Text string
		N    int
	}
	rounded struct {
		Value float64
		Text  string
	}
	// unequal panics when it is compared.
	unequal struct{ N int }
	// defaults fills what is missing when it is read.
	defaults  struct{ A int }
	byPointer struct{ n int }
)

func (empty) MarshalJSON() ([]byte, error)     { return []byte(`{}`), nil }
func (*empty) UnmarshalJSON([]byte) error      { return nil }
func (p partial) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]string{"A": p.A}) }
func (oneWay) MarshalText() ([]byte, error)    { return []byte("high"), nil }
func (c computed) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"A":%d,"Double":%d}`, c.A, 2*c.A), nil
}

var colors = []string{"none", "red", "green"}

func (c color) MarshalText() ([]byte, error) {
	if c < 0 || int(c) >= len(colors) {
		return nil, errors.New("no such color")
	}
	return []byte(colors[c]), nil
}

func (c *color) UnmarshalText(text []byte) error {
	for i, name := range colors {
		if name == string(text) {
			*c = color(i)
			return nil
		}
	}
	return errors.New("no such color")
}

func (l level) MarshalText() ([]byte, error) {
	return []byte(map[level]string{1: "low", 2: "high"}[l]), nil
}

func (l *level) UnmarshalText(text []byte) error {
	*l = map[string]level{"low": 1, "high": 2}[string(text)]
	return nil
}

func (w *word) UnmarshalText(text []byte) error {
	if string(text) != "yes" && string(text) != "no" {
		return errors.New("neither yes nor no")
	}
	*w = word(text)
	return nil
}

func (d day) MarshalJSON() ([]byte, error) { return json.Marshal(d.Format(time.DateOnly)) }
func (d *day) UnmarshalJSON(data []byte) (err error) {
	d.Time, err = time.Parse(`"`+time.DateOnly+`"`, string(data))
	return err
}
func (c clock) MarshalJSON() ([]byte, error) { return json.Marshal(c.Format(time.TimeOnly)) }
func (c *clock) UnmarshalJSON(data []byte) (err error) {
	c.Time, err = time.Parse(`"`+time.TimeOnly+`"`, string(data))
	return err
}

func (d decimal) Equal(other decimal) bool {
	return d.rat().Cmp(other.rat()) == 0
}

func (d decimal) rat() *big.Rat {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(d.exponent), nil)
	return new(big.Rat).SetFrac(big.NewInt(d.value), scale)
}

func (d decimal) MarshalText() ([]byte, error) { // without zeros at the end
	text := strings.TrimRight(d.rat().FloatString(int(d.exponent)+1), "0")
	return []byte(strings.TrimSuffix(text, ".")), nil
}

func (d *decimal) UnmarshalText(text []byte) error {
	whole, part, _ := strings.Cut(string(text), ".")
	value, ok := new(big.Int).SetString(whole+part, 10)
	if !ok {
		return errors.New("no number")
	}
	d.value, d.exponent = value.Int64(), int64(len(part))
	return nil
}

func (s set) MarshalJSON() ([]byte, error) { return json.Marshal(s.order) }
func (s *set) UnmarshalJSON(data []byte) error {
	*s = set{members: map[string]bool{}}
	err := json.Unmarshal(data, &s.order)
	for _, one := range s.order {
		s.members[one] = true
	}
	return err
}

func (lying) IsZero() bool                         { return true }
func (panicking) MarshalJSON() ([]byte, error)     { panic("no") }
func (*panicking) UnmarshalJSON([]byte) error      { panic("no") }
func (v validated) MarshalJSON() ([]byte, error)   { return json.Marshal(1000 * v.percent) }
func (v *validated) UnmarshalJSON([]byte) error    { return errors.New("above 100") }
func (textKey) MarshalText() ([]byte, error)       { return []byte("x"), nil }
func (k *textKey) UnmarshalText(text []byte) error { *k = "key " + textKey(text); return nil }
func (s shouted) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"Text":%q,"N":%d}`, strings.ToUpper(s.Text), s.N), nil
}

func (r rounded) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"Value":%d,"Text":%q}`, int(r.Value), r.Text), nil
}
func (u unequal) MarshalText() ([]byte, error)     { return []byte("x"), nil }
func (u *unequal) UnmarshalText(text []byte) error { u.N = 1; return nil }
func (u unequal) Equal(unequal) bool               { panic("no") }
func (d *defaults) UnmarshalJSON(data []byte) error {
	type plain defaults
	read := plain{A: 7}
	err := json.Unmarshal(data, &read)
	*d = defaults(read)
	return err
}
func (b *byPointer) MarshalJSON() ([]byte, error)    { return json.Marshal(b.n) }
func (b *byPointer) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &b.n) }

type (
	Base      struct{ ID string }
	base      struct{ ID string }
	scalar    int
	recursive struct {
		Name     string
		Children []recursive
		Next     *recursive
		By       map[string]*recursive
	}
	recursiveHidden struct {
		Next   *recursiveHidden
		hidden int //nolint:unused // it is what is lost
	}
	Own struct {
		*Own
		N int
	}
	embedsMessage struct {
		*wrapperspb.StringValue
		N int
	}
	noCopy struct{}
)

// checked is what the start of a program says of a type.
func checked(t reflect.Type) error {
	c, err := codec.OfState(t, "state")
	if err != nil {
		return err
	}
	return c.Prove()
}

// twice is a struct with two fields A and B of one tag, which go vet would not let pass.
func twice(tag reflect.StructTag) any {
	a := reflect.StructField{Name: "A", Type: reflect.TypeFor[int](), Tag: tag}
	b := a
	b.Name = "B"
	return reflect.Zero(reflect.StructOf([]reflect.StructField{a, b})).Interface()
}

// Each of these would be accepted, acknowledged and come back as something else.
func TestWhatDoesNotComeBackIsRefused(t *testing.T) {
	t.Parallel()
	for says, value := range map[string]any{
		"its field cents is unexported":     struct{ cents int }{},
		"its field A.cents is unexported":   struct{ A struct{ cents int } }{},
		"its field A[].cents is unexported": struct{ A []*struct{ cents int } }{},
		"its field A[][].cents is unexported": struct {
			A map[string][2]struct{ cents int }
		}{},
		"its field hidden is unexported": recursiveHidden{},
		`its field A has the tag json:"-"`: struct {
			A int `json:"-"`
		}{},
		`its field B has the same name in JSON as A, which is "x"`: twice(`json:"x"`),
		`its field B has the same name in JSON as A, which is "B"`: struct {
			A int `json:"B"`
			B int
		}{},
		`its field B has the same name in JSON as A, which is "A"`: struct {
			A int
			B [0]int `json:"A"`
		}{},
		`its field ID has the same name in JSON as Base.ID`: struct {
			Base
			ID string
		}{},
		`its field base.ID has the same name in JSON as Base.ID`: struct {
			Base
			base
		}{},
		"its field base is a pointer to an unexported type that is embedded": struct{ *base }{},
		"its field scalar is embedded and its type is unexported":            struct{ scalar }{},
		"its field Own embeds its own type":                                  Own{},
		"its field A is an interface":                                        struct{ A any }{},
		"its field A[] is an interface":                                      struct{ A []any }{},
		"its field B[] is an interface":                                      struct{ B map[string]any }{},
		"its field C is an interface":                                        struct{ C json.Marshaler }{},
		"its field Stringer is an interface":                                 struct{ fmt.Stringer }{},
		"its field D is an interface":                                        struct{ D error }{},
		"its field A is a func":                                              struct{ A func() }{},
		"its field A is a chan":                                              struct{ A chan int }{},
		"its field A is a complex128":                                        struct{ A complex128 }{},
		"its field A is a map keyed by codec_test.Base":                      struct{ A map[Base]int }{},
		"its field A is a map keyed by bool":                                 struct{ A map[bool]int }{},
		"its field A is a map keyed by float64":                              struct{ A map[float64]int }{},
		"its field A is a map keyed by *string":                              struct{ A map[*string]int }{},
		"its field A is a map keyed by interface {}":                         struct{ A map[any]int }{},
		"its field A[] has a marshaller with a pointer receiver":             struct{ A map[string]big.Int }{},
		"its field Sum[] has a marshaller with a pointer receiver":           struct{ Sum map[string]byPointer }{},
		"its field A is a protobuf message inside of JSON":                   struct{ A *wrapperspb.StringValue }{},
		"its field A[] is a protobuf message inside of JSON":                 struct{ A []*wrapperspb.StringValue }{},
		"its field A.User.username is unexported":                            struct{ A url.URL }{},
		"its field A.readerCount is unexported":                              struct{ A sync.RWMutex }{},
		// What only a value shows.
		"its field A.cents comes back changed through the marshallers of codec_test.empty": struct{ A empty }{},
		"its field B[].cents comes back changed":                                           struct{ B []*empty }{},
		"its field A.B comes back changed through the marshallers of codec_test.partial":   struct{ A partial }{},
		"its field B comes back changed through the marshallers of codec_test.partial":     partial{},
		"its field A can be written by the methods of codec_test.oneWay and not be read":   struct{ A oneWay }{},
		"its field Note comes back changed through the marshallers of codec_test.stamped":  stamped{},
		"it cannot be read again": struct{ A struct{ time.Time } }{},
		"its field A comes back changed through the marshallers of codec_test.textKey": struct{ A map[textKey]int }{},
		"its field A.N comes back changed: mend its marshallers and tags": struct {
			A lying `json:",omitzero"`
		}{},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			for _, of := range []reflect.Type{reflect.TypeOf(value), reflect.PointerTo(reflect.TypeOf(value))} {
				err := checked(of)

				require.ErrorContains(t, err, says)
				require.ErrorIs(t, err, persistence.ErrInvalid)
				loss, ok := errors.AsType[*codec.LossError](err)
				require.True(t, ok)
				require.Equal(t, reflect.TypeOf(value), loss.Type)
			}
		})
	}
}

// None of these may be refused: all of it comes back, or nobody but the program can say.
func TestWhatComesBackIsAccepted(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"plain": struct {
			A int8
			B uint64
			C float32
			D string
			E bool
			F []byte
			G [3]int
			H map[string]int
			I map[int16][]string
			J *int
			K scalar
			L map[scalar]bool
			M uintptr
			N []float64
		}{},
		"recursive":        recursive{},
		"nothing":          struct{}{},
		"a list":           []string{},
		"a map":            map[string]int{},
		"a number":         7,
		"raw":              struct{ A json.RawMessage }{},
		"a number as text": struct{ A json.Number }{},
		"in quotes": struct {
			A int `json:",string"`
		}{},
		"a number in quotes": struct {
			A json.Number `json:",string"`
		}{},
		"left out when empty": struct {
			A []int `json:"a,omitempty"`
		}{},
		"left out when zero": struct {
			A time.Time `json:"a,omitzero"`
		}{},
		"the name -": struct {
			A int `json:"-,"` //nolint:staticcheck // it is meant
		}{},
		"no name": twice(`json:"a\"b"`),
		"names that differ by case": struct {
			A int `json:"a"`
			B int `json:"A"`
		}{},
		"embedded":              struct{ Base }{},
		"embedded, unexported":  struct{ base }{},
		"embedded by a pointer": struct{ *Base }{},
		"embedded with a name": struct {
			Base `json:"base"`
			ID   string
		}{},
		"holds nothing": struct {
			_ int
			_ noCopy
			n noCopy
			f [0]func()
			A int
		}{},
		"times":               struct{ A, B time.Time }{},
		"a time by a pointer": struct{ A *time.Time }{},
		"a duration":          struct{ A time.Duration }{},
		"times as keys":       struct{ A map[time.Time]int }{},
		"only a time":         alone{},
		"big numbers": struct {
			A big.Int
			B *big.Rat
			C map[string]*big.Int
			D *big.Float
		}{},
		"addresses": struct {
			A netip.Addr
			B net.IP
			C netip.Prefix
			D netip.AddrPort
		}{},
		"ids": struct {
			A uuid.UUID
			B map[uuid.UUID]uuid.NullUUID
		}{},
		"an enum": struct {
			A color
			B *color
			C []color
			D map[color]int
		}{},
		"a lenient enum": struct{ A level }{},
		"words": struct {
			A word
			B []word
		}{},
		"computed": struct{ A computed }{},
		"days and clocks": struct {
			A day
			B *clock
		}{},
		"decimals": struct {
			A decimal
			B map[string]decimal
		}{},
		"a set":              struct{ A set }{},
		"panics":             struct{ A panicking }{},
		"never valid":        struct{ A validated }{},
		"defaults":           struct{ A defaults }{},
		"capitals":           struct{ A shouted }{},
		"whole numbers":      struct{ A rounded }{},
		"cannot be compared": struct{ A unequal }{},
		"by a pointer": struct {
			A byPointer
			B []byPointer
			C map[string]*byPointer
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			require.NoError(t, checked(reflect.TypeOf(value)))
			require.NoError(t, checked(reflect.PointerTo(reflect.TypeOf(value))))
		})
	}
	require.NoError(t, checked(reflect.TypeFor[*wrapperspb.StringValue]()))
	require.ErrorContains(t, checked(reflect.TypeFor[*embedsMessage]()), "is no protobuf message, though it has the methods of one")
}

// Whatever type passes, its values come back: types of all sorts, against encoding/json
// itself.
func TestWhateverPassesComesBack(t *testing.T) {
	t.Parallel()
	plain := []reflect.Type{
		reflect.TypeFor[int](), reflect.TypeFor[uint8](), reflect.TypeFor[string](), reflect.TypeFor[bool](), reflect.TypeFor[float64](), reflect.TypeFor[[]byte](),
		reflect.TypeFor[scalar](), reflect.TypeFor[Base](), reflect.TypeFor[json.Number](), reflect.TypeFor[noCopy](), reflect.TypeFor[struct{ base }](),
	}
	bad := []reflect.Type{
		reflect.TypeFor[any](), reflect.TypeFor[struct{ n int }](), reflect.TypeFor[func()](), reflect.TypeFor[fmt.Stringer](), reflect.TypeFor[struct{ *base }](),
		reflect.TypeFor[struct{ scalar }](),
	}
	own := append([]reflect.Type{
		reflect.TypeFor[time.Time](), reflect.TypeFor[color](), reflect.TypeFor[big.Int](), reflect.TypeFor[byPointer](), reflect.TypeFor[uuid.UUID](), reflect.TypeFor[level](), reflect.TypeFor[decimal](),
	}, plain...)
	ownBad := append([]reflect.Type{
		reflect.TypeFor[partial](), reflect.TypeFor[empty](), reflect.TypeFor[stamped](), reflect.TypeFor[struct{ time.Time }](), reflect.TypeFor[lying](), reflect.TypeFor[oneWay](),
	}, bad...)
	keys := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[scalar](), reflect.TypeFor[bool](), reflect.TypeFor[float64]()}
	ownKeys := append([]reflect.Type{reflect.TypeFor[uuid.UUID](), reflect.TypeFor[color](), reflect.TypeFor[textKey]()}, keys...)
	t.Run("by the type alone", func(t *testing.T) {
		t.Parallel()
		comesBack(t, anyType{plain, bad, keys}, func(of reflect.Type) error {
			_, err := codec.OfState(of, "state")
			return err
		})
	})
	t.Run("by a value too, with marshallers", func(t *testing.T) {
		t.Parallel()
		comesBack(t, anyType{own, ownBad, ownKeys}, checked)
	})
}

func comesBack(t *testing.T, types anyType, check func(reflect.Type) error) {
	t.Helper()
	accepted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		of := types.of(3).Draw(t, "type")
		if check(of) != nil {
			refused++
			return
		}
		accepted++
		value := reflect.New(of)
		for range 3 {
			setAny(t, value.Elem(), 3)
			data, err := json.Marshal(value.Interface())
			require.NoError(t, err)
			back := reflect.New(of)
			require.NoError(t, json.Unmarshal(data, back.Interface()), "%s", data)
			require.True(t, compare.Equal(value.Interface(), back.Interface()), "%s\n%s\n%s", of, compare.First(value.Interface(), back.Interface()), data)
			requireAlike(t, data, of)
			requireAlike(t, distorted(t, data), of)
		}
	})
	require.Positive(t, accepted)
	require.Positive(t, refused)
}

// requireAlike requires that a type reads JSON as encoding/json does, also what it never
// wrote itself.
func requireAlike(t require.TestingT, data []byte, of reflect.Type) {
	standard := reflect.New(of)
	standardErr := json.Unmarshal(data, standard.Interface())

	read, err := codec.FromJSON(data, of)

	require.Equal(t, standardErr, err, "%s\n%s", of, data)
	if err == nil {
		require.True(t, reflect.DeepEqual(standard.Interface(), read.Interface()), "%s\n%s\n%s", of, compare.First(standard.Interface(), read.Interface()), data)
	}
}

// distorted changes a piece of JSON: often to another value that is still JSON.
func distorted(t *rapid.T, data []byte) []byte {
	if len(data) == 0 {
		return data
	}
	at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
	to := min(len(data), at+rapid.IntRange(0, 6).Draw(t, "length"))
	piece := rapid.SampledFrom([]string{
		"", " ", "null", "0", "-1", "1.5", "1e3", `"1"`, `""`, "true", "[]", "{}", `"F0":1,`, `,"f0":null`, `"f1":[1],`, "\xff", `\ud800`, `"x":{},"X":0,`, "}", "]", ",", "\n", "{", `"`,
	}).Draw(t, "piece")
	return slices.Concat(data[:at], []byte(piece), data[to:])
}

// Each line is read alike, or refused alike, by encoding/json and by what stands in for it.
func TestOddJSONIsReadAlike(t *testing.T) {
	t.Parallel()
	type inner struct {
		A int
		B *string
	}
	type odd struct {
		inner
		Text    string            `json:"text"`
		Number  json.Number       `json:"number"`
		Quoted  int               `json:"quoted,string"`
		Both    json.Number       `json:"both,string"`
		Raw     json.RawMessage   `json:"raw"`
		List    []int             `json:"list"`
		Fixed   [2]int            `json:"fixed"`
		Map     map[string]inner  `json:"map"`
		Keys    map[int]string    `json:"keys"`
		Bytes   []byte            `json:"bytes"`
		Pointer *inner            `json:"pointer"`
		At      time.Time         `json:"at"`
		Any     any               `json:"any"`
		Small   int8              `json:"small"`
		Float   float32           `json:"float"`
		Color   color             `json:"color"`
		Texts   map[textKey]uint8 `json:"texts"`
	}
	for _, data := range []string{
		`{}`, `null`, ` { } `, `{"TEXT":"a","Text":"b"}`, `{"text":"a","text":null}`, `{"text":"\ud800"}`, "{\"text\":\"\xff\"}", `{"text":1}`, `{"teXt":"\u00e9"}`,
		`{"number":1}`, `{"number":"12"}`, `{"number":"x"}`, `{"number":""}`, `{"number":null}`, `{"number":1e999}`, `{"quoted":"1"}`, `{"quoted":1}`, `{"quoted":"x"}`, `{"quoted":null}`,
		`{"quoted":"null"}`, `{"both":"1"}`, `{"both":1}`, `{"both":"\"1\""}`, `{"raw":[ 1 ]}`, `{"raw":null}`, `{"list":null}`, `{"list":[1,null,3]}`, `{"list":{}}`, `{"fixed":[1]}`, `{"fixed":[1,2,3]}`,
		`{"list":[1,2],"list":[3]}`, `{"map":{"a":{"A":1},"a":{"B":"x"}}}`, `{"map":{"a":null}}`, `{"keys":{"1":"a","x":"b"}}`, `{"keys":{"01":"a"}}`, `{"bytes":"YQ=="}`, `{"bytes":"YQ"}`, `{"bytes":[1,2]}`, `{"bytes":"Y\nQ=="}`,
		`{"pointer":{"A":1},"pointer":null}`, `{"pointer":{"A":1},"pointer":{"B":"x"}}`, `{"at":"2026-01-01T00:00:00Z"}`, `{"at":"2026-01-01T24:00:00Z"}`, `{"at":1}`, `{"any":{"a":[1,"x",null]}}`, `{"any":1e400}`,
		`{"small":128}`, `{"small":1.0}`, `{"small":1e2}`, `{"small":-0}`, `{"float":1e39}`, `{"float":1e-50}`, `{"color":"red"}`, `{"color":9}`, `{"texts":{"a":256}}`, `{"a":1}`, `{"A":1,"B":"x"}`, `{"inner":{"A":1}}`,
		`{"unknown":[{"deep":[1,{}]}]}`, `{"unknown":tru}`, `{"text":"a"`, `{"text":"a"}}`, `{"text":"a"} {}`, `[]`, `[{}]`, `"x"`, `1`, ``, ` `, "\ufeff{}", `{"text":"a",}`, `{'text':"a"}`, `{"text":"a\x00"}`, `{"ſmall":1}`, `{"K":1}`,
	} {
		requireAlike(t, []byte(data), reflect.TypeFor[odd]())
		requireAlike(t, []byte(data), reflect.TypeFor[*odd]())
		requireAlike(t, []byte(data), reflect.TypeFor[map[string]odd]())
	}
}

// anyType draws types that are made of some, mostly of good ones.
type anyType struct{ plain, bad, keys []reflect.Type }

func (a anyType) of(depth int) *rapid.Generator[reflect.Type] {
	return rapid.Custom(func(t *rapid.T) reflect.Type {
		plain := a.plain
		if rapid.IntRange(0, 15).Draw(t, "bad") == 15 {
			plain = a.bad
		}
		if depth == 0 {
			return rapid.SampledFrom(plain).Draw(t, "plain")
		}
		inner := a.of(depth - 1)
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return reflect.PointerTo(plain[rapid.IntRange(0, len(plain)-1).Draw(t, "to")])
		case 1:
			return reflect.SliceOf(inner.Draw(t, "of"))
		case 2:
			return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), inner.Draw(t, "of"))
		case 3:
			return reflect.MapOf(rapid.SampledFrom(a.keys).Draw(t, "key"), inner.Draw(t, "of"))
		}
		var fields []reflect.StructField
		for i := range rapid.IntRange(0, 4).Draw(t, "fields") {
			f := reflect.StructField{Name: fmt.Sprint("F", i), Type: inner.Draw(t, "field")}
			f.Tag = reflect.StructTag(rapid.SampledFrom([]string{
				"", "", "", "", `json:"x"`, `json:"F0"`, `json:"-"`, `json:"-,"`, `json:",omitempty"`, `json:",omitzero"`, `json:",string"`, `json:"y,omitempty"`, `json:"a\\b"`,
			}).Draw(t, "tag"))
			if of := f.Type; rapid.IntRange(0, 5).Draw(t, "embedded") == 0 && of.Kind() == reflect.Struct && of.NumMethod() == 0 && reflect.PointerTo(of).NumMethod() == 0 {
				f.Anonymous = true
			}
			fields = append(fields, f)
		}
		return reflect.StructOf(fields)
	})
}

// setAny gives a value any content that its type may have.
func setAny(t *rapid.T, v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.UnixMicro(rapid.Int64Range(0, 1<<50).Draw(t, "time")).UTC()))
		return
	case color:
		v.SetInt(rapid.Int64Range(0, 2).Draw(t, "color"))
		return
	case level:
		v.SetInt(rapid.Int64Range(0, 2).Draw(t, "level"))
		return
	case big.Int:
		v.Set(reflect.ValueOf(*big.NewInt(rapid.Int64().Draw(t, "big"))))
		return
	case decimal:
		v.Set(reflect.ValueOf(decimal{rapid.Int64Range(0, 1000).Draw(t, "value"), rapid.Int64Range(0, 3).Draw(t, "exponent")}))
		return
	case byPointer:
		v.Set(reflect.ValueOf(byPointer{rapid.Int().Draw(t, "n")}))
		return
	case json.Number:
		v.SetString(fmt.Sprint(rapid.Int64().Draw(t, "number")))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Uint8().Draw(t, "uint")))
	case reflect.Float64:
		v.SetFloat(rapid.Float64Range(-1e300, 1e300).Draw(t, "float"))
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "string"))
	case reflect.Pointer:
		v.SetZero()
		if rapid.Bool().Draw(t, "some") {
			v.Set(reflect.New(v.Type().Elem()))
			setAny(t, v.Elem(), depth)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 2).Draw(t, "length"), 2))
		for i := range v.Len() {
			setAny(t, v.Index(i), depth)
		}
	case reflect.Array:
		for i := range v.Len() {
			setAny(t, v.Index(i), depth)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rapid.IntRange(0, 2).Draw(t, "entries") {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			setAny(t, key, depth)
			setAny(t, value, depth)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				setAny(t, field, depth)
			}
		}
	}
}

// What cannot be decided for all values is decided for each, in tests.
func TestStrict(t *testing.T) {
	t.Parallel()
	plain := of[Leveled](t)
	require.NoError(t, plain.Prove())
	unknown := Leveled{Level: 7, Tags: []string{}}
	_, err := plain.Encode(unknown)
	require.NoError(t, err)

	_, err = plain.Strict().Encode(unknown)
	require.ErrorIs(t, err, persistence.ErrInvalid)
	require.ErrorContains(t, err, "test.leveled Level comes back changed")
	data, err := plain.Strict().Append([]byte("before"), Leveled{Level: 2, Tags: []string{}, Price: decimal{150, 2}})
	require.NoError(t, err)
	require.Equal(t, `before{"Level":"high","Tags":[],"Price":"1.5"}`, string(data))
	data, err = plain.Strict().Append([]byte("before"), unknown)
	require.Error(t, err)
	require.Equal(t, "before", string(data))
}

type Leveled struct {
	Level level
	Tags  []string
	Price decimal
}

func (Leveled) MessageName() string { return "test.leveled" }

// A name that depends on the value would store one type under several.
func TestNamesThatDependOnTheValue(t *testing.T) {
	t.Parallel()

	require.ErrorContains(t, of[Renamed](t).Prove(), "codec_test.Renamed does not survive being stored: it has a MessageName that is not the same for all values")
	require.ErrorContains(t, of[*Renamed](t).Prove(), "return a constant")
}

type Renamed struct{ Kind string }

func (r Renamed) MessageName() string { return "test." + cmp.Or(r.Kind, "none") }

// Marshallers may use variables that are not set when contracts are made.
func TestOfRunsNoMarshaller(t *testing.T) {
	t.Parallel()

	c, err := codec.Of[Counted]()

	require.NoError(t, err)
	require.Zero(t, marshalled.Load())
	require.NoError(t, c.Prove())
	once := marshalled.Load()
	require.Positive(t, once)
	again, err := codec.Of[Counted]()
	require.NoError(t, err)
	require.NoError(t, again.Prove())
	require.Equal(t, once, marshalled.Load())
}

var marshalled atomic.Int64

type Counted struct{ N int }

func (Counted) MessageName() string { return "test.counted" }
func (c Counted) MarshalJSON() ([]byte, error) {
	marshalled.Add(1)
	return fmt.Appendf(nil, `{"N":%d}`, c.N), nil
}

// One codec serves a type, and what it takes to make and prove it is paid once.
func TestOfIsKept(t *testing.T) {
	t.Parallel()

	first, second := of[Note](t), of[Note](t)
	require.Same(t, first, second)
	require.NoError(t, of[Note](t).Prove())
}

func BenchmarkProve(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := checked(reflect.TypeFor[Note]()); err != nil {
			b.Fatal(err)
		}
	}
}
