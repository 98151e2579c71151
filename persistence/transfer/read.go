package transfer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/stele-es/stele/persistence"
)

// members are the fields of a JSON object that was read. Each is taken once, and
// what is left in the end is not known. The first fault stays.
type members struct {
	raw map[string]json.RawMessage
	err error
}

// parse reads one JSON object, of which no field stands twice.
func parse(line []byte) (*members, error) {
	if !utf8.Valid(line) {
		return nil, invalid("line", "is not valid UTF-8")
	}
	broken := invalid("line", "is not a JSON object")
	decoder := json.NewDecoder(bytes.NewReader(line))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, broken
	}
	m := &members{raw: map[string]json.RawMessage{}}
	for decoder.More() {
		token, err := decoder.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return nil, broken
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, broken
		}
		if _, twice := m.raw[key]; twice {
			return nil, invalid("line", "has a field twice")
		}
		m.raw[key] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, broken
	}
	if len(bytes.TrimSpace(line[decoder.InputOffset():])) > 0 {
		return nil, invalid("line", "goes on behind its JSON object")
	}
	return m, nil
}

// fail keeps the first fault.
func (m *members) fail(field, reason string) {
	if m.err == nil {
		m.err = invalid(field, reason)
	}
}

// take returns a field, or nil when it is missing.
func (m *members) take(key string) json.RawMessage {
	value := m.raw[key]
	delete(m.raw, key)
	return value
}

// end returns the first fault, which may be a field that nobody has taken.
func (m *members) end() error {
	if m.err == nil && len(m.raw) > 0 {
		m.fail("line", "has a field that is not known")
	}
	return m.err
}

// inside reads a field that is an object itself; nil when it is missing.
func (m *members) inside(key string) *members {
	raw := m.take(key)
	if raw == nil {
		return nil
	}
	inner, err := parse(raw)
	if err != nil {
		m.fail(key, "is not a JSON object, or has a field twice")
		return &members{}
	}
	return inner
}

// text is "" when the field is missing.
func (m *members) text(key string) string {
	raw := m.take(key)
	if raw == nil {
		return ""
	}
	text, ok := unquote(raw)
	if !ok {
		m.fail(key, "is not a text")
	}
	return text
}

// unquote is strict where encoding/json replaces what is no text, as metadata is.
func unquote(raw json.RawMessage) (string, bool) {
	if bytes.IndexByte(raw, '\\') < 0 {
		if len(raw) < 2 || raw[0] != '"' {
			return "", false
		}
		return string(raw[1 : len(raw)-1]), true
	}
	metadata, err := persistence.DecodeMetadata(slices.Concat([]byte(`{"t":`), raw, []byte("}")))
	if err != nil {
		return "", false
	}
	return metadata["t"].AsString()
}

// number is 0 when the field is missing, and never negative.
func (m *members) number(key string, most int64) int64 {
	raw := m.take(key)
	if raw == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 || n > most || strconv.FormatInt(n, 10) != string(raw) {
		m.fail(key, "is not an integer of its range")
		return 0
	}
	return n
}

func (m *members) flag(key string) bool {
	switch string(m.take(key)) {
	case "true":
		return true
	case "", "false":
		return false
	}
	m.fail(key, "is neither true nor false")
	return false
}

func (m *members) bytes(key string) []byte {
	text := m.text(key)
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		m.fail(key, "is not base64")
	}
	return data
}

func (m *members) time(key string) time.Time {
	at, err := time.Parse(timeForm, m.text(key))
	if err != nil {
		m.fail(key, "is not a time in UTC with microseconds")
	}
	return at.UTC()
}

func (m *members) id(key string) persistence.EventID {
	id, err := persistence.ParseEventID(m.text(key))
	if err != nil {
		m.fail(key, "is not a UUID")
	}
	return id
}

func (m *members) texts(key string) []string {
	raw := m.take(key)
	if raw == nil {
		return nil
	}
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil || raw[0] != '[' {
		m.fail(key, "is not a list of texts")
		return nil
	}
	values := make([]string, len(elements))
	for i, element := range elements {
		var ok bool
		if values[i], ok = unquote(element); !ok {
			m.fail(key, "is not a list of texts")
		}
	}
	return values
}

func (m *members) positions(key string) persistence.Positions {
	raw := m.take(key)
	if raw == nil {
		return nil
	}
	var at persistence.Positions
	if json.Unmarshal(raw, &at) != nil {
		m.fail(key, "is not a list of positions")
	}
	for _, offset := range at {
		if offset < 0 {
			m.fail(key, "is negative")
		}
	}
	return at
}

func (m *members) metadata(key string) persistence.Metadata {
	raw := m.take(key)
	if raw == nil {
		return nil
	}
	metadata, err := persistence.DecodeMetadata(raw)
	if err != nil {
		reason := "cannot be read"
		if own, ok := errors.AsType[*persistence.InvalidError](err); ok {
			reason = own.Reason
		}
		m.fail(key, reason)
	}
	return metadata
}
