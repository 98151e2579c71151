package filter

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/stele-es/stele/persistence"
)

// parse reads an operand of a property. It is strict: what is almost an operand
// would choose other events than were meant.
func (f field) parse(text string) (value, *persistence.InvalidError) {
	switch f.property {
	case idProperty:
		id, err := persistence.ParseEventID(text)
		if err != nil {
			return value{}, f.fault("has an operand that is not a UUID")
		}
		return idValue(id), nil
	case timeProperty:
		var t time.Time
		if err := t.UnmarshalText([]byte(text)); err != nil {
			return value{}, f.fault("has an operand that is not a time as in RFC 3339")
		}
		return timeOperand(t), nil
	case versionProperty, positionProperty:
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return value{}, f.fault("has an operand that is not a whole number in range")
		}
		return integerValue(n), nil
	}
	return textValue(text), nil
}

// parseNumber reads a number in the syntax of JSON, an integer where int64 can
// hold it, as metadata is decoded.
func parseNumber(text string) (value, bool) {
	if text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') || !json.Valid([]byte(text)) {
		return value{}, false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return integerValue(n), true
	}
	f, err := strconv.ParseFloat(text, 64)
	return floatValue(f), err == nil
}
