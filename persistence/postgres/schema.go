package postgres

import (
	"context"
	"crypto/sha256"

	"github.com/stele-es/stele/persistence"
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
	rows, err := j.ask(ctx, statement{"stele_schema_register", j.sql.schemaRegister}, hash.Sum(nil), int2Parameter(int16(encoding)), body)
	if err != nil {
		return 0, err
	}
	if len(rows) == 1 {
		if id, ok := readInt4(rows[0][0]); ok {
			return persistence.SchemaID(id), nil
		}
	}
	return 0, &persistence.CorruptError{Reason: "a schema has no id"}
}

// Schemas fulfils [persistence.Schemas].
func (j *Journal) Schemas(ctx context.Context) ([]persistence.Schema, error) {
	rows, err := j.ask(ctx, statement{"stele_schemas", j.sql.schemas})
	if err != nil {
		return nil, err
	}
	schemas := make([]persistence.Schema, len(rows))
	for i, row := range rows {
		id, ok := readInt4(row[0])
		if !ok || len(row[1]) != 2 {
			return nil, &persistence.CorruptError{Reason: errUndecodable.Error()}
		}
		schemas[i] = persistence.Schema{ID: persistence.SchemaID(id), Encoding: persistence.Encoding(row[1][1]), Body: row[2]}
	}
	return schemas, nil
}
