package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/persistence/sqlite"
)

// sqliteStore keeps a file for each space in a directory of its own.
type sqliteStore struct {
	rows      *load.Rows
	directory string

	mu  sync.Mutex
	dbs map[string]*sql.DB // of the spaces that are read by plain SELECTs
}

func openSQLite(context.Context, Settings) (Store, error) {
	directory, err := os.MkdirTemp("", "stele-bench-")
	if err != nil {
		return nil, err
	}
	return &sqliteStore{rows: load.NewRows(), directory: directory}, nil
}

func (s *sqliteStore) About() string {
	return "one file in " + filepath.Dir(s.directory) + ", journal_mode=WAL synchronous=FULL"
}

func (s *sqliteStore) file(space string) string { return filepath.Join(s.directory, space+".db") }

func (s *sqliteStore) Open(ctx context.Context, space string) (Journal, error) {
	return sqlite.Open(ctx, sqlite.Config{Path: s.file(space)})
}

// db returns the connections that read a space by plain SELECTs. They stay open until the
// space is dropped, as those of a program would.
func (s *sqliteStore) db(space string) (db *sql.DB, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dbs[space] != nil {
		return s.dbs[space], nil
	}
	if db, err = sql.Open("sqlite", "file:"+s.file(space)); err != nil {
		return nil, err
	}
	if s.dbs == nil {
		s.dbs = map[string]*sql.DB{}
	}
	s.dbs[space] = db
	return db, nil
}

func (s *sqliteStore) Drop(_ context.Context, space string) error {
	var errs []error
	s.mu.Lock()
	if db := s.dbs[space]; db != nil {
		errs = append(errs, db.Close())
		delete(s.dbs, space)
	}
	s.mu.Unlock()
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		if err := os.Remove(s.file(space) + suffix); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *sqliteStore) Close(context.Context) error { return os.RemoveAll(s.directory) }
