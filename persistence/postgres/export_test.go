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

// URL is the connection string of the journal.
func (j *Journal) URL() string { return j.config.Pool.ConnString() }

// LockKey is the first key of a schema's order lock.
func LockKey(schema string) int32 { return lockKey(schema) }

// Newest is the number of the last migration.
func Newest() int64 { return newest() }

// ConnConfig is the configuration by which the journal connects.
func ConnConfig(j *Journal) *pgx.ConnConfig { return j.config.Pool.ConnConfig.Copy() }

// Reads are the statements that read tables which grow, by the names of their
// files.
func Reads(j *Journal) map[string]string {
	return map[string]string{
		"attempt": j.sql.Attempt.SQL, "search": j.sql.Search.SQL, "stream_find": j.sql.streamFind.SQL, "stream_by_name": j.sql.StreamByName.SQL,
		"stream_names": j.sql.streamNames.SQL, "head": j.sql.head.SQL,
		"read_forward": j.sql.readForward.SQL, "read_backward": j.sql.readBackward.SQL, "choose_forward": j.sql.chooseForward.SQL, "choose_backward": j.sql.chooseBackward.SQL,
		"read_all": j.sql.readAll.SQL, "read_all_backward": j.sql.readAllBackward.SQL, "read_whole": j.sql.readWhole.SQL, "choose_all": j.sql.chooseAll.SQL, "choose_all_backward": j.sql.chooseAllBackward.SQL,
		"choose_tagged": j.sql.chooseTagged.SQL, "choose_tagged_backward": j.sql.chooseTaggedBackward.SQL,
		"list": j.sql.list.SQL, "list_category": j.sql.listCategory.SQL, "categories": j.sql.categories.SQL, "snapshot_load": j.sql.snapshotLoad.SQL,
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

// Functions are the functions that roles have rights on.
func Functions() []string { return slices.Concat(appFunctions, readFunctions, adminFunctions) }

// Flushed is the position up to which a journal knows that all is durable.
func Flushed(j *Journal) int64 { return j.flushedTo.Load() }

// Examine is Check with another idea of what a long transaction is.
func Examine(ctx context.Context, j *Journal, options persistence.CheckOptions, long time.Duration) ([]persistence.Finding, error) {
	return j.examine(ctx, options, long)
}

// StageError translates an error of a commit that was to be sent.
func StageError(err error) error { return stageError("a-1", persistence.Any, nil, err) }
