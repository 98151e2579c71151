package persistence

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// DecodeMetadata reads what [EncodeMetadata] wrote, also after a store has
// reformatted it. It is stricter than encoding/json, so that no two readers of
// the same bytes can see different metadata: nested values, null, duplicate keys,
// numbers out of range, lone surrogates, NUL, invalid UTF-8 and anything after
// the object are errors of kind [ErrInvalid]. An integer is a number without
// fraction and exponent that int64 holds; every other number is a float.
func DecodeMetadata[Text ~string | ~[]byte](data Text) (Metadata, error) {
	if len(data) == 0 {
		return nil, nil
	}
	// Keys and values are parts of this one string: most of what reading an event
	// costs would else be the making of small ones.
	s := scanner{data: string(data)}
	if !utf8.ValidString(s.data) {
		return nil, invalidMetadata("is not JSON")
	}
	m, err := s.object()
	if err != nil {
		return nil, err
	}
	if s.space(); s.at < len(s.data) {
		return nil, invalidMetadata("is not one JSON object")
	}
	return m, nil
}

func invalidMetadata(reason string) error {
	return &InvalidError{Field: "metadata", Reason: reason}
}

// scanner reads a flat JSON object (RFC 8259).
type scanner struct {
	data string
	at   int
}

func (s *scanner) object() (Metadata, error) {
	if !s.take('{') {
		return nil, invalidMetadata("is not a JSON object")
	}
	if s.take('}') {
		return nil, nil
	}
	m := Metadata{}
	for {
		key, value, err := s.member()
		if err != nil {
			return nil, err
		}
		before := len(m)
		if m[key] = value; len(m) == before {
			return nil, &InvalidError{Field: "metadata key", Reason: "stands twice"}
		}
		switch {
		case s.take('}'):
			return m, nil
		case !s.take(','):
			return nil, invalidMetadata("is not JSON")
		}
	}
}

func (s *scanner) member() (string, Value, error) {
	s.space()
	key, ok := s.text()
	if !ok || !s.take(':') {
		return "", Value{}, invalidMetadata("is not JSON")
	}
	value, err := s.value()
	return key, value, err
}

func (s *scanner) value() (Value, error) {
	s.space()
	switch c := s.peek(); {
	case c == '"':
		if text, ok := s.text(); ok {
			return String(text), nil
		}
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case s.word("true"):
		return Bool(true), nil
	case s.word("false"):
		return Bool(false), nil
	case c == '{' || c == '[' || s.word("null"):
		return Value{}, &InvalidError{Field: "metadata value", Reason: "must be a string, number or bool"}
	}
	return Value{}, invalidMetadata("is not JSON")
}

func (s *scanner) number() (Value, error) {
	start := s.at
	s.skip('-')
	integer := true
	whole := s.digits()
	ok := whole == 1 || whole > 1 && s.data[s.at-whole] != '0'
	if s.skip('.') {
		integer = false
		ok = s.digits() > 0 && ok
	}
	if s.skip('e') || s.skip('E') {
		integer = false
		if !s.skip('-') {
			s.skip('+')
		}
		ok = s.digits() > 0 && ok
	}
	if !ok {
		return Value{}, invalidMetadata("is not JSON")
	}
	if integer {
		if n, err := strconv.ParseInt(s.data[start:s.at], 10, 64); err == nil {
			return Int(n), nil
		}
	}
	f, err := strconv.ParseFloat(s.data[start:s.at], 64)
	if err != nil {
		return Value{}, &InvalidError{Field: "metadata value", Reason: "is not a finite number"}
	}
	return Float(f), nil
}

// digits skips digits and counts them.
func (s *scanner) digits() (count int) {
	for s.peek() >= '0' && s.peek() <= '9' {
		s.at++
		count++
	}
	return count
}

// text reads a string; most have no escapes and need no copy.
func (s *scanner) text() (string, bool) {
	if !s.skip('"') {
		return "", false
	}
	start := s.at
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return s.data[start : s.at-1], true
		case c == '\\':
			return s.escaped(append(make([]byte, 0, 2*(s.at-start)+16), s.data[start:s.at]...))
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// escaped reads the rest of a string from its first escape on.
func (s *scanner) escaped(out []byte) (string, bool) {
	for s.at < len(s.data) {
		c := s.data[s.at]
		s.at++
		switch {
		case c == '"':
			return string(out), true
		case c < ' ':
			return "", false
		case c != '\\':
			out = append(out, c)
		default:
			r, ok := s.escape()
			if !ok {
				return "", false
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", false
}

// escape reads what follows a backslash. It refuses NUL, which not every store
// can hold, and surrogates that are no pair, which are no characters.
func (s *scanner) escape() (rune, bool) {
	c := s.peek()
	s.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		r, ok := s.hex()
		if ok && utf16.IsSurrogate(r) {
			var low rune
			if ok = s.word(`\u`); ok {
				low, ok = s.hex()
			}
			r = utf16.DecodeRune(r, low)
			ok = ok && r != utf8.RuneError
		}
		return r, ok && r != 0
	}
	return 0, false
}

// hex reads four hexadecimal digits.
func (s *scanner) hex() (rune, bool) {
	if len(s.data)-s.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(s.data[s.at:s.at+4], 16, 32)
	s.at += 4
	return rune(n), err == nil
}

// peek is the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.peek() == ' ' || s.peek() == '\t' || s.peek() == '\n' || s.peek() == '\r' {
		s.at++
	}
}

// take skips space and then c, if it is next.
func (s *scanner) take(c byte) bool {
	s.space()
	return s.skip(c)
}

// skip skips c if it is next.
func (s *scanner) skip(c byte) bool {
	if s.peek() != c || c == 0 {
		return false
	}
	s.at++
	return true
}

// word skips a word if it is next.
func (s *scanner) word(word string) bool {
	if !strings.HasPrefix(s.data[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}
