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
// that wrote them. It is content-addressed: the same body is the same schema.
type Schema struct {
	ID       SchemaID
	Encoding Encoding
	Body     []byte
}

// MaxSchema is the greatest size of a schema in bytes.
const MaxSchema = 1 << 20

// Schemas is the ability of a journal to keep descriptions of payloads.
type Schemas interface {
	// RegisterSchema stores a schema unless it is there, and returns its id, which
	// is never 0.
	RegisterSchema(ctx context.Context, encoding Encoding, body []byte) (SchemaID, error)
	// Schemas returns all that are registered, by id.
	Schemas(ctx context.Context) ([]Schema, error)
}
