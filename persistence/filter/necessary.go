package filter

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Necessary are conditions that every event satisfies which a filter chooses,
// for a journal to look up in its indexes. All of them hold together. Events that
// satisfy them need not match: the filter decides.
//
// A nil set is no condition and a set is never empty, so the zero Necessary lets
// everything through.
type Necessary struct {
	// Nothing says that no event matches. A reader of pages still has to advance.
	Nothing bool
	// IDs, Types, Streams and Categories hold the only values that can match.
	IDs        []persistence.EventID
	Types      []string               // as stored
	Streams    []persistence.StreamID // whole names
	Categories []string               // of streams
	// Tags are sets of which an event has at least one tag each.
	Tags [][]string
	// Versions, Offsets and Times are closed ranges.
	Versions Range[persistence.Version]
	Offsets  Range[int64]     // in the partition
	Times    Range[time.Time] // in UTC with microseconds
	// Metadata holds, by key, the only values that can match; an event without the
	// key cannot. They are meant as Go values: a number that can be stored as an
	// integer and as a float stands here twice, so a store may compare the encoded
	// form, which for large floats is not their exact decimal value.
	Metadata map[string][]persistence.Value
}

// Range is a closed interval. An end that is nil is open, which as a parameter of
// a query is NULL.
type Range[T any] struct {
	Min, Max *T // belong to it
}

// Necessary computes what every match must satisfy.
func (f Filter) Necessary() Necessary { return f.root.necessary(false) }

// necessary carries negations down to the leaves: the negation of a disjunction
// is the conjunction of the negations, and the other way round.
func (n *node) necessary(negated bool) Necessary {
	switch {
	case n == nil:
		return Necessary{Nothing: negated}
	case n.kind == invalidNode:
		return Necessary{Nothing: true}
	case n.kind == leafNode:
		return n.leaf.necessary(negated)
	case n.kind == notNode:
		return n.children[0].necessary(!negated)
	}
	result := n.children[0].necessary(negated)
	for _, child := range n.children[1:] {
		if (n.kind == andNode) != negated {
			result = result.and(child.necessary(negated))
		} else {
			result = result.or(child.necessary(negated))
		}
	}
	return result
}

// opposites are the operators that hold exactly when their partner does not, in
// a field that every event has with a value of one kind.
var opposites = map[operator]operator{
	eq: ne, ne: eq, gt: le, le: gt, lt: ge, ge: lt, in: notIn, notIn: in,
}

func (l *leaf) necessary(negated bool) Necessary {
	op := l.op
	if negated {
		opposite, ok := opposites[op]
		if !ok || !l.field.always() {
			return Necessary{}
		}
		op = opposite
	}
	switch op {
	case in, eq:
		if len(l.operands) == 0 {
			return Necessary{Nothing: true}
		}
		return l.equals()
	case gt, ge, lt, le:
		return l.between(op)
	case ne, notIn, prefix, matches, exists:
	}
	return Necessary{}
}

// equals says that the field holds one of the operands.
func (l *leaf) equals() Necessary {
	switch l.field.property {
	case idProperty:
		return Necessary{IDs: convert(l.operands, (*value).id)}
	case typeProperty:
		return Necessary{Types: convert(l.operands, text[string])}
	case streamProperty:
		return Necessary{Streams: convert(l.operands, text[persistence.StreamID])}
	case categoryProperty:
		return Necessary{Categories: convert(l.operands, text[string])}
	case tagProperty:
		return Necessary{Tags: [][]string{convert(l.operands, text[string])}}
	case metadataProperty:
		var values []persistence.Value
		for i := range l.operands {
			values = append(values, l.operands[i].forms()...)
		}
		return Necessary{Metadata: map[string][]persistence.Value{l.field.key: values}}
	}
	// Sets are sorted.
	return l.field.span(l.operands[0].integer(), l.operands[len(l.operands)-1].integer())
}

func (l *leaf) between(op operator) Necessary {
	switch l.field.property {
	case versionProperty, positionProperty, timeProperty:
	default:
		return Necessary{}
	}
	// Operands are far from the least integer, but may be the greatest.
	bound := l.operands[0].integer()
	switch {
	case op == gt && bound == math.MaxInt64:
		return Necessary{Nothing: true}
	case op == gt:
		return l.field.span(bound+1, math.MaxInt64)
	case op == ge:
		return l.field.span(bound, math.MaxInt64)
	case op == lt:
		return l.field.span(math.MinInt64, bound-1)
	}
	return l.field.span(math.MinInt64, bound)
}

// span says that a field of whole numbers lies in a range, whose ends are open at
// the limits of int64.
func (f field) span(least, most int64) Necessary {
	switch f.property {
	case versionProperty:
		if most < 0 {
			return Necessary{Nothing: true}
		}
		return Necessary{Versions: newRange(least, most, func(n int64) persistence.Version { return persistence.Version(n) })}
	case positionProperty:
		return Necessary{Offsets: newRange(least, most, func(n int64) int64 { return n })}
	}
	return Necessary{Times: newRange(least, most, func(n int64) time.Time { return time.UnixMicro(n).UTC() })}
}

func newRange[T any](least, most int64, convert func(int64) T) (r Range[T]) {
	if least != math.MinInt64 {
		r.Min = new(convert(least))
	}
	if most != math.MaxInt64 {
		r.Max = new(convert(most))
	}
	return r
}

// forms are the values of metadata that equal this one.
func (v *value) forms() []persistence.Value {
	forms := []persistence.Value{v.metadata()}
	switch v.kind {
	case integerKind:
		if f := float64(v.integer()); compareMixed(v.integer(), f) == 0 {
			forms = append(forms, persistence.Float(f))
		}
	case floatKind:
		f := v.float()
		if f == math.Trunc(f) && f >= -1<<63 && f < 1<<63 {
			forms = append(forms, persistence.Int(int64(f)))
		}
	case noKind, textKind, truthKind, timeKind, idKind:
	}
	return forms
}

func text[T ~string](v *value) T { return T(v.text) }

func convert[T any](values []value, to func(*value) T) []T {
	converted := make([]T, len(values))
	for i := range values {
		converted[i] = to(&values[i])
	}
	return converted
}

// Holds reports whether an event satisfies the conditions.
func (n Necessary) Holds(recorded *persistence.Recorded) bool {
	if n.Nothing || !allows(n.IDs, recorded.ID) || !allows(n.Types, recorded.Type) ||
		!allows(n.Streams, recorded.Stream) || !allows(n.Categories, recorded.Stream.Category()) {
		return false
	}
	for _, tags := range n.Tags {
		if !slices.ContainsFunc(recorded.Tags, func(tag string) bool { return slices.Contains(tags, tag) }) {
			return false
		}
	}
	for key, values := range n.Metadata {
		if value, ok := recorded.Metadata[key]; !ok || !slices.Contains(values, value) {
			return false
		}
	}
	return n.Versions.holds(recorded.Version, cmp.Compare) &&
		n.Offsets.holds(recorded.Position.Offset, cmp.Compare) &&
		n.Times.holds(recorded.At.Truncate(time.Microsecond), time.Time.Compare)
}

func allows[T comparable](set []T, value T) bool { return set == nil || slices.Contains(set, value) }

func (r Range[T]) holds(value T, compare func(T, T) int) bool {
	return (r.Min == nil || compare(value, *r.Min) >= 0) && (r.Max == nil || compare(value, *r.Max) <= 0)
}
