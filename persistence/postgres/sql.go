package postgres

import (
	"embed"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence/postgres/internal/appending"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

//go:embed migration/*.sql
var migrationFiles embed.FS

// statements are the journal's statements for one schema.
type statements struct {
	appending.Statements
	reading

	barrier, releaseEarly, head               wire.Statement
	streamIDs, streamFind, streamNames        wire.Statement
	identity, migration, migrations, describe wire.Statement
	server                                    wire.Statement

	list, listCategory, categories                        wire.Statement
	create, setMetadata, deleteStream, truncate, scavenge wire.Statement
	snapshotLoad, snapshotSave                            wire.Statement
	snapshotDelete, snapshotsDelete                       wire.Statement
	schemaRegister, schemas, schemaUses                   wire.Statement
	order, appendStrict                                   wire.Statement
	importEvents, importStreams                           wire.Statement

	checkServer, checkWAL, checkRights, checkStreams, lastStream wire.Statement

	eventAt wire.Statement
}

// reading are the statements that read events, of one stream or of all, in both directions,
// plain or with the conditions of a filter.
type reading struct {
	readForward, readBackward, chooseForward, chooseBackward                                   wire.Statement
	readAll, readAllBackward, chooseAll, chooseAllBackward, chooseTagged, chooseTaggedBackward wire.Statement
	readWhole                                                                                  wire.Statement
}

func newStatements(schema string) *statements {
	fill := filler(schema)
	load := func(name string) wire.Statement {
		text, err := sqlFiles.ReadFile("sql/" + name + ".sql")
		if err != nil {
			panic("postgres: no embedded statement " + name) //nolint:forbidigo // the program is built wrong
		}
		sql := fill.Replace(withProof(withoutComments(string(text))))
		return wire.Statement{Name: "stele_" + name, SQL: sql, Parameters: parametersOf(sql)}
	}
	return &statements{
		Statements: appending.Statements{
			AppendSingle: load("append_single"), AppendLean: load("append_lean"), AppendExact: load("append"), AppendChecked: load("append_checked"),
			Attempt: load("attempt"), Search: load("search"), StreamByName: load("stream_by_name"), Flush: load("flush"),
			Early: load("early"), Backend: load("backend"), Fence: load("fence"),
		},
		reading: reading{
			readForward: load("read_forward"), readBackward: load("read_backward"), chooseForward: load("choose_forward"), chooseBackward: load("choose_backward"),
			readAll: load("read_all"), readAllBackward: load("read_all_backward"), chooseAll: load("choose_all"), chooseAllBackward: load("choose_all_backward"),
			chooseTagged: load("choose_tagged"), chooseTaggedBackward: load("choose_tagged_backward"),
			readWhole: load("read_whole"),
		},
		barrier: load("barrier"), releaseEarly: load("release_early"), head: load("head"),
		streamIDs: load("stream_ids"), streamFind: load("stream_find"),
		streamNames: load("stream_names"),
		identity:    load("identity"), migration: load("migration"), migrations: load("migrations"), describe: load("describe"), server: load("server"),
		list: load("list"), listCategory: load("list_category"), categories: load("categories"),
		create: load("create"), setMetadata: load("set_metadata"), deleteStream: load("delete"), truncate: load("truncate"), scavenge: load("scavenge"),
		snapshotLoad: load("snapshot_load"), snapshotSave: load("snapshot_save"),
		snapshotDelete: load("snapshot_delete"), snapshotsDelete: load("snapshots_delete"),
		schemaRegister: load("schema_register"), schemas: load("schemas"), schemaUses: load("schema_uses"),
		order: load("order"), appendStrict: load("append_strict"),
		importEvents: load("import_events"), importStreams: load("import_streams"),
		checkServer: load("check_server"), checkWAL: load("check_wal"), checkRights: load("check_rights"), checkStreams: load("check_streams"), lastStream: load("last_stream"), eventAt: load("event_at"),
	}
}

// withProof fills in the condition that proves, by the last three parameters, that the
// statement is about the journal that was opened and about the streams that it remembers; see
// unproven in the migrations. It costs two probes of an index for each statement.
func withProof(text string) string {
	last := parametersOf(text)
	return strings.ReplaceAll(text, "{proof}", fmt.Sprintf(`CASE WHEN (SELECT j.id = $%[1]d::uuid AND ($%[2]d::bigint = 0 OR (SELECT s.name = $%[3]d::text FROM {schema}.stream s WHERE s.stream_id = $%[2]d::bigint))
  FROM {schema}.journal j WHERE j.one) THEN true ELSE {schema}.unproven($%[1]d::uuid) END`, last+1, last+2, last+3))
}

// parametersOf is the highest number of a parameter in a statement.
func parametersOf(text string) (highest int) {
	for _, found := range numbered.FindAllStringSubmatch(text, -1) {
		number, _ := strconv.Atoi(found[1]) // digits
		highest = max(highest, number)
	}
	return highest
}

var numbered = regexp.MustCompile(`\$(\d+)`)

// withoutComments cuts off the header of a file, which is for its readers.
func withoutComments(text string) string {
	for strings.HasPrefix(text, "--") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return strings.TrimSpace(text)
}

// filler replaces the placeholders of the SQL files. more are further placeholders and their
// values. The schema's name is quoted. The body of a function is quoted by a text that no
// value holds.
func filler(schema string, more ...string) *strings.Replacer {
	body := "$body$"
	for strings.Contains(schema+strings.Join(more, " "), body) {
		body = "$x" + body[1:]
	}
	return strings.NewReplacer(append(more,
		"{schema}", pgx.Identifier{schema}.Sanitize(),
		"{name}", literal(schema),
		"{table}", literal(pgx.Identifier{schema, "migration"}.Sanitize()),
		"{lock}", lockText(schema),
		"{body}", body,
	)...)
}

// literal is a text as a literal of SQL. With a backslash it has the form E'…', whose meaning
// no setting of the server changes.
func literal(text string) string {
	quoted := strings.ReplaceAll(text, "'", "''")
	if strings.Contains(text, `\`) {
		return " E'" + strings.ReplaceAll(quoted, `\`, `\\`) + "'"
	}
	return "'" + quoted + "'"
}

func lockText(schema string) string { return strconv.Itoa(int(lockKey(schema))) }

// lockKey returns the first key of the order lock. It depends on the schema, so that two
// journals in one database do not wait for each other.
func lockKey(schema string) int32 {
	hash := fnv.New32a()
	hash.Write([]byte(schema))
	return int32(hash.Sum32())
}

// Migrations returns the migrations of a schema as SQL files in the form of goose, for
// programs that have a tool of their own. The schema must exist, and the tool's version table
// must be the table "migration" in it.
func Migrations(schema string) (fs.FS, error) {
	if err := checkSchema(schema); err != nil {
		return nil, err
	}
	return migrations(schema), nil
}

func migrations(schema string) fs.FS {
	files, err := fs.Sub(migrationFiles, "migration")
	if err != nil {
		panic("postgres: no embedded migrations") //nolint:forbidigo // the program is built wrong
	}
	return filledFS{files, filler(schema)}
}

// filledFS is a file system whose files have their placeholders replaced.
type filledFS struct {
	fs.FS
	fill *strings.Replacer
}

// Open fulfils [fs.FS].
func (f filledFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		return file, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	filled := f.fill.Replace(string(text))
	return &filledFile{File: file, Reader: strings.NewReader(filled), info: filledInfo{info, int64(len(filled))}}, nil
}

type filledFile struct {
	fs.File
	*strings.Reader
	info filledInfo
}

func (f *filledFile) Read(p []byte) (int, error) { return f.Reader.Read(p) }

func (f *filledFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type filledInfo struct {
	fs.FileInfo
	size int64
}

func (i filledInfo) Size() int64 { return i.size }

func migrationNames() []string {
	entries, err := migrationFiles.ReadDir("migration")
	if err != nil {
		panic("postgres: no embedded migrations") //nolint:forbidigo // the program is built wrong
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

// newest returns the number of the last migration that this program knows.
func newest() int64 {
	names := migrationNames()
	return numberOf(names[len(names)-1])
}

// numberOf returns the number with which the name of a migration begins.
func numberOf(name string) int64 {
	number, _, _ := strings.Cut(name, "_")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		panic("postgres: a migration's name does not begin with its number") //nolint:forbidigo // the program is built wrong
	}
	return version
}
