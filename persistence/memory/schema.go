package memory

import (
	"bytes"
	"context"
	"slices"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// content is the key by which a schema is found.
type content struct {
	encoding persistence.Encoding
	body     string
}

// RegisterSchema fulfils [persistence.Schemas].
func (j *Journal) RegisterSchema(ctx context.Context, encoding persistence.Encoding, body []byte) (persistence.SchemaID, error) {
	if err := persistence.CheckSchema(encoding, body); err != nil {
		return 0, err
	}
	if ctx.Err() != nil {
		return 0, journalkit.CallerLeft(ctx)
	}
	key := content{encoding, string(body)}

	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return 0, journalkit.Closed()
	}
	if id, known := j.schemaIDs[key]; known {
		return id, nil
	}
	if j.schemaIDs == nil {
		j.schemaIDs = map[content]persistence.SchemaID{}
	}
	id := persistence.SchemaID(len(j.schemas) + 1)
	j.schemaIDs[key] = id
	j.schemas = append(j.schemas, persistence.Schema{ID: id, Encoding: encoding, Body: bytes.Clone(body)})
	return id, nil
}

// Schemas fulfils [persistence.Schemas].
func (j *Journal) Schemas(ctx context.Context) ([]persistence.Schema, error) {
	if err := j.lockToRead(ctx); err != nil {
		return nil, err
	}
	schemas := slices.Clone(j.schemas)
	j.mu.RUnlock()
	for i := range schemas {
		schemas[i].Body = bytes.Clone(schemas[i].Body)
	}
	return schemas, nil
}

// Uses fulfils [persistence.Schemas].
func (j *Journal) Uses(ctx context.Context) ([]persistence.Use, error) {
	view, err := j.view(ctx)
	if err != nil {
		return nil, err
	}
	uses := persistence.Uses{}
	for position := int64(1); position <= view.size; position++ {
		if ctx.Err() != nil {
			return nil, journalkit.CallerLeft(ctx)
		}
		r := view.at(position)
		uses.Add(r.stream.Category(), r.event.Type, r.event.Schema, 1)
	}
	return uses.Sorted(), nil
}
