package schema_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/schema"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

func typeOf[T any](t testing.TB) *codec.Type {
	t.Helper()
	of, err := codec.Of[T]()
	require.NoError(t, err)
	return of
}

// registered is what a journal holds of one type.
func registered[T any](t *testing.T) persistence.Schema {
	t.Helper()
	journal := new(memory.Journal)
	ids, err := schema.Register(t.Context(), journal, typeOf[T](t))
	require.NoError(t, err)
	schemas, err := journal.Schemas(t.Context())
	require.NoError(t, err)
	require.Len(t, schemas, 1)
	require.Equal(t, []persistence.SchemaID{schemas[0].ID}, ids)
	return schemas[0]
}

type (
	Color int
	Money struct {
		Cents    int64
		Currency string `json:"currency,omitempty"`
	}
	Base struct {
		ID   string
		Made time.Time
	}
	Node struct {
		Next *Node
		Held []Money
	}
	Opaque struct{ big.Int }
	// Painted holds one of everything.
	Painted struct {
		Base
		*Money  `json:"price"`
		Color   Color `json:",string"`
		Small   uint8
		Ratio   float32
		Big     *big.Int
		Picture []byte
		Sizes   [3]int16
		Tags    map[string]Node
		Raw     json.RawMessage
		Number  json.Number
		Self    []Painted `json:"self,omitempty"`
	}
)

func (Painted) MessageName() string { return "paint.painted" }

func TestStructs(t *testing.T) {
	t.Parallel()

	got := registered[Painted](t)

	require.Equal(t, persistence.JSON, got.Encoding)
	require.JSONEq(t, `{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title": "paint.painted",
		"type": "object",
		"properties": {
			"ID": {"type": "string"},
			"Made": {"type": "string", "format": "date-time"},
			"price": {"$ref": "#/$defs/Money"},
			"Color": {"type": "string", "format": "int64 in quotes"},
			"Small": {"type": "integer", "format": "uint8"},
			"Ratio": {"type": "number", "format": "float"},
			"Big": {},
			"Picture": {"type": ["string", "null"], "contentEncoding": "base64"},
			"Sizes": {"type": "array", "items": {"type": "integer", "format": "int16"}, "maxItems": 3},
			"Tags": {"type": ["object", "null"], "additionalProperties": {"$ref": "#/$defs/Node"}},
			"Raw": {},
			"Number": {"type": "number"},
			"self": {"type": ["array", "null"], "items": {"$ref": "#"}}
		},
		"required": ["Big", "Color", "ID", "Made", "Number", "Picture", "Ratio", "Raw", "Sizes", "Small", "Tags", "price"],
		"$defs": {
			"Money": {"type": "object", "properties": {"Cents": {"type": "integer", "format": "int64"}, "currency": {"type": "string"}}, "required": ["Cents"]},
			"Node": {"type": "object", "properties": {
				"Next": {"$ref": "#/$defs/Node"}, "Held": {"type": ["array", "null"], "items": {"$ref": "#/$defs/Money"}}
			}, "required": ["Held", "Next"]}
		}
	}`, string(got.Body))
}

type (
	Left   struct{ Both, Mine string }
	right  struct{ Other string }
	Higher struct {
		*Base
		right
		Mine   int
		Tagged bool `json:"tagged"`
		NoName bool `json:"no\"name"` //nolint:staticcheck // it is meant
	}
	Named struct {
		Left    `json:"left"`
		Renamed int `json:"Mine"`
		_       int
	}
	Own struct{ N int }
)

func (Higher) MessageName() string { return "higher" }
func (Named) MessageName() string  { return "named" }
func (Own) MessageName() string    { return "own" }

// MarshalJSON writes something else.
func (Own) MarshalJSON() ([]byte, error) { return []byte(`"own"`), nil }

// What a schema says is what encoding/json does.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		schema persistence.Schema
		value  any
	}{
		"what is embedded":           {registered[Higher](t), Higher{Base: &Base{}}},
		"what is embedded by a name": {registered[Named](t), Named{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var described struct{ Properties map[string]any }
			require.NoError(t, json.Unmarshal(c.schema.Body, &described))
			text, err := json.Marshal(c.value)
			require.NoError(t, err)
			var written map[string]any
			require.NoError(t, json.Unmarshal(text, &written))

			require.Len(t, described.Properties, len(written))
			for property := range written {
				require.Contains(t, described.Properties, property)
			}
		})
	}
	require.JSONEq(t, `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"own"}`, string(registered[Own](t).Body))
}

func TestProtobufSets(t *testing.T) {
	t.Parallel()

	got := registered[*pluginpb.CodeGeneratorRequest](t) // which imports a file

	require.Equal(t, persistence.Protobuf, got.Encoding)
	set := new(descriptorpb.FileDescriptorSet)
	require.NoError(t, proto.Unmarshal(got.Body, set))
	require.Len(t, set.File, 2)
	require.Equal(t, "google/protobuf/compiler/plugin.proto", set.File[0].GetName(), "sorted by name")
	require.Equal(t, "google/protobuf/descriptor.proto", set.File[1].GetName())
	for _, file := range set.File {
		require.Nil(t, file.SourceCodeInfo)
	}
	_, err := protodesc.NewFiles(set)
	require.NoError(t, err, "a set needs nothing from outside")
	for range 10 {
		require.Equal(t, got.Body, registered[*pluginpb.CodeGeneratorRequest](t).Body)
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	types := []*codec.Type{
		typeOf[*timestamppb.Timestamp](t), typeOf[Painted](t), typeOf[*stelev1.Headers](t), typeOf[*structpb.Value](t), typeOf[Higher](t),
	}

	ids, err := schema.Register(t.Context(), journal, types...)

	require.NoError(t, err)
	require.Equal(t, ids[0], ids[3], "one set for a package")
	require.Len(t, map[persistence.SchemaID]bool{ids[0]: true, ids[1]: true, ids[2]: true, ids[4]: true}, 4)
	again, err := schema.Register(t.Context(), journal, types...)
	require.NoError(t, err)
	require.Equal(t, ids, again)
	schemas, err := journal.Schemas(t.Context())
	require.NoError(t, err)
	require.Len(t, schemas, 4)
}

// plain hides all abilities of a journal.
type plain struct{ persistence.Journal }

// failing cannot store schemas.
type failing struct{ *memory.Journal }

var errDown = errors.New("down")

func (failing) RegisterSchema(context.Context, persistence.Encoding, []byte) (persistence.SchemaID, error) {
	return 0, errDown
}

func (failing) Schemas(context.Context) ([]persistence.Schema, error) { return nil, errDown }

func TestRegisterWithout(t *testing.T) {
	t.Parallel()

	ids, err := schema.Register(t.Context(), plain{new(memory.Journal)}, typeOf[Painted](t), typeOf[*stelev1.Headers](t))
	require.NoError(t, err)
	require.Equal(t, []persistence.SchemaID{0, 0}, ids)

	_, err = schema.Register(t.Context(), failing{new(memory.Journal)}, typeOf[Painted](t))
	require.ErrorIs(t, err, errDown)
	require.ErrorContains(t, err, "paint.painted")
}
