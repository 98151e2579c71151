package schema_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/upcast"
)

// Forms of one event as programs have had them, and as upcasters remember them.
type (
	// opened1 is what was stored once.
	opened1 struct {
		First, Last string
		Cents       int
	}
	// misspelt remembers a name that was not.
	misspelt struct {
		Frist, Last string
		Cents       int
	}
	// invented remembers what was of another kind, so that nothing was renamed to it.
	invented struct {
		First, Last string
		Cents       int
		Euros       []float64
	}
	// replaced lacks one field and has another one, of another type.
	replaced struct {
		First, Last string
		Euros       []float64
	}
	// lacking has no use for one field.
	lacking struct{ First, Last string }
	// retyped cannot read one field.
	retyped struct {
		First, Last string
		Cents       string
	}
	// opened2 is in between, and halfway is how the next step remembers it.
	opened2 struct{ Name string }
	halfway struct{ Names string }
	// opened3 is of today, and kept has the name that was always there.
	opened3 struct{ Owner string }
	kept    struct {
		Name  string
		Cents int
	}
	// both remembers the form before and the one of today.
	both struct {
		First, Last string
		Cents       int
		Name        string
	}
)

func (opened1) MessageName() string  { return "opened.1" }
func (misspelt) MessageName() string { return "opened.1" }
func (invented) MessageName() string { return "opened.1" }
func (replaced) MessageName() string { return "opened.1" }
func (lacking) MessageName() string  { return "opened.1" }
func (retyped) MessageName() string  { return "opened.1" }
func (opened2) MessageName() string  { return "opened.2" }
func (halfway) MessageName() string  { return "opened.2" }
func (opened3) MessageName() string  { return "opened.3" }
func (kept) MessageName() string     { return "opened.1" }
func (both) MessageName() string     { return "opened.1" }

func to[Old, New any]() upcast.Upcaster {
	return upcast.Map(func(Old) (today New, err error) { return today, nil })
}

// The old form that an upcaster reads is compared with the one that is stored.
func TestCheckMap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		upcasters []upcast.Upcaster
		found     []string // how findings begin
	}{
		"as it was": {upcasters: []upcast.Upcaster{to[opened1, opened3]()}},
		"misspelt": {
			upcasters: []upcast.Upcaster{to[misspelt, opened3]()},
			found:     []string{"loses data: field renamed: opened.1 of kind a, First: was First, is Frist (events: 3, schemas: [1]); name the field in the old form as it is stored"},
		},
		"misspelt behind a new name": {
			upcasters: []upcast.Upcaster{upcast.Rename("opened.0", "opened.1"), to[misspelt, opened3]()},
			found:     []string{"loses data: field renamed: opened.1 of kind a, First: was First, is Frist"},
		},
		"never stored": {
			upcasters: []upcast.Upcaster{to[invented, opened3]()},
			found:     []string{"notice: field not stored: opened.1 of kind a, Euros: was nothing, is a field of schema_test.invented (events: 3, schemas: [1]); name the field"},
		},
		"another one, and one is left out": {
			upcasters: []upcast.Upcaster{to[replaced, opened3]()},
			found: []string{
				"loses data: field not stored: opened.1 of kind a, Euros: was nothing, is a field of schema_test.replaced",
				"notice: field removed: opened.1 of kind a, Cents: was integer (int64), is nothing",
			},
		},
		"left out": {
			upcasters: []upcast.Upcaster{to[lacking, opened3]()},
			found:     []string{"notice: field removed: opened.1 of kind a, Cents: was integer (int64), is nothing (events: 3, schemas: [1]); nothing, if the upcaster does not need it"},
		},
		"of another type": {
			upcasters: []upcast.Upcaster{to[retyped, opened3]()},
			found:     []string{"breaks reading: field type changed: opened.1 of kind a, Cents: was integer (int64), is string"},
		},
		"two steps": {upcasters: []upcast.Upcaster{to[opened1, opened2](), to[opened2, opened3]()}},
		"misspelt in the second step": {
			upcasters: []upcast.Upcaster{to[opened1, opened2](), to[halfway, opened3]()},
			found:     []string{"loses data: field not stored: opened.1 of kind a, in opened.2, Names: was nothing, is a field of schema_test.halfway (events: 3, schemas: [1])"},
		},
		"the name stays, and the new form too is read": {upcasters: []upcast.Upcaster{to[both, kept]()}},
		"the name stays": {
			upcasters: []upcast.Upcaster{to[invented, kept]()},
			found:     []string{"notice: field not stored: opened.1 of kind a, Euros"},
		},
		"read by something else first": {
			upcasters: []upcast.Upcaster{
				{From: "opened.1", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) { return []upcast.Raw{raw}, nil }}, to[misspelt, opened3](),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := past{new(memory.Journal), t}
			ids, err := schema.Register(t.Context(), journal, typeOf[opened1](t))
			require.NoError(t, err)
			journal.stores("a", "opened.1", ids[0], 3)
			chain, err := upcast.New(c.upcasters...)
			require.NoError(t, err)
			today := []*codec.Type{typeOf[opened3](t), typeOf[kept](t)}

			findings, err := schema.Check(t.Context(), journal, schema.Program{Upcasters: chain, Events: map[string][]*codec.Type{"a": today}})

			require.NoError(t, err)
			require.Len(t, findings, len(c.found), "%v", findings)
			for i, f := range findings {
				require.Contains(t, f.String(), c.found[i])
			}
		})
	}
}

// A program that reads both forms may start where only the new one is stored.
func TestCheckMapWithoutOldEvents(t *testing.T) {
	t.Parallel()
	journal := past{new(memory.Journal), t}
	ids, err := schema.Register(t.Context(), journal, typeOf[kept](t))
	require.NoError(t, err)
	journal.stores("a", "opened.1", ids[0], 3)
	for upcaster, worst := range map[*upcast.Upcaster]schema.Severity{new(to[both, kept]()): schema.Notice, new(to[misspelt, kept]()): schema.LosesData} {
		chain, err := upcast.New(*upcaster)
		require.NoError(t, err)

		findings, err := schema.Check(t.Context(), journal, schema.Program{Upcasters: chain, Events: map[string][]*codec.Type{"a": {typeOf[kept](t)}}})

		require.NoError(t, err)
		require.NotEmpty(t, findings)
		require.Equal(t, worst, findings[0].Severity, "%v", findings)
	}
}

// What an upcaster makes is read by the type of today, which may be another Go type.
func TestCheckMapsLastStep(t *testing.T) {
	t.Parallel()
	journal := past{new(memory.Journal), t}
	journal.stores("a", "opened.1", journal.register(persistence.JSON, `{"title":"opened.1","type":"object","properties":{"Last":{"type":"string"}}}`), 2)
	chain, err := upcast.New(upcast.Map(func(struct1) (opened2, error) { return opened2{}, nil }))
	require.NoError(t, err)

	findings, err := schema.Check(t.Context(), journal, schema.Program{Upcasters: chain, Events: map[string][]*codec.Type{"a": {typeOf[halfway](t)}}})

	require.NoError(t, err)
	require.Len(t, findings, 1)
	require.Contains(t, findings[0].String(), "loses data: field not stored: opened.1 of kind a, in opened.2, Names: was nothing, is a field of schema_test.halfway (events: 2")
}

type struct1 struct{ Last string }

func (struct1) MessageName() string { return "opened.1" }
