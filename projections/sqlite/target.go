package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stele-es/stele/internal/sqlitefile"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/internal/sqlbook"
	"github.com/stele-es/stele/projections/internal/turn"
)

// Config says where a [Target] is.
type Config struct {
	// Path is the file, which is made when it is missing. It must lie on a local disk.
	Path string
}

// Target is a file with read models. Use [Open]. It is safe for concurrent use.
type Target struct {
	file       string
	db         *sql.DB                          // for readers
	writer     *sql.DB                          // for one transaction at a time
	files      atomic.Pointer[sqlitefile.Files] // nil until the file is there
	statements *sqlbook.Statements
	// turn lets the workers of this process wait for each other here, where waiting
	// costs nothing and ends with their contexts, and not in SQLite, which would look
	// again and again.
	turn turn.Turn
}

// patience is the time that a transaction waits for other programs that write to the
// file.
const patience = 5 * time.Second

// Open opens the file and brings the tables of the books up to date.
func Open(ctx context.Context, config Config) (*Target, error) {
	if err := sqlitefile.CheckPath(config.Path); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(config.Path)
	if err != nil {
		return nil, &persistence.UnavailableError{Reason: "the target's directory cannot be found", Err: err}
	}
	file, err := sqlitefile.RealPath(path)
	if err != nil {
		return nil, &persistence.UnavailableError{Reason: "the target's directory cannot be found", Err: err}
	}
	if err := sqlitefile.CheckFile(file); err != nil {
		return nil, err
	}
	statements, err := sqlbook.New(sqlbook.Dialect{Prefix: "stele_", Bytes: "blob", Numbered: "?"})
	if err != nil {
		return nil, err
	}
	t := &Target{file: file, statements: statements}
	if t.db, err = t.connect(file, patience); err != nil {
		return nil, err
	}
	// It asks again by itself, see begin: SQLite would not look at the context.
	if t.writer, err = t.connect(file, 0); err != nil {
		return nil, errors.Join(err, t.db.Close())
	}
	err = t.transact(ctx, func(ctx context.Context, tx *sql.Tx) error { return statements.Migrate(ctx, conn{tx}) })
	if err == nil {
		var files *sqlitefile.Files
		files, err = sqlitefile.Opened(path, file)
		t.files.Store(files)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the target of projections: %w", err), t.Close())
	}
	return t, nil
}

// connect does no I/O.
func (t *Target) connect(file string, patience time.Duration) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: slashed(file), RawQuery: fmt.Sprintf(
		"_txlock=immediate&_pragma=busy_timeout(%d)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)", patience.Milliseconds())}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connecting{connector, t}), nil
}

// slashed is the path as URIs have it, which on Windows begins with a slash before the
// drive.
func slashed(file string) string {
	file = filepath.ToSlash(file)
	if !strings.HasPrefix(file, "/") {
		return "/" + file
	}
	return file
}

// connecting makes connections to the file that the others have, or none.
type connecting struct {
	driver.Connector
	target *Target
}

// Connect fulfils [driver.Connector].
func (c connecting) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.target.standing(); err != nil {
		return nil, err
	}
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.target.standing(); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// standing returns an error unless the names of the file lead to what is open: what is
// committed would be lost with the program.
func (t *Target) standing() error {
	files := t.files.Load()
	if files == nil {
		return nil
	}
	if err := files.Check(); err != nil {
		return err
	}
	return files.CheckLog()
}

// DB is for those who read. Writes with it hold up the projections.
func (t *Target) DB() *sql.DB { return t.db }

// Close closes the file. The projections must have ended.
func (t *Target) Close() error { return errors.Join(t.writer.Close(), t.db.Close()) }

// Update fulfils [projections.Store].
func (t *Target) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	return t.transact(ctx, func(ctx context.Context, tx *sql.Tx) error { return body(ctx, t.statements.Book(conn{tx})) })
}

// Transact fulfils [projections.Target].
func (t *Target) Transact(ctx context.Context, body func(context.Context, *sql.Tx, projections.Book) error) error {
	return t.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return body(ctx, tx, t.statements.Book(conn{tx}))
	})
}

// View fulfils [projections.Sequential]. It sees what is committed, and waits for
// nobody who writes.
func (t *Target) View(ctx context.Context, body func(context.Context, projections.Book) error) error {
	tx, err := t.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return away("the target's file cannot be read", err)
	}
	defer func() { _ = tx.Rollback() }() // it has only read
	if err := body(ctx, t.statements.Book(conn{tx})); err != nil {
		return failed("the target's file cannot be read", err)
	}
	return nil
}

// Holds fulfils [projections.Sequential].
func (t *Target) Holds(ctx context.Context) bool { return t.turn.Holds(ctx) }

func (t *Target) transact(ctx context.Context, body func(context.Context, *sql.Tx) error) error {
	ctx, leave, err := t.turn.Take(ctx)
	switch {
	case errors.Is(err, persistence.ErrInvalid):
		return err
	case err != nil:
		return away("others write to the target's file", err)
	}
	defer leave()
	if err := t.standing(); err != nil {
		return err
	}
	tx, err := t.begin(ctx)
	if err != nil {
		return away("the target's file cannot be written", err)
	}
	defer func() { _ = tx.Rollback() }() // its error would say nothing new
	if err := body(ctx, tx); err != nil {
		return failed("the target's file cannot be written", err)
	}
	if err := tx.Commit(); err != nil {
		return away("the target's file could not be committed to", err)
	}
	return t.standing()
}

// begin waits for other programs that write to the file, as long as ctx lasts.
func (t *Target) begin(ctx context.Context) (*sql.Tx, error) {
	ends := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		tx, err := t.writer.BeginTx(ctx, nil)
		if err == nil || !busy(err) || time.Now().After(ends) {
			return tx, err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
		}
	}
}

// failed returns the answer to an error of a body.
func failed(reason string, err error) error {
	if passing(err) || errors.Is(err, sql.ErrTxDone) {
		return away(reason, err)
	}
	return err
}

// busy reports that another program writes.
func busy(err error) bool {
	answered, ok := errors.AsType[*sqlite.Error](err)
	return ok && answered.Code()&0xff == sqlite3.SQLITE_BUSY
}

// passing reports errors that are not about what the statements say: the file is
// busy or damaged, the disk is full or fails.
func passing(err error) bool {
	answered, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch answered.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

// away is [unavailable] for the target, which can be made again from the journal.
func away(reason string, err error) error {
	if answered, ok := errors.AsType[*sqlite.Error](err); ok {
		switch answered.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			reason = "the target's file is damaged: end the program, put a copy of it in place or remove it with its -wal, and start the program again, which applies what is missing"
		}
	}
	return unavailable(reason, err)
}

// unavailable keeps of a driver's error what may be shown.
func unavailable(reason string, err error) error {
	if errors.Is(err, persistence.ErrReplaced) {
		return err
	}
	if answered, ok := errors.AsType[*sqlite.Error](err); ok {
		if answered.Code()&0xff == sqlite3.SQLITE_FULL {
			reason += ", the disk is full"
		}
		return &persistence.UnavailableError{Reason: reason, Err: fmt.Errorf("SQLite answered %d", answered.Code())}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &persistence.UnavailableError{Reason: reason, Err: err}
	}
	return &persistence.UnavailableError{Reason: reason}
}

// conn adapts a transaction.
type conn struct{ tx *sql.Tx }

// Exec fulfils [sqlbook.Conn].
func (c conn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := c.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, ofBooks(err)
	}
	return result.RowsAffected()
}

// ofBooks says what an error of a statement of the books means that SQLite does not
// understand: its tables are not there.
func ofBooks(err error) error {
	if answered, ok := errors.AsType[*sqlite.Error](err); ok && answered.Code()&0xff == sqlite3.SQLITE_ERROR {
		return &persistence.ReplacedError{Reason: "tables of projections are missing from the target's file, by the doing of another program: put them back, or start this program again, which makes them anew and applies all events"}
	}
	return err
}

// Query fulfils [sqlbook.Conn].
func (c conn) Query(ctx context.Context, scan func(row func(dest ...any) error) error, query string, args ...any) error {
	rows, err := c.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return ofBooks(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
