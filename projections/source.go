package projections

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// source is which events a projection is about.
type source struct {
	named   bool // by one of the From functions
	all     bool
	streams []persistence.StreamID
	kinds   []string
	tags    []string
	where   persistence.Filter
	system  bool
}

func (s *source) String() string {
	return fmt.Sprintf("%q %q %q %v %v", s.streams, s.kinds, s.tags, s.where, s.system)
}

// scope is the source without its filter, and false when it is everything.
func (s *source) scope() (filter.Filter, bool) {
	switch {
	case len(s.streams) > 0:
		return filter.Stream().In(s.streams...), true
	case len(s.kinds) > 0:
		return filter.Category().In(s.kinds...), true
	case len(s.tags) > 0:
		return filter.Tag().In(s.tags...), true
	}
	return filter.Filter{}, false
}

// ofSystem reports whether streams of the system are meant.
func (s *source) ofSystem() bool {
	return s.system || slices.ContainsFunc(s.streams, func(stream persistence.StreamID) bool { return strings.HasPrefix(string(stream), "$") }) ||
		slices.ContainsFunc(s.kinds, func(kind string) bool { return strings.HasPrefix(kind, "$") })
}

// chooses decides about one event, whatever the journal has already left out.
func (s *source) chooses(recorded *persistence.Recorded) bool {
	if strings.HasPrefix(string(recorded.Stream), "$") && !s.ofSystem() {
		return false
	}
	switch {
	case len(s.streams) > 0:
		return slices.Contains(s.streams, recorded.Stream)
	case len(s.kinds) > 0:
		return slices.Contains(s.kinds, recorded.Stream.Category())
	}
	return true
}

// tagged reports whether an event has one of the tags.
func (s *source) tagged(recorded *persistence.Recorded) bool {
	return slices.ContainsFunc(recorded.Tags, func(tag string) bool { return slices.Contains(s.tags, tag) })
}

// check reports mistakes that only looking into the names can tell.
func (s *source) check(types []string) error {
	for _, stream := range s.streams {
		if err := stream.CheckName(); err != nil {
			return err
		}
	}
	for _, kind := range s.kinds {
		if err := persistence.CheckCategory(kind); err != nil {
			return err
		}
		if strings.Contains(kind, "-") {
			return &persistence.InvalidError{Field: "kind", Reason: `holds a "-", before which the kind of a stream ends: leave out what follows`}
		}
	}
	for _, tag := range s.tags {
		if tag == "" || len(tag) > persistence.MaxTag {
			return &persistence.InvalidError{Field: "tag", Reason: "is empty or too long: no event can have it", Size: len(tag), Limit: persistence.MaxTag}
		}
	}
	if chosen := s.choose(types, false, false); chosen != nil {
		return chosen.Check()
	}
	return nil
}

// choose makes the filter that a journal is read with. Types are those that are
// handled; they are left out when upcasters may make them of other ones.
func (s *source) choose(types []string, upcast, erasures bool) persistence.Filter {
	var parts []filter.Filter
	if scope, narrow := s.scope(); narrow {
		parts = append(parts, scope)
	}
	if len(types) > 0 && !upcast {
		parts = append(parts, filter.Type().In(types...))
	}
	where := s.where
	if known, ok := where.(filter.Filter); ok {
		parts, where = append(parts, known), nil
	}
	if erasures && !s.ofSystem() {
		parts = append(parts, filter.Not(filter.Stream().Prefix("$")))
	}
	var chosen persistence.Filter
	if len(parts) > 0 {
		chosen = parts[0].And(parts[1:]...)
	}
	if where != nil {
		chosen = both{chosen, where}
	}
	if erasures && chosen != nil {
		chosen = either{chosen, filter.Category().Eq(PersonCategory)}
	}
	return chosen
}

// chooses is the filter with which the journal is read for a part of the projection.
func (s *spec) chooses(config *Config, low, high int) (chosen persistence.Filter, system bool) {
	chosen = s.source.choose(s.types, config.Upcasters != nil, s.erasures)
	if low > 0 || high < Slices {
		chosen = both{chosen, share{s, low, high}}
	}
	return chosen, s.source.ofSystem() || s.erasures
}

// both is the conjunction of a filter, which may be nil, and one of another package.
type both struct{ first, second persistence.Filter }

// Match fulfils [persistence.Filter].
func (b both) Match(recorded *persistence.Recorded) bool {
	return (b.first == nil || b.first.Match(recorded)) && b.second.Match(recorded)
}

// Check fulfils [persistence.Filter].
func (b both) Check() error {
	if b.first != nil {
		if err := b.first.Check(); err != nil {
			return err
		}
	}
	return b.second.Check()
}

// either is the disjunction of two filters.
type either struct{ first, second persistence.Filter }

// Match fulfils [persistence.Filter].
func (e either) Match(recorded *persistence.Recorded) bool {
	return e.first.Match(recorded) || e.second.Match(recorded)
}

// Check fulfils [persistence.Filter].
func (e either) Check() error { return e.first.Check() }

// Slices is the number of parts into which the lanes of a projection are hashed. The
// workers share them.
const Slices = 1024

// SliceOf returns the slice of a lane. Checkpoints depend on it, so it never changes: the
// upper bits of FNV-1a of 64 bits, mixed so that names that differ at their end only are
// spread too.
func SliceOf(lane string) int {
	hash := uint64(14695981039346656037)
	for i := range len(lane) {
		hash = (hash ^ uint64(lane[i])) * 1099511628211
	}
	hash ^= hash >> 32 // the finalizer of MurmurHash3, by Austin Appleby
	hash *= 0xff51afd7ed558ccd
	hash ^= hash >> 33
	return int(hash >> 54) //nolint:gosec // ten bits
}

// laneOf is the lane of an event.
func (s *spec) laneOf(recorded *persistence.Recorded) string {
	if s.lane == nil {
		return string(recorded.Stream)
	}
	return s.lane(recorded)
}

// share is the filter of one worker among several.
type share struct {
	spec      *spec
	low, high int
}

// Match fulfils [persistence.Filter].
func (s share) Match(recorded *persistence.Recorded) bool {
	slice := SliceOf(s.spec.laneOf(recorded))
	return s.low <= slice && slice < s.high
}

// Check fulfils [persistence.Filter].
func (s share) Check() error { return nil }
