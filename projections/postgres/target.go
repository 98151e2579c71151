package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/internal/sqlbook"
)

// Config says where a [Target] is.
type Config struct {
	// Pool is required. It belongs to the caller, and needs a connection for each
	// worker that is to be at work at the same time, and one more for signs of life. Where
	// its connection string names several hosts, it should say
	// target_session_attrs=read-write.
	//
	// Transactions of the target set what the role, the database or the server may have
	// set otherwise: they read committed data, texts are UTF-8, bytes and times have one
	// form, statements are neither compiled nor ended by a setting of the server. The
	// search path and the time zone stay as they are.
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
	idle       time.Duration
}

// collisions limits how often a transaction that collided with another one is run again.
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
	t := &Target{pool: config.Pool, statements: statements, idle: config.IdleTimeout, begin: begin(config.IdleTimeout)}
	if config.Migrate {
		err = t.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
				return answer(err)
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

// begin begins a transaction that the server ends when nothing happens in it.
func begin(idle time.Duration) string {
	return pgsession.Begin(pgsession.Writing, "idle_in_transaction_session_timeout", strconv.FormatInt(idle.Milliseconds(), 10))
}

// IdleLimit is when the server ends a transaction in which nothing happens. The limit of
// handlers lies below it, see projections.Timeout.
func (t *Target) IdleLimit() time.Duration { return t.idle }

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
			return answer(err)
		}
		have, err = t.statements.Version(ctx, conn{tx})
		return err
	})
	if err == nil && have != want {
		err = &persistence.TablesError{Have: int64(have), Want: int64(want), Fix: fixTables}
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

// transact runs body in a transaction that reads committed data. It does so again when
// the transaction collided with another one, and once more in a new session when the
// session was of no use.
func (t *Target) transact(ctx context.Context, body func(context.Context, pgx.Tx) error) error {
	return again(ctx, t.pool, func() error { return t.attempt(ctx, body) })
}

// again repeats an attempt of which surely nothing was done and that may succeed.
func again(ctx context.Context, pool *pgxpool.Pool, attempt func() error) error {
	for number, renewed := 1, false; ; number++ {
		err := attempt()
		code := pgsession.Code(err)
		switch {
		case ctx.Err() != nil || err == nil:
			return err
		case pgsession.Collided(code) && number == collisions:
			return unavailable("the transaction collides with others again and again", err)
		case pgsession.Collided(code):
		case pgsession.Spent(code) && pgsession.Definite(code) && !renewed:
			renewed = true
			pool.Reset() // the other sessions are no better
		default:
			return err
		}
	}
}

func (t *Target) attempt(ctx context.Context, body func(context.Context, pgx.Tx) error) error {
	tx, err := t.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: t.begin})
	if err != nil {
		return unreachable("the target's server cannot be reached", err)
	}
	// Its error would say nothing new. A caller who has left must not leave the
	// transaction open.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if encoding := tx.Conn().PgConn().ParameterStatus("server_encoding"); encoding != "" && encoding != "UTF8" {
		return &persistence.InvalidError{Field: "database", Reason: "has the encoding " + encoding + ", which cannot hold every text: make one with ENCODING 'UTF8' TEMPLATE template0"}
	}
	if err := body(ctx, tx); err != nil {
		discard(ctx, tx, err)
		if lost(tx, err) {
			return unavailable("the connection to the target was lost", err)
		}
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		if answered, ok := errors.AsType[*pgconn.PgError](err); ok && !pgsession.Passing(answered.Code) {
			return err // a constraint that is checked at the end
		}
		if errors.Is(err, pgx.ErrTxCommitRollback) {
			return err // a handler has gone on behind an error of the server
		}
		return unavailable("the connection to the target was lost around a commit", err)
	}
	return nil
}

// discard closes a session that is of no more use though its connection lives, such as
// one whose plans are of other tables. The transaction goes with it.
func discard(ctx context.Context, tx pgx.Tx, err error) {
	if pgsession.Spent(pgsession.Code(err)) && tx.Conn() != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = tx.Conn().Close(closing) // the error that led here says more
	}
}

// lost reports errors that are not about what the statements say: the connection is
// gone, or the server refuses for now.
func lost(tx pgx.Tx, err error) bool {
	if code := pgsession.Code(err); code != "" {
		return pgsession.Passing(code)
	}
	return tx.Conn() == nil || tx.Conn().IsClosed()
}

// unavailable keeps of a driver's error what may be shown: its texts quote
// connection strings and values.
func unavailable(reason string, err error) error {
	if code := pgsession.Code(err); code != "" {
		return &persistence.UnavailableError{Reason: reason, Err: &pgsession.ServerError{Code: code}}
	}
	return &persistence.UnavailableError{Reason: reason}
}

// unreachable is about a transaction that could not begin.
func unreachable(reason string, err error) error {
	if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting {
		return pgsession.Unreachable(err)
	}
	return unavailable(reason, err)
}

// answer translates the server's answer to a statement of ours. A handler's own pass
// as they are.
func answer(err error) error {
	switch code := pgsession.Code(err); {
	case code == "":
		return err
	case pgsession.NoTables(code):
		return &persistence.TablesError{Fix: fixTables}
	case code == pgsession.NotPermitted:
		return &persistence.UnavailableError{Reason: "the role may not use the tables of projections: it needs SELECT, INSERT, UPDATE and DELETE on those in Config.Schema, and with Config.Migrate the right to create them", Err: &pgsession.ServerError{Code: code}}
	default:
		return &pgsession.ServerError{Code: code} // the text may quote data
	}
}

const fixTables = "a program that opens the target with Migrate, once"

// conn adapts a transaction.
type conn struct{ tx pgx.Tx }

// Exec fulfils [sqlbook.Conn].
func (c conn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := c.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), answer(err)
}

// Query fulfils [sqlbook.Conn].
func (c conn) Query(ctx context.Context, scan func(row func(dest ...any) error) error, query string, args ...any) error {
	rows, err := c.tx.Query(ctx, query, args...)
	if err != nil {
		return answer(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return err
		}
	}
	return answer(rows.Err())
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
