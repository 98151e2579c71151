package stele_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// notSettable are the fields of the parts that a node's user cannot set, and why.
var notSettable = map[string]string{
	"actors.Config.Delivering":    "Start delivers events to the aggregates that react, or refuses them",
	"actors.Config.ProveMessages": "it is for tests, where package actorstest sets it",

	"projections.Config.ProveMessages": "it is for tests, which run projections by themselves",
}

// startUses are the fields of Config that no part has, because Start uses them itself.
var startUses = map[string]string{
	"AcceptLoss":  "it is about the check of the whole program against the journal",
	"StopTimeout": "it bounds Stop, which closes the parts",
	"Checkpoints": "the reactions of the aggregates become projections with this store",
}

// Whoever gives a part a field finds here that a node's user cannot reach it, and
// whoever gives the node one that it goes nowhere, or to a field of another name.
func TestEveryFieldOfTheConfiguration(t *testing.T) {
	t.Parallel()
	reached := map[string]bool{}
	node := reflect.TypeFor[stele.Config]()
	for i := range node.NumField() {
		field, config := node.Field(i), stele.Config{}
		set(t, field.Name, reflect.ValueOf(&config).Elem().Field(i))
		hosting, reading := config.Parts()
		before, beforeReading := stele.Config{}.Parts()
		changed := append(differences("actors.Config", before, hosting), differences("projections.Config", beforeReading, reading)...)
		if startUses[field.Name] != "" {
			require.Empty(t, changed, field.Name)
			continue
		}
		require.NotEmpty(t, changed, "Config.%s does nothing", field.Name)
		for _, name := range changed {
			require.True(t, strings.HasSuffix(name, "."+field.Name), "Config.%s sets %s", field.Name, name)
			reached[name] = true
		}
	}
	for _, part := range []reflect.Type{reflect.TypeFor[actors.Config](), reflect.TypeFor[projections.Config]()} {
		for field := range part.Fields() {
			name := part.String() + "." + field.Name
			if field.IsExported() && notSettable[name] == "" {
				require.True(t, reached[name], "%s cannot be set by a node's user: add it to stele.Config, or say why not in notSettable", name)
			}
			require.False(t, reached[name] && notSettable[name] != "", "%s can be set: remove it from notSettable", name)
		}
	}
}

// A negative number is never taken for a default, and all are named at once.
func TestNegativeNumbersAreRefused(t *testing.T) {
	t.Parallel()
	config := stele.Config{Journal: new(memory.Journal), Aggregates: stele.Aggregates{Counters}}
	fields := reflect.ValueOf(&config).Elem()
	var names []string
	for i := range fields.NumField() {
		if kind := fields.Field(i).Kind(); kind == reflect.Int || kind == reflect.Int64 {
			fields.Field(i).SetInt(-1)
			names = append(names, fields.Type().Field(i).Name)
		}
	}
	require.GreaterOrEqual(t, len(names), 15)

	node, err := stele.Start(t.Context(), config)

	require.Nil(t, node)
	wrong, ok := errors.AsType[*persistence.ConfigError](err)
	require.True(t, ok, err)
	for _, name := range names {
		require.Contains(t, err.Error(), "negative Config."+name+": 0 is the default")
	}
	require.Len(t, wrong.Problems, len(names), "each is said once")
	hosting, reading := config.Parts()
	_, err = actors.Open(t.Context(), hosting)
	require.Equal(t, persistence.ErrInvalid, persistence.ErrorKindOf(err))
	_, err = projections.New(reading)
	require.Equal(t, persistence.ErrInvalid, persistence.ErrorKindOf(err))
}

// set gives a field a value that is not its zero one.
func set(t *testing.T, name string, field reflect.Value) {
	t.Helper()
	interfaces := map[string]any{"Journal": new(memory.Journal), "Checkpoints": new(projections.Books), "Placement": projections.Everywhere{}}
	switch field.Kind() {
	case reflect.Interface:
		require.Contains(t, interfaces, name, "say here what to set the field to")
		field.Set(reflect.ValueOf(interfaces[name]))
	case reflect.Int, reflect.Int64:
		field.SetInt(7)
	case reflect.Bool:
		field.SetBool(true)
	case reflect.String:
		field.SetString("x")
	case reflect.Slice:
		field.Set(reflect.MakeSlice(field.Type(), 1, 1))
	case reflect.Pointer:
		field.Set(reflect.New(field.Type().Elem()))
	case reflect.Func:
		field.Set(reflect.MakeFunc(field.Type(), func([]reflect.Value) []reflect.Value { panic("never called") }))
	default:
		t.Fatalf("say here how to set Config.%s, a %s", name, field.Type())
	}
}

// differences are the fields in which two configurations of a part differ.
func differences(part string, a, b any) (names []string) {
	before, after := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range before.NumField() {
		x, y := before.Field(i), after.Field(i)
		if x.IsZero() != y.IsZero() { // what is set is set from its zero value
			names = append(names, part+"."+before.Type().Field(i).Name)
		}
	}
	return names
}

// What a field of a part does, its default and its unit stand in two places, and must
// not say two things.
func TestCommentsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	own := comments(t, "config.go")
	for part, file := range map[string]string{"actors": "actors/system.go", "projections": "projections/runner.go"} {
		link := regexp.MustCompile(`\[` + part + `\.`)
		for name, text := range comments(t, file) {
			switch name {
			case "Journal", "Aggregates", "Projections", "Upcasters", "Tailer": // both parts have them, or a node has one of its own
				continue
			}
			mine, found := own[name]
			if !found {
				require.NotEmpty(t, notSettable[part+".Config."+name])
				continue
			}
			mine = link.ReplaceAllString(mine, "[")
			for _, word := range []string{"system", "systems"} {
				text = regexp.MustCompile(`\b`+word+`\b`).ReplaceAllString(text, strings.Replace(word, "system", "node", 1))
			}
			require.Equal(t, text, mine, "%s.Config.%s and stele.Config.%s say different things", part, name, name)
		}
	}
}

// comments are those of the exported fields of the type Config in a file, each on one
// line.
func comments(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	require.NoError(t, err)
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Config" {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			for _, name := range field.Names {
				if name.IsExported() {
					found[name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
		}
		return false
	})
	require.NotEmpty(t, found)
	return found
}
