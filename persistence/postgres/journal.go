package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
	"github.com/stele-es/stele/persistence/postgres/internal/eventrows"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
)

var (
	_ persistence.Journal    = (*Journal)(nil)
	_ persistence.Submitter  = (*Journal)(nil)
	_ persistence.PageReader = (*Journal)(nil)
	_ persistence.Transactor = (*Journal)(nil)
	_ persistence.Scavenger  = (*Journal)(nil)
	_ persistence.Importer   = (*Journal)(nil)
	_ persistence.Snapshots  = (*Journal)(nil)
	_ persistence.Schemas    = (*Journal)(nil)
	_ persistence.Checker    = (*Journal)(nil)
)

const (
	oldestMajor = 14
	partition   = appending.Partition
)

// Journal stores events in a schema of a Postgres database. Use [Open].
type Journal struct {
	config     Config
	sql        *statements
	id         persistence.JournalID
	pool       *pgxpool.Pool
	streams    *streamids.Cache
	head       journalkit.Head
	densities  densities
	tail       tail
	flushedTo  atomic.Int64 // all events up to here are flushed
	rowSizes   eventrows.AverageSize
	queue      *appender.Queue
	committer  *appending.Committer
	transactor *transactor
	nudged     chan struct{}

	goroutines sync.WaitGroup
	closing    context.CancelFunc
	closeOnce  sync.Once
}

// Open connects to a journal. It fails with [*persistence.TablesError] when the
// schema is missing or older than this program needs, with [*persistence.InvalidError]
// when the configuration is wrong or the server's settings cannot keep the promised
// durability, and with [*persistence.UnavailableError] when the server is away or a
// standby. Where the role or the database is read-only, the journal opens and can be read.
func Open(ctx context.Context, config Config) (*Journal, error) {
	migrate := config
	config, err := config.normal()
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if config.Migrate {
		if err := Migrate(ctx, migrate); err != nil {
			return nil, err
		}
	}
	j := &Journal{config: config, sql: newStatements(config.Schema), streams: streamids.New(config.StreamNames), nudged: make(chan struct{}, 1)}
	connected := config.Pool.AfterConnect
	config.Pool.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if connected != nil {
			if err := connected(ctx, conn); err != nil {
				return err
			}
			if err := pgsession.Prove(ctx, conn.PgConn(), config.session(pgsession.Primary)); err != nil {
				return err
			}
		}
		return j.checkTail(ctx, conn)
	}
	if j.pool, err = pgxpool.NewWithConfig(ctx, config.Pool); err != nil {
		return nil, fmt.Errorf("open the journal: %w", appending.Unavailable("the pool cannot be made", err))
	}
	if j.transactor, err = newTransactor(ctx, config); err != nil {
		j.pool.Close()
		return nil, fmt.Errorf("open the journal: %w", appending.Unavailable("the pool cannot be made", err))
	}
	if err := j.check(ctx); err != nil {
		j.pool.Close()
		j.transactor.pool.Close()
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	j.start()
	return j, nil
}

// check examines once what the journal's promises rest on.
func (j *Journal) check(ctx context.Context) error {
	connection, err := j.pool.Acquire(ctx)
	if err != nil {
		return pgsession.Unreachable(err)
	}
	defer connection.Release()
	if err := j.checkServer(ctx, connection.Conn()); err != nil {
		return err
	}
	var have int64
	err = connection.QueryRow(ctx, j.sql.migration.SQL).Scan(&have)
	if noTables(err) {
		have, err = 0, nil
	}
	if err != nil {
		return readError(ctx, err)
	}
	// A newer schema is fine: a migration leaves the release before it able to work.
	if have < newest() {
		return &persistence.TablesError{Have: have, Want: newest(), Fix: fixSchema}
	}
	if err := connection.QueryRow(ctx, j.sql.identity.SQL).Scan((*[16]byte)(&j.id)); err != nil {
		return readError(ctx, err)
	}
	if j.config.EarlyRelease == EarlyOn {
		if err := j.releaseEarly(ctx, true); err != nil {
			return appending.Unavailable("the release of the order lock cannot be set", err)
		}
	}
	head, err := j.headOf(ctx, connection.Conn())
	if err != nil {
		return readError(ctx, err)
	}
	j.head.Raise(head)
	return nil
}

func (j *Journal) checkServer(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var standby, readOnly, flushes, fullPages, synchronous bool
	if err := conn.QueryRow(ctx, j.sql.server.SQL).Scan(&version, &standby, &readOnly, &flushes, &fullPages, &synchronous); err != nil {
		return appending.Unavailable("the server's settings cannot be read", err)
	}
	invalid := func(reason string) error { return &persistence.InvalidError{Field: "server", Reason: reason} }
	if version/10000 < oldestMajor {
		return invalid(fmt.Sprintf("is of release %d, at least %d is needed", version/10000, oldestMajor))
	}
	if standby {
		return &persistence.UnavailableError{Reason: "the server is a standby and cannot store events"}
	}
	if readOnly {
		j.config.Logger.WarnContext(ctx, "journal is read-only: default_transaction_read_only is on for the role or the database")
	}
	if j.config.Durability == Relaxed {
		if !flushes || !fullPages || !synchronous {
			j.config.Logger.WarnContext(ctx, "journal is relaxed: acknowledged events may be lost with the machine")
		}
		return nil
	}
	switch {
	case !flushes:
		return invalid("runs with fsync = off, so what is acknowledged is lost with the machine: turn it on, or allow it by Config.Durability: postgres.Relaxed")
	case !fullPages:
		return invalid("runs with full_page_writes = off, so a crash may damage what is stored: turn it on, or allow it by Config.Durability: postgres.Relaxed")
	case !synchronous:
		return invalid("runs with a synchronous_commit below on, so what is acknowledged is lost with the machine: set it to on for the role, or allow it by Config.Durability: postgres.Relaxed")
	}
	return nil
}

// start begins the journal's three goroutines, which Close ends.
func (j *Journal) start() {
	j.committer = appending.New(appending.Config{
		Journal: j.id, Statements: j.sql.Statements, Prepared: j.prepares(), Pooler: j.config.Pooler, KeepLock: j.config.EarlyRelease == EarlyOff,
		StatementTimeout: j.config.StatementTimeout, ResolveTimeout: j.config.ResolveTimeout, Streams: j.streams, Dial: j.dial, Logger: j.config.Logger,
	}, host{j})
	j.queue = appender.New(appender.Config{
		Commit: j.committer.Commit, BatchEvents: j.config.BatchEvents, Underway: appending.UnderWay,
		QueuedAppends: j.config.QueuedAppends, QueuedBytes: j.config.QueuedBytes,
		Logger: j.config.Logger,
	})
	// For the life of the journal, which outlives the context of Open.
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // see above
	j.closing = cancel
	j.goroutines.Go(j.queue.Run)
	j.goroutines.Go(func() { j.committer.Run(ctx) })
	j.goroutines.Go(func() { j.poll(ctx) })
}

// Identity returns the journal's id.
func (j *Journal) Identity() persistence.JournalID { return j.id }

// Close fulfils [persistence.Journal]; it takes at most about
// Config.CloseTimeout.
func (j *Journal) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), j.config.CloseTimeout) //nolint:forbidigo // Close has no caller to ask
	defer cancel()
	j.close(ctx)
	return nil
}

// close lets appends finish, until ctx is done at the latest.
func (j *Journal) close(ctx context.Context) {
	j.closeOnce.Do(func() {
		stop := context.AfterFunc(ctx, j.closing)
		defer stop()
		j.head.Close()
		j.transactor.end()
		j.queue.Close(ctx)
		j.committer.Close()
		j.closing()
		j.goroutines.Wait()
		j.closePool(ctx)
		j.transactor.close(ctx)
	})
}

// goodbyeTimeout bounds the goodbye of the pool when no time is left. It is enough for a
// server that answers.
const goodbyeTimeout = time.Second

// closePool says goodbye to the server on each connection. A server that does not answer
// makes the driver wait for 15 s; closePool does not wait for that.
func (j *Journal) closePool(ctx context.Context) {
	closed := make(chan struct{})
	go func() { // ends when the driver gives up, 15 s at most
		defer close(closed)
		j.pool.Close()
	}()
	select {
	case <-closed:
		return
	case <-ctx.Done():
	}
	select {
	case <-closed:
	case <-time.After(goodbyeTimeout):
	}
}
