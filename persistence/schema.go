package persistence

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// Encoding is the form in which payloads are written.
type Encoding uint8

const (
	// Raw payloads have no description.
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
	ID       SchemaID // of this journal, from 1
	Encoding Encoding // of the payloads
	Body     []byte   // the description; at most [MaxSchema]
}

// MaxSchema is the greatest size of a schema in bytes.
const MaxSchema = 1 << 20

// CheckSchema returns an [*InvalidError] unless a journal can store the schema: the
// encoding is Protobuf or JSON, and the body is not empty and not above [MaxSchema].
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
	// RegisterSchema stores a schema unless it is there already. It returns the id, which
	// is positive and never changes. See [CheckSchema] for what it refuses.
	RegisterSchema(ctx context.Context, encoding Encoding, body []byte) (SchemaID, error)
	// Schemas returns all that are registered, ordered by id.
	Schemas(ctx context.Context) ([]Schema, error)
	// Uses returns how many events the journal has of each category, type and schema, in
	// this order. It counts the events that [Reader.ReadAll] shows with System set,
	// except those whose types begin with "$". It looks at every event, though not at
	// payloads, and blocks nobody meanwhile; a million events take some seconds. An event
	// that comes or goes meanwhile may count or not.
	Uses(ctx context.Context) ([]Use, error)
}

// Use says how many events of a type there are that have the same schema, or none,
// in the streams of a category, which is empty for streams that have none.
type Use struct {
	Category string   // of the streams
	Type     string   // of the events
	Schema   SchemaID // 0 is none
	Events   int64    // how many
}

// Uses adds up what journals find in parts of what they hold.
type Uses map[Use]int64

// Add counts events of a type, category and schema. Types of the system do not count.
func (u Uses) Add(category, eventType string, schema SchemaID, events int64) {
	if !strings.HasPrefix(eventType, "$") {
		u[Use{Category: category, Type: eventType, Schema: schema}] += events
	}
}

// Sorted returns them as [Schemas] promises.
func (u Uses) Sorted() []Use {
	all := make([]Use, 0, len(u))
	for use, events := range u {
		use.Events = events
		all = append(all, use)
	}
	slices.SortFunc(all, func(a, b Use) int {
		return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Schema, b.Schema))
	})
	return all
}
