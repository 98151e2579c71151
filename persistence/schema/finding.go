package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stele-es/stele/persistence"
)

// Severity says what a change does to the events that are stored.
type Severity uint8

const (
	// Notice is nothing that a program reads wrongly: what it shows outside has
	// another name, or what could break does not, because there are no such events.
	Notice Severity = iota
	// LosesData means that events are read, and something in them is not seen, or
	// not seen as it was.
	LosesData
	// BreaksReading means that events cannot be read, or are read as something else.
	BreaksReading
)

// String is the severity in words.
func (s Severity) String() string {
	switch s {
	case BreaksReading:
		return "breaks reading"
	case LosesData:
		return "loses data"
	default:
		return "notice"
	}
}

// Change is a sort of incompatible change.
type Change string

// The changes that [Check] knows.
const (
	// TypeGone is a type that events have and the program does not know.
	TypeGone Change = "type gone"
	// NotDescribed are events whose form then nobody can say.
	NotDescribed Change = "not described"
	// EncodingChanged is a type that was protobuf and is JSON, or the other way round.
	EncodingChanged Change = "encoding changed"
	// FieldRemoved is a field that the program does not know any more.
	FieldRemoved Change = "field removed"
	// FieldRenamed is a field with another name, and of protobuf with the same number.
	FieldRenamed Change = "field renamed"
	// FieldRenumbered is a field of protobuf with the same name under another number.
	FieldRenumbered Change = "field renumbered"
	// NumberReused is a number of protobuf that means another field.
	NumberReused Change = "field number reused"
	// FieldNotStored is a field of the old form of an upcaster that no event has.
	FieldNotStored Change = "field not stored"
	// FieldTypeChanged is a field with another type.
	FieldTypeChanged Change = "field type changed"
	// CardinalityChanged is a field that was one value and is many, or the other way round.
	CardinalityChanged Change = "cardinality changed"
	// PresenceChanged is a field that can tell that nothing was set, or cannot any more.
	PresenceChanged Change = "presence changed"
	// RequiredField is a field that events must have and need not have had.
	RequiredField Change = "field required"
	// OneofChanged are fields that went into a oneof, or out of it.
	OneofChanged Change = "oneof changed"
	// PackingChanged is a repeated field that is written in another way; both are read.
	PackingChanged Change = "packing changed"
	// DefaultChanged is a change of the value that a field has where nothing was set.
	DefaultChanged Change = "default changed"
	// EnumValueRemoved is a value of an enum that the program does not know any more.
	EnumValueRemoved Change = "enum value removed"
	// EnumValueRenamed is a value with another name and the same number.
	EnumValueRenamed Change = "enum value renamed"
	// EnumValueRenumbered is a value with the same name and another number.
	EnumValueRenumbered Change = "enum value renumbered"
	// EnumClosed is an enum that does not keep numbers any more that it does not know.
	EnumClosed Change = "enum closed"
)

// fixes say what to do about a change.
var fixes = map[Change]string{
	TypeGone:            "add an On for it, or an upcaster from it (upcast.Rename, upcast.Drop)",
	NotDescribed:        "nothing, if the program has always read them: the journal holds no description of them to compare with",
	EncodingChanged:     "give the new message another name, and upcast the old one to it",
	FieldRemoved:        "bring the field back, or carry what it holds over with an upcaster; then reserve its number and its name",
	FieldRenamed:        "nothing in protobuf, unless its JSON is exported or filtered by; in JSON keep the name in the tag, or write an upcaster",
	FieldRenumbered:     "give it its number back, or write an upcaster",
	NumberReused:        "give the new field a number that was never used, and reserve the old one",
	FieldNotStored:      "name the field in the old form as it is stored",
	FieldTypeChanged:    "add a field of the new type beside it, or write an upcaster",
	CardinalityChanged:  "add a field beside it, or write an upcaster",
	PresenceChanged:     "keep it optional, or decide what nothing and zero mean",
	RequiredField:       "make it optional",
	OneofChanged:        "leave the fields where they were, and put new ones into the oneof",
	PackingChanged:      "nothing",
	DefaultChanged:      "keep the default: events in which nothing was set follow it",
	EnumValueRemoved:    "bring the value back, or write an upcaster; then reserve its number and its name",
	EnumValueRenamed:    "nothing, unless its JSON is exported or filtered by",
	EnumValueRenumbered: "give it its number back, or write an upcaster",
	EnumClosed:          "leave it open, or know all numbers that are stored",
}

// Finding is an incompatible change between what a journal holds and what a
// program knows.
type Finding struct {
	// Severity says what comes of the change.
	Severity Severity
	// Change says what has changed.
	Change Change
	// Role says whether events or sent commands are meant.
	Role Role
	// Kind is that of the aggregates whose events are meant, or to which the commands
	// were sent, and Type the type under which they are stored.
	Kind, Type string
	// Message is the message, or the struct, that has changed: the type's own or one
	// inside it. Field is the part of it that has changed, empty for all of it.
	Message, Field string
	// Was is how it is stored, Is what the program knows; empty is nothing.
	Was, Is string
	// Fix says what can be done.
	Fix string
	// Schemas are those in which it was so.
	Schemas []persistence.SchemaID
	// Events is the number of events that have one of them; 0 when they were not counted,
	// and for commands. Counted says that they were, as [Check] does and
	// [Catalogue.Check] does not.
	Events  int64
	Counted bool
	// Newer says that a newer program has stored it, to whose additions this one is blind.
	Newer bool
}

// String is the finding on one line.
func (f Finding) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s: ", f.Severity, f.Change)
	if f.Role == Command {
		text.WriteString("command ")
	}
	fmt.Fprintf(&text, "%s of kind %s", f.Type, f.Kind)
	if f.Message != f.Type {
		fmt.Fprintf(&text, ", in %s", f.Message)
	}
	if f.Field != "" {
		fmt.Fprintf(&text, ", %s", f.Field)
	}
	if f.Was != "" || f.Is != "" {
		fmt.Fprintf(&text, ": was %s, is %s", cmp.Or(f.Was, "nothing"), cmp.Or(f.Is, "nothing"))
	}
	switch {
	case f.Newer:
		fmt.Fprintf(&text, " (of a newer program, schemas: %v); nothing, while this program runs beside it or in its place for a time", f.Schemas)
	case !f.Counted:
		fmt.Fprintf(&text, " (schemas: %v); %s", f.Schemas, f.fix())
	default:
		fmt.Fprintf(&text, " (events: %d, schemas: %v); %s", f.Events, f.Schemas, f.fix())
	}
	return text.String()
}

// fix is what can be done, in the words of what is meant.
func (f Finding) fix() string {
	if f.Role == Command {
		return strings.ReplaceAll(f.Fix, "an On for it", "a Handle for it")
	}
	return f.Fix
}

// findings gathers what is found, one for what is the same in several schemas.
type findings map[string]*Finding

func (f findings) add(found Finding, schema persistence.SchemaID, events int64) {
	found.Fix = cmp.Or(found.Fix, fixes[found.Change])
	key := fmt.Sprintf("%s\x00%d\x00%s\x00%s\x00%s\x00%s\x00%s\x00%s\x00%s", found.Role, found.Severity, found.Change, found.Kind, found.Type, found.Message, found.Field, found.Was, found.Is)
	known := f[key]
	if known == nil {
		known = &found
		f[key] = known
	}
	if !slices.Contains(known.Schemas, schema) {
		known.Schemas = append(known.Schemas, schema)
		known.Events += events
	}
}

// sorted has the worst first.
func (f findings) sorted() []Finding {
	all := make([]Finding, 0, len(f))
	for _, found := range f {
		slices.Sort(found.Schemas)
		all = append(all, *found)
	}
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.Role, a.Role), cmp.Compare(a.Type, b.Type),
			cmp.Compare(a.Message, b.Message), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Change, b.Change), cmp.Compare(a.Was, b.Was), cmp.Compare(a.Is, b.Is))
	})
	return all
}
