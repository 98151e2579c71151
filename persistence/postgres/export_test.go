package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
)

// Crash ends the journal as the death of its process would.
func (j *Journal) Crash() {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // nobody waits for it
	cancel()
	j.close(ctx)
}

// URL is where the journal is.
func (j *Journal) URL() string { return j.config.Pool.ConnString() }

// LockKey is the first key of a schema's order lock.
func LockKey(schema string) int32 { return lockKey(schema) }

// Newest is the number of the last migration.
func Newest() int64 { return newest() }

// ConnConfig is how the journal connects.
func ConnConfig(j *Journal) *pgx.ConnConfig { return j.config.Pool.ConnConfig.Copy() }

// Reads are the statements that read tables which grow, by the names of their
// files.
func Reads(j *Journal) map[string]string {
	return map[string]string{
		"attempt": j.sql.attempt, "search": j.sql.search, "stream_find": j.sql.streamFind, "stream_by_name": j.sql.streamByName,
		"stream_names": j.sql.streamNames, "head": j.sql.head,
		"read_forward": j.sql.readForward, "read_backward": j.sql.readBackward, "choose_forward": j.sql.chooseForward, "choose_backward": j.sql.chooseBackward,
		"read_all": j.sql.readAll, "read_all_backward": j.sql.readAllBackward, "read_whole": j.sql.readWhole, "choose_all": j.sql.chooseAll, "choose_all_backward": j.sql.chooseAllBackward,
		"choose_tagged": j.sql.chooseTagged, "choose_tagged_backward": j.sql.chooseTaggedBackward,
		"list": j.sql.list, "list_category": j.sql.listCategory, "categories": j.sql.categories, "snapshot_load": j.sql.snapshotLoad,
	}
}

// Describe lists what is in a schema, as the server describes it.
func Describe(ctx context.Context, conn *pgx.Conn, schema string) (definitions []string, err error) {
	objects, err := describe(ctx, conn, schema)
	for _, o := range objects {
		definitions = append(definitions, o.Definition)
	}
	return definitions, err
}

// Functions are those that a role has rights on.
func Functions() []string { return slices.Concat(appFunctions, readFunctions, adminFunctions) }

// Flushed is the position up to which a journal knows that all is durable.
func Flushed(j *Journal) int64 { return j.durable.Load() }

// Examine is Check with another idea of what a long transaction is.
func Examine(ctx context.Context, j *Journal, options persistence.CheckOptions, long time.Duration) ([]persistence.Finding, error) {
	return j.examine(ctx, options, long)
}

// Ask runs a statement by a protocol, whatever the connection does else.
func Ask(ctx context.Context, conn *pgx.Conn, protocol Protocol, sql string, parameters [][]byte) ([][][]byte, error) {
	newDialect(protocol).teach(conn.PgConn())
	return collect(ctx, conn, statement{sql, sql}, parameters)
}

// The binary forms of values.

func Int8(v int64) []byte         { return int8Parameter(v) }
func Int4(v int32) []byte         { return int4Parameter(v) }
func Int2(v int16) []byte         { return int2Parameter(v) }
func TextArray(v []string) []byte { return textArray(v) }
func Int8Array(v []int64) []byte  { return int8Array(v) }
func Int4Array(all []int32) []byte {
	var m message
	start := m.array(oidInt4, len(all))
	for _, v := range all {
		m.int4(v)
	}
	m.endArray(start)
	return m.buf[4:]
}

// StageError is how an error of a commit that was to be sent is translated.
func StageError(err error) error { return stageError("a-1", persistence.Any, nil, err) }
