package schema

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/stele-es/stele/persistence/codec"
)

// mapped compares events that a [upcast.Map] reads with the old form that it declares,
// and what each step makes of them with what the next one reads it as.
func (c *check) mapped(uses []use) {
	old, made, ok := c.program.Upcasters.Mapped(uses[0].Type)
	if !ok {
		return
	}
	forms, paired := c.readAs(old, uses)
	report := c.reporter(uses...)
	also := []*shape(nil)
	if made.Name() == old.Name() {
		also = append(also, formOf(made)) // it reads those too that are stored in the new form
	}
	unwritten(old, forms, also, paired, report)
	for made.Name() != old.Name() {
		next, after, ok := c.program.Upcasters.Mapped(made.Name())
		if !ok {
			next, after = find(c.known(uses[0].Stored), made.Name()), made
		}
		if next != nil && elementOf(next) != elementOf(made) {
			unwritten(next, []*shape{formOf(made)}, nil, nil, report)
		}
		old, made = made, after
	}
}

// readAs compares each use of a type with the old form that reads it. It returns the
// stored forms, and the fields of the old one that were found to be others renamed.
func (c *check) readAs(old *codec.Type, uses []use) (forms []*shape, paired map[string]bool) {
	paired = map[string]bool{}
	for _, use := range uses {
		report := c.reporter(use)
		c.compare(use.Stored, old, func(found Finding) {
			switch {
			case found.Severity == Notice:
			case found.Change == FieldRemoved: // an upcaster may well have no use for it
				found.Severity, found.Fix = Notice, "nothing, if the upcaster does not need it; else add it to the old form"
			case found.Change == FieldRenamed:
				found.Fix = fixes[FieldNotStored]
				paired[found.Field[:strings.LastIndexByte(found.Field, '.')+1]+found.Is] = true
			}
			report(found)
		})
		if before := c.stored[use.Schema]; before != nil && before.shape != nil {
			forms = append(forms, before.shape)
		}
	}
	return forms, paired
}

// unwritten reports the fields of a form that none of those has which are read as it, or
// may be. They are always empty, as one is whose name is misspelt; where nothing that is
// stored is left unread, none can be.
func unwritten(reads *codec.Type, forms, also []*shape, paired map[string]bool, report func(Finding)) {
	if reads.Descriptor() != nil || len(forms) == 0 || slices.Contains(forms, nil) {
		return // in protobuf names do not matter
	}
	severity, missing, is := Notice, map[string]int{}, formOf(reads)
	lacks := func(a, b *shape, lacking func(field string)) {
		s := shapes{was: a, is: b, report: func(found Finding) {
			if found.Severity > Notice && (found.Change == FieldRemoved || found.Change == FieldRenamed) {
				lacking(found.Field)
			}
		}}
		s.compare(a, b, "")
	}
	for _, written := range forms {
		lacks(written, is, func(string) { severity = LosesData })
	}
	forms = append(slices.Clip(forms), also...)
	for _, written := range forms {
		lacks(is, written, func(field string) { missing[field]++ })
	}
	for _, field := range slices.Sorted(maps.Keys(missing)) {
		if missing[field] == len(forms) && !paired[field] {
			report(Finding{Severity: severity, Change: FieldNotStored, Message: reads.Name(), Field: field, Is: "a field of " + elementOf(reads).String()})
		}
	}
}

// formOf describes a plain struct; it is nil for a protobuf message.
func formOf(t *codec.Type) *shape {
	if t.Descriptor() != nil {
		return nil
	}
	described := new(shape)
	if json.Unmarshal(describeStruct(t), described) != nil {
		return nil // it has just been written
	}
	return described
}

func elementOf(t *codec.Type) reflect.Type {
	if of := t.GoType(); of.Kind() != reflect.Pointer {
		return of
	}
	return t.GoType().Elem()
}
