package persistence

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of metadata: keys of one event, bytes of a key, bytes in all.
const (
	MaxMetadataKeys  = 64
	MaxMetadataKey   = 128
	MaxMetadataBytes = 64 << 10
)

// Metadata describes an event to its readers: who, from where, under which
// tenant. It is flat; a nil and an empty Metadata are the same.
type Metadata map[string]Value

// Value is a string, an integer, a float or a bool. The zero Value is invalid.
// Values are comparable: 1 and 1.0 differ as values, though filters compare
// them as equal numbers.
type Value struct {
	kind valueKind
	text string
	bits uint64
}

type valueKind uint8

const (
	stringValue valueKind = iota + 1
	intValue
	floatValue
	boolValue
)

// String makes a string value; it must be valid UTF-8 without NUL.
func String(s string) Value { return Value{kind: stringValue, text: s} }

// Int makes an integer value.
func Int(n int64) Value { return Value{kind: intValue, bits: uint64(n)} }

// Float makes a float value, which must be finite. -0 becomes 0, because not
// every store can tell them apart.
func Float(f float64) Value {
	if f == 0 {
		f = 0
	}
	return Value{kind: floatValue, bits: math.Float64bits(f)}
}

// Bool makes a truth value.
func Bool(b bool) Value {
	if b {
		return Value{kind: boolValue, bits: 1}
	}
	return Value{kind: boolValue}
}

// AsString returns the string, or false when the value is of another kind.
func (v Value) AsString() (string, bool) { return v.text, v.kind == stringValue }

// AsInt returns the integer, or false when the value is of another kind.
func (v Value) AsInt() (int64, bool) { return int64(v.bits), v.kind == intValue }

// AsFloat returns the float, or false when the value is of another kind.
func (v Value) AsFloat() (float64, bool) { return math.Float64frombits(v.bits), v.kind == floatValue }

// AsBool returns the truth value, or false, false when the value is of another kind.
func (v Value) AsBool() (value, ok bool) { return v.bits == 1, v.kind == boolValue }

// Text is the value as people read it.
func (v Value) Text() string {
	if v.kind == stringValue {
		return v.text
	}
	return string(v.AppendJSON(nil))
}

// same compares as filters do: an integer and a float are the same number when
// they are mathematically, which a conversion to float64 would not tell.
func (v Value) same(other Value) bool {
	if v.kind == floatValue && other.kind == intValue {
		v, other = other, v
	}
	f, float := other.AsFloat()
	if n, ok := v.AsInt(); ok && float {
		return f == math.Trunc(f) && f >= math.MinInt64 && f < -math.MinInt64 && int64(f) == n
	}
	return v == other
}

// Equal compares by value; nil equals empty.
func (m Metadata) Equal(other Metadata) bool { return maps.Equal(m, other) }

// Check returns an [*InvalidError] when a key or a value breaks a rule.
func (m Metadata) Check() error {
	if len(m) > MaxMetadataKeys {
		return &InvalidError{Field: "metadata", Reason: "has too many keys", Size: len(m), Limit: MaxMetadataKeys}
	}
	for key, value := range m {
		if key == "" || len(key) > MaxMetadataKey || !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
			return &InvalidError{Field: "metadata key", Reason: "must be 1 to 128 bytes of UTF-8 without NUL"}
		}
		if err := value.check(); err != nil {
			return err
		}
	}
	if size := m.Size(); size > MaxMetadataBytes {
		return &InvalidError{Field: "metadata", Reason: "is too large", Size: size, Limit: MaxMetadataBytes}
	}
	return nil
}

func (v Value) check() error {
	switch v.kind {
	case stringValue:
		if !utf8.ValidString(v.text) || strings.IndexByte(v.text, 0) >= 0 {
			return &InvalidError{Field: "metadata value", Reason: "must be UTF-8 without NUL"}
		}
	case floatValue:
		if f := math.Float64frombits(v.bits); math.IsNaN(f) || math.IsInf(f, 0) {
			return &InvalidError{Field: "metadata value", Reason: "must be finite"}
		}
	case intValue, boolValue:
	default:
		return &InvalidError{Field: "metadata value", Reason: "is not set"}
	}
	return nil
}

// Size returns the bytes that metadata counts against the limits of appends and imports.
func (m Metadata) Size() int {
	size := 0
	for key, value := range m {
		size += len(key) + len(value.text) + 8
	}
	return size
}

// EncodeMetadata writes metadata as a JSON object with sorted keys, nil when it
// is empty. A float always carries a "." so that stores which normalise numbers
// give the same kind back.
func EncodeMetadata(m Metadata) []byte {
	if len(m) == 0 {
		return nil
	}
	return AppendMetadata(make([]byte, 0, 2+m.Size()+6*len(m)), m)
}

// AppendMetadata appends what [EncodeMetadata] returns.
func AppendMetadata(out []byte, m Metadata) []byte {
	if len(m) == 0 {
		return out
	}
	var few [16]string
	keys := few[:0]
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for i, key := range keys {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		out = append(out, separator)
		out = appendJSONString(out, key)
		out = append(out, ':')
		out = m[key].AppendJSON(out)
	}
	return append(out, '}')
}

// AppendJSON appends the value as [EncodeMetadata] writes it.
func (v Value) AppendJSON(out []byte) []byte {
	switch v.kind {
	case stringValue:
		return appendJSONString(out, v.text)
	case intValue:
		return strconv.AppendInt(out, int64(v.bits), 10)
	case floatValue:
		start := len(out)
		out = strconv.AppendFloat(out, math.Float64frombits(v.bits), 'f', -1, 64)
		if bytes.IndexByte(out[start:], '.') < 0 {
			out = append(out, ".0"...)
		}
		return out
	case boolValue:
		return strconv.AppendBool(out, v.bits == 1)
	}
	return append(out, "null"...)
}

func appendJSONString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = append(out, '\\', 'u', '0', '0', '0'+c>>4, "0123456789abcdef"[c&0xf])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
