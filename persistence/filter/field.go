package filter

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stele-es/stele/persistence"
)

type property uint8

const (
	idProperty property = iota
	typeProperty
	timeProperty
	versionProperty
	positionProperty
	streamProperty
	categoryProperty
	tagProperty
	metadataProperty
)

// names are the fields as front ends, JSON and String write them.
var names = [...]string{
	idProperty: "id", typeProperty: "type", timeProperty: "time", versionProperty: "version", positionProperty: "position",
	streamProperty: "stream", categoryProperty: "category", tagProperty: "tag", metadataProperty: "meta",
}

// field is where a leaf looks: a property of the event, or a key of its metadata.
type field struct {
	property property
	key      string
}

// parseProperty knows all fields but metadata, which needs a key.
func parseProperty(name string) (property, bool) {
	for p, known := range names {
		if name == known && property(p) != metadataProperty {
			return property(p), true
		}
	}
	return 0, false
}

// always reports whether every event has the field, with a value of one kind.
// Then the negation of a comparison is the opposite comparison.
func (f field) always() bool {
	switch f.property {
	case categoryProperty, tagProperty, metadataProperty:
		return false
	}
	return true
}

// of returns the value of the event's field, without a kind when the event does not have
// the field. Tags, of which there may be several, are left to the leaf.
func (f field) of(recorded *persistence.Recorded) value {
	switch f.property {
	case idProperty:
		return idValue(recorded.ID)
	case typeProperty:
		return textValue(recorded.Type)
	case timeProperty:
		return timeValue(recorded.At)
	case versionProperty:
		return integerValue(recorded.Version)
	case positionProperty:
		return integerValue(recorded.Position.Offset)
	case streamProperty:
		return textValue(recorded.Stream)
	case categoryProperty:
		if category := recorded.Stream.Category(); category != "" {
			return textValue(category)
		}
	case metadataProperty:
		return metadataValue(recorded.Metadata[f.key])
	case tagProperty:
	}
	return value{}
}

// check returns what is wrong with the name of a metadata key, in the words of
// the events' own rule.
func (f field) check() error {
	if f.property != metadataProperty {
		return nil
	}
	return persistence.Metadata{f.key: persistence.Bool(true)}.Check()
}

// fault is an error about a leaf on this field. It holds no operand, which may be
// personal.
func (f field) fault(reason string) *persistence.InvalidError {
	name := names[f.property]
	if f.property == metadataProperty {
		name = "metadata"
	}
	return &persistence.InvalidError{Field: name + " filter", Reason: reason}
}

// accept returns what is wrong with an operand, or "".
func (f field) accept(operand *value) string {
	switch operand.kind {
	case noKind:
		return "has an operand that is not set"
	case textKind:
		if !utf8.ValidString(operand.text) || strings.IndexByte(operand.text, 0) >= 0 {
			return "has an operand that is not UTF-8 without NUL"
		}
	case integerKind:
		// A version beyond int64 arrives here as a negative number.
		if (f.property == versionProperty || f.property == positionProperty) && operand.integer() < 0 {
			return "has an operand out of range"
		}
	case floatKind:
		if !operand.finite() {
			return "has an operand that is not finite"
		}
	case timeKind:
		if operand.integer() == outOfTime {
			return "has an operand outside the years 1 to 9999"
		}
	case truthKind, idKind:
	}
	return ""
}

// outOfTime stands for a time that cannot be written down in four digits.
const outOfTime = math.MinInt64

func timeOperand(t time.Time) value {
	if year := t.UTC().Year(); year < 1 || year > 9999 {
		var never int64 = outOfTime
		return value{kind: timeKind, hi: uint64(never)}
	}
	return timeValue(t)
}
