package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Check compares what a program knows with what a journal holds, and returns every
// change that events stored before the change would suffer from, and commands that were
// sent, the worst first. None means that all of them can be read as they were written.
//
// A type that upcasters read is taken to be read by them as it should: only where that
// leads is looked at, what a [upcast.Rename] makes of a payload, and whether the old form
// of a [upcast.Map] has the fields that are stored. A type that was registered and never
// stored gives a [Notice], whatever the change: another node may store it still. A
// command counts when one like it was ever sent; whether any is still to be delivered is
// not looked at. Readers of events of other kinds need not know all that is in them; only
// what would break their reading is found.
//
// The journal must be [persistence.Schemas]. Its events are counted and not read.
func Check(ctx context.Context, journal persistence.Journal, program Program) ([]Finding, error) {
	schemas, ok := persistence.As[persistence.Schemas](journal)
	if !ok {
		return nil, &persistence.InvalidError{Field: "journal", Reason: "keeps no schemas to compare with"}
	}
	known, err := ReadCatalogue(ctx, journal)
	if err != nil {
		return nil, err
	}
	uses, err := schemas.Uses(ctx)
	if err != nil {
		return nil, fmt.Errorf("count the events: %w", err)
	}
	c := newCheck(known, program)
	c.counted = true
	for _, use := range uses {
		c.use(use)
	}
	for _, one := range known.stored {
		if one.Role == Command {
			c.command(one)
		}
	}
	for _, schema := range known.all {
		c.unused(schema.ID)
	}
	return c.sorted(), nil
}

// Check is [Check] by the descriptions alone: what it costs does not depend on how many
// events there are. So it is for every start. It knows of the events and commands whose
// first one [Note] has told the journal of.
//
// A program that has run on the journal before is not to blame for what was stored first
// after that: it is the older one, of a rolling deploy or a step back. An addition of a
// newer program is a [Notice] then, marked as [Finding.Newer].
func (c *Catalogue) Check(program Program) []Finding {
	check := newCheck(c, program)
	for _, kind := range program.kinds() {
		check.since[kind] = c.before(&program, kind)
	}
	for _, one := range c.stored {
		switch one.Role {
		case Command:
			check.command(one)
		case Event:
			check.event(use{noted: one})
		}
	}
	return check.sorted()
}

func newCheck(known *Catalogue, program Program) *check {
	c := &check{
		program: program, found: findings{}, stored: map[persistence.SchemaID]*stored{}, used: map[persistence.Use]bool{},
		byMap: map[Stored][]use{}, since: map[string]persistence.SchemaID{},
	}
	for _, schema := range known.all {
		c.stored[schema.ID] = open(schema)
	}
	return c
}

// check is one comparison.
type check struct {
	program Program
	counted bool // the events were
	found   findings
	stored  map[persistence.SchemaID]*stored
	used    map[persistence.Use]bool        // without their number
	byMap   map[Stored][]use                // by all but the schema, what upcasters read
	since   map[string]persistence.SchemaID // when the program was first seen with a kind as it is, 0 is never
}

// stored is a schema that a journal holds.
type stored struct {
	encoding persistence.Encoding
	types    interface { // of protobuf
		FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error)
	}
	shape *shape // of JSON
}

// open returns nil for a schema that is damaged.
func open(schema persistence.Schema) *stored {
	if schema.Encoding == persistence.Protobuf {
		types, err := parse(schema.Body)
		if err != nil {
			return nil
		}
		return &stored{encoding: schema.Encoding, types: types}
	}
	described := new(shape)
	if json.Unmarshal(schema.Body, described) != nil {
		return nil
	}
	return &stored{encoding: schema.Encoding, shape: described}
}

// message is the description of a type of protobuf, if it is there.
func (s *stored) message(name string) protoreflect.MessageDescriptor {
	if s == nil || s.types == nil {
		return nil
	}
	found, err := s.types.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	return found.Descriptor()
}

// describes reports whether the schema was registered for a type, or has it.
func (s *stored) describes(name string) bool {
	return s.message(name) != nil || s != nil && s.shape != nil && s.shape.Title == name
}

// use is something stored, and how many of it there are, as far as that is known.
type use struct {
	noted
	events int64
}

// sorted returns what was found, after what upcasters read was compared as a whole.
func (c *check) sorted() []Finding {
	for _, uses := range c.byMap {
		c.mapped(uses)
	}
	all := c.found.sorted()
	for i := range all {
		all[i].Counted = c.counted && all[i].Role == Event
	}
	return all
}

// use compares events that the journal holds.
func (c *check) use(found persistence.Use) {
	c.used[persistence.Use{Category: found.Category, Type: found.Type, Schema: found.Schema}] = true
	c.event(use{noted{Stored: Stored{found.Category, Event, found.Type, found.Schema}}, found.Events})
}

// event compares events of one form that are stored.
func (c *check) event(one use) {
	known, hosted := c.program.Events[one.Kind]
	if hosted {
		c.read(one, known)
	}
	today, asStored := c.program.Upcasters.Renamed(one.Type)
	reader := find(c.program.Reads, today)
	if !asStored || reader == nil || hosted && find(known, today) != nil {
		return
	}
	report := c.reporter(one)
	c.compare(one.Stored, reader, func(found Finding) {
		if found.Severity == BreaksReading {
			report(found)
		}
	})
}

// command compares commands of one form that were sent to aggregates of a kind.
func (c *check) command(one noted) {
	_, events := c.program.Events[one.Kind]
	if known, hosted := c.program.Commands[one.Kind]; hosted || events && c.program.Commands != nil {
		c.read(use{noted: one}, known)
	}
}

// reporter adds findings about what is stored. A program that was here before it is
// the older one.
func (c *check) reporter(uses ...use) func(Finding) {
	return func(found Finding) {
		for _, one := range uses {
			found.Kind, found.Type, found.Role = one.Kind, one.Type, one.Role
			if since := c.since[one.Kind]; since > 0 && one.id > since && c.added(one.Stored, found.Change) {
				found.Severity, found.Newer = Notice, true
			}
			c.found.add(found, one.Schema, one.events)
		}
	}
}

// known are the types that read what is stored.
func (c *check) known(one Stored) []*codec.Type {
	if one.Role == Command {
		return c.program.Commands[one.Kind]
	}
	return c.program.Events[one.Kind]
}

// added reports that the form in which something is stored has all that the program
// knows, and more, so that a program which does not know the rest is not misled.
func (c *check) added(one Stored, change Change) bool {
	switch change {
	case TypeGone:
		return true
	case FieldRemoved, EnumValueRemoved:
	default:
		return false
	}
	today, before := find(c.known(one), one.Type), c.stored[one.Schema]
	if today == nil || before == nil || before.encoding != encodingOf(today) {
		return false
	}
	worst := Notice
	note := func(found Finding) { worst = max(worst, found.Severity) }
	if before.encoding == persistence.Protobuf {
		(&messages{report: note}).compare(today.Descriptor(), before.message(one.Type))
	} else if own := new(shape); json.Unmarshal(describeStruct(today), own) == nil {
		s := shapes{report: note, message: one.Type, was: own, is: before.shape}
		s.compare(own, before.shape, "")
	}
	return worst == Notice
}

// read compares what is stored with the types that read it.
func (c *check) read(one use, known []*codec.Type) {
	report := c.reporter(one)
	for _, end := range c.program.Upcasters.Ends(one.Type) {
		if find(known, end) == nil {
			found := Finding{Severity: BreaksReading, Change: TypeGone, Message: one.Type, Was: one.Type}
			if end != one.Type {
				found.Is = "upcast to " + end + ", which is not known"
			}
			report(found)
			return
		}
	}
	if today, asStored := c.program.Upcasters.Renamed(one.Type); asStored {
		c.compare(one.Stored, find(known, today), report)
		return
	}
	at := Stored{Kind: one.Kind, Role: one.Role, Type: one.Type}
	c.byMap[at] = append(c.byMap[at], one)
}

func find(types []*codec.Type, name string) *codec.Type {
	for _, t := range types {
		if t.Name() == name {
			return t
		}
	}
	return nil
}

// compare holds a stored type against the one that reads it.
func (c *check) compare(use Stored, today *codec.Type, report func(Finding)) {
	before := c.stored[use.Schema]
	switch {
	case before == nil:
		report(Finding{Severity: Notice, Change: NotDescribed, Message: use.Type})
	case before.encoding != encodingOf(today):
		names := map[persistence.Encoding]string{persistence.Protobuf: "protobuf", persistence.JSON: "JSON"}
		report(Finding{Severity: BreaksReading, Change: EncodingChanged, Message: use.Type, Was: names[before.encoding], Is: names[encodingOf(today)]})
	case before.encoding == persistence.Protobuf:
		was := before.message(use.Type)
		if was == nil {
			report(Finding{Severity: Notice, Change: NotDescribed, Message: use.Type})
			return
		}
		(&messages{report: report}).compare(was, today.Descriptor())
	default:
		is := new(shape)
		if err := json.Unmarshal(describeStruct(today), is); err != nil {
			return // it has just been written
		}
		s := shapes{report: report, message: use.Type, was: before.shape, is: is}
		s.compare(before.shape, is, "")
	}
}

// unused compares what was registered for types that no event of the kind has.
func (c *check) unused(id persistence.SchemaID) {
	for _, kind := range slices.Sorted(maps.Keys(c.program.Events)) {
		for _, t := range c.program.Events[kind] {
			use := persistence.Use{Category: kind, Type: t.Name(), Schema: id}
			if c.used[use] || !c.stored[id].describes(t.Name()) || c.program.Upcasters.Touches(t.Name()) {
				continue
			}
			c.compare(Stored{kind, Event, t.Name(), id}, t, func(found Finding) {
				found.Severity, found.Kind, found.Type, found.Role = Notice, kind, t.Name(), Event
				c.found.add(found, id, 0)
			})
		}
	}
}
