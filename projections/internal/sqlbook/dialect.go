// Package sqlbook keeps the books of projections in the tables of an SQL database,
// in one way for all that know INSERT … ON CONFLICT and UPDATE … RETURNING.
//
//	statements, err := sqlbook.Postgres("stele")
//	book := statements.Book(conn) // inside a transaction
//
// It knows no driver: who has one adapts its transactions to [Conn].
package sqlbook

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Conn is a transaction of some driver.
type Conn interface {
	// Exec returns how many rows were affected.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	// Query calls scan for every row, with a function that takes its values.
	Query(ctx context.Context, scan func(row func(dest ...any) error) error, query string, args ...any) error
}

// Dialect says how the statements are written for one database.
type Dialect struct {
	// Prefix stands before the names of tables: a schema and a dot, or a part of the name.
	Prefix string
	// Bytewise makes a column compare bytewise, Bytes is the type of binary values, and
	// Filled is how a table is stored whose rows are updated all the time.
	Bytewise, Bytes, Filled string
	// Lock takes a lock on its parameter until the end of the transaction. Empty when
	// transactions that write take turns anyway.
	Lock string
	// Numbered is the beginning of a numbered parameter, "$" or "?".
	Numbered string
}

//go:embed sql/*.sql migration/*.sql
var files embed.FS

// Statements are those of one database.
type Statements struct {
	dialect Dialect
	text    map[string]string
}

// parameter is one as the files write it.
var parameter = regexp.MustCompile(`\$[0-9]+`)

// New prepares the statements for a dialect.
func New(dialect Dialect) (*Statements, error) {
	s := &Statements{dialect: dialect, text: map[string]string{}}
	names, err := fs.Glob(files, "sql/*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := s.read(name)
		if err != nil {
			return nil, err
		}
		s.text[strings.TrimSuffix(path.Base(name), ".sql")] = parameter.ReplaceAllStringFunc(withoutComments(text), func(found string) string {
			return dialect.Numbered + found[1:]
		})
	}
	return s, nil
}

func (s *Statements) read(name string) (string, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return "", err
	}
	return strings.NewReplacer(
		"{prefix}", s.dialect.Prefix, "{bytewise}", s.dialect.Bytewise, "{bytes}", s.dialect.Bytes, "{filled}", s.dialect.Filled,
	).Replace(string(text)), nil
}

// withoutComments spares the server what is for readers.
func withoutComments(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "--") {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	return strings.TrimSuffix(strings.Join(kept, " "), ";")
}

// Newest is the number of migrations that these statements need.
func (s *Statements) Newest() (int, error) {
	names, err := fs.Glob(files, "migration/*.sql")
	return len(names), err
}

// Version is the number of migrations that a database has seen, 0 for one without tables.
// The error for those is the database's, so the caller looks whether there are tables.
func (s *Statements) Version(ctx context.Context, conn Conn) (version int, err error) {
	err = conn.Query(ctx, func(row func(...any) error) error { return row(&version) },
		fmt.Sprintf("SELECT coalesce(max(version), 0) FROM %sprojection_migration", s.dialect.Prefix))
	return version, err
}

// Migrate brings the tables up to date, inside a transaction, from the version that
// they have.
func (s *Statements) Migrate(ctx context.Context, conn Conn) error {
	if s.dialect.Lock != "" {
		if _, err := conn.Exec(ctx, s.dialect.Lock, "migration"); err != nil {
			return err
		}
	}
	table := fmt.Sprintf("CREATE TABLE IF NOT EXISTS %sprojection_migration (version integer NOT NULL CONSTRAINT projection_migration_pkey PRIMARY KEY)", s.dialect.Prefix)
	if _, err := conn.Exec(ctx, table); err != nil {
		return err
	}
	have, err := s.Version(ctx, conn)
	if err != nil {
		return err
	}
	names, err := fs.Glob(files, "migration/*.sql")
	if err != nil {
		return err
	}
	for i := have; i < len(names); i++ {
		text, err := s.read(names[i])
		if err != nil {
			return err
		}
		for statement := range strings.SplitSeq(text, ";\n") {
			if strings.TrimSpace(withoutComments(statement)) == "" {
				continue
			}
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		if _, err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO %sprojection_migration (version) VALUES (%d)", s.dialect.Prefix, i+1)); err != nil {
			return err
		}
	}
	return nil
}
