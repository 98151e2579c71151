package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/persistence/sqlite"
)

// openJournal opens what a URL names, and creates it if need be. Relaxed is for
// servers and disks where the last events may be lost with the machine.
func openJournal(ctx context.Context, url string, relaxed bool) (persistence.Journal, error) {
	scheme, path, _ := strings.Cut(url, ":")
	switch scheme {
	case "memory":
		return memory.New(memory.Config{}), nil
	case "sqlite":
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
		return sqlite.Open(ctx, sqlite.Config{Path: path, Relaxed: relaxed})
	case "postgres", "postgresql":
		config := postgres.Config{URL: url, Migrate: true}
		if relaxed {
			config.Durability = postgres.Relaxed
		}
		return postgres.Open(ctx, config)
	}
	return nil, fmt.Errorf("open journal: %q is none of sqlite:PATH, postgres://… and memory", scheme+":")
}
