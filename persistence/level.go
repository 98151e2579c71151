package persistence

import "fmt"

// Level says how much attention a part of a system needs.
type Level uint8

// The levels, in order.
const (
	// Green: the part works.
	Green Level = iota
	// Yellow: look at the part. It may become red by itself, or has lost its reserve.
	Yellow
	// Red: repair the part. Something does not work that should.
	Red
)

var levels = [...]string{"green", "yellow", "red"}

// String returns the word for l.
func (l Level) String() string {
	if int(l) >= len(levels) {
		return fmt.Sprintf("Level(%d)", uint8(l))
	}
	return levels[l]
}

// MarshalText fulfils [encoding.TextMarshaler]: JSON and logs show the word.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText fulfils encoding.TextUnmarshaler. A text that is no level is an
// [*InvalidError].
func (l *Level) UnmarshalText(text []byte) error {
	for level, word := range levels {
		if string(text) == word {
			*l = Level(level) //nolint:gosec // one of three
			return nil
		}
	}
	return &InvalidError{Field: "level", Reason: "is none of green, yellow and red"}
}
