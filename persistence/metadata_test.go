package persistence_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
)

func text(s string) persistence.Value { return persistence.String(s) }

func TestValues(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value persistence.Value
		want  any
		text  string
	}{
		"string":                {persistence.String("a"), "a", "a"},
		"empty string":          {persistence.String(""), "", ""},
		"integer":               {persistence.Int(-3), int64(-3), "-3"},
		"smallest integer":      {persistence.Int(math.MinInt64), int64(math.MinInt64), "-9223372036854775808"},
		"beyond float's reach":  {persistence.Int(1<<53 + 1), int64(1<<53 + 1), "9007199254740993"},
		"float":                 {persistence.Float(1.5), 1.5, "1.5"},
		"whole float":           {persistence.Float(2), 2.0, "2.0"},
		"negative zero is zero": {persistence.Float(math.Copysign(0, -1)), 0.0, "0.0"},
		"true":                  {persistence.Bool(true), true, "true"},
		"false":                 {persistence.Bool(false), false, "false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, plain(c.value))
			require.Equal(t, c.text, c.value.Text())
			require.NoError(t, persistence.Metadata{"k": c.value}.Check())
		})
	}
	t.Run("of different kinds differ", func(t *testing.T) {
		t.Parallel()
		require.NotEqual(t, persistence.Int(1), persistence.Float(1))
		require.NotEqual(t, persistence.Int(1), persistence.Bool(true))
		require.NotEqual(t, persistence.Int(0), persistence.Bool(false))
		require.Equal(t, persistence.Float(0), persistence.Float(math.Copysign(0, -1)))
	})
	t.Run("that no store can hold are refused", func(t *testing.T) {
		t.Parallel()
		for _, value := range []persistence.Value{
			{},
			persistence.Float(math.NaN()), persistence.Float(math.Inf(1)), persistence.Float(math.Inf(-1)),
			persistence.String("a\x00b"), persistence.String("\xff"),
		} {
			invalid(t, persistence.Metadata{"k": value}.Check(), "metadata value")
		}
		for _, key := range []string{"", "a\x00b", "\xff"} {
			invalid(t, persistence.Metadata{key: persistence.Int(1)}.Check(), "metadata key")
		}
	})
}

// plain is the one Go value that a Value holds.
func plain(v persistence.Value) (found any) {
	count := 0
	note := func(value any, ok bool) {
		if ok {
			found = value
			count++
		}
	}
	s, ok := v.AsString()
	note(s, ok)
	n, ok := v.AsInt()
	note(n, ok)
	f, ok := v.AsFloat()
	note(f, ok)
	b, ok := v.AsBool()
	note(b, ok)
	if count != 1 {
		return fmt.Sprintf("%d kinds", count)
	}
	return found
}

func TestEncodeMetadata(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]persistence.Metadata{
		``:                                 {},
		`{"a":"b"}`:                        {"a": text("b")},
		`{"a":1,"b":true,"c":1.0,"d":""}`:  {"d": text(""), "c": persistence.Float(1), "b": persistence.Bool(true), "a": persistence.Int(1)},
		`{"k":"\"\\/\u000a\u001f<é🗿>"}`:    {"k": text("\"\\/\n\x1f<é🗿>")},
		`{"\"":0.1}`:                       {`"`: persistence.Float(0.1)},
		`{"k":100000000000000000000000.0}`: {"k": persistence.Float(1e23)},
		`{"k":-0.0000001}`:                 {"k": persistence.Float(-1e-7)},
	} {
		require.Equal(t, want, string(persistence.EncodeMetadata(m)))
	}
	require.Nil(t, persistence.EncodeMetadata(nil), "nothing is nothing")
	require.Nil(t, persistence.EncodeMetadata(persistence.Metadata{}))
}

func TestDecodeMetadata(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]persistence.Metadata{
		``:                                  nil,
		`{}`:                                nil,
		" \t\r\n{ \n} ":                     nil,
		`{"a":"b"}`:                         {"a": text("b")},
		" { \"a\" : 1 ,\n\t\"b\" : true } ": {"a": persistence.Int(1), "b": persistence.Bool(true)},
		`{"a":false}`:                       {"a": persistence.Bool(false)},
		`{"a":-0}`:                          {"a": persistence.Int(0)},
		`{"a":-0.0}`:                        {"a": persistence.Float(0)},
		`{"a":0.5e-2}`:                      {"a": persistence.Float(0.005)},
		`{"a":1e2}`:                         {"a": persistence.Float(100)},
		`{"a":1E+2}`:                        {"a": persistence.Float(100)},
		`{"a":1e-999}`:                      {"a": persistence.Float(0)},
		`{"a":9223372036854775807}`:         {"a": persistence.Int(math.MaxInt64)},
		`{"a":-9223372036854775808}`:        {"a": persistence.Int(math.MinInt64)},
		`{"a":9223372036854775808}`:         {"a": persistence.Float(9223372036854775808)},
		`{"a":9007199254740993}`:            {"a": persistence.Int(1<<53 + 1)},
		`{"a":"\"\\\/\b\f\n\r\t\u00e9"}`:    {"a": text("\"\\/\b\f\n\r\té")},
		`{"a":"x\ud83d\uddffy"}`:            {"a": text("x🗿y")},
		`{"a":"\ufffd\uFFFD"}`:              {"a": text("\ufffd\ufffd")},
		`{"\u0061":1}`:                      {"a": persistence.Int(1)},
		`{"":1}`:                            {"": persistence.Int(1)},
		"{\"a\":\"é\u007f\u2028\"}":         {"a": text("é\u007f\u2028")},
	} {
		got, err := persistence.DecodeMetadata([]byte(input))
		require.NoError(t, err, input)
		require.Equal(t, want, got, input)
	}
}

func TestDecodeMetadataIsStrict(t *testing.T) {
	t.Parallel()
	for name, input := range map[string]string{
		"space":                       ` `,
		"null":                        `null`,
		"array":                       `[]`,
		"string":                      `"a"`,
		"number":                      `1`,
		"nothing closed":              `{`,
		"no key":                      `{:1}`,
		"key without quotes":          `{a:1}`,
		"key of another kind":         `{1:1}`,
		"no colon":                    `{"a" 1}`,
		"no value":                    `{"a":}`,
		"ends after key":              `{"a"`,
		"ends after colon":            `{"a":`,
		"ends after value":            `{"a":1`,
		"ends after comma":            `{"a":1,`,
		"comma at the end":            `{"a":1,}`,
		"comma alone":                 `{,}`,
		"two commas":                  `{"a":1,,"b":2}`,
		"no comma":                    `{"a":1 "b":2}`,
		"trailing data":               `{"a":1}x`,
		"second object":               `{"a":1}{}`,
		"trailing bracket":            `{"a":1}}`,
		"trailing NUL":                "{\"a\":1}\x00",
		"NUL for space":               "{\x00\"a\":1}",
		"duplicate key":               `{"a":1,"b":2,"a":1}`,
		"duplicate key, escaped":      `{"a":1,"\u0061":2}`,
		"null value":                  `{"a":null}`,
		"nested object":               `{"a":{"b":1}}`,
		"nested array":                `{"a":[1]}`,
		"deep nesting":                `{"a":` + strings.Repeat("[", 100_000),
		"NaN":                         `{"a":NaN}`,
		"Infinity":                    `{"a":Infinity}`,
		"minus Infinity":              `{"a":-Infinity}`,
		"beyond all floats":           `{"a":1e999}`,
		"below all floats":            `{"a":-1e999}`,
		"long beyond all floats":      `{"a":` + strings.Repeat("9", 400) + `}`,
		"leading zero":                `{"a":01}`,
		"leading zeros":               `{"a":-00}`,
		"plus":                        `{"a":+1}`,
		"minus alone":                 `{"a":-}`,
		"no digit before point":       `{"a":.5}`,
		"no digit after minus":        `{"a":-.5}`,
		"no digit after point":        `{"a":1.}`,
		"no digit after exponent":     `{"a":1e}`,
		"no digit after sign":         `{"a":1e+}`,
		"two signs":                   `{"a":1e-+1}`,
		"hexadecimal":                 `{"a":0x1}`,
		"underscore":                  `{"a":1_000}`,
		"word cut short":              `{"a":tru}`,
		"word too long":               `{"a":truex}`,
		"upper case word":             `{"a":True}`,
		"string not closed":           `{"a":"b}`,
		"string cut in an escape":     `{"a":"b\`,
		"string cut after an escape":  `{"a":"b\n`,
		"single quotes":               `{'a':1}`,
		"unknown escape":              `{"a":"\x41"}`,
		"escape of NUL":               `{"a":"\u0000"}`,
		"escape of NUL in a key":      `{"\u0000":1}`,
		"raw NUL":                     "{\"a\":\"\x00\"}",
		"raw line break":              "{\"a\":\"\n\"}",
		"raw line break after escape": "{\"a\":\"\\n\n\"}",
		"invalid UTF-8":               "{\"a\":\"\xff\"}",
		"invalid UTF-8 after escape":  "{\"a\":\"\\n\xff\"}",
		"invalid UTF-8 in a key":      "{\"\xff\":1}",
		"a surrogate in UTF-8":        "{\"a\":\"\xed\xa0\x80\"}",
		"lone high surrogate":         `{"a":"\ud800"}`,
		"lone high surrogate and on":  `{"a":"\ud800x"}`,
		"lone low surrogate":          `{"a":"\udc00"}`,
		"surrogates turned round":     `{"a":"\udc00\ud800"}`,
		"two high surrogates":         `{"a":"\ud800\ud800"}`,
		"surrogate and a character":   `{"a":"\ud800\u0061"}`,
		"surrogate in a key":          `{"\ud800":1}`,
		"escape cut short":            `{"a":"\u00e"}`,
		"escape cut at the end":       `{"a":"\u00`,
		"escape that is no number":    `{"a":"\u00zz"}`,
		"escape with a sign":          `{"a":"\u+0e9"}`,
		"byte order mark":             "\ufeff{}",
		"comment":                     `{/**/"a":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := persistence.DecodeMetadata([]byte(input))
			require.ErrorIs(t, err, persistence.ErrInvalid)
			require.Nil(t, m)
		})
	}
	t.Run("nothing of the input stands in an error", func(t *testing.T) {
		t.Parallel()
		for _, input := range []string{`{"secret":"secret\ud800"}`, `{"secret":1,"secret":2}`, `{"a":["secret"]}`, `secret`, `{"a":1}secret`} {
			_, err := persistence.DecodeMetadata([]byte(input))
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
		}
	})
}

func drawMetadata(t *rapid.T) persistence.Metadata {
	text := rapid.OneOf(
		rapid.StringN(0, 20, 60),
		rapid.SampledFrom([]string{"", `"`, `\`, "\n", "\x01", "\x7f", "é", "🗿", "\u2028", "</script>", "'", "\ufffd", "$.k", "null"}),
	).Filter(func(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") })
	value := rapid.OneOf(
		rapid.Map(text, persistence.String),
		rapid.Map(rapid.Int64(), persistence.Int),
		rapid.Map(rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }), persistence.Float),
		rapid.Map(rapid.SampledFrom([]float64{0, 1, -1, 1 << 53, 1e21, 1e300, 5e-324, math.MaxFloat64}), persistence.Float),
		rapid.Map(rapid.Bool(), persistence.Bool),
	)
	key := text.Filter(func(s string) bool { return s != "" && len(s) <= persistence.MaxMetadataKey })
	return rapid.MapOfN(key, value, 0, 20).Draw(t, "metadata")
}

func TestMetadataRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMetadata(t)
		require.NoError(t, m.Check())

		encoded := persistence.EncodeMetadata(m)

		decoded, err := persistence.DecodeMetadata(encoded)
		require.NoError(t, err)
		require.True(t, m.Equal(decoded), "%s", encoded)
		if len(m) == 0 {
			return
		}
		require.True(t, json.Valid(encoded))
		require.Equal(t, encoded, persistence.EncodeMetadata(decoded), "one form only")
		var spaced bytes.Buffer
		require.NoError(t, json.Indent(&spaced, encoded, " ", "\t"))
		decoded, err = persistence.DecodeMetadata(spaced.Bytes())
		require.NoError(t, err)
		require.True(t, m.Equal(decoded), "as a store may reformat it")
	})
}

func TestMetadataIsEncodedWithOneAllocation(t *testing.T) { //nolint:paralleltest // it counts
	m := persistence.Metadata{
		"user": text("ann"), "tenant": text("größe"), "attempt": persistence.Int(3), "ratio": persistence.Float(0.25), "dry": persistence.Bool(true),
	}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { persistence.EncodeMetadata(m) }), 1.0)
}

// FuzzDecodeMetadata holds the decoder against encoding/json: it accepts less,
// and reads the same.
func FuzzDecodeMetadata(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"a":"b"}`, `{"a":1,"b":-1.5e-3,"c":true,"d":false}`, `{"a":null}`, `{"a":{}}`, `{"a":[1]}`, `{"a":1,"a":2}`,
		`{"a":"\ud83d\uddff\u00e9\n"}`, `{"a":"\ud800"}`, `{"a":"\u0000"}`, `{"a":1e999}`, `{"a":9223372036854775808}`, "{\"a\":\"\xff\"}",
		` { "a" : 01 } `, `{"a":1}x`, "{\"a\":\"\\\xff\"}", `{"a":-0.0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := persistence.DecodeMetadata(data)
		if err != nil {
			require.ErrorIs(t, err, persistence.ErrInvalid)
			require.Nil(t, m)
			return
		}
		if len(data) > 0 {
			decoder := json.NewDecoder(bytes.NewReader(data))
			decoder.UseNumber()
			var same map[string]any
			require.NoError(t, decoder.Decode(&same))
			require.Len(t, same, len(m))
			for key, value := range m {
				require.Equal(t, plain(value), jsonValue(same[key]))
			}
		}
		again, err := persistence.DecodeMetadata(persistence.EncodeMetadata(m))
		require.NoError(t, err)
		require.True(t, m.Equal(again))
	})
}

// jsonValue is a value of encoding/json by our rule of what an integer is.
func jsonValue(value any) any {
	number, ok := value.(json.Number)
	if !ok {
		return value
	}
	if n, err := number.Int64(); err == nil {
		return n
	}
	f, err := number.Float64()
	if err != nil {
		return err
	}
	return f + 0 // -0 is 0
}

func BenchmarkMetadata(b *testing.B) {
	m := persistence.Metadata{
		"user": text("ann"), "tenant": text("größe"), "attempt": persistence.Int(3), "ratio": persistence.Float(0.25),
		"correlation": text("018f0000-0000-7000-8000-0000000000ff"),
	}
	encoded := persistence.EncodeMetadata(m)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			persistence.EncodeMetadata(m)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = persistence.DecodeMetadata(encoded)
		}
	})
}
