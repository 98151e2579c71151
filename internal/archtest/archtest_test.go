package archtest_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/archtest"
)

func TestArchitecture(t *testing.T) {
	t.Parallel()

	violations, err := archtest.Check(os.DirFS("../.."), archtest.Stele())

	require.NoError(t, err)
	for _, violation := range violations {
		t.Error(violation)
	}
}

// The order of the areas is the order of the layers, which also makes cycles
// between them impossible.
func TestAreasImportOnlyWhatStandsAbove(t *testing.T) {
	t.Parallel()

	above := map[string]bool{}
	for _, area := range archtest.Stele().Areas {
		for _, imported := range area.Imports {
			require.True(t, above[imported], "%q imports %q, which stands below it or is no area", area.Folder, imported)
		}
		above[area.Folder] = true
	}
}

// Each case plants one violation into a small tree and says what must be
// reported; an empty want is a tree that must pass.
func TestCheck(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		files map[string]string
		want  []string
	}{
		"an arrow that points up": {
			files: map[string]string{"persistence/a.go": imports("persistence", "example.org/m/actors")},
			want:  []string{"persistence/a.go:4: persistence imports actors: the arrow persistence → actors is not allowed"},
		},
		"comments that link to what is there": {
			files: map[string]string{
				"persistence/a.go": "// Package persistence [Kept] has [*Kept.Of], [Kept.Do] and [Kept.Field].\npackage persistence\n\n" +
					"// Kept is [none]: see [path.Join], a[i], [Text](x) and\n//\n//\tlist[Gone]\ntype Kept struct{ Field int }\n\n// Of is.\nfunc (*Kept) Of() {}\n\n// Do is.\nfunc (Kept) Do() {}\n",
				"persistence/b.go": "package persistence\n\nimport \"path\"\n\nvar _ = path.Join\n",
				"actors/a.go":      "// Package actors uses [persistence.Kept.Do].\npackage actors\n\nimport _ \"embed\"\n\nimport \"example.org/m/persistence\"\n\nvar _ persistence.Kept\n",
			},
		},
		"a comment that takes a thing for a man": {
			files: map[string]string{
				"actors/a.go":      "// Package actors is one.\npackage actors\n\n// The worker tells the others when he ends: he, here, the others.\nvar _ = 0\n",
				"actors/a_test.go": "package actors\n\n// A caller leaves with his answer.\nvar _ = 0\n",
			},
			want: []string{`actors/a.go:4: comment says "he" of a thing`, `actors/a_test.go:3: comment says "his" of a thing`},
		},
		"comments that link to nothing": {
			files: map[string]string{
				"persistence/a.go": "// Package persistence has [Gone] and\n// [Kept.Gone], and [path.Join].\npackage persistence\n\n// Kept is.\ntype Kept struct{ Field int }\n",
				"actors/a.go":      "// Package actors uses [persistence.Gone].\npackage actors\n\nimport \"example.org/m/persistence\"\n\nvar _ persistence.Kept\n",
			},
			want: []string{
				"actors/a.go:1: comment links to [persistence.Gone], which", "persistence/a.go:1: comment links to [Gone], which",
				"persistence/a.go:2: comment links to [Kept.Gone], which", "persistence/a.go:2: comment links to [path.Join], which",
			},
		},
		"an arrow that points down": {
			files: map[string]string{"actors/a.go": imports("actors", "example.org/m/persistence")},
		},
		"neighbours that must not know each other": {
			files: map[string]string{
				"actors/a.go":      imports("actors", "example.org/m/keyvault"),
				"projections/a.go": imports("projections", "example.org/m/actors"),
				"keyvault/a.go":    imports("keyvault", "example.org/m/projections"),
			},
			want: []string{"arrow actors → keyvault", "arrow keyvault → projections", "arrow projections → actors"},
		},
		"a journal imported by the library": {
			files: map[string]string{
				"actors/a.go": imports("actors", "example.org/m/persistence/memory"),
				"a.go":        imports("m", "example.org/m/persistence/sqlite"),
			},
			want: []string{
				"a.go:4: the root package imports persistence/sqlite: the arrow the root package → persistence/sqlite",
				"arrow actors → persistence/memory",
			},
		},
		"journals that know each other": {
			files: map[string]string{"persistence/sqlite/a.go": imports("sqlite", "example.org/m/persistence/memory")},
			want:  []string{"arrow persistence/sqlite → persistence/memory"},
		},
		"a journal imported by a test and by programs": {
			files: map[string]string{
				"actors/a.go":          source("actors"),
				"actors/a_test.go":     imports("actors", "example.org/m/persistence/memory"),
				"examples/bank/a.go":   imports("main", "example.org/m/persistence/sqlite"),
				"cmd/stele/a.go":       imports("main", "example.org/m/persistence/postgres"),
				"bench/store/a.go":     imports("store", "example.org/m/persistence/memory"),
				"examples/bank/b/b.go": imports("b", "example.org/m/examples/bank/c"),
				"examples/bank/c/c.go": source("c"),
			},
		},
		"a test that crosses an arrow all the same": {
			files: map[string]string{
				"actors/a.go":      source("actors"),
				"actors/a_test.go": imports("actors", "example.org/m/keyvault"),
			},
			want: []string{"actors/a_test.go:4: actors imports keyvault"},
		},
		"an example that uses what users cannot": {
			files: map[string]string{"examples/bank/a.go": imports("main", "example.org/m/internal/appender")},
			want:  []string{"arrow examples → internal/appender"},
		},
		"a folder without a place": {
			files: map[string]string{"util/a.go": source("util")},
			want:  []string{"util/a.go:2: folder util is in no area: add it to the arrows in internal/archtest"},
		},
		"the actor library outside actors": {
			files: map[string]string{"cluster/a.go": imports("cluster", "github.com/asynkron/protoactor-go/actor")},
			want: []string{"cluster/a.go:4: cluster imports github.com/asynkron/protoactor-go/actor: " +
				"only actors may, because the actor library is a detail of one package"},
		},
		"a part of the actor library that is not used": {
			files: map[string]string{
				"actors/a.go":          imports("actors", "github.com/asynkron/protoactor-go/remote"),
				"actors/internal/i.go": imports("internal", "github.com/asynkron/protoactor-go/actor"),
			},
			want: []string{"actors imports github.com/asynkron/protoactor-go/remote: of this module only github.com/asynkron/protoactor-go/actor is used"},
		},
		"drivers and libraries outside their fence": {
			files: map[string]string{
				"actors/a.go":             imports("actors", "github.com/hashicorp/memberlist"),
				"persistence/sqlite/a.go": imports("sqlite", "github.com/jackc/pgx/v5/pgxpool"),
				"persistence/memory/a.go": imports("memory", "modernc.org/sqlite"),
				"keyvault/a.go":           imports("keyvault", "github.com/danielgtaylor/huma/v2"),
				"httpapi/a.go":            imports("httpapi", "github.com/maypok86/otter/v2"),
				"a.go":                    imports("m", "google.golang.org/grpc"),
			},
			want: []string{
				"a.go:4: the root package imports google.golang.org/grpc: only cluster, bench, cmd, examples may",
				"actors imports github.com/hashicorp/memberlist: only cluster may",
				"httpapi imports github.com/maypok86/otter/v2: only keyvault may",
				"keyvault imports github.com/danielgtaylor/huma/v2: only httpapi may",
				"persistence/memory imports modernc.org/sqlite: only persistence/sqlite, projections/sqlite, bench, cmd, examples may",
				"persistence/sqlite imports github.com/jackc/pgx/v5/pgxpool: only persistence/postgres, persistence/prooph, projections/postgres, internal/pgtest",
			},
		},
		"drivers inside their fence": {
			files: map[string]string{
				"persistence/postgres/a.go": imports("postgres", "github.com/jackc/pgx/v5"),
				"persistence/sqlite/a.go":   imports("sqlite", "modernc.org/sqlite"),
				"internal/pgtest/db/a.go":   imports("main", "github.com/jackc/pgx/v5"),
				"cluster/a.go":              imports("cluster", "github.com/hashicorp/memberlist"),
			},
		},
		"a module whose name only begins alike": {
			files: map[string]string{"actors/a.go": imports("actors", "github.com/jackc/pgxlike", "example.org/mother")},
		},
		"a test library in what users link": {
			files: map[string]string{
				"actors/a.go":                  imports("actors", "github.com/stretchr/testify/require"),
				"actors/a_test.go":             imports("actors", "pgregory.net/rapid", "testing"),
				"persistence/journaltest/a.go": imports("journaltest", "testing", "pgregory.net/rapid"),
			},
			want: []string{"actors/a.go:4: actors imports github.com/stretchr/testify/require: only tests and actors/actorstest"},
		},

		"a hidden type in a function": {
			files: hidden("// F is.\nfunc F(pid *actor.PID) {}"),
			want:  []string{"actors/a.go:6: PID of github.com/asynkron/protoactor-go/actor shows in what the package exports"},
		},
		"a hidden type in a result":             {hidden("// F is.\nfunc F() (int, []actor.PID) { return 0, nil }"), []string{"PID of"}},
		"a hidden type in a method":             {hidden("// T is.\ntype T struct{}\n// M is.\nfunc (t *T) M(f func(actor.Context)) {}"), []string{"Context of"}},
		"a hidden type in an exported field":    {hidden("// T is.\ntype T struct{ Field map[string]chan *actor.PID }"), []string{"PID of"}},
		"a hidden type that is embedded":        {hidden("// T is.\ntype T struct{ *actor.ActorSystem }"), []string{"ActorSystem of"}},
		"a hidden type in an interface":         {hidden("// T is.\ntype T interface{ M(actor.Context) }"), []string{"Context of"}},
		"a hidden interface embedded":           {hidden("// T is.\ntype T interface{ actor.Context }"), []string{"Context of"}},
		"a hidden type behind an alias":         {hidden("// T is.\ntype T = actor.PID"), []string{"PID of"}},
		"a hidden type as the underlying one":   {hidden("// T is.\ntype T actor.PID"), []string{"PID of"}},
		"a hidden type as a constraint":         {hidden("// F is.\nfunc F[C actor.Context](c C) {}"), []string{"Context of"}},
		"a hidden type as a type argument":      {hidden("// F is.\nfunc F(l List[actor.PID]) {}\n// List is.\ntype List[E any] []E"), []string{"PID of"}},
		"a hidden type through an own one":      {hidden("// F is.\nfunc F(p pid) {}\ntype pid = *actor.PID"), []string{"PID of"}},
		"a hidden type promoted by an own one":  {hidden("// T is.\ntype T struct{ inner }\ntype inner struct{ actor.Context }"), []string{"Context of"}},
		"a hidden type in a promoted method":    {hidden("// T is.\ntype T struct{ inner }\ntype inner struct{}\nfunc (inner) M(actor.Context) {}"), []string{"Context of"}},
		"a hidden type of a variable":           {hidden("// V is.\nvar V *actor.PID"), []string{"PID of"}},
		"a variable made by the hidden package": {hidden("// V is.\nvar V = actor.NewActorSystem().Root"), []string{"NewActorSystem of"}},
		"a variable that is a hidden literal":   {hidden("// V is.\nvar V = &actor.PID{}"), []string{"PID of"}},
		"a hidden type under another name": {
			files: map[string]string{"cluster/a.go": "// Package cluster is.\npackage cluster\n\nimport ml \"github.com/hashicorp/memberlist\"\n\n// F is.\nfunc F(m ml.Node) {}\n"},
			want:  []string{"Node of github.com/hashicorp/memberlist"},
		},
		"a hidden type of a module with a major version": {
			files: map[string]string{"keyvault/a.go": "// Package keyvault is.\npackage keyvault\n\nimport \"github.com/maypok86/otter/v2\"\n\n// F is.\nfunc F(c otter.Cache) {}\n"},
			want:  []string{"Cache of github.com/maypok86/otter/v2"},
		},
		"hidden types that nobody outside sees": {
			files: with(hidden(
				"// T is.\ntype T struct{ pid *actor.PID; mu inner }\n"+
					"type inner struct{ actor.Context }\n"+
					"func (t *T) m(actor.Context) {}\n"+
					"func f(inner) {}\n"+
					"// F is.\nfunc F() { var _ actor.PID }\n"),
				"actors/a_test.go", "package actors\n\nimport \"github.com/asynkron/protoactor-go/actor\"\n\nfunc F(actor.PID) {}\n",
				"actors/internal/mailbox/m.go", "// Package mailbox is.\npackage mailbox\n\nimport \"github.com/asynkron/protoactor-go/actor\"\n\n// F is.\nfunc F(actor.PID) {}\n"),
		},

		"a package without a comment": {
			files: map[string]string{"actors/a.go": "package actors\n"},
			want:  []string{`actors/a.go:1: package actors has no doc comment that begins with "Package actors"`},
		},
		"a package comment of another package": {
			files: map[string]string{"actors/a.go": "// Package cluster is.\npackage actors\n"},
			want:  []string{`begins with "Package actors"`},
		},
		"a program without a comment": {
			files: map[string]string{"cmd/stele/a.go": "package main\n"},
			want:  []string{`begins with "Command"`},
		},
		"a comment in any file of the package": {
			files: map[string]string{"actors/a.go": "package actors\n", "actors/b.go": source("actors")},
		},
		"a folder of tests only": {
			files: map[string]string{"actors/a_test.go": "package actors_test\n"},
		},
		"exported names without a comment": {
			files: map[string]string{"actors/a.go": source("actors") + `
type T struct{}

func F() {}

func (t *T) M() {}

const C = 1

var (
	V = 1
)
`},
			want: []string{"a.go:4: T is exported without", "a.go:6: F is", "a.go:8: M is", "a.go:10: C is", "a.go:13: V is"},
		},
		"names that need no comment": {
			files: map[string]string{"actors/a.go": source("actors") + `
// T is.
type T struct{}

func (t T) String() string { return "" }

type u struct{}

func (u) M() {}

func f() {}

// The codes.
const (
	A = 1
	B = 2
)

const (
	C = 1 // is said here
)
`, "examples/bank/a.go": source("main") + "\nfunc F() {}\n"},
		},
		"an init function": {
			files: map[string]string{"actors/a.go": source("actors") + "\nfunc init() {}\n"},
			want:  []string{"actors/a.go:4: init function"},
		},
		"generated code": {
			files: map[string]string{
				"proto/v1/doc.go": source("v1"),
				"proto/v1/a.go":   "// Code generated by x. DO NOT EDIT.\n\npackage v1\n\nfunc F() {}\n\nfunc init() {}\n",
			},
		},
		"what is not part of the module": {
			files: map[string]string{
				"actors/a.go":            source("actors"),
				"actors/testdata/a.go":   "package broken {",
				"tools/go.mod":           "module example.org/tools\n",
				"tools/a.go":             "package broken {",
				".cache/a.go":            "package broken {",
				"_drafts/a.go":           "package broken {",
				"actors/notes.txt":       "no Go",
				"actors/deep/er/doc.txt": "no Go",
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			violations, err := archtest.Check(tree(c.files), archtest.Stele())

			require.NoError(t, err)
			require.Len(t, violations, len(c.want), "%v", violations)
			for i, want := range c.want {
				require.Contains(t, violations[i].String(), want)
			}
		})
	}
}

func TestCheckSaysWhatItCannotRead(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		fsys fs.FS
		want string
	}{
		"no module":      {fstest.MapFS{}, "find the module"},
		"no module line": {fstest.MapFS{"go.mod": {Data: []byte("go 1.26\n")}}, "no module line"},
		"no Go file":     {tree(nil), "there are none"},
		"no Go":          {tree(map[string]string{"actors/a.go": "package {"}), "actors/a.go:1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := archtest.Check(c.fsys, archtest.Stele())

			require.ErrorContains(t, err, c.want)
		})
	}
}

func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module example.org/m\n\ngo 1.26\n")}}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// source is a package that breaks no rule.
func source(name string) string {
	if name == "main" {
		return "// Command x is.\npackage main\n"
	}
	return "// Package " + name + " is.\npackage " + name + "\n"
}

func imports(name string, paths ...string) string {
	var text strings.Builder
	text.WriteString(source(name) + "\n")
	for _, path := range paths {
		text.WriteString("import _ \"" + path + "\"\n")
	}
	return text.String()
}

// hidden is package actors importing the actor library.
func hidden(declarations string) map[string]string {
	return map[string]string{
		"actors/a.go": source("actors") + "import \"github.com/asynkron/protoactor-go/actor\"\n\n" + declarations + "\n",
	}
}

func with(files map[string]string, more ...string) map[string]string {
	for pair := range slices.Chunk(more, 2) {
		files[pair[0]] = pair[1]
	}
	return files
}
