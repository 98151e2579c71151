package transfer

import (
	"context"
	"crypto/sha256"

	"github.com/stele-es/stele/persistence"
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

// learn takes a schema under a number: one with a body is registered, one of which
// only the id is known keeps that, unless it means something there.
func (t *translation) learn(ctx context.Context, line *schemaLine) error {
	if line.id == 0 {
		if t.to.journal == nil {
			return invalid("journal", "keeps no schemas, which what is moved to it has")
		}
		id, err := t.to.journal.RegisterSchema(ctx, line.encoding, line.body)
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
