package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/persistence/sqlite"
)

// sqliteStore keeps a file for each space in a directory of its own.
type sqliteStore struct {
	rows      *load.Rows
	directory string
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

func (s *sqliteStore) Drop(_ context.Context, space string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		if err := os.Remove(s.file(space) + suffix); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *sqliteStore) Close(context.Context) error { return os.RemoveAll(s.directory) }
