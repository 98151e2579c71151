package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	driver "modernc.org/sqlite"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/sqlite"
)

// backups are the ways of making a copy that the package's comment names, beside the
// program that has the journal open.
var backups = map[string]func(ctx context.Context, from *sql.DB, to string) error{
	"VACUUM INTO": func(ctx context.Context, from *sql.DB, to string) error {
		_, err := from.ExecContext(ctx, "VACUUM INTO ?", to)
		return err
	},
	"the backup API in one step": func(ctx context.Context, from *sql.DB, to string) error {
		conn, err := from.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		return conn.Raw(func(raw any) error {
			backup, err := raw.(interface { //nolint:forcetypeassert // a test
				NewBackup(to string) (*driver.Backup, error)
			}).NewBackup(to)
			if err != nil {
				return err
			}
			if more, err := backup.Step(-1); err != nil || more {
				return fmt.Errorf("more to come %t: %w", more, err)
			}
			return backup.Finish()
		})
	},
}

// A copy that is made while another process appends opens as a journal, is whole, and
// holds the beginning of what that one has stored: all that was acknowledged before the
// copy was begun, and nothing that the journal does not have.
func TestBackupBesideAProgramThatWrites(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	p := startChild(t, path)
	var (
		mu    sync.Mutex // protects acked
		acked = map[string]bool{}
	)
	progress, drained := make(chan struct{}, 1), make(chan struct{})
	go func() { // ends with the process
		defer close(drained)
		for line, more := p.Line(); more; line, more = p.Line() {
			mu.Lock()
			acked[line] = true
			mu.Unlock()
			select {
			case progress <- struct{}{}:
			default:
			}
		}
	}()
	acknowledged := func() map[string]bool {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(acked)
	}
	db := openDB(t, path)

	copies := map[string]map[string]bool{} // and what was acknowledged before
	for name, backup := range backups {
		for i := range 3 {
			for began := len(acknowledged()); len(acknowledged()) < began+100; {
				<-progress
			}
			to := filepath.Join(t.TempDir(), fmt.Sprint(i, ".db"))
			copies[to] = acknowledged()
			require.NoError(t, backup(t.Context(), db, to), name)
		}
	}
	p.Stab()
	<-drained
	require.Error(t, p.Wait(), "it was killed")

	verify(t, path, acknowledged())
	stored := everything(t, path)
	for to, before := range copies {
		journal := open(t, to)
		findings, err := journal.Check(t.Context(), persistence.CheckOptions{Full: true})
		require.NoError(t, err)
		for _, finding := range findings {
			require.NotEqual(t, persistence.Fault, finding.Severity, "%s", finding.Text)
		}
		require.NoError(t, journal.Close())
		verify(t, to, before)
		held := everything(t, to)
		require.LessOrEqual(t, len(held), len(stored)) // nothing may come after the last copy
		require.Equal(t, stored[:len(held)], held)
	}
}

// everything is what a journal holds, in order.
func everything(t *testing.T, path string) (all []persistence.Recorded) {
	t.Helper()
	journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		all = append(all, page.Events...)
	}
	require.NoError(t, journal.Close())
	return all
}
