package schema_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/upcast"
)

// past is a journal as older programs have left it.
type past struct {
	*memory.Journal
	t *testing.T
}

// any registers the form that google.protobuf.Any had, or a message of another name,
// when its file was still another one.
func (p past) any(change func(*descriptorpb.DescriptorProto)) persistence.SchemaID {
	p.t.Helper()
	file := protodesc.ToFileDescriptorProto(anypb.File_google_protobuf_any_proto)
	change(file.MessageType[0])
	body, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	require.NoError(p.t, err)
	return p.register(persistence.Protobuf, string(body))
}

func (p past) register(encoding persistence.Encoding, body string) persistence.SchemaID {
	p.t.Helper()
	id, err := p.RegisterSchema(p.t.Context(), encoding, []byte(body))
	require.NoError(p.t, err)
	return id
}

// stores appends events of a type.
func (p past) stores(kind, eventType string, id persistence.SchemaID, events int) {
	p.t.Helper()
	for range events {
		outcomes, err := p.Append(p.t.Context(), persistence.Append{
			Stream: persistence.StreamID(kind + "-1"), Expected: persistence.Any, Events: []persistence.Event{{Type: eventType, Schema: id}},
		})
		require.NoError(p.t, err)
		require.NoError(p.t, outcomes[0].Err)
	}
}

func unchanged(*descriptorpb.DescriptorProto) {}

// valueWasNumber is from a time when the value was a number.
func valueWasNumber(m *descriptorpb.DescriptorProto) {
	m.Field[1].Type = descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum()
}

const wasNumber = "breaks reading: field type changed: google.protobuf.Any of kind a, value: was int32 value = 2, is bytes value = 2"

func TestCheck(t *testing.T) {
	t.Parallel()
	const anyType = "google.protobuf.Any"
	for name, c := range map[string]struct {
		past      func(past)
		upcasters []upcast.Upcaster
		found     []string // how findings begin and end
	}{
		"nothing is stored": {past: func(past) {}},
		"as it is": {past: func(p past) {
			p.stores("a", anyType, p.any(unchanged), 2)
			p.stores("a", "paint.painted", 0, 0)
		}},
		"a field is new": {past: func(p past) {
			p.stores("a", anyType, p.any(func(m *descriptorpb.DescriptorProto) { m.Field = m.Field[:1] }), 2)
		}},
		"changed twice in the same way": {
			past: func(p past) {
				p.stores("a", anyType, p.any(valueWasNumber), 2)
				p.stores("a", anyType, p.any(unchanged), 1)
				p.stores("a", anyType, p.any(func(m *descriptorpb.DescriptorProto) {
					valueWasNumber(m)
					m.Field = m.Field[1:]
				}), 3)
			},
			found: []string{wasNumber + " (events: 5, schemas: [1 3])"},
		},
		"registered and never stored": {
			past: func(p past) {
				p.any(valueWasNumber)
				p.stores("b", anyType, 1, 1) // by another kind, which is not looked at
			},
			found: []string{"notice: field type changed: google.protobuf.Any of kind a, value: was int32 value = 2, is bytes value = 2 (events: 0, schemas: [1])"},
		},
		"a type of another program": {past: func(p past) { p.stores("b", "b.happened", 0, 1) }},
		"a type that is gone": {
			past:  func(p past) { p.stores("a", "a.happened", 0, 3) },
			found: []string{"breaks reading: type gone: a.happened of kind a: was a.happened, is nothing (events: 3, schemas: [0])"},
		},
		"a type that is dropped": {
			past: func(p past) { p.stores("a", "a.happened", 0, 3) }, upcasters: []upcast.Upcaster{upcast.Drop("a.happened")},
		},
		"a type that is upcast to one that is gone": {
			past: func(p past) { p.stores("a", "a.happened", 0, 3) }, upcasters: []upcast.Upcaster{upcast.Rename("a.happened", "a.done")},
			found: []string{"breaks reading: type gone: a.happened of kind a: was a.happened, is upcast to a.done, which is not known (events: 3"},
		},
		"a type that is upcast from its old form": {
			past: func(p past) { p.stores("a", anyType, p.any(valueWasNumber), 2) },
			upcasters: []upcast.Upcaster{{From: anyType, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
				return []upcast.Raw{raw}, nil
			}}},
		},
		"a type that is renamed and has changed": {
			past: func(p past) {
				p.stores("a", "google.protobuf.Some", p.any(func(m *descriptorpb.DescriptorProto) {
					m.Name = new("Some")
					valueWasNumber(m)
				}), 2)
			},
			upcasters: []upcast.Upcaster{upcast.Rename("google.protobuf.Some", "x"), upcast.Rename("x", anyType)},
			found:     []string{"breaks reading: field type changed: google.protobuf.Some of kind a, value: was int32 value = 2, is bytes value = 2 (events: 2, schemas: [1])"},
		},
		"a type that is only renamed": {
			past: func(p past) {
				p.stores("a", "google.protobuf.Some", p.any(func(m *descriptorpb.DescriptorProto) { m.Name = new("Some") }), 2)
			},
			upcasters: []upcast.Upcaster{upcast.Rename("google.protobuf.Some", anyType)},
		},
		"stored without a schema": {
			past:  func(p past) { p.stores("a", anyType, 0, 2) },
			found: []string{"notice: not described: google.protobuf.Any of kind a (events: 2, schemas: [0])"},
		},
		"a schema that is damaged": {
			past:  func(p past) { p.stores("a", anyType, p.register(persistence.Protobuf, "\xff"), 2) },
			found: []string{"notice: not described: google.protobuf.Any of kind a (events: 2, schemas: [1])"},
		},
		"a schema of other messages": {
			past: func(p past) {
				p.stores("a", anyType, p.any(func(m *descriptorpb.DescriptorProto) { m.Name = new("None") }), 2)
			},
			found: []string{"notice: not described: google.protobuf.Any of kind a (events: 2, schemas: [1])"},
		},
		"another encoding": {
			past: func(p past) {
				p.stores("a", anyType, p.register(persistence.JSON, `{"title":"google.protobuf.Any"}`), 2)
			},
			found: []string{"breaks reading: encoding changed: google.protobuf.Any of kind a: was JSON, is protobuf (events: 2, schemas: [1])"},
		},
		"a plain struct": {
			past: func(p past) {
				p.stores("a", "own", p.register(persistence.JSON, `{"title":"own","type":"object","properties":{"N":{"type":"string"}}}`), 1)
				p.stores("a", "higher", p.register(persistence.JSON, `{"title":"higher","type":"object","properties":{"Mine":{"type":"string"}}}`), 1)
			},
			found: []string{
				"breaks reading: field type changed: higher of kind a, Mine: was string, is integer (int64) (events: 1, schemas: [2])",
				"notice: field type changed: own of kind a: was object, is anything (events: 1, schemas: [1])",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := past{new(memory.Journal), t}
			c.past(journal)
			chain, err := upcast.New(c.upcasters...)
			require.NoError(t, err)
			program := schema.Program{Upcasters: chain, Events: map[string][]*codec.Type{
				"a": {typeOf[*anypb.Any](t), typeOf[Higher](t), typeOf[Own](t)}, "c": nil,
			}}

			findings, err := schema.Check(t.Context(), journal, program)

			require.NoError(t, err)
			require.Len(t, findings, len(c.found), "%v", findings)
			for i, f := range findings {
				require.Contains(t, f.String(), c.found[i])
				require.NotEmpty(t, f.Fix)
			}
		})
	}
}

// What a program registers itself is what it can read.
func TestCheckOwn(t *testing.T) {
	t.Parallel()
	journal := past{new(memory.Journal), t}
	types := []*codec.Type{typeOf[*anypb.Any](t), typeOf[Painted](t), typeOf[Higher](t), typeOf[Own](t), typeOf[*descriptorpb.FileDescriptorProto](t)}
	ids, err := schema.Register(t.Context(), journal, types...)
	require.NoError(t, err)
	for i, of := range types {
		journal.stores("a", of.Name(), ids[i], 1)
	}

	findings, err := schema.Check(t.Context(), journal, schema.Program{Events: map[string][]*codec.Type{"a": types}})

	require.NoError(t, err)
	require.Empty(t, findings)
}

// uncounted cannot count events.
type uncounted struct{ *memory.Journal }

func (uncounted) Uses(context.Context) ([]persistence.Use, error) { return nil, errDown }

func TestCheckWithout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		journal persistence.Journal
		err     error
	}{
		"no schemas":          {plain{new(memory.Journal)}, persistence.ErrInvalid},
		"schemas are away":    {failing{new(memory.Journal)}, errDown},
		"events are away":     {uncounted{new(memory.Journal)}, errDown},
		"the caller has left": {new(memory.Journal), persistence.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if errors.Is(c.err, persistence.ErrUnavailable) {
				left, leave := context.WithCancel(ctx)
				leave()
				ctx = left
			}
			findings, err := schema.Check(ctx, c.journal, schema.Program{})
			require.ErrorIs(t, err, c.err)
			require.Nil(t, findings)
		})
	}
}

func ExampleCheck() {
	ctx, journal := context.Background(), new(memory.Journal)
	then, err := journal.RegisterSchema(ctx, persistence.JSON, []byte(`{"title":"own","type":"object"}`))
	fmt.Println(then, err)
	_, err = journal.Append(ctx, persistence.Append{Stream: "a-1", Events: []persistence.Event{{Type: "gone", Schema: then}}})
	fmt.Println(err)

	findings, err := schema.Check(ctx, journal, schema.Program{Events: map[string][]*codec.Type{"a": nil}})
	fmt.Println(err)
	for _, finding := range findings {
		fmt.Println(finding)
	}
	// Output:
	// 1 <nil>
	// <nil>
	// <nil>
	// breaks reading: type gone: gone of kind a: was gone, is nothing (events: 1, schemas: [1]); add an On for it, or an upcaster from it (upcast.Rename, upcast.Drop)
}
