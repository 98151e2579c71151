package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/stele-es/stele/persistence"
)

// Decoded is the content of an event.
type Decoded struct {
	// Encoding is how the payload was written, [persistence.Raw] when nobody can tell.
	Encoding persistence.Encoding
	// JSON is the payload as JSON: as it is stored, or as protobuf's mapping to JSON
	// has it. It is nil for a raw payload.
	JSON json.RawMessage
}

// UndecodableError reports an event of which nobody can tell what it says. It is
// of kind [persistence.ErrCorrupt] when the payload is not what its description
// says, and else of kind [persistence.ErrNotFound].
type UndecodableError struct {
	// Type is the event's type.
	Type string
	// Schema is its id in the journal; 0 is none.
	Schema persistence.SchemaID
	// Reason completes "event … cannot be decoded: ".
	Reason string
	// Err is the error of the decoder, if that was the reason.
	Err error
}

// Error fulfils error.
func (e *UndecodableError) Error() string {
	return fmt.Sprintf("event %s of schema %d cannot be decoded: %s", e.Type, e.Schema, e.Reason)
}

// Unwrap returns the cause, nil when there is none.
func (e *UndecodableError) Unwrap() error { return e.Err }

// Is matches the kind of the error.
func (e *UndecodableError) Is(target error) bool {
	if e.Err != nil {
		return target == persistence.ErrCorrupt
	}
	return target == persistence.ErrNotFound
}

// Decoder reads events of any type by the descriptions in a journal, and without
// the program that wrote them. It is safe for concurrent use, and keeps what it has
// read.
type Decoder struct {
	schemas persistence.Schemas // nil when the journal keeps none
	known   atomic.Pointer[library]
	reading chan struct{} // has room for the one who reads the journal's schemas for all
}

// library are the schemas of a journal. It never changes.
type library struct {
	read    bool
	byID    map[persistence.SchemaID]*volume
	newest  []*volume                     // last first
	missing map[persistence.SchemaID]bool // which the journal has been asked for and does not hold
}

// volume is one schema, which is parsed when it is first looked into.
type volume struct {
	encoding persistence.Encoding
	types    func() (*dynamicpb.Types, error)
}

// NewDecoder returns a decoder that has read nothing yet.
func NewDecoder(journal persistence.Journal) *Decoder {
	d := &Decoder{reading: make(chan struct{}, 1)}
	d.schemas, _ = persistence.As[persistence.Schemas](journal)
	d.known.Store(new(library))
	return d
}

// Decode says what an event says. An event that was stored without a schema, and
// one that upcasting has made, is read by the newest description of its type, and
// as JSON when it is a JSON object. One of the system has no payload and is Raw. The error is an [*UndecodableError], behind
// which the event is to be shown as raw bytes, or what the journal said when it
// could not be asked.
func (d *Decoder) Decode(ctx context.Context, event *persistence.Event) (Decoded, error) {
	if strings.HasPrefix(event.Type, "$") && len(event.Payload) == 0 {
		return Decoded{}, nil // what it says stands in its headers, if anywhere
	}
	described, err := d.volumeOf(ctx, event)
	if err != nil {
		return Decoded{}, err
	}
	if described.encoding == persistence.JSON {
		if !json.Valid(event.Payload) {
			return Decoded{}, undecodable(event, "the payload is not JSON", errNotJSON)
		}
		return Decoded{Encoding: persistence.JSON, JSON: bytes.Clone(event.Payload)}, nil
	}
	return decodeProtobuf(described, event)
}

var errNotJSON = errors.New("not valid JSON")

func undecodable(event *persistence.Event, reason string, err error) error {
	return &UndecodableError{Type: event.Type, Schema: event.Schema, Reason: reason, Err: err}
}

var plainJSON = &volume{encoding: persistence.JSON}

func (d *Decoder) volumeOf(ctx context.Context, event *persistence.Event) (*volume, error) {
	if event.Schema == 0 {
		return d.guess(ctx, event)
	}
	if d.schemas == nil {
		return nil, undecodable(event, "the journal keeps no schemas", nil)
	}
	for {
		library := d.known.Load()
		if described := library.byID[event.Schema]; described != nil {
			return described, nil
		}
		if library.missing[event.Schema] {
			return nil, undecodable(event, "the journal does not hold the schema", nil)
		}
		if err := d.read(ctx, library, event.Schema); err != nil {
			return nil, err
		}
	}
}

// guess is for events without a schema.
func (d *Decoder) guess(ctx context.Context, event *persistence.Event) (*volume, error) {
	// No protobuf message begins with a brace: it would be a group that is never closed.
	if bytes.HasPrefix(bytes.TrimSpace(event.Payload), []byte("{")) && json.Valid(event.Payload) {
		return plainJSON, nil
	}
	if d.schemas == nil {
		return nil, undecodable(event, "the journal keeps no schemas", nil)
	}
	if library := d.known.Load(); !library.read {
		if err := d.read(ctx, library, 0); err != nil {
			return nil, err
		}
	}
	for _, described := range d.known.Load().newest {
		if described.encoding != persistence.Protobuf {
			continue
		}
		if types, err := described.types(); err == nil {
			if _, err := types.FindMessageByName(protoreflect.FullName(event.Type)); err == nil {
				return described, nil
			}
		}
	}
	return nil, undecodable(event, "it was stored without a schema, and none describes its type", nil)
}

// read asks the journal for its schemas, unless somebody has since the caller
// looked. A schema is registered before its events are stored; so one that is
// wanted and not there now never will be.
func (d *Decoder) read(ctx context.Context, seen *library, wanted persistence.SchemaID) error {
	select {
	case d.reading <- struct{}{}:
		defer func() { <-d.reading }()
	case <-ctx.Done():
		return fmt.Errorf("read the schemas: %w", context.Cause(ctx))
	}
	if d.known.Load() != seen {
		return nil
	}
	schemas, err := d.schemas.Schemas(ctx)
	if err != nil {
		return fmt.Errorf("read the schemas: %w", err)
	}
	next := &library{read: true, byID: make(map[persistence.SchemaID]*volume, len(schemas)), missing: maps.Clone(seen.missing)}
	for _, schema := range slices.Backward(schemas) {
		described := seen.byID[schema.ID]
		if described == nil {
			described = &volume{encoding: schema.Encoding, types: sync.OnceValues(func() (*dynamicpb.Types, error) { return parse(schema.Body) })}
		}
		next.byID[schema.ID] = described
		next.newest = append(next.newest, described)
	}
	if next.byID[wanted] == nil && wanted != 0 {
		if next.missing == nil {
			next.missing = map[persistence.SchemaID]bool{}
		}
		next.missing[wanted] = true
	}
	d.known.Store(next)
	return nil
}

// parse makes types of a FileDescriptorSet.
func parse(body []byte) (*dynamicpb.Types, error) {
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(body, set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	return dynamicpb.NewTypes(files), nil
}

func decodeProtobuf(described *volume, event *persistence.Event) (Decoded, error) {
	types, err := described.types()
	if err != nil {
		return Decoded{}, undecodable(event, "its schema is damaged", err)
	}
	found, err := types.FindMessageByName(protoreflect.FullName(event.Type))
	if err != nil {
		return Decoded{}, undecodable(event, "its schema does not describe this type", nil)
	}
	message := found.New().Interface()
	// The program of a stored event judges what the event lacks.
	if err := (proto.UnmarshalOptions{AllowPartial: true, Resolver: types}).Unmarshal(event.Payload, message); err != nil {
		return Decoded{}, undecodable(event, "the payload is not what its schema describes", err)
	}
	text, err := protojson.MarshalOptions{AllowPartial: true, Resolver: types}.Marshal(message)
	if err != nil {
		return Decoded{}, undecodable(event, "it holds a message that its schema does not describe", nil)
	}
	var compact bytes.Buffer // protojson puts in spaces at random, so that nobody relies on its bytes
	if err := json.Compact(&compact, text); err != nil {
		return Decoded{}, fmt.Errorf("write an event as JSON: %w", err)
	}
	return Decoded{Encoding: persistence.Protobuf, JSON: compact.Bytes()}, nil
}
