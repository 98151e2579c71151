package filter

import (
	"cmp"
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
)

type kind uint8

const (
	noKind kind = iota
	textKind
	integerKind
	floatKind
	truthKind
	timeKind
	idKind
)

// value is an operand, or what an event holds in a field. A value without kind
// is a field that the event lacks, or an operand that cannot be one.
type value struct {
	kind kind
	text string
	// hi holds an integer, the bits of a float, a truth value or microseconds; an id
	// fills both.
	hi, lo uint64
}

func textValue[T ~string](text T) value { return value{kind: textKind, text: string(text)} }

func integerValue[T ~int64 | ~uint64](n T) value { return value{kind: integerKind, hi: uint64(n)} }

// floatValue makes -0 a 0, as metadata does: the sum of both is 0.
func floatValue(f float64) value { return value{kind: floatKind, hi: math.Float64bits(f + 0)} }

func truthValue(b bool) value {
	if b {
		return value{kind: truthKind, hi: 1}
	}
	return value{kind: truthKind}
}

func timeValue(t time.Time) value { return value{kind: timeKind, hi: uint64(t.UnixMicro())} }

func idValue(id persistence.EventID) value {
	return value{kind: idKind, hi: binary.BigEndian.Uint64(id[:8]), lo: binary.BigEndian.Uint64(id[8:])}
}

// metadataValue has no kind for the zero Value, which a missing key gives too.
func metadataValue(v persistence.Value) value {
	if text, ok := v.AsString(); ok {
		return textValue(text)
	}
	if n, ok := v.AsInt(); ok {
		return integerValue(n)
	}
	if f, ok := v.AsFloat(); ok {
		return floatValue(f)
	}
	if b, ok := v.AsBool(); ok {
		return truthValue(b)
	}
	return value{}
}

func (v *value) integer() int64  { return int64(v.hi) }
func (v *value) float() float64  { return math.Float64frombits(v.hi) }
func (v *value) time() time.Time { return time.UnixMicro(int64(v.hi)).UTC() }
func (v *value) truth() bool     { return v.hi == 1 }
func (v *value) finite() bool    { f := v.float(); return !math.IsNaN(f) && !math.IsInf(f, 0) }
func (v *value) present() bool   { return v.kind != noKind && (v.kind != floatKind || v.finite()) }

func (v *value) id() (id persistence.EventID) {
	binary.BigEndian.PutUint64(id[:8], v.hi)
	binary.BigEndian.PutUint64(id[8:], v.lo)
	return id
}

// metadata is the value as an event's metadata holds it.
func (v *value) metadata() persistence.Value {
	switch v.kind {
	case textKind:
		return persistence.String(v.text)
	case integerKind:
		return persistence.Int(v.integer())
	case floatKind:
		return persistence.Float(v.float())
	case truthKind:
		return persistence.Bool(v.truth())
	case noKind, timeKind, idKind:
	}
	return persistence.Value{}
}

// sameKind reports whether two values can be compared: integers and floats are
// one kind.
func sameKind(v, w *value) bool {
	return v.kind == w.kind || v.number() && w.number()
}

func (v *value) number() bool { return v.kind == integerKind || v.kind == floatKind }

// compare orders two values of the same kind. It is a total order on finite
// numbers, whichever form they have.
func compare(v, w *value) int {
	switch {
	case v.kind == textKind:
		return strings.Compare(v.text, w.text)
	case v.kind == integerKind && w.kind == floatKind:
		return compareMixed(v.integer(), w.float())
	case v.kind == floatKind && w.kind == integerKind:
		return -compareMixed(w.integer(), v.float())
	case v.kind == floatKind:
		return cmp.Compare(v.float(), w.float())
	case v.kind == idKind:
		return cmp.Or(cmp.Compare(v.hi, w.hi), cmp.Compare(v.lo, w.lo))
	}
	return cmp.Compare(v.integer(), w.integer())
}

// compareMixed compares exactly. The integer never becomes a float, which holds
// only 53 bits: the float's whole part becomes an integer, which is exact inside
// the range of int64, and the rest decides a tie.
func compareMixed(n int64, f float64) int {
	switch {
	case f >= 1<<63:
		return -1
	case f < -1<<63:
		return 1
	}
	whole := math.Trunc(f)
	return cmp.Or(cmp.Compare(n, int64(whole)), cmp.Compare(whole, f))
}
