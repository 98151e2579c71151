package filter

import (
	"cmp"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
)

// and returns the conditions that hold when both sides hold. Like or it uses up its operands, which are made anew
// for every tree and belong to nobody else.
func (n Necessary) and(other Necessary) Necessary {
	if n.Nothing || other.Nothing {
		return Necessary{Nothing: true}
	}
	both := Necessary{
		IDs:        common(n.IDs, other.IDs),
		Types:      common(n.Types, other.Types),
		Streams:    common(n.Streams, other.Streams),
		Categories: common(n.Categories, other.Categories),
		Tags:       n.Tags,
		Versions:   n.Versions.and(other.Versions, cmp.Compare),
		Offsets:    n.Offsets.and(other.Offsets, cmp.Compare),
		Times:      n.Times.and(other.Times, time.Time.Compare),
		Metadata:   n.Metadata,
	}
	// An event can have a tag of one set and another of the next, so sets of tags
	// do not intersect.
	for _, tags := range other.Tags {
		if !slices.ContainsFunc(both.Tags, func(known []string) bool { return slices.Equal(known, tags) }) {
			both.Tags = append(both.Tags, tags)
		}
	}
	if len(other.Metadata) > 0 {
		both.Metadata = make(map[string][]persistence.Value, len(n.Metadata)+len(other.Metadata))
		for _, metadata := range []map[string][]persistence.Value{n.Metadata, other.Metadata} {
			for key, values := range metadata {
				both.Metadata[key] = common(both.Metadata[key], values)
			}
		}
	}
	if both.admitNothing() {
		return Necessary{Nothing: true}
	}
	return both
}

// admitNothing reports that no event can fulfil one of the conditions.
func (n *Necessary) admitNothing() bool {
	for _, values := range n.Metadata {
		if none(values) {
			return true
		}
	}
	return none(n.IDs) || none(n.Types) || none(n.Streams) || none(n.Categories) ||
		n.Versions.empty(cmp.Compare) || n.Offsets.empty(cmp.Compare) || n.Times.empty(time.Time.Compare)
}

// or returns the conditions that hold when either side holds: only those that both sides say, as widely as they say it
// together.
func (n Necessary) or(other Necessary) Necessary {
	switch {
	case n.Nothing:
		return other
	case other.Nothing:
		return n
	}
	either := Necessary{
		IDs:        union(n.IDs, other.IDs),
		Types:      union(n.Types, other.Types),
		Streams:    union(n.Streams, other.Streams),
		Categories: union(n.Categories, other.Categories),
		Versions:   n.Versions.or(other.Versions, cmp.Compare),
		Offsets:    n.Offsets.or(other.Offsets, cmp.Compare),
		Times:      n.Times.or(other.Times, time.Time.Compare),
	}
	// Any set of one side together with any set of the other is a condition. One
	// pair is enough for an index, all of them would multiply with every Or.
	if len(n.Tags) > 0 && len(other.Tags) > 0 {
		either.Tags = [][]string{union(shortest(n.Tags), shortest(other.Tags))}
	}
	for key, values := range n.Metadata {
		if others := other.Metadata[key]; others != nil {
			if either.Metadata == nil {
				either.Metadata = map[string][]persistence.Value{}
			}
			either.Metadata[key] = union(values, others)
		}
	}
	return either
}

func shortest(sets [][]string) []string {
	return slices.MinFunc(sets, func(a, b []string) int { return cmp.Compare(len(a), len(b)) })
}

// none reports a set that is a condition which nothing satisfies.
func none[T any](set []T) bool { return set != nil && len(set) == 0 }

// common intersects sets of which nil is the one of everything.
func common[T comparable](a, b []T) []T {
	if a == nil || b == nil {
		return append(a, b...)
	}
	in := members(b)
	both := []T{}
	for _, value := range a {
		if in[value] {
			both = append(both, value)
		}
	}
	return both
}

func union[T comparable](a, b []T) []T {
	if a == nil || b == nil {
		return nil
	}
	in := members(a)
	for _, value := range b {
		if !in[value] {
			a = append(a, value)
		}
	}
	return a
}

func members[T comparable](set []T) map[T]bool {
	in := make(map[T]bool, len(set))
	for _, value := range set {
		in[value] = true
	}
	return in
}

func (r Range[T]) and(other Range[T], compare func(T, T) int) Range[T] {
	return Range[T]{Min: narrow(r.Min, other.Min, compare, 1), Max: narrow(r.Max, other.Max, compare, -1)}
}

func (r Range[T]) or(other Range[T], compare func(T, T) int) Range[T] {
	return Range[T]{Min: widen(r.Min, other.Min, compare, -1), Max: widen(r.Max, other.Max, compare, 1)}
}

func (r Range[T]) empty(compare func(T, T) int) bool {
	return r.Min != nil && r.Max != nil && compare(*r.Min, *r.Max) > 0
}

// narrow takes the end that lies further in the direction; an open end gives way.
func narrow[T any](a, b *T, compare func(T, T) int, direction int) *T {
	if a == nil || b != nil && compare(*b, *a) == direction {
		return b
	}
	return a
}

// widen takes the end that lies further in the direction; an open end stays open.
func widen[T any](a, b *T, compare func(T, T) int, direction int) *T {
	if a == nil || b == nil {
		return nil
	}
	if compare(*b, *a) == direction {
		return b
	}
	return a
}
