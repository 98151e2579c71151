package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"

	"github.com/stele-es/stele/persistence"
)

// schemaRows is how many schemas are read while a reader is held.
const schemaRows = 16

// RegisterSchema fulfils [persistence.Schemas]. It finds a schema by the SHA-256 of
// its body; one that is there already costs no transaction.
func (j *Journal) RegisterSchema(ctx context.Context, encoding persistence.Encoding, body []byte) (persistence.SchemaID, error) {
	if err := persistence.CheckSchema(encoding, body); err != nil {
		return 0, err
	}
	digest := sha256.Sum256(body)
	var id persistence.SchemaID
	err := j.reading(ctx, func(r *reader) (err error) {
		id, err = schemaOf(r.findSchema, digest, encoding)
		return err
	})
	if err != nil || id != 0 {
		return id, err
	}
	err = j.change(ctx, "", func(w *writer) error {
		find, err := w.statement("schema_find")
		if err != nil {
			return err
		}
		if id, err = schemaOf(find, digest, encoding); err != nil || id != 0 {
			return err
		}
		if _, err := w.do("schema_insert", int64(encoding), digest[:], body); err != nil {
			return err
		}
		id, err = schemaOf(find, digest, encoding)
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// schemaOf is 0 when there is none.
func schemaOf(find *stmt, digest [sha256.Size]byte, encoding persistence.Encoding) (persistence.SchemaID, error) {
	row, err := find.first(digest[:], int64(encoding))
	if err != nil || row == nil {
		return 0, err
	}
	c := columns{row: row}
	id := persistence.SchemaID(c.integer(0))
	if c.wrong || id <= 0 {
		return 0, &persistence.CorruptError{Reason: "a schema has no id"}
	}
	return id, nil
}

// Schemas fulfils [persistence.Schemas].
func (j *Journal) Schemas(ctx context.Context) ([]persistence.Schema, error) {
	var all []persistence.Schema
	for last, before := int64(0), -1; len(all) > before; {
		before = len(all)
		err := j.reading(ctx, func(r *reader) error {
			var c columns
			err := r.listSchemas.each([]driver.Value{last, int64(schemaRows)}, func(row []driver.Value) bool {
				c.row = row
				last = c.integer(0)
				all = append(all, persistence.Schema{ID: persistence.SchemaID(last), Encoding: persistence.Encoding(c.integer(1)), Body: c.bytes(2)})
				return !c.wrong
			})
			if err == nil && c.wrong {
				err = &persistence.CorruptError{Reason: "a schema cannot be read"}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// useRows is how many events are looked at while a reader is held.
const useRows = 20_000

// Uses fulfils [persistence.Schemas].
func (j *Journal) Uses(ctx context.Context) ([]persistence.Use, error) {
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	uses := persistence.Uses{}
	for low, last := int64(1), head.Of(0).Offset; low <= last; low += useRows {
		err := j.reading(ctx, func(r *reader) error {
			var c columns
			err := r.schemaUses.each([]driver.Value{low, min(low+useRows-1, last)}, func(row []driver.Value) bool {
				category, _ := row[0].(string) // NULL is none
				eventType, _ := row[1].(string)
				c.row = row
				uses.Add(category, eventType, persistence.SchemaID(c.integer(2)), c.integer(3))
				return !c.wrong
			})
			if err == nil && c.wrong {
				err = &persistence.CorruptError{Reason: "the schema of an event is no number"}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return uses.Sorted(), nil
}
