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
	"github.com/stele-es/stele/persistence/upcast"
)

// Program is what a program reads.
type Program struct {
	// Events are the types of events that it knows, by the kind of their aggregates.
	// Kinds that are not here belong to other programs and are not looked at.
	Events map[string][]*codec.Type
	// Upcasters are those through which it reads.
	Upcasters *upcast.Chain
}

// Check compares what a program knows with what a journal holds, and returns every
// change that events stored before the change would suffer from, the worst first.
// None means that all of them can be read as they were written.
//
// A type that upcasters read is taken to be read by them as it should: only where
// that leads is looked at, what a [upcast.Rename] makes of a payload, and whether the
// old form of a [upcast.Map] has the fields that are stored. What has
// been registered and not been stored is a [Notice], whatever the change: another
// node may store it still.
//
// The journal must be [persistence.Schemas]. Its events are counted and not read.
func Check(ctx context.Context, journal persistence.Journal, program Program) ([]Finding, error) {
	schemas, ok := persistence.As[persistence.Schemas](journal)
	if !ok {
		return nil, &persistence.InvalidError{Field: "journal", Reason: "keeps no schemas to compare with"}
	}
	all, err := schemas.Schemas(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the schemas: %w", err)
	}
	uses, err := schemas.Uses(ctx)
	if err != nil {
		return nil, fmt.Errorf("count the events: %w", err)
	}
	c := &check{program: program, found: findings{}, stored: map[persistence.SchemaID]*stored{}, used: map[persistence.Use]bool{}, byMap: map[[2]string][]persistence.Use{}}
	for _, schema := range all {
		c.stored[schema.ID] = open(schema)
	}
	for _, use := range uses {
		c.use(use)
	}
	for _, one := range c.byMap {
		c.mapped(one[0].Category, one[0].Type, one)
	}
	for _, schema := range all {
		c.unused(schema.ID)
	}
	return c.found.sorted(), nil
}

// check is one comparison.
type check struct {
	program Program
	found   findings
	stored  map[persistence.SchemaID]*stored
	used    map[persistence.Use]bool        // without their number
	byMap   map[[2]string][]persistence.Use // by kind and type, what upcasters read
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

// use compares events that the journal holds.
func (c *check) use(use persistence.Use) {
	known, hosted := c.program.Events[use.Category]
	if !hosted {
		return
	}
	c.used[persistence.Use{Category: use.Category, Type: use.Type, Schema: use.Schema}] = true
	report := c.reporter(use.Category, use.Type, []persistence.Use{use})
	for _, end := range c.program.Upcasters.Ends(use.Type) {
		if find(known, end) == nil {
			found := Finding{Severity: BreaksReading, Change: TypeGone, Message: use.Type, Was: use.Type}
			if end != use.Type {
				found.Is = "upcast to " + end + ", which is not known"
			}
			report(found)
			return
		}
	}
	if today, asStored := c.program.Upcasters.Renamed(use.Type); asStored {
		c.compare(use, find(known, today), report)
		return
	}
	at := [2]string{use.Category, use.Type}
	c.byMap[at] = append(c.byMap[at], use)
}

// reporter adds what is found about events of a kind and type.
func (c *check) reporter(kind, eventType string, uses []persistence.Use) func(Finding) {
	return func(found Finding) {
		found.Kind, found.Type = kind, eventType
		for _, use := range uses {
			c.found.add(found, use.Schema, use.Events)
		}
	}
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
func (c *check) compare(use persistence.Use, today *codec.Type, report func(Finding)) {
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
			c.compare(use, t, func(found Finding) {
				found.Severity, found.Kind, found.Type = Notice, kind, t.Name()
				c.found.add(found, id, 0)
			})
		}
	}
}
