package sqlite

import (
	"context"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// conn is one connection to the file. It speaks to the driver itself:
// database/sql would lock, box and copy for every row, and its pool has no use
// here. Like every SQLite connection it serves one goroutine at a time.
type conn struct {
	driver connection
	stmts  []*stmt
}

// connection is what the driver's connections can do.
type connection interface {
	driver.Conn
	driver.ExecerContext
	driver.ConnPrepareContext
}

// stmt is a prepared statement with room for its arguments and one row.
type stmt struct {
	driver statement
	args   []driver.NamedValue
	row    []driver.Value
}

// statement is what the driver's statements can do.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// detached is the context of every statement. A statement here takes
// microseconds or, for a page, milliseconds; to make it end sooner the driver
// would start a goroutine for each, and a commit must not be cut off at all.
// Callers' contexts are looked at in between.
var detached = context.Background() //nolint:forbidigo // see above

func connect(file, mode string) (*conn, error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: slashed(file), RawQuery: "mode=" + mode}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	opened, err := connector.Connect(detached)
	if err != nil {
		return nil, err
	}
	full, ok := opened.(connection)
	if !ok {
		return nil, errors.Join(fmt.Errorf("use a %T as a connection to SQLite", opened), opened.Close())
	}
	return &conn{driver: full}, nil
}

// slashed is the path as URIs have it, which on Windows begins with a slash
// before the drive.
func slashed(file string) string {
	file = filepath.ToSlash(file)
	if !path.IsAbs(file) && filepath.IsAbs(file) {
		return "/" + file
	}
	return file
}

// close releases the statements and the connection.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.driver.Close())
	}
	c.stmts = nil
	return errors.Join(append(errs, c.driver.Close())...)
}

// exec runs statements that have neither arguments nor interesting results.
func (c *conn) exec(text string) error {
	_, err := c.driver.ExecContext(detached, text, nil)
	return err
}

func (c *conn) prepare(text string) (*stmt, error) {
	prepared, err := c.driver.PrepareContext(detached, text)
	if err != nil {
		return nil, err
	}
	full, ok := prepared.(statement)
	if !ok {
		return nil, errors.Join(fmt.Errorf("use a %T as a statement of SQLite", prepared), prepared.Close())
	}
	s := &stmt{driver: full}
	c.stmts = append(c.stmts, s)
	return s, nil
}

// firstOf runs a query once and returns its first row, or nil.
func (c *conn) firstOf(text string) (row []driver.Value, err error) {
	err = c.eachOf(text, nil, func(found []driver.Value) bool {
		row = found
		return false
	})
	return row, err
}

// eachOf is [stmt.each] for a query that is run once.
func (c *conn) eachOf(text string, args []driver.Value, fn func(row []driver.Value) bool) (err error) {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	c.stmts = c.stmts[:len(c.stmts)-1]
	defer func() { err = errors.Join(err, s.driver.Close()) }()
	return s.each(args, fn)
}

// eachUntil is eachOf for a query that takes long: it ends with ctx.
func (c *conn) eachUntil(ctx context.Context, text string, fn func(row []driver.Value) bool) (err error) {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	c.stmts = c.stmts[:len(c.stmts)-1]
	defer func() { err = errors.Join(err, s.driver.Close()) }()
	return s.eachUntil(ctx, nil, fn)
}

// integers runs a query once and returns the integers of its first row.
func (c *conn) integers(text string, dest ...*int64) error {
	row, err := c.firstOf(text)
	if err != nil {
		return err
	}
	if len(row) < len(dest) {
		return fmt.Errorf("read %d integers from %q", len(dest), text)
	}
	for i := range dest {
		n, ok := row[i].(int64)
		if !ok {
			return fmt.Errorf("read an integer from %q", text)
		}
		*dest[i] = n
	}
	return nil
}

// run executes the statement for its effect.
func (s *stmt) run(args ...driver.Value) error {
	_, err := s.driver.ExecContext(detached, s.bind(args))
	return err
}

// change executes the statement and returns how many rows it has changed.
func (s *stmt) change(args ...driver.Value) (int64, error) {
	result, err := s.driver.ExecContext(detached, s.bind(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// first returns the first row, or nil when there is none. The row stays valid
// until the next call.
func (s *stmt) first(args ...driver.Value) ([]driver.Value, error) {
	var found []driver.Value
	err := s.each(args, func(row []driver.Value) bool {
		found = row
		return false
	})
	return found, err
}

// each calls fn with every row until it returns false. The row is reused, what
// it holds is not.
func (s *stmt) each(args []driver.Value, fn func(row []driver.Value) bool) error {
	return s.eachUntil(detached, args, fn)
}

func (s *stmt) eachUntil(ctx context.Context, args []driver.Value, fn func(row []driver.Value) bool) (err error) {
	rows, err := s.driver.QueryContext(ctx, s.bind(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if s.row == nil {
		s.row = make([]driver.Value, len(rows.Columns()))
	}
	for {
		switch err := rows.Next(s.row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !fn(s.row):
			return nil
		}
	}
}

func (s *stmt) bind(args []driver.Value) []driver.NamedValue {
	for len(s.args) < len(args) {
		s.args = append(s.args, driver.NamedValue{Ordinal: len(s.args) + 1})
	}
	for i := range args {
		s.args[i].Value = args[i]
	}
	return s.args[:len(args)]
}

//go:embed sql/*.sql
var queries embed.FS

// query returns the text of one of the package's statements.
func query(name string) string {
	text, err := queries.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic("sqlite: " + err.Error()) //nolint:forbidigo // this package has misspelt a name of its own
	}
	return string(text)
}

// repeated returns an INSERT whose row of parameters stands there several times.
func repeated(insert string, times int) string {
	at := strings.LastIndex(insert, "(")
	row := strings.TrimSpace(insert[at:])
	return insert[:at] + strings.Repeat(row+", ", times-1) + row
}
