package postgres

import (
	"context"
	"crypto/sha256"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// RegisterSchema fulfils [persistence.Schemas]. A schema is found by the SHA-256
// of its encoding and body.
func (j *Journal) RegisterSchema(ctx context.Context, encoding persistence.Encoding, body []byte) (persistence.SchemaID, error) {
	if err := persistence.CheckSchema(encoding, body); err != nil {
		return 0, err
	}
	hash := sha256.New()
	hash.Write([]byte{byte(encoding)})
	hash.Write(body)
	rows, err := j.ask(ctx, j.sql.schemaRegister, j.proved(nil, hash.Sum(nil), wire.Int2(int16(encoding)), body)...)
	if err != nil {
		return 0, err
	}
	if len(rows) == 1 {
		if id, ok := wire.ReadInt4(rows[0][0]); ok {
			return persistence.SchemaID(id), nil
		}
	}
	return 0, &persistence.CorruptError{Reason: "a schema has no id"}
}

// Schemas fulfils [persistence.Schemas].
func (j *Journal) Schemas(ctx context.Context) ([]persistence.Schema, error) {
	rows, err := j.ask(ctx, j.sql.schemas, j.proof(nil)...)
	if err != nil {
		return nil, err
	}
	schemas := make([]persistence.Schema, len(rows))
	for i, row := range rows {
		id, ok := wire.ReadInt4(row[0])
		if !ok || len(row[1]) != 2 {
			return nil, &persistence.CorruptError{Reason: wire.ErrUndecodable.Error()}
		}
		schemas[i] = persistence.Schema{ID: persistence.SchemaID(id), Encoding: persistence.Encoding(row[1][1]), Body: row[2]}
	}
	return schemas, nil
}

// useRows bounds the events that one statement looks at, so that none takes long.
const useRows = 100_000

// Uses fulfils [persistence.Schemas].
func (j *Journal) Uses(ctx context.Context) ([]persistence.Use, error) {
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	uses := persistence.Uses{}
	for after, last := int64(0), head.Of(partition).Offset; after < last; after += useRows {
		rows, err := j.ask(ctx, j.sql.schemaUses,
			wire.Int2(partition), wire.Int8(after), wire.Int8(min(after+useRows, last)))
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			schema, ok1 := wire.ReadInt4(row[2])
			events, ok2 := wire.ReadInt8(row[3])
			if !ok1 || !ok2 {
				return nil, &persistence.CorruptError{Reason: wire.ErrUndecodable.Error()}
			}
			uses.Add(string(row[0]), string(row[1]), persistence.SchemaID(schema), events)
		}
	}
	return uses.Sorted(), nil
}
