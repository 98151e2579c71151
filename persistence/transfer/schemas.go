package transfer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/schema"
)

// descriptions are the schemas of a journal, which grow while they are used.
type descriptions struct {
	journal persistence.Schemas // nil when it keeps none
	known   map[persistence.SchemaID]persistence.Schema
	missing map[persistence.SchemaID]bool
}

func describedBy(ctx context.Context, journal persistence.Journal) (*descriptions, error) {
	d := &descriptions{known: map[persistence.SchemaID]persistence.Schema{}, missing: map[persistence.SchemaID]bool{}}
	d.journal, _ = persistence.As[persistence.Schemas](journal)
	return d, d.refresh(ctx)
}

func (d *descriptions) refresh(ctx context.Context) error {
	if d.journal == nil {
		return nil
	}
	all, err := d.journal.Schemas(ctx)
	for _, schema := range all {
		d.known[schema.ID] = schema
	}
	return err
}

// of returns the schema with an id. Programs may use an id that their journal has
// no description of.
func (d *descriptions) of(ctx context.Context, id persistence.SchemaID) (schema persistence.Schema, known bool, err error) {
	if schema, known = d.known[id]; known || d.missing[id] {
		return schema, known, nil
	}
	if err := d.refresh(ctx); err != nil {
		return schema, false, err
	}
	schema, known = d.known[id]
	d.missing[id] = !known
	return schema, known, nil
}

// entries are what programs have noted, as far as it is of use for what is chosen: of
// kinds that are not, only which commands were sent to them, which may be open.
func (d *descriptions) entries(ctx context.Context, choice *Choice) ([]schema.Entry, error) {
	if d.journal == nil {
		return nil, nil
	}
	if err := d.refresh(ctx); err != nil {
		return nil, err
	}
	all := schema.EntriesOf(slices.SortedFunc(maps.Values(d.known), func(a, b persistence.Schema) int { return cmp.Compare(a.ID, b.ID) }))
	return slices.DeleteFunc(all, func(e schema.Entry) bool { return e.Role != schema.Command && !choice.hasOf(e.Kind) }), nil
}

// digest names a schema by its content, and one that has none by its id.
func (d *descriptions) digest(ctx context.Context, id persistence.SchemaID) ([sha256.Size]byte, error) {
	schema, known, err := d.of(ctx, id)
	if !known {
		return [sha256.Size]byte{0: byte(id), 1: byte(id >> 8), 2: byte(id >> 16), 3: byte(id >> 24)}, err
	}
	return sha256.Sum256(append([]byte{byte(schema.Encoding)}, schema.Body...)), nil
}

// translation finds the ids that the schemas of a file or a journal have in the
// journal that they are moved to.
type translation struct {
	to  *descriptions
	ids map[int64]persistence.SchemaID
	// bare are ids of which nothing is known but that they are used.
	bare map[persistence.SchemaID]bool
}

func newTranslation(ctx context.Context, to persistence.Journal) (*translation, error) {
	described, err := describedBy(ctx, to)
	return &translation{to: described, ids: map[int64]persistence.SchemaID{}, bare: map[persistence.SchemaID]bool{}}, err
}

// idOf is what a schema is known by there, of which an entry of a program speaks.
func (t *translation) idOf(number persistence.SchemaID) (persistence.SchemaID, error) {
	id, known := t.ids[int64(number)]
	if !known {
		return 0, invalid("body", "names a schema that is not described before")
	}
	return id, nil
}

// learn takes a schema under a number: one with a body is registered, one of which
// only the id is known keeps that, unless it means something there.
func (t *translation) learn(ctx context.Context, line *schemaLine) error {
	if line.id == 0 {
		if t.to.journal == nil {
			return invalid("journal", "keeps no schemas, which what is moved to it has")
		}
		body := line.body
		if entry, ok := schema.ReadEntry(line.encoding, line.body); ok {
			var err error
			if body, err = entry.Body(t.idOf); err != nil {
				return err
			}
		}
		id, err := t.to.journal.RegisterSchema(ctx, line.encoding, body)
		t.ids[line.number] = id
		return err
	}
	_, known, err := t.to.of(ctx, line.id)
	if err == nil && known {
		err = invalid("schema", "is not described where it comes from, and its id is one of another here")
	}
	t.ids[line.number], t.bare[line.id] = line.id, true
	return err
}
