package filter_test

import (
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Small domains, so that events and filters meet often.
var (
	someIDs     = []persistence.EventID{{}, {1}, {1, 15: 1}, {0xff}}
	someTypes   = []string{"opened", "open", "closed", "größe", "$x"}
	someStreams = []persistence.StreamID{"account-1", "account-2", "acc-1", "plain", "-x", "$system-1"}
	someWords   = append([]string{"account", "acc", "", "5", "true"}, someTypes...)
	someTags    = []string{"test", "order 7", "order 8", "a"}
	somePattern = []string{"^acc", "open", "e$", "(?i)OPEN", "", `\d`, "ö", "a|b"}
	someKeys    = []string{"k", "k.l", `x'y"`}
	someInts    = []int64{0, 1, 5, -1, 1 << 53, 1<<53 + 1, 1 << 62, math.MaxInt64, math.MinInt64}
	someFloats  = []float64{0, 1, 5, -1, 0.5, 1 << 53, 1 << 62, 1 << 63, -1 << 63, math.MaxFloat64, math.SmallestNonzeroFloat64}
	someTimes   = []time.Time{
		time.UnixMicro(0), time.UnixMicro(1), time.Unix(0, 1500), time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("", 7200)),
	}
	someVersions = []persistence.Version{0, 1, 2, 3, persistence.MaxVersion}
	someOffsets  = []int64{0, 1, 2, 3, math.MaxInt64}
)

func pick[T any](t *rapid.T, from []T) T { return from[rapid.IntRange(0, len(from)-1).Draw(t, "pick")] }

func pickSome[T any](t *rapid.T, from []T) []T {
	picked := make([]T, rapid.IntRange(0, 3).Draw(t, "count"))
	for i := range picked {
		picked[i] = pick(t, from)
	}
	return picked
}

func drawValue(t *rapid.T) persistence.Value {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return persistence.String(pick(t, someWords))
	case 1:
		return persistence.Int(pick(t, someInts))
	case 2:
		return persistence.Float(pick(t, someFloats))
	}
	return persistence.Bool(rapid.Bool().Draw(t, "truth"))
}

func drawEvent(t *rapid.T) *persistence.Recorded {
	r := &persistence.Recorded{
		Event:  persistence.Event{ID: pick(t, someIDs), Type: pick(t, someTypes), Metadata: persistence.Metadata{}},
		Stream: pick(t, someStreams), Version: pick(t, someVersions), At: pick(t, someTimes),
		Position: persistence.Position{Part: uint16(rapid.IntRange(0, 1).Draw(t, "part")), Offset: pick(t, someOffsets)},
	}
	for _, key := range someKeys {
		if rapid.Bool().Draw(t, "has key") {
			r.Metadata[key] = drawValue(t)
		}
	}
	for _, tag := range someTags {
		if rapid.Bool().Draw(t, "has tag") {
			r.Tags = append(r.Tags, tag)
		}
	}
	return r
}

// meaning is what a filter should do, told in another way than the package does.
type meaning func(*persistence.Recorded) bool

type drawn struct {
	filter.Filter
	means meaning
}

// drawFilter makes a tree whose leaves cover every field and operator.
func drawFilter(t *rapid.T) drawn { return drawTree(t, 4) }

func drawTree(t *rapid.T, height int) drawn {
	shape := rapid.IntRange(0, 5).Draw(t, "shape")
	if height == 1 || shape < 3 {
		if rapid.IntRange(0, 19).Draw(t, "everything") == 0 {
			return drawn{filter.Filter{}, func(*persistence.Recorded) bool { return true }}
		}
		return drawLeaf(t)
	}
	left := drawTree(t, height-1)
	if shape == 5 {
		return drawn{filter.Not(left.Filter), func(r *persistence.Recorded) bool { return !left.means(r) }}
	}
	right := drawTree(t, height-1)
	if shape == 3 {
		return drawn{left.And(right.Filter), func(r *persistence.Recorded) bool { return left.means(r) && right.means(r) }}
	}
	return drawn{left.Or(right.Filter), func(r *persistence.Recorded) bool { return left.means(r) || right.means(r) }}
}

func drawLeaf(t *rapid.T) drawn {
	key := pick(t, someKeys)
	meta := func(r *persistence.Recorded) []any {
		if v, ok := r.Metadata[key]; ok {
			return []any{plain(v)}
		}
		return nil
	}
	one := func(get func(*persistence.Recorded) any) func(*persistence.Recorded) []any {
		return func(r *persistence.Recorded) []any { return []any{get(r)} }
	}
	switch rapid.IntRange(0, 12).Draw(t, "field") {
	case 0:
		return equality(t, filter.ID(), someIDs, one(func(r *persistence.Recorded) any { return r.ID }))
	case 1:
		return text(t, filter.Type(), someTypes, one(func(r *persistence.Recorded) any { return r.Type }))
	case 2:
		return ordered(t, filter.Time(), someTimes, one(func(r *persistence.Recorded) any { return plain(r.At) }))
	case 3:
		return ordered(t, filter.Version(), someVersions, one(func(r *persistence.Recorded) any { return plain(r.Version) }))
	case 4:
		return ordered(t, filter.Offset(), someOffsets, one(func(r *persistence.Recorded) any { return plain(r.Position.Offset) }))
	case 5:
		return text(t, filter.Stream(), someStreams, one(func(r *persistence.Recorded) any { return string(r.Stream) }))
	case 6:
		category := func(r *persistence.Recorded) []any {
			if before, _, ok := strings.Cut(string(r.Stream), "-"); ok && before != "" {
				return []any{before}
			}
			return nil
		}
		if rapid.Bool().Draw(t, "exists") {
			return drawn{filter.Category().Exists(), present(category)}
		}
		return text(t, filter.Category().TextField, someWords, category)
	case 7:
		return drawTag(t)
	case 8:
		return drawn{filter.Meta(key).Exists(), present(meta)}
	case 9:
		return text(t, filter.Meta(key).Text(), someWords, meta)
	case 10:
		return ordered(t, filter.Meta(key).Int(), someInts, meta)
	case 11:
		return ordered(t, filter.Meta(key).Float(), someFloats, meta)
	}
	values := []persistence.Value{drawValue(t)} // several would have to be of one kind
	return equality(t, filter.Meta(key).Field, values, meta)
}

func drawTag(t *rapid.T) drawn {
	tags := func(r *persistence.Recorded) (values []any) {
		for _, tag := range r.Tags {
			values = append(values, tag)
		}
		return values
	}
	some, begin, pattern := pickSome(t, someTags), pick(t, someTags)[:1], pick(t, somePattern)
	switch rapid.IntRange(0, 4).Draw(t, "operator") {
	case 0:
		return drawn{filter.Tag().Eq(begin), any1(tags, func(v any) bool { return v == begin })}
	case 1:
		return drawn{filter.Tag().In(some...), any1(tags, func(v any) bool { return slices.Contains(some, v.(string)) })}
	case 2:
		return drawn{filter.Tag().Prefix(begin), any1(tags, func(v any) bool { return strings.HasPrefix(v.(string), begin) })}
	case 3:
		expression := regexp.MustCompile(pattern)
		return drawn{filter.Tag().Regex(pattern), any1(tags, func(v any) bool { return expression.MatchString(v.(string)) })}
	}
	return drawn{filter.Tag().Exists(), present(tags)}
}

type getter = func(*persistence.Recorded) []any

func any1(get getter, holds func(any) bool) meaning {
	return func(r *persistence.Recorded) bool { return slices.ContainsFunc(get(r), holds) }
}

func present(get getter) meaning { return any1(get, func(any) bool { return true }) }

func equality[T any](t *rapid.T, f filter.Field[T], from []T, get getter) drawn {
	x, xs := pick(t, from), pickSome(t, from)
	contained := func(v any) bool {
		return slices.ContainsFunc(xs, func(x T) bool { order, ok := compare(v, plain(x)); return ok && order == 0 })
	}
	switch rapid.IntRange(0, 3).Draw(t, "operator") {
	case 0:
		return drawn{f.Eq(x), any1(get, comparing(x, func(order int) bool { return order == 0 }))}
	case 1:
		return drawn{f.Ne(x), any1(get, comparing(x, func(order int) bool { return order != 0 }))}
	case 2:
		return drawn{f.In(xs...), any1(get, contained)}
	}
	return drawn{f.NotIn(xs...), any1(get, func(v any) bool {
		for _, x := range xs {
			if _, ok := compare(v, plain(x)); !ok {
				return false
			}
		}
		return !contained(v)
	})}
}

func ordered[T any](t *rapid.T, f filter.OrderedField[T], from []T, get getter) drawn {
	x := pick(t, from)
	switch rapid.IntRange(0, 6).Draw(t, "operator") {
	case 0:
		return drawn{f.Gt(x), any1(get, comparing(x, func(order int) bool { return order > 0 }))}
	case 1:
		return drawn{f.Ge(x), any1(get, comparing(x, func(order int) bool { return order >= 0 }))}
	case 2:
		return drawn{f.Lt(x), any1(get, comparing(x, func(order int) bool { return order < 0 }))}
	case 3:
		return drawn{f.Le(x), any1(get, comparing(x, func(order int) bool { return order <= 0 }))}
	}
	return equality(t, f.Field, from, get)
}

func text[T ~string](t *rapid.T, f filter.TextField[T], from []T, get getter) drawn {
	beginning, pattern := string(pick(t, from)), pick(t, somePattern)
	switch rapid.IntRange(0, 4).Draw(t, "operator") {
	case 0:
		return drawn{f.Prefix(beginning), any1(get, func(v any) bool {
			s, ok := v.(string)
			return ok && strings.HasPrefix(s, beginning)
		})}
	case 1:
		expression := regexp.MustCompile(pattern)
		return drawn{f.Regex(pattern), any1(get, func(v any) bool {
			s, ok := v.(string)
			return ok && expression.MatchString(s)
		})}
	}
	return ordered(t, f.OrderedField, from, get)
}

func comparing[T any](x T, holds func(order int) bool) func(any) bool {
	return func(v any) bool { order, ok := compare(v, plain(x)); return ok && holds(order) }
}

// plain turns a value of any of our types into a string, a bool, an id, a time in
// microseconds or, if it is a number, a fraction of any precision.
func plain(v any) any {
	switch v := v.(type) {
	case persistence.StreamID:
		return string(v)
	case persistence.Version:
		return new(big.Rat).SetUint64(uint64(v))
	case int64:
		return new(big.Rat).SetInt64(v)
	case float64:
		return new(big.Rat).SetFloat64(v)
	case time.Time:
		return v.UTC().Truncate(time.Microsecond)
	case persistence.Value:
		if s, ok := v.AsString(); ok {
			return s
		}
		if n, ok := v.AsInt(); ok {
			return plain(n)
		}
		if f, ok := v.AsFloat(); ok {
			return plain(f)
		}
		b, _ := v.AsBool()
		return b
	}
	return v
}

// compare reports false for values of different kinds; of unordered kinds it
// only tells equal from different.
func compare(v, w any) (order int, ok bool) {
	switch v := v.(type) {
	case string:
		w, ok := w.(string)
		return strings.Compare(v, w), ok
	case *big.Rat:
		if w, ok := w.(*big.Rat); ok {
			return v.Cmp(w), true
		}
	case time.Time:
		if w, ok := w.(time.Time); ok {
			return v.Compare(w), true
		}
	case bool:
		w, ok := w.(bool)
		return different(v != w), ok
	case persistence.EventID:
		w, ok := w.(persistence.EventID)
		return different(v != w), ok
	}
	return 0, false
}

func different(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
