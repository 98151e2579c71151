package schema_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/upcast"
)

// noted tells the journal that something is stored in a form.
func (p past) noted(kind string, role schema.Role, typeName string, id persistence.SchemaID) {
	p.t.Helper()
	require.NoError(p.t, schema.Note(p.t.Context(), p, schema.Stored{Kind: kind, Role: role, Type: typeName, Schema: id}))
}

// oneMore is from a time when the message has one field more.
func oneMore(m *descriptorpb.DescriptorProto) {
	m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
		Name: new("more"), Number: new(int32(3)), Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	})
}

// oneLess is from a time when the message lacks the value, and has something else.
func oneLess(m *descriptorpb.DescriptorProto) {
	oneMore(m)
	m.Field = append(m.Field[:1], m.Field[2])
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	const anyType = "google.protobuf.Any"
	for name, c := range map[string]struct {
		before    func(past) // the program is registered
		after     func(past)
		upcasters []upcast.Upcaster
		found     []string // how findings begin
	}{
		"nothing is stored": {},
		"as it is":          {after: func(p past) { p.noted("a", schema.Event, anyType, p.any(unchanged)) }},
		"a field that a newer program has added": {
			after: func(p past) { p.noted("a", schema.Event, anyType, p.any(oneMore)) },
			found: []string{"notice: field removed: google.protobuf.Any of kind a, more: was int32 more = 3, is nothing (of a newer program"},
		},
		"a field that the program has lost": {
			before: func(p past) { p.noted("a", schema.Event, anyType, p.any(oneMore)) },
			found:  []string{"loses data: field removed: google.protobuf.Any of kind a, more: was int32 more = 3, is nothing (schemas: [1]); bring the field back"},
		},
		"a field that a newer program has in place of another": {
			after: func(p past) { p.noted("a", schema.Event, anyType, p.any(oneLess)) },
			found: []string{"loses data: field removed: google.protobuf.Any of kind a, more"},
		},
		"a field that a newer program reads otherwise": {
			after: func(p past) { p.noted("a", schema.Event, anyType, p.any(valueWasNumber)) },
			found: []string{"breaks reading: field type changed: google.protobuf.Any of kind a"},
		},
		"a type that a newer program has added": {
			after: func(p past) { p.noted("a", schema.Event, "a.happened", 0) },
			found: []string{"notice: type gone: a.happened of kind a"},
		},
		"a type that the program has lost": {
			before: func(p past) { p.noted("a", schema.Event, "a.happened", 0) },
			found:  []string{"breaks reading: type gone: a.happened of kind a"},
		},
		"a command that the program has lost": {
			before: func(p past) { p.noted("a", schema.Command, "a.do", 0) },
			found:  []string{"breaks reading: type gone: command a.do of kind a: was a.do, is nothing (schemas: [0]); add a Handle for it"},
		},
		"one that is renamed to what has changed": {
			before: func(p past) {
				p.noted("a", schema.Command, "a.do", p.register(persistence.JSON, `{"title":"a.do","type":"object","properties":{"Mine":{"type":"string"}}}`))
			},
			upcasters: []upcast.Upcaster{upcast.Rename("a.do", "higher")},
			found:     []string{"breaks reading: field type changed: command a.do of kind a, Mine: was string, is integer (int64)"},
		},
		"one that is dropped": {
			before:    func(p past) { p.noted("a", schema.Command, "a.do", 0) },
			upcasters: []upcast.Upcaster{upcast.Drop("a.do")},
		},
		"what is sent to others":          {before: func(p past) { p.noted("b", schema.Command, "b.do", 0) }},
		"what others raise and only they": {before: func(p past) { p.noted("b", schema.Event, "b.happened", 0) }},
		"what others raise and is read in part": {
			before: func(p past) {
				p.noted("b", schema.Event, "paint.painted", p.register(persistence.JSON, `{"title":"paint.painted","type":"object","properties":{"Unknown":{"type":"string"}}}`))
			},
		},
		"what others raise and is read wrongly": {
			before: func(p past) {
				p.noted("b", schema.Event, "paint.painted", p.register(persistence.JSON, `{"title":"paint.painted","type":"object","properties":{"Small":{"type":"string"}}}`))
			},
			found: []string{"breaks reading: field type changed: paint.painted of kind b, Small: was string, is integer (uint8)"},
		},
		"notes that nobody understands": {before: func(p past) {
			p.register(persistence.JSON, `{"title":"$stele.stored","kind":7}`)
			p.register(persistence.JSON, `{"title":"$stele.of-tomorrow","kind":"a"}`)
			p.register(persistence.JSON, `{"title":"$stele.`)
			p.noted("a", "rumour", "a.said", 0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := past{new(memory.Journal), t}
			chain, err := upcast.New(c.upcasters...)
			require.NoError(t, err)
			program := schema.Program{
				Events: map[string][]*codec.Type{"a": {typeOf[*anypb.Any](t)}}, Commands: map[string][]*codec.Type{"a": {typeOf[Higher](t)}},
				Reads: []*codec.Type{typeOf[Painted](t)}, Upcasters: chain,
			}
			if c.before != nil {
				c.before(journal)
			}
			for range 2 { // a second start changes nothing
				idOf, err := schema.RegisterProgram(t.Context(), journal, program)
				require.NoError(t, err)
				require.Positive(t, idOf(typeOf[*anypb.Any](t)))
			}
			if c.after != nil {
				c.after(journal)
			}

			catalogue, err := schema.ReadCatalogue(t.Context(), journal)

			require.NoError(t, err)
			require.True(t, catalogue.Kind("a"))
			require.False(t, catalogue.Kind("c"))
			findings := catalogue.Check(program)
			require.Len(t, findings, len(c.found), "%v", findings)
			for i, f := range findings {
				require.Contains(t, f.String(), c.found[i])
			}
		})
	}
}

// A journal that keeps no schemas holds no notes, and one that is away says so.
func TestCatalogueWithout(t *testing.T) {
	t.Parallel()
	none := plain{new(memory.Journal)}
	require.NoError(t, schema.Note(t.Context(), none, schema.Stored{Kind: "a"}))
	catalogue, err := schema.ReadCatalogue(t.Context(), none)
	require.NoError(t, err)
	require.Empty(t, catalogue.Stored())
	require.Empty(t, catalogue.Check(schema.Program{Events: map[string][]*codec.Type{"a": {typeOf[Painted](t)}}}))

	away := failing{new(memory.Journal)}
	require.ErrorIs(t, schema.Note(t.Context(), away, schema.Stored{Kind: "a", Type: "a.done"}), errDown)
	_, err = schema.ReadCatalogue(t.Context(), away)
	require.ErrorIs(t, err, errDown)
	_, err = schema.RegisterProgram(t.Context(), away, schema.Program{Events: map[string][]*codec.Type{"a": {typeOf[Painted](t)}}})
	require.ErrorIs(t, err, errDown)
}
