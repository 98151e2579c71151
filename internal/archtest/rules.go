package archtest

// Rules holds the decisions of a module about itself.
type Rules struct {
	// Areas say who may import whom inside the module.
	Areas []Area
	// ForTests are the folders that the test files of every area may import too.
	ForTests []string
	// Fences keep third-party modules where they belong.
	Fences []Fence
	// Hidden are modules whose types must not show in what the module exports.
	Hidden []string
}

// Area is a folder and all below it that is not an area of its own. The area ""
// is the root package alone. A package in no area is a violation, so that a new
// folder gets its place in the order before it is used.
type Area struct {
	// Folder is the path from the module's root.
	Folder string
	// Imports are the areas that it may import; its own needs no mention. The list
	// is exact: an area inside a mentioned one has to be mentioned too.
	Imports []string
}

// Fence names the folders that may import a module, or a tree of them.
type Fence struct {
	// Module is the import path, of which all below it is meant.
	Module string
	// Within are folders of ours; everything below them is meant.
	Within []string
	// Packages, when set, are the only packages of the module to be imported.
	Packages []string
	// Tests allows the module in every test file.
	Tests bool
	// Reason completes the sentence "only … may import it, because".
	Reason string
}

// Stele is the architecture of this module. ARCHITECTURE.md draws the same
// picture in words.
func Stele() Rules {
	return Rules{
		Areas: areas(),
		ForTests: []string{
			"persistence/memory", "persistence/sqlite", "persistence/postgres", "persistence/prooph", "persistence/journaltest",
			"actors/actorstest", "internal/pgtest", "internal/killtest", "internal/faultjournal", "internal/torture", "internal/systemtest",
			"projections/postgres", "projections/sqlite", "projections/projectionstest",
		},
		Fences: fences(),
		Hidden: []string{
			"github.com/asynkron/protoactor-go", "github.com/hashicorp/memberlist",
			"github.com/danielgtaylor/huma", "github.com/maypok86/otter",
		},
	}
}

// areas are listed from the bottom up: an area imports only what stands above
// it in this list. The journals are leaves: no library package knows one, the
// program injects it.
func areas() []Area {
	leaves := []string{"internal/fifo", "internal/lifecycle", "internal/usercode"}
	with := func(leaves []string, more ...string) []string { return append(more, leaves...) }

	core := with(leaves, "persistence", "proto")
	node := with(core, "actors", "cluster", "keyvault", "projections")
	faces := with(node, "")
	public := []string{
		"", "actors", "cluster", "console", "httpapi", "keyvault", "persistence", "projections", "proto",
		"persistence/memory", "persistence/postgres", "persistence/prooph", "persistence/sqlite",
		"projections/postgres", "projections/sqlite",
	}
	return []Area{
		{Folder: "internal/compare"},
		{Folder: "internal/killtest"},
		{Folder: "internal/fifo"},
		{Folder: "internal/usercode"},
		{Folder: "internal/lifecycle", Imports: []string{"internal/usercode"}},
		{Folder: "proto"},
		{Folder: "persistence", Imports: []string{"proto", "internal/compare", "internal/usercode"}},

		{Folder: "persistence/journalkit", Imports: []string{"persistence"}},

		{Folder: "internal/appender", Imports: with(leaves, "persistence", "persistence/journalkit")},
		{Folder: "internal/pgsession", Imports: []string{"persistence"}},
		{Folder: "internal/sqlitefile", Imports: []string{"persistence"}},
		{Folder: "internal/faultjournal", Imports: with(leaves, "persistence", "persistence/journalkit")},
		{Folder: "persistence/memory", Imports: with(leaves, "persistence", "persistence/journalkit", "internal/appender")},
		{Folder: "persistence/sqlite", Imports: with(leaves, "persistence", "persistence/journalkit", "internal/appender", "internal/sqlitefile")},
		{Folder: "persistence/postgres/internal/wire", Imports: []string{"internal/pgsession"}},
		{Folder: "persistence/postgres/internal/eventrows", Imports: []string{"persistence", "persistence/postgres/internal/wire"}},
		{Folder: "persistence/postgres/internal/breaker", Imports: []string{"persistence"}},
		{Folder: "persistence/postgres/internal/streamids", Imports: []string{"persistence"}},
		{Folder: "persistence/postgres/internal/appending", Imports: with(leaves, "persistence", "internal/appender", "internal/pgsession",
			"persistence/postgres/internal/wire", "persistence/postgres/internal/breaker", "persistence/postgres/internal/streamids")},
		{Folder: "persistence/postgres", Imports: with(leaves, "persistence", "persistence/journalkit", "internal/appender", "internal/pgsession",
			"persistence/postgres/internal/wire", "persistence/postgres/internal/eventrows", "persistence/postgres/internal/streamids", "persistence/postgres/internal/appending")},
		{Folder: "persistence/prooph", Imports: []string{"persistence", "persistence/journalkit", "internal/pgsession"}},
		{Folder: "persistence/journaltest", Imports: []string{"persistence"}},
		{Folder: "internal/pgtest", Imports: []string{"persistence", "persistence/postgres"}},
		{Folder: "internal/torture", Imports: []string{"persistence", "persistence/postgres", "internal/pgtest"}},

		{Folder: "actors/internal/stored", Imports: []string{"persistence", "proto"}},
		{Folder: "actors/internal/wallclock"},
		{Folder: "actors/internal/dedupe", Imports: []string{"persistence", "internal/fifo", "actors/internal/stored"}},
		{Folder: "actors", Imports: with(core, "actors/internal/dedupe", "actors/internal/stored", "actors/internal/wallclock", "internal/appender", "internal/compare")},
		{Folder: "projections", Imports: core},
		{Folder: "projections/internal/sqlbook", Imports: with(core, "projections")},
		{Folder: "projections/internal/inline", Imports: with(core, "projections", "internal/appender")},
		{Folder: "projections/postgres", Imports: with(core, "projections", "projections/internal/sqlbook", "projections/internal/inline", "internal/pgsession")},
		{Folder: "projections/sqlite", Imports: with(core, "projections", "projections/internal/sqlbook", "projections/internal/inline", "internal/sqlitefile")},
		{Folder: "projections/projectionstest", Imports: with(core, "projections", "persistence/memory")},
		{Folder: "keyvault", Imports: core},
		{Folder: "cluster", Imports: with(core, "actors")},
		{Folder: "actors/actorstest", Imports: with(core, "actors", "actors/internal/stored", "projections", "persistence/memory", "internal/faultjournal")},

		{Folder: "", Imports: node},
		{Folder: "httpapi", Imports: faces},
		{Folder: "console", Imports: with(faces, "httpapi")},

		// Examples show what a user can write, so they stay out of internal.
		{Folder: "examples", Imports: public},
		{Folder: "bench/measure"},
		{Folder: "bench/load", Imports: []string{"persistence", "bench/measure"}},
		{Folder: "bench/store", Imports: with(public, "bench/load", "bench/measure", "internal/pgtest")},
		{Folder: "bench/scenario", Imports: with(public, "bench/store", "bench/load", "bench/measure", "actors/actorstest", "examples", "internal/lifecycle")},
		{Folder: "bench", Imports: []string{"bench/scenario", "bench/store", "bench/measure"}},
		{Folder: "cmd", Imports: with(public, "bench", "examples", "internal/lifecycle")},

		{Folder: "internal/archtest"},
		{Folder: "internal/docstest"},
		{Folder: "internal/systemtest", Imports: with(public, "internal/lifecycle")},
	}
}

func fences() []Fence {
	programs := []string{"bench", "cmd", "examples"}
	testKits := []string{"actors/actorstest", "persistence/journaltest", "projections/projectionstest", "internal/pgtest", "internal/killtest"}
	fences := []Fence{
		{
			Module: "github.com/asynkron/protoactor-go", Within: []string{"actors"},
			Packages: []string{"github.com/asynkron/protoactor-go/actor"},
			Reason:   "the actor library is a detail of one package",
		},
		{
			Module: "github.com/hashicorp/memberlist", Within: []string{"cluster"},
			Reason: "the membership library is a detail of one package",
		},
		{
			Module: "google.golang.org/grpc", Within: append([]string{"cluster"}, programs...),
			Reason: "a single-node program links no gRPC",
		},
		{
			Module: "github.com/jackc/pgx", Within: append([]string{"persistence/postgres", "persistence/prooph", "projections/postgres", "internal/pgtest", "internal/pgsession", "internal/torture"}, programs...),
			Reason: "a program without Postgres links no driver for it",
		},
		{
			Module: "modernc.org/sqlite", Within: append([]string{"persistence/sqlite", "projections/sqlite"}, programs...),
			Reason: "a program without SQLite links no driver for it",
		},
		{
			Module: "github.com/pressly/goose", Tests: true,
			Reason: "the journals run their migrations themselves; a test proves that users of goose can",
		},
		{
			Module: "go.opentelemetry.io/otel", Within: append([]string{"actors"}, programs...), Tests: true,
			Reason: "what is told to tracing is told in one file of a package that serves callers",
		},
		{Module: "github.com/danielgtaylor/huma", Within: []string{"httpapi"}, Reason: "it is a detail of the HTTP interface"},
		{Module: "github.com/maypok86/otter", Within: []string{"keyvault"}, Reason: "the cache of opened keys is its only use"},
		{Module: "github.com/spf13", Within: []string{"cmd"}, Reason: "the library reads no flags"},
		{Module: "github.com/knadh/koanf", Within: []string{"cmd"}, Reason: "the library takes structs as configuration"},
	}
	for _, module := range []string{
		"github.com/stretchr/testify", "pgregory.net/rapid", "go.uber.org/goleak",
		"github.com/google/go-cmp", "github.com/anishathalye/porcupine", "testing",
	} {
		fences = append(fences, Fence{
			Module: module, Within: testKits, Tests: true, Reason: "users' programs link no test library",
		})
	}
	return fences
}
