package persistence

import "context"

// Encoding is how payloads are written.
type Encoding uint8

const (
	// Raw payloads are described by nobody.
	Raw Encoding = iota
	// Protobuf payloads are described by a FileDescriptorSet with all it imports.
	Protobuf
	// JSON payloads are described by a JSON Schema.
	JSON
)

// Schema describes payloads, so that any tool can read them without the program
// that wrote them. It is content-addressed: the same body in the same encoding is
// the same schema.
type Schema struct {
	ID       SchemaID
	Encoding Encoding
	Body     []byte
}

// MaxSchema is the greatest size of a schema in bytes.
const MaxSchema = 1 << 20

// CheckSchema returns an [*InvalidError] unless a journal can keep such a schema:
// of Protobuf or JSON, with a body, and not above [MaxSchema].
func CheckSchema(encoding Encoding, body []byte) error {
	switch {
	case encoding != Protobuf && encoding != JSON:
		return &InvalidError{Field: "encoding", Reason: "is not one that schemas describe"}
	case len(body) == 0:
		return &InvalidError{Field: "schema", Reason: "is empty"}
	case len(body) > MaxSchema:
		return &InvalidError{Field: "schema", Reason: "is too large", Size: len(body), Limit: MaxSchema}
	}
	return nil
}

// Schemas is the ability of a journal to keep descriptions of payloads.
type Schemas interface {
	// RegisterSchema stores a schema unless it is there, and returns its id, which
	// is positive and never changes. See [CheckSchema] for what is refused.
	RegisterSchema(ctx context.Context, encoding Encoding, body []byte) (SchemaID, error)
	// Schemas returns all that are registered, ordered by id.
	Schemas(ctx context.Context) ([]Schema, error)
}
