package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	Note struct {
		Text   string
		Number int64
		Float  float64
		At     time.Time
		List   []string
		Map    map[string]int
		Nested *Note `json:",omitempty"`
		Raw    json.RawMessage
	}
	// Odd has marshallers of its own, for which encoding/json looks at the address
	// of a value.
	Odd       struct{ Sum big.Int }
	Nameless  struct{ N int }
	Reserved  struct{}
	Blank     struct{}
	Endless   struct{}
	Named     int
	ByPointer struct{ N int }
)

func (Note) MessageName() string       { return "test.note" }
func (Odd) MessageName() string        { return "test.odd" }
func (Reserved) MessageName() string   { return "$reserved" }
func (Blank) MessageName() string      { return "" }
func (Endless) MessageName() string    { return strings.Repeat("x", persistence.MaxEventType+1) }
func (Named) MessageName() string      { return "test.number" }
func (*ByPointer) MessageName() string { return "test.by-pointer" }

func of[T any](t testing.TB) *codec.Type {
	t.Helper()
	c, err := codec.Of[T]()
	require.NoError(t, err)
	require.Equal(t, reflect.TypeFor[T](), c.GoType())
	return c
}

func TestOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, "test.note", of[Note](t).Name())
	require.Equal(t, "test.note", of[*Note](t).Name())
	require.Equal(t, "test.by-pointer", of[ByPointer](t).Name())
	require.Equal(t, "test.by-pointer", of[*ByPointer](t).Name())
	require.Equal(t, "google.protobuf.StringValue", of[*wrapperspb.StringValue](t).Name())
	require.Equal(t, "stele.v1.Headers", of[*stelev1.Headers](t).Name())
	for want, mistake := range map[string]func() (*codec.Type, error){
		"add `func (Nameless) MessageName() string`":                          codec.Of[Nameless],
		"*codec_test.Nameless has no stored name":                             codec.Of[*Nameless],
		"int is neither a protobuf message nor a struct":                      codec.Of[int],
		"codec_test.Named is neither":                                         codec.Of[Named],
		"**codec_test.Note is neither":                                        codec.Of[**Note],
		"[]codec_test.Note is neither":                                        codec.Of[[]Note],
		"map[string]int is neither":                                           codec.Of[map[string]int],
		"interface {} is neither":                                             codec.Of[any],
		"protoreflect.ProtoMessage is neither":                                codec.Of[proto.Message],
		"wrapperspb.StringValue has no stored name":                           codec.Of[wrapperspb.StringValue],
		"struct {} has no stored name":                                        codec.Of[struct{}],
		`name of codec_test.Reserved: invalid: type begins with "$"`:          codec.Of[Reserved],
		"name of codec_test.Blank: ":                                          codec.Of[Blank],
		"name of codec_test.Endless: event 0: invalid: type is too long: 256": codec.Of[Endless],
	} {
		c, err := mistake()
		require.ErrorContains(t, err, want)
		require.Nil(t, c)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	full := Note{
		Text: "ä \u2028 <b> \ufffd \\ufffd \x00", Number: math.MinInt64, Float: 0.1, At: time.Date(2026, 7, 1, 1, 2, 3, 4, time.UTC),
		List: []string{"", "x"}, Map: map[string]int{"b": 1, "a": 2}, Nested: &Note{Text: "in", Raw: json.RawMessage(`{"replaced":"\ufffd"}`)}, Raw: json.RawMessage(`[1,"x"]`),
	}
	odd := Odd{}
	odd.Sum.SetString("123456789012345678901234567890", 10)
	for name, c := range map[string]struct {
		of      *codec.Type
		message any
	}{
		"struct":          {of[Note](t), full},
		"empty struct":    {of[Note](t), Note{Raw: json.RawMessage("null")}},
		"pointer":         {of[*Note](t), &full},
		"by pointer":      {of[*ByPointer](t), &ByPointer{7}},
		"own marshallers": {of[Odd](t), odd},
		"protobuf":        {of[*stelev1.Headers](t), &stelev1.Headers{CommandId: []byte{1}, Command: "x"}},
		"empty protobuf":  {of[*stelev1.Headers](t), &stelev1.Headers{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := c.of.Encode(c.message)
			require.NoError(t, err)
			back, err := c.of.Decode(data)
			require.NoError(t, err)
			again, err := c.of.Encode(c.of.Clone(c.message))
			require.NoError(t, err)

			require.Equal(t, data, again)
			require.IsType(t, c.message, back)
			if m, ok := c.message.(proto.Message); ok {
				require.True(t, proto.Equal(m, back.(proto.Message)))
				return
			}
			require.Equal(t, c.message, back)
		})
	}
}

// Maps come in any order; what is stored does not.
func TestEncodingIsStable(t *testing.T) {
	t.Parallel()
	fields, numbers := map[string]any{}, map[string]int{}
	for i := range 30 {
		fields[fmt.Sprint(i)], numbers[fmt.Sprint(i)] = i, i
	}
	message, err := structpb.NewStruct(fields)
	require.NoError(t, err)
	for range 10 {
		first, err := of[*structpb.Struct](t).Encode(message)
		require.NoError(t, err)
		second, err := of[*structpb.Struct](t).Encode(of[*structpb.Struct](t).Clone(message))
		require.NoError(t, err)
		require.Equal(t, first, second)
		first, err = of[Note](t).Encode(Note{Map: numbers, Raw: json.RawMessage("1")})
		require.NoError(t, err)
		second, err = of[Note](t).Encode(Note{Map: numbers, Raw: json.RawMessage("1")})
		require.NoError(t, err)
		require.Equal(t, first, second)
	}
}

// Failing is a message that cannot be encoded.
type Failing struct{}

var errFailing = errors.New("a word of the marshaller's own")

func (Failing) MessageName() string           { return "test.failing" }
func (*Failing) MarshalJSON() ([]byte, error) { return nil, errFailing }

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	invalid := "invalid UTF-8 \xff"
	for name, c := range map[string]struct {
		of      *codec.Type
		message any
		want    error
		says    string
	}{
		"nil for a struct":          {of[Note](t), nil, persistence.ErrInvalid, "test.note is nil"},
		"nil pointer":               {of[*Note](t), (*Note)(nil), persistence.ErrInvalid, "test.note is nil"},
		"nil for a protobuf":        {of[*stelev1.Headers](t), nil, persistence.ErrInvalid, "is nil"},
		"nil protobuf":              {of[*stelev1.Headers](t), (*stelev1.Headers)(nil), persistence.ErrInvalid, "is nil"},
		"pointer for a value":       {of[Note](t), &Note{}, persistence.ErrInvalid, "test.note cannot be made of a *codec_test.Note"},
		"value for a pointer":       {of[*Note](t), Note{}, persistence.ErrInvalid, "cannot be made of a codec_test.Note"},
		"another struct":            {of[Note](t), Odd{}, persistence.ErrInvalid, "cannot be made of a codec_test.Odd"},
		"another protobuf":          {of[*stelev1.Headers](t), wrapperspb.String("x"), persistence.ErrInvalid, "stele.v1.Headers cannot be made of a *wrapperspb.StringValue"},
		"a struct for a protobuf":   {of[*stelev1.Headers](t), Note{}, persistence.ErrInvalid, "cannot be made of a codec_test.Note"},
		"NaN":                       {of[Note](t), Note{Float: math.NaN(), Raw: json.RawMessage("1")}, nil, "NaN"},
		"own error":                 {of[Failing](t), Failing{}, errFailing, ""},
		"text in a struct":          {of[Note](t), Note{Text: invalid, Raw: json.RawMessage("1")}, persistence.ErrInvalid, "test.note holds text that is not valid UTF-8"},
		"text behind a backslash":   {of[Note](t), Note{Text: `\ufffd` + invalid, Raw: json.RawMessage("1")}, persistence.ErrInvalid, "not valid UTF-8"},
		"text in a list, a pointer": {of[*Note](t), &Note{List: []string{"x", invalid}, Raw: json.RawMessage("1")}, persistence.ErrInvalid, "not valid UTF-8"},
		"text in a key":             {of[Note](t), Note{Map: map[string]int{invalid: 1}, Raw: json.RawMessage("1")}, persistence.ErrInvalid, "not valid UTF-8"},
		"text in a protobuf":        {of[*wrapperspb.StringValue](t), wrapperspb.String(invalid), nil, "invalid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := c.of.Encode(c.message)

			require.Error(t, err)
			require.Nil(t, data)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "\xff")
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"", " ", "null", " null\n", "nul", "1", `"secret"`, "[]", "[{}]", "{", `{"Text":`, `{"Text":"secret"`, `{"Text":77}`, `{"Number":"secret"}`,
		`{"Number":1.5}`, `{"Number":99999999999999999999}`, `{"Float":1e999}`, `{}{}`, `{} secret`, `{}]`, "\xff", "{\x00}", `{"At":"secret"}`,
	} {
		for _, c := range []*codec.Type{of[Note](t), of[*Note](t)} {
			message, err := c.Decode([]byte(data))
			require.Error(t, err, data)
			require.Nil(t, message)
			require.ErrorContains(t, err, "decode test.note: ")
			require.NotContains(t, err.Error(), "secret", "what is stored stays out of logs")
		}
	}
	nested := protowire.AppendTag(nil, 5, protowire.StartGroupType)
	for name, data := range map[string][]byte{
		"truncated": {0x0a, 0x7f, 0x01}, "wrong wire type": {0x0d, 1, 2}, "no UTF-8": {0x12, 1, 0xff}, "open groups": bytes.Repeat(nested, 20_000), "garbage": []byte("secret"),
	} {
		message, err := of[*stelev1.Headers](t).Decode(data)
		require.Error(t, err, name)
		require.Nil(t, message)
		require.ErrorContains(t, err, "decode stele.v1.Headers: ")
		require.NotContains(t, err.Error(), "secret")
	}
}

// A newer program's fields: protobuf keeps them, JSON leaves them out.
func TestUnknownFields(t *testing.T) {
	t.Parallel()
	newer, err := proto.Marshal(&stelev1.Headers{Command: "x", Actor: "ann"})
	require.NoError(t, err)
	older := of[*wrapperspb.DoubleValue](t) // has none of the fields
	message, err := older.Decode(newer)
	require.NoError(t, err)
	data, err := older.Encode(message)
	require.NoError(t, err)
	require.ElementsMatch(t, newer, data)

	message, err = of[Note](t).Decode([]byte(`{"Text":"x","Later":{"a":[1]}}`))
	require.NoError(t, err)
	require.Equal(t, Note{Text: "x"}, message)
}

func TestClone(t *testing.T) {
	t.Parallel()
	original := &stelev1.Headers{CommandId: []byte{1}}
	clone, ok := of[*stelev1.Headers](t).Clone(original).(*stelev1.Headers)
	require.True(t, ok)
	clone.CommandId[0] = 2
	require.Equal(t, []byte{1}, original.CommandId)
	note := &Note{Text: "x"}
	copied, ok := of[*Note](t).Clone(note).(*Note)
	require.True(t, ok)
	copied.Text = "y"
	require.Equal(t, "x", note.Text)
	require.Equal(t, Note{Text: "x"}, of[Note](t).Clone(*note))
}

func TestIsNil(t *testing.T) {
	t.Parallel()
	require.True(t, of[Note](t).IsNil(nil))
	require.False(t, of[Note](t).IsNil(Note{}))
	require.True(t, of[*Note](t).IsNil((*Note)(nil)))
	require.False(t, of[*Note](t).IsNil(&Note{}))
	require.True(t, of[*stelev1.Headers](t).IsNil((*stelev1.Headers)(nil)))
	require.False(t, of[*stelev1.Headers](t).IsNil(&stelev1.Headers{}))
}

// FuzzDecode: whatever lies in a journal, decoding gives a message or an error,
// and a message can be stored again and means the same then.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", `{"Text":"x","Number":7,"List":["a"],"Map":{"a":1},"Nested":{"Raw":{"a":1}}}`, `{"Text":"\ud800"}`, `{"Text":"\ufffd"}`,
		`{"text":"x","TEXT":"y"}`, "\x0a\x01x\x12\x03abc", "\x0a\x7f", `{"At":"2026-01-01T00:00:00+24:00"}`, `{"Raw": [ 1 ] }`, "{\"Text\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	note, headers := of[Note](f), of[*stelev1.Headers](f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if message, err := headers.Decode(data); err == nil {
			again, err := headers.Encode(message)
			require.NoError(t, err)
			back, err := headers.Decode(again)
			require.NoError(t, err)
			require.True(t, proto.Equal(message.(proto.Message), back.(proto.Message)))
		}
		requireAlike(t, data, reflect.TypeFor[Note]())
		message, err := note.Decode(data)
		if err != nil {
			return
		}
		again, err := note.Encode(message)
		if err != nil {
			return // a time in a zone that package time reads and does not write
		}
		back, err := note.Decode(again)
		require.NoError(t, err)
		last, err := note.Encode(back)
		require.NoError(t, err)
		require.Equal(t, again, last)
	})
}
