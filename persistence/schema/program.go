package schema

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/upcast"
)

// Program describes what a program reads and stores.
type Program struct {
	// Events are the types of events that it knows, by the kind of their aggregates.
	// Kinds that are not here belong to other programs and are not looked at.
	Events map[string][]*codec.Type
	// Commands are those that its aggregates handle, by kind: what others have sent them
	// is read as these types.
	Commands map[string][]*codec.Type
	// Replies are the answers of its aggregates, by kind.
	Replies map[string][]*codec.Type
	// Sends are the kinds of its aggregates that may send commands.
	Sends map[string]bool
	// Reads are the types of events that it reads from aggregates of any kind: those of
	// its projections and reactions.
	Reads []*codec.Type
	// Upcasters are those through which it reads.
	Upcasters *upcast.Chain
}

// Role is the use of a stored type.
type Role string

// The roles.
const (
	Event   Role = "event"
	Command Role = "command" // that was sent, timers included
)

// Stored says that something of a type was stored: an event of aggregates of a kind, or
// a command that was sent to them.
type Stored struct {
	Kind   string               `json:"kind"`
	Role   Role                 `json:"role"`
	Type   string               `json:"type"`
	Schema persistence.SchemaID `json:"schema"`
}

// The notes of programs about kinds, and about stored types, stand among the schemas of
// the journal, as JSON whose title begins as no type does. So it is kept once, and read
// with the descriptions that it names.
const (
	titleKind   = "$stele.kind"
	titleStored = "$stele.stored"
	// looked says that what the journal held before was looked through.
	looked = `{"title":"$stele.looked"}`
)

// kindEntry is the knowledge of a program about one kind.
type kindEntry struct {
	Title    string                          `json:"title"`
	Kind     string                          `json:"kind"`
	Events   map[string]persistence.SchemaID `json:"events"`
	Commands map[string]persistence.SchemaID `json:"commands"`
	Sends    bool                            `json:"sends,omitempty"`
}

type storedEntry struct {
	Title string `json:"title"`
	Stored
}

// kinds are those of the program, sorted.
func (p *Program) kinds() []string {
	all := map[string]bool{}
	for kind := range p.Events {
		all[kind] = true
	}
	for kind := range p.Commands {
		all[kind] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// types are all that are described, each once, in the same order every time.
func (p *Program) types() []*codec.Type {
	var all []*codec.Type
	for _, part := range []map[string][]*codec.Type{p.Events, p.Commands, p.Replies} {
		for _, kind := range slices.Sorted(maps.Keys(part)) {
			all = append(all, slices.SortedFunc(slices.Values(part[kind]), func(a, b *codec.Type) int { return cmp.Compare(a.Name(), b.Name()) })...)
		}
	}
	seen := map[typeKey]bool{}
	return slices.DeleteFunc(all, func(t *codec.Type) bool {
		twice := seen[keyOf(t)]
		seen[keyOf(t)] = true
		return twice
	})
}

// typeKey tells types apart.
type typeKey struct {
	name   string
	goType reflect.Type
}

func keyOf(t *codec.Type) typeKey { return typeKey{t.Name(), t.GoType()} }

// entry describes a kind by the ids of its types.
func (p *Program) entry(kind string, idOf func(*codec.Type) persistence.SchemaID) []byte {
	entry := kindEntry{Title: titleKind, Kind: kind, Events: map[string]persistence.SchemaID{}, Commands: map[string]persistence.SchemaID{}, Sends: p.Sends[kind]}
	for _, t := range p.Events[kind] {
		entry.Events[t.Name()] = idOf(t)
	}
	for _, t := range p.Commands[kind] {
		entry.Commands[t.Name()] = idOf(t)
	}
	body, err := json.Marshal(entry)
	if err != nil {
		return nil // strings and numbers
	}
	return body
}

// RegisterProgram describes all that a program stores to a journal, and returns what the
// journal knows a type by, as [Register] does. It also notes what the program knows of
// each kind, so that [Catalogue.Check] tells an older program that starts
// again from one that has lost something.
func RegisterProgram(ctx context.Context, journal persistence.Journal, program Program) (idOf func(*codec.Type) persistence.SchemaID, err error) {
	types := program.types()
	ids, err := Register(ctx, journal, types...)
	if err != nil {
		return nil, err
	}
	known := make(map[typeKey]persistence.SchemaID, len(types))
	for i, t := range types {
		known[keyOf(t)] = ids[i]
	}
	idOf = func(t *codec.Type) persistence.SchemaID { return known[keyOf(t)] }
	schemas, keeps := persistence.As[persistence.Schemas](journal)
	for _, kind := range program.kinds() {
		body := program.entry(kind, idOf)
		if !keeps || persistence.CheckSchema(persistence.JSON, body) != nil {
			continue
		}
		if _, err := schemas.RegisterSchema(ctx, persistence.JSON, body); err != nil {
			return nil, fmt.Errorf("register what is known of kind %s: %w", kind, err)
		}
	}
	return idOf, nil
}

// Note tells a journal that something of a type is stored, so that programs to come
// know that they have to read it. Doing it again changes nothing. A journal that keeps no
// schemas is not told.
func Note(ctx context.Context, journal persistence.Journal, stored Stored) error {
	schemas, keeps := persistence.As[persistence.Schemas](journal)
	if !keeps {
		return nil
	}
	body, err := json.Marshal(storedEntry{titleStored, stored})
	if err == nil {
		_, err = schemas.RegisterSchema(ctx, persistence.JSON, body)
	}
	if err != nil {
		return fmt.Errorf("note that %s is stored: %w", stored.Type, err)
	}
	return nil
}

// NoteEvents notes of which types events are that were stored elsewhere, once for each in
// known, which it fills; see [Note]. It is for who stores them with
// [persistence.Importer], and is called before, so that a crash in between leaves
// no event without its note.
func NoteEvents(ctx context.Context, journal persistence.Journal, events []persistence.Recorded, known map[Stored]bool) error {
	for i := range events {
		e := &events[i]
		stored := Stored{e.Stream.Category(), Event, e.Type, e.Schema}
		if !stored.notable() || known[stored] {
			continue
		}
		if err := Note(ctx, journal, stored); err != nil {
			return err
		}
		known[stored] = true
	}
	return nil
}

// notable reports that it has a description that a program can be compared with, and is
// not the journal's own. Events that have none are not misread in silence.
func (s *Stored) notable() bool { return s.Schema != 0 && !strings.HasPrefix(s.Type, "$") }

// LookThrough notes of which types the events of a journal are, for those that were
// stored when nobody noted it, and that this was done; see [Catalogue.LookedThrough]. It
// counts the events as [Check] does, so it takes some seconds for a million. One that has
// ended early is begun again by the next.
func LookThrough(ctx context.Context, journal persistence.Journal) error {
	schemas, keeps := persistence.As[persistence.Schemas](journal)
	if !keeps {
		return nil
	}
	uses, err := schemas.Uses(ctx)
	if err != nil {
		return fmt.Errorf("count the events: %w", err)
	}
	for _, use := range uses {
		stored := Stored{use.Category, Event, use.Type, use.Schema}
		if !stored.notable() {
			continue
		}
		if err := Note(ctx, journal, stored); err != nil {
			return err
		}
	}
	if _, err := schemas.RegisterSchema(ctx, persistence.JSON, []byte(looked)); err != nil {
		return fmt.Errorf("note that the journal was looked through: %w", err)
	}
	return nil
}

// Catalogue holds the descriptions that a journal has: of what is stored, and of what
// programs have known of kinds. It is read at once, and never changes.
type Catalogue struct {
	all    []persistence.Schema
	bodies map[string]persistence.SchemaID // by encoding and body
	stored []noted
	kinds  map[string]bool // that a program has described, or of which something is stored
	sends  map[string]bool // kinds of which a program has said that they send
	sent   bool            // some command was
}

// noted is something stored, and the id under which it was noted first.
type noted struct {
	Stored
	id persistence.SchemaID
}

func bodyKey(encoding persistence.Encoding, body []byte) string {
	return string(rune('0'+encoding)) + string(body)
}

// ReadCatalogue reads the descriptions in a journal. That of a journal which keeps no schemas
// is empty.
func ReadCatalogue(ctx context.Context, journal persistence.Journal) (*Catalogue, error) {
	schemas, keeps := persistence.As[persistence.Schemas](journal)
	if !keeps {
		return new(Catalogue), nil
	}
	all, err := schemas.Schemas(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the schemas: %w", err)
	}
	c := &Catalogue{all: all, bodies: make(map[string]persistence.SchemaID, len(all)), kinds: map[string]bool{}, sends: map[string]bool{}}
	for _, schema := range all {
		c.bodies[bodyKey(schema.Encoding, schema.Body)] = schema.ID
		if schema.Encoding != persistence.JSON || !mayBeEntry(schema.Body) {
			continue
		}
		var entry struct {
			storedEntry
			Sends bool `json:"sends"`
		}
		if json.Unmarshal(schema.Body, &entry) != nil {
			continue
		}
		switch entry.Title {
		case titleStored:
			c.stored = append(c.stored, noted{entry.Stored, schema.ID})
			c.kinds[entry.Kind] = true
			c.sent = c.sent || entry.Role == Command
		case titleKind:
			c.kinds[entry.Kind] = true
			if entry.Sends {
				c.sends[entry.Kind] = true
			}
		}
	}
	return c, nil
}

// LookedThrough reports that what the journal held before programs noted it is noted too,
// or that nothing can be noted because the journal keeps no schemas. Otherwise
// [LookThrough] does it.
func (c *Catalogue) LookedThrough() bool {
	return c.bodies == nil || c.bodies[bodyKey(persistence.JSON, []byte(looked))] != 0
}

// Kind reports that some program has described a kind, or stored something of it.
func (c *Catalogue) Kind(kind string) bool { return c.kinds[kind] }

// Senders are the kinds of which aggregates may have sent commands, sorted: some program
// that hosted the kind was one that sends, or commands were sent and no program has said
// by which kind, as those before this was noted did not.
func (c *Catalogue) Senders() []string {
	if c.sent && len(c.sends) == 0 {
		return slices.Sorted(maps.Keys(c.kinds))
	}
	return slices.Sorted(maps.Keys(c.sends))
}

// Stored are the notes, see [Note], the first first.
func (c *Catalogue) Stored() []Stored {
	all := make([]Stored, len(c.stored))
	for i, one := range c.stored {
		all[i] = one.Stored
	}
	return all
}

// before returns under which id a program has noted what it knows of a kind, 0 when it
// has never run on the journal as it is.
func (c *Catalogue) before(program *Program, kind string) persistence.SchemaID {
	types := program.types()
	known := map[typeKey]persistence.SchemaID{} // 0 of what is not there, which no program has noted
	for i, body := range describe(types) {
		known[keyOf(types[i])] = c.bodies[bodyKey(encodingOf(types[i]), body)]
	}
	return c.bodies[bodyKey(persistence.JSON, program.entry(kind, func(t *codec.Type) persistence.SchemaID { return known[keyOf(t)] }))]
}
