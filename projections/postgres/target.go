package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/internal/sqlbook"
)

// Config says where a [Target] is.
type Config struct {
	// Pool is required. It belongs to the caller, and needs a connection for each
	// worker that is to be at work at the same time, and one more for signs of life.
	Pool *pgxpool.Pool
	// Schema is where the tables of the books are, "stele" by default.
	Schema string
	// IdleTimeout is when the server ends a transaction in which nothing happens, 30 s
	// by default: a program that was halted in the midst of one must not keep others
	// from taking over.
	IdleTimeout time.Duration
	// Migrate makes the tables and brings them up to date. Otherwise Open refuses a
	// database without them.
	Migrate bool
}

// Target is a database with read models. Use [Open]. It is safe for concurrent use.
type Target struct {
	pool       *pgxpool.Pool
	statements *sqlbook.Statements
	begin      string
}

// collisions is how often a transaction is run again that collided with another one.
const collisions = 5

// Open checks the tables, or makes them.
func Open(ctx context.Context, config Config) (*Target, error) {
	if config.Pool == nil {
		return nil, &persistence.InvalidError{Field: "Pool", Reason: "is nil"}
	}
	if config.IdleTimeout < 0 {
		return nil, &persistence.InvalidError{Field: "IdleTimeout", Reason: "is negative"}
	}
	config.Schema, config.IdleTimeout = cmp.Or(config.Schema, "stele"), cmp.Or(config.IdleTimeout, 30*time.Second)
	schema := pgx.Identifier{config.Schema}.Sanitize()
	statements, err := sqlbook.New(sqlbook.Dialect{
		Prefix: schema + ".", Bytewise: `COLLATE "C"`, Bytes: "bytea", Filled: "WITH (fillfactor = 50)", Numbered: "$",
		Lock: "SELECT pg_advisory_xact_lock(hashtextextended('stele projection ' || $1::text, 0))",
	})
	if err != nil {
		return nil, err
	}
	t := &Target{pool: config.Pool, statements: statements, begin: fmt.Sprintf(
		"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = %d", config.IdleTimeout.Milliseconds())}
	if config.Migrate {
		err = t.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
				return err
			}
			return statements.Migrate(ctx, conn{tx})
		})
	} else {
		err = t.check(ctx, config.Schema)
	}
	if err != nil {
		return nil, fmt.Errorf("open the target of projections: %w", err)
	}
	return t, nil
}

// check looks whether the tables are those of this release.
func (t *Target) check(ctx context.Context, schema string) error {
	want, err := t.statements.Newest()
	if err != nil {
		return err
	}
	have := 0
	err = t.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var there bool
		const exists = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'projection_migration')"
		if err := tx.QueryRow(ctx, exists, schema).Scan(&there); err != nil || !there {
			return err
		}
		have, err = t.statements.Version(ctx, conn{tx})
		return err
	})
	if err == nil && have != want {
		err = &persistence.SchemaError{Have: int64(have), Want: int64(want), Fix: "a program that opens the target with Migrate, once"}
	}
	return err
}

// Update fulfils [projections.Store].
func (t *Target) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	return t.transact(ctx, func(ctx context.Context, tx pgx.Tx) error { return body(ctx, t.statements.Book(conn{tx})) })
}

// Transact fulfils [projections.Target].
func (t *Target) Transact(ctx context.Context, body func(context.Context, pgx.Tx, projections.Book) error) error {
	return t.transact(ctx, func(ctx context.Context, tx pgx.Tx) error { return body(ctx, tx, t.statements.Book(conn{tx})) })
}

// transact runs body in a transaction that reads committed data, and again when it
// collided with another one.
func (t *Target) transact(ctx context.Context, body func(context.Context, pgx.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := t.attempt(ctx, body)
		if answered, ok := errors.AsType[*pgconn.PgError](err); ok && collided(answered.Code) {
			if attempt < collisions && ctx.Err() == nil {
				continue
			}
			return unavailable("the transaction collides with others again and again", err)
		}
		return err
	}
}

func (t *Target) attempt(ctx context.Context, body func(context.Context, pgx.Tx) error) error {
	tx, err := t.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: t.begin})
	if err != nil {
		return unavailable("the target's server cannot be reached", err)
	}
	// Its error would say nothing new. A caller who has left must not leave the
	// transaction open.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := body(ctx, tx); err != nil {
		if lost(tx, err) {
			return unavailable("the connection to the target was lost", err)
		}
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		if answered, ok := errors.AsType[*pgconn.PgError](err); ok && !passing(answered.Code) {
			return err // a constraint that is checked at the end
		}
		if errors.Is(err, pgx.ErrTxCommitRollback) {
			return err // a handler has gone on behind an error of the server
		}
		return unavailable("the connection to the target was lost around a commit", err)
	}
	return nil
}

// lost reports errors that are not about what the statements say: the connection is
// gone, or the server refuses for now.
func lost(tx pgx.Tx, err error) bool {
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok {
		return passing(answered.Code)
	}
	return tx.Conn() == nil || tx.Conn().IsClosed()
}

// passing are the SQLSTATEs of a server that is going, coming, full or a standby.
func passing(code string) bool {
	return len(code) == 5 && (code[:2] == "08" || code[:2] == "53" || code[:3] == "57P" || code == "25006")
}

func collided(code string) bool { return code == "40001" || code == "40P01" }

// unavailable keeps of a driver's error what may be shown: its texts quote
// connection strings and values.
func unavailable(reason string, err error) error {
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok {
		return &persistence.UnavailableError{Reason: reason, Err: errors.New("SQLSTATE " + answered.Code)}
	}
	return &persistence.UnavailableError{Reason: reason}
}

// conn adapts a transaction.
type conn struct{ tx pgx.Tx }

// Exec fulfils [sqlbook.Conn].
func (c conn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := c.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

// Query fulfils [sqlbook.Conn].
func (c conn) Query(ctx context.Context, scan func(row func(dest ...any) error) error, query string, args ...any) error {
	rows, err := c.tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Batched is a target whose handlers queue statements, which are sent together at
// the end of a page. A handler does not see what its statements find, and when one
// of them fails the events of the page are applied one by one, to find the one that
// is to blame.
func Batched(target *Target) projections.Target[*pgx.Batch] { return batched{target} }

type batched struct{ *Target }

// Transact fulfils [projections.Target].
func (b batched) Transact(ctx context.Context, body func(context.Context, *pgx.Batch, projections.Book) error) error {
	return b.Target.Transact(ctx, func(ctx context.Context, tx pgx.Tx, book projections.Book) error {
		return sendQueued(ctx, tx, func(batch *pgx.Batch) error { return body(ctx, batch, book) })
	})
}

// sendQueued sends what body queues.
func sendQueued(ctx context.Context, tx pgx.Tx, body func(*pgx.Batch) error) error {
	queued := new(pgx.Batch)
	if err := body(queued); err != nil {
		return err
	}
	if queued.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, queued).Close()
}
