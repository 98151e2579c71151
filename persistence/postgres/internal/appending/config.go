package appending

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// Partition is the one that all streams of a journal are in.
const Partition = 0

// Statements are those that a committer sends; the files in sql/ describe them.
type Statements struct {
	AppendSingle, AppendLean, AppendExact, AppendChecked wire.Statement
	Attempt, Search, StreamByName, Flush                 wire.Statement
	// Early, Backend and Fence are sent once on each new connection.
	Early, Backend, Fence wire.Statement
}

// Config says how a committer stores.
type Config struct {
	// Journal is the id of the journal, which each statement proves.
	Journal persistence.JournalID
	// Statements are the statements for the journal's schema.
	Statements Statements
	// Prepared says that connections prepare the statements.
	Prepared bool
	// Pooler says that a pooler stands between, so that lost backends cannot be ended.
	Pooler bool
	// KeepLock says that the committer never releases the order lock before the flush.
	KeepLock bool
	// StatementTimeout bounds the wait for an answer, and ResolveTimeout the search for the
	// outcome of an append whose connection was lost.
	StatementTimeout, ResolveTimeout time.Duration
	// Streams are the streams that the journal knows.
	Streams *streamids.Cache
	// Dial opens a connection to the server.
	Dial func(ctx context.Context) (*pgconn.PgConn, error)
	// Logger takes what operators should know.
	Logger *slog.Logger
}

// Host is the journal of a committer. Its methods may be called at any time, by several
// goroutines.
type Host interface {
	// Resolve looks streams up in the database, creates those that are missing, and
	// remembers them. It returns them with the epoch for which their ids hold.
	Resolve(ctx context.Context, names []persistence.StreamID) ([]*streamids.Stream, uint64, error)
	// Known returns the newest position that the journal knows.
	Known() int64
	// Stored notes the last event of an append, before the append is acknowledged.
	Stored(position int64, id persistence.EventID)
	// Durable notes that all events up to a position are durable.
	Durable(position int64)
	// Forget drops all that was known about the server's data, which have changed. Another
	// epoch begins.
	Forget()
	// Refusal translates a definite error for the caller of an append.
	Refusal(stream persistence.StreamID, err *pgsession.ServerError) error
	// Missing returns an error when err says that the journal is not in the database.
	Missing(err error) error
}
