package schema

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// shapes compares JSON by what encoding/json makes of what was written as the one
// and is read as the other.
type shapes struct {
	report  func(Finding)
	message string
	was, is *shape // the whole, with the definitions
	seen    map[[2]*shape]bool
}

// found reports a change at a place, which is written like an expression in Go.
func (s *shapes) found(severity Severity, change Change, at, was, is string) {
	s.report(Finding{Severity: severity, Change: change, Message: s.message, Field: strings.TrimPrefix(at, "."), Was: was, Is: is})
}

// resolve follows a reference inside a whole.
func resolve(whole, one *shape) *shape {
	if one == nil {
		return new(shape)
	}
	if one.Ref == toRoot {
		return whole
	}
	if name, inside := strings.CutPrefix(one.Ref, toDefs); inside && whole.Defs[name] != nil {
		return whole.Defs[name]
	}
	return one
}

// base is the type of a value that is not null, "" for any.
func (s *shape) base() string {
	for _, one := range s.Type {
		if one != null {
			return one
		}
	}
	return ""
}

// String names what a value is.
func (s *shape) String() string {
	text := cmp.Or(s.base(), "anything")
	switch {
	case s.Encoding != "":
		text += " of " + s.Encoding
	case s.Format != "":
		text += " (" + s.Format + ")"
	case text == "object" && s.Additional != nil:
		text = "map"
	}
	return text
}

func (s *shapes) compare(was, is *shape, at string) {
	was, is = resolve(s.was, was), resolve(s.is, is)
	if s.isRepeated(was, is) {
		return
	}
	before, now := was.base(), is.base()
	switch {
	case before == "" && now == "":
		return // nobody can say
	case before == "" || now == "":
		s.found(Notice, FieldTypeChanged, at, was.String(), is.String())
		return
	case before != now:
		s.found(otherType(was, is), FieldTypeChanged, at, was.String(), is.String())
		return
	}
	s.compareContent(was, is, at)
}

// isRepeated reports that two shapes have been compared, as those of types that hold
// themselves have, and notes that they are from now on.
func (s *shapes) isRepeated(was, is *shape) bool {
	pair := [2]*shape{was, is}
	if s.seen[pair] {
		return true
	}
	if s.seen == nil {
		s.seen = map[[2]*shape]bool{}
	}
	s.seen[pair] = true
	return false
}

// compareContent compares two shapes of one type of JSON.
func (s *shapes) compareContent(was, is *shape, at string) {
	now := is.base()
	if was.Type.nullable() && !is.Type.nullable() && now != "array" && now != "object" {
		s.found(Notice, PresenceChanged, at, "null when there is none", "zero when there is none")
	}
	switch now {
	case "string":
		s.text(was, is, at)
	case "integer", "number":
		if severity, changed := numbers(was, is); changed {
			s.found(severity, FieldTypeChanged, at, was.String(), is.String())
		}
	case "array":
		if is.MaxItems != nil && (was.MaxItems == nil || *was.MaxItems > *is.MaxItems) {
			s.found(LosesData, CardinalityChanged, at, "more items", "fewer items")
		}
		s.compare(was.Items, is.Items, at+"[]")
	case "object":
		s.object(was, is, at)
	}
}

// otherType is for values of two types of JSON.
func otherType(was, is *shape) Severity {
	if was.base() != "integer" || is.base() != "number" {
		return BreaksReading
	}
	small := []string{"int8", "uint8", "int16", "uint16"}
	if slices.Contains(small, was.Format) || is.Format == "" || is.Format == "double" && strings.HasSuffix(was.Format, "32") {
		return Notice
	}
	return LosesData // large ones are rounded
}

func (s *shapes) text(was, is *shape, at string) {
	switch {
	case was.Encoding != is.Encoding:
		s.found(BreaksReading, FieldTypeChanged, at, was.String(), is.String())
	case was.Format == is.Format:
	case is.Format == "":
		s.found(Notice, FieldTypeChanged, at, was.String(), is.String())
	default:
		s.found(BreaksReading, FieldTypeChanged, at, was.String(), is.String())
	}
}

// fits says which formats hold all numbers of a format.
var fits = map[string][]string{
	"int8": {"int16", "int32", "int64"}, "int16": {"int32", "int64"}, "int32": {"int64"},
	"uint8":  {"uint16", "uint32", "uint64", "int16", "int32", "int64"},
	"uint16": {"uint32", "uint64", "int32", "int64"},
	"uint32": {"uint64", "int64"},
	"float":  {"double"},
}

func numbers(was, is *shape) (severity Severity, changed bool) {
	if was.Format == is.Format || is.Format == "" || was.Format == "" || slices.Contains(fits[was.Format], is.Format) {
		return Notice, false // JSON writes them alike
	}
	if was.base() == "number" {
		return LosesData, true
	}
	return BreaksReading, true // encoding/json refuses what does not fit
}

func (s *shapes) object(was, is *shape, at string) {
	switch {
	case was.Additional != nil && is.Additional != nil:
		s.compare(was.Additional, is.Additional, at+"[key]")
	case was.Additional != nil:
		s.found(LosesData, CardinalityChanged, at, was.String(), is.String())
	case is.Additional != nil:
		for _, name := range slices.Sorted(maps.Keys(was.Properties)) {
			s.compare(was.Properties[name], is.Additional, at+"."+name)
		}
	default:
		s.properties(was, is, at)
	}
}

func (s *shapes) properties(was, is *shape, at string) {
	for _, name := range slices.Sorted(maps.Keys(was.Properties)) {
		now, property := alikeName(is.Properties, name)
		switch {
		case property == nil:
			if renamed := s.renamed(was, is, name); renamed != "" {
				s.found(LosesData, FieldRenamed, at+"."+name, name, renamed)
			} else {
				s.found(LosesData, FieldRemoved, at+"."+name, resolve(s.was, was.Properties[name]).String(), "")
			}
			continue
		case now != name:
			s.found(Notice, FieldRenamed, at+"."+name, name, now) // which encoding/json does not mind
		}
		s.compare(was.Properties[name], property, at+"."+name)
	}
}

// alikeName finds a property as encoding/json does, which prefers the very name.
func alikeName(properties map[string]*shape, name string) (string, *shape) {
	if property := properties[name]; property != nil {
		return name, property
	}
	for _, other := range slices.Sorted(maps.Keys(properties)) {
		if strings.EqualFold(other, name) {
			return other, properties[other]
		}
	}
	return "", nil
}

// renamed guesses what a property is called that is gone: by the one that is new
// and has its shape.
func (s *shapes) renamed(was, is *shape, name string) string {
	gone, err := json.Marshal(was.Properties[name])
	if err != nil {
		return ""
	}
	var like []string
	for _, other := range slices.Sorted(maps.Keys(is.Properties)) {
		if _, had := alikeName(was.Properties, other); had != nil {
			continue
		}
		if added, err := json.Marshal(is.Properties[other]); err == nil && string(added) == string(gone) {
			like = append(like, other)
		}
	}
	if len(like) == 1 {
		return like[0]
	}
	return ""
}
