package persistence

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of names. They are counted in bytes.
const (
	MaxStreamName = 255
	MaxEventType  = 255
	MaxKind       = 64
	MaxID         = 200
)

// StreamID names a stream: the history of one aggregate. Names are 1 to 255
// bytes of valid UTF-8 without control characters; they are compared bytewise
// and never normalised. Names that begin with "$" belong to the system.
type StreamID string

// NewStreamID joins a kind and the id of one aggregate to "kind-id", after
// checking both with [CheckKind] and [CheckID], and that they are not too long
// together: the longest kind leaves an id 190 bytes.
func NewStreamID(kind, id string) (StreamID, error) {
	if err := CheckKind(kind); err != nil {
		return "", err
	}
	if err := CheckID(id); err != nil {
		return "", err
	}
	if size := len(kind) + 1 + len(id); size > MaxStreamName {
		return "", &InvalidError{Field: "stream", Reason: "is too long", Size: size, Limit: MaxStreamName}
	}
	return StreamID(kind + "-" + id), nil
}

// Category is the text before the first "-", which for an aggregate's stream is
// its kind. A name without "-", or with one at its very start, has no category.
func (s StreamID) Category() string {
	if at := strings.IndexByte(string(s), '-'); at > 0 {
		return string(s[:at])
	}
	return ""
}

// Check returns an [*InvalidError] unless the name may be written to by users.
func (s StreamID) Check() error {
	if strings.HasPrefix(string(s), "$") {
		return &InvalidError{Field: "stream", Reason: `names that begin with "$" belong to the system`}
	}
	return s.CheckName()
}

// CheckName returns an [*InvalidError] unless a stream can have the name; streams of the
// system count too. Every journal calls it before it looks for a stream.
func (s StreamID) CheckName() error { return checkText("stream", string(s), MaxStreamName) }

// CheckCategory returns an [*InvalidError] unless streams can have this category.
func CheckCategory(category string) error { return checkText("category", category, MaxStreamName) }

// CheckKind returns an [*InvalidError] unless kind matches
// [a-z][a-z0-9_.]{0,63}. The "-" is left out because it ends the kind in a
// stream's name.
func CheckKind(kind string) error {
	if kind == "" || len(kind) > MaxKind || kind[0] < 'a' || kind[0] > 'z' {
		return &InvalidError{Field: "kind", Reason: "must match [a-z][a-z0-9_.]{0,63}"}
	}
	for _, r := range kind {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '.' {
			return &InvalidError{Field: "kind", Reason: "must match [a-z][a-z0-9_.]{0,63}"}
		}
	}
	return nil
}

// CheckID returns an [*InvalidError] unless id is 1 to 200 bytes of valid UTF-8
// without control characters and without bidirectional overrides, which would
// make two ids look alike.
func CheckID(id string) error { return checkText("id", id, MaxID) }

func checkText(field, text string, limit int) error {
	switch {
	case text == "":
		return &InvalidError{Field: field, Reason: "is empty"}
	case len(text) > limit:
		return &InvalidError{Field: field, Reason: "is too long", Size: len(text), Limit: limit}
	case plainASCII(text):
		return nil
	case !utf8.ValidString(text):
		return &InvalidError{Field: field, Reason: "is not valid UTF-8"}
	}
	for _, r := range text {
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return &InvalidError{Field: field, Reason: "holds a control character"}
		}
	}
	return nil
}

// plainASCII reports whether a text consists of printable ASCII alone, as nearly
// all names do: every call of a journal checks one.
func plainASCII(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
