package store

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	sqlitedriver "modernc.org/sqlite"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
)

func (s *sqliteStore) Rivals() []Rival {
	return []Rival{
		{Name: "insert", Is: "prepared INSERTs of 100 rows, in transactions of at most 1,000", Run: s.insert, Aims: map[int]measure.Aim{4096: measure.AtLeast(0.5), 256: measure.None, 16: measure.None, 1: measure.None}},
		{Name: "flush", Is: "a page of 4,096 bytes that is written and flushed", Run: s.flush, Aims: map[int]measure.Aim{1: measure.AtMost(2)}},
	}
}

// logLong is the length in pages at which the journal stops to copy its log into
// the file even under load. The rival does the same.
const logLong = 8 << 10

// rowsAtOnce is the number of rows of the rival's statement.
const rowsAtOnce = 100

const (
	columnsSQLite = "position, stream_id, version, event_id, created_at, schema_id, type, metadata, headers, payload"
	insertSQLite  = "INSERT INTO event (" + columnsSQLite + ") VALUES "
)

// insert is the least that a journal in a file must do: prepared INSERTs of many
// rows into the same table, in transactions as large as the journal's batches.
func (s *sqliteStore) insert(ctx context.Context, writers int, window time.Duration) (_ load.Result, err error) {
	const space = "rival"
	journal, err := s.Open(ctx, space) // makes the tables
	if err != nil {
		return load.Result{}, err
	}
	if err := journal.Close(); err != nil {
		return load.Result{}, err
	}
	c, err := connectSQLite(ctx, s.file(space))
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = errors.Join(err, c.Close(), s.Drop(ctx, space)) }()
	if err := c.exec(ctx, "PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 0"); err != nil {
		return load.Result{}, err
	}
	in, err := newInserter(ctx, c, s.rows, writers)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	batch := min(writers, 1000)
	l, err := load.Single(window, func(int) error { return in.transaction(ctx, batch) })
	l.Count *= batch
	return l, err
}

// inserter writes rows as a program without any library would.
type inserter struct {
	conn                     *sqliteConn
	rows                     *load.Rows
	writers                  int
	begin, commit, many, one driver.Stmt
	log                      driver.Stmt
	args                     []driver.NamedValue
	position                 int64
}

func newInserter(ctx context.Context, c *sqliteConn, rows *load.Rows, writers int) (*inserter, error) {
	const placeholders = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	in := &inserter{conn: c, rows: rows, writers: writers}
	for _, s := range []struct {
		dest *driver.Stmt
		text string
	}{
		{&in.begin, "BEGIN IMMEDIATE"},
		{&in.commit, "COMMIT"},
		{&in.many, insertSQLite + strings.Repeat(placeholders+", ", rowsAtOnce-1) + placeholders},
		{&in.one, insertSQLite + placeholders},
		{&in.log, "PRAGMA wal_checkpoint(NOOP)"},
	} {
		var err error
		if *s.dest, err = c.PrepareContext(ctx, s.text); err != nil {
			return nil, errors.Join(err, in.Close())
		}
	}
	return in, nil
}

func (in *inserter) Close() error {
	var errs []error
	for _, stmt := range []driver.Stmt{in.begin, in.commit, in.many, in.one, in.log} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

func (in *inserter) transaction(ctx context.Context, count int) error {
	if err := execute(ctx, in.begin, nil); err != nil {
		return err
	}
	now := time.Now().UnixMicro()
	for count > 0 {
		stmt, n := in.one, 1
		if count >= rowsAtOnce {
			stmt, n = in.many, rowsAtOnce
		}
		in.gather(n, now)
		if err := execute(ctx, stmt, in.args); err != nil {
			return err
		}
		count -= n
	}
	if err := execute(ctx, in.commit, nil); err != nil {
		return err
	}
	return in.checkpoint(ctx)
}

func (in *inserter) gather(n int, now int64) {
	in.args = in.args[:0]
	for range n {
		in.position++
		r := in.rows.Next(in.position, in.writers)
		for _, value := range [...]driver.Value{
			r.Position, r.Stream, r.Version, r.ID[:], now, int64(0), load.EventType, string(in.rows.Encoded), nil, r.Payload,
		} {
			in.args = append(in.args, driver.NamedValue{Ordinal: len(in.args) + 1, Value: value})
		}
	}
}

func (in *inserter) checkpoint(ctx context.Context) error {
	pages, err := firstRow(ctx, in.log)
	if err != nil {
		return err
	}
	length, _ := pages[1].(int64)
	copied, _ := pages[2].(int64)
	if length-copied < logLong {
		return nil
	}
	return in.conn.exec(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
}

// flush is the least that a commit must do: write one page of the log and flush
// it. The file is as long before, so that only the page has to reach the disk.
func (s *sqliteStore) flush(_ context.Context, _ int, window time.Duration) (_ load.Result, err error) {
	const page, pages = 4096, 1024
	file, err := os.OpenFile(s.file("flush"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteAt(make([]byte, page*pages), 0); err != nil {
		return load.Result{}, err
	}
	if err := file.Sync(); err != nil {
		return load.Result{}, err
	}
	data := bytes.Repeat(s.rows.Payload(0), page/load.PayloadSize+1)[:page]
	return load.Single(window, func(i int) error {
		if _, err := file.WriteAt(data, int64(i%pages*page)); err != nil {
			return err
		}
		return flushData(file)
	})
}

// Scan reads with one statement what the journal reads, and does no more with a
// value than to take it from the driver, which copies it.
func (s *sqliteStore) Scan(ctx context.Context, space string) (count int, err error) {
	c, err := connectSQLite(ctx, s.file(space))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	stmt, err := c.PrepareContext(ctx, "SELECT "+columnsSQLite+", tags FROM event ORDER BY position")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	err = eachRow(ctx, stmt, func([]driver.Value) bool { count++; return true })
	return count, err
}

// sqliteConn is a connection without database/sql, which would cost the rival
// what the journal does not pay.
type sqliteConn struct {
	driver.Conn
	driver.ExecerContext
	driver.ConnPrepareContext
}

func connectSQLite(ctx context.Context, file string) (*sqliteConn, error) {
	connector, err := sqlitedriver.NewConnector("file:" + file)
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer, ok := conn.(driver.ExecerContext)
	preparer, ok2 := conn.(driver.ConnPrepareContext)
	if !ok || !ok2 {
		return nil, errors.Join(fmt.Errorf("use a %T without database/sql", conn), conn.Close())
	}
	return &sqliteConn{conn, execer, preparer}, nil
}

func (c *sqliteConn) exec(ctx context.Context, text string) error {
	_, err := c.ExecContext(ctx, text, nil)
	return err
}

// execute takes no context further: the driver would start a goroutine for each
// statement to watch it, which the journal does not do either.
func execute(ctx context.Context, stmt driver.Stmt, args []driver.NamedValue) error {
	execer, ok := stmt.(driver.StmtExecContext)
	if !ok {
		return fmt.Errorf("execute a %T", stmt)
	}
	_, err := execer.ExecContext(context.WithoutCancel(ctx), args)
	return err
}

func firstRow(ctx context.Context, stmt driver.Stmt) (first []driver.Value, err error) {
	err = eachRow(ctx, stmt, func(row []driver.Value) bool { first = row; return false })
	return first, err
}

func eachRow(ctx context.Context, stmt driver.Stmt, fn func([]driver.Value) bool) (err error) {
	querier, ok := stmt.(driver.StmtQueryContext)
	if !ok {
		return fmt.Errorf("query a %T", stmt)
	}
	rows, err := querier.QueryContext(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !fn(row):
			return nil
		}
	}
}

// SelectStream fulfils [Selector].
func (s *sqliteStore) SelectStream(ctx context.Context, space, stream string, each func(string, []byte) error) error {
	return s.selected(ctx, space, each, "SELECT e.version, e.type, e.payload FROM event e WHERE e.stream_id = (SELECT s.stream_id FROM stream s WHERE s.name = ?) ORDER BY e.version", stream)
}

// SelectAll fulfils [Selector].
func (s *sqliteStore) SelectAll(ctx context.Context, space string, each func(string, []byte) error) error {
	return s.selected(ctx, space, each, "SELECT position, type, payload FROM event ORDER BY position")
}

func (s *sqliteStore) selected(ctx context.Context, space string, each func(string, []byte) error, text string, args ...any) (err error) {
	db, err := s.db(space)
	if err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var place int64
		var eventType string
		var payload []byte
		if err := rows.Scan(&place, &eventType, &payload); err != nil {
			return err
		}
		if err := each(eventType, payload); err != nil {
			return err
		}
	}
	return rows.Err()
}
