package systemtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	journalpg "github.com/stele-es/stele/persistence/postgres"
	journallite "github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
	sqlitetarget "github.com/stele-es/stele/projections/sqlite"
)

// restorable is a journal that can be backed up and put back while nobody has it open.
type restorable struct {
	open   func(ctx context.Context) (persistence.Journal, error)
	backup func(t *testing.T) (restore func())
}

func restorables() map[string]func(t *testing.T) restorable {
	return map[string]func(t *testing.T) restorable{
		"sqlite": func(t *testing.T) restorable {
			t.Helper()
			path := filepath.Join(t.TempDir(), "journal.db")
			return restorable{func(ctx context.Context) (persistence.Journal, error) {
				return journallite.Open(ctx, journallite.Config{Path: path, Relaxed: true})
			}, func(t *testing.T) func() {
				t.Helper()
				kept, err := os.ReadFile(path)
				require.NoError(t, err)
				return func() {
					for _, beside := range []string{"", "-wal", "-shm"} {
						require.NoError(t, os.RemoveAll(path+beside))
					}
					require.NoError(t, os.WriteFile(path, kept, 0o600))
				}
			}}
		},
		"postgres": func(t *testing.T) restorable {
			t.Helper()
			url := pgtest.URL(t)
			return restorable{func(ctx context.Context) (persistence.Journal, error) {
				return journalpg.Open(ctx, journalpg.Config{URL: url, Durability: journalpg.Relaxed})
			}, func(t *testing.T) func() {
				t.Helper()
				return pgtest.Backup(t, url)
			}}
		},
	}
}

// A journal is restored from a backup, and the store of read models and checkpoints is
// not. Nobody who asks for a command and a view is told that the view shows it; the view
// is made again, and the reactions are put to a place that they had passed: every event
// that is left has its effect once, also those whose reaction was lost with the tail.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	for name, make := range restorables() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := make(t)
			views, err := sqlitetarget.Open(t.Context(), sqlitetarget.Config{Path: filepath.Join(t.TempDir(), "views.db")})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, views.Close()) })
			seen := projections.Define("seen", 1,
				projections.Any(func(ctx context.Context, tx *sql.Tx, e persistence.Recorded) error {
					_, err := tx.ExecContext(ctx, "INSERT INTO seen VALUES (?)", e.Position.Offset)
					return err
				}),
				projections.Setup(func(ctx context.Context, tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS seen (position INTEGER PRIMARY KEY)")
					return err
				}),
				projections.Truncate(func(ctx context.Context, tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, "DELETE FROM seen")
					return err
				}))
			const counters = 5
			counted := 0
			count := func(node *stele.Node, times int) {
				for range times {
					counted++
					_, err := Count.Ask(t.Context(), node, fmt.Sprint(counted%counters), wrapperspb.UInt64(1))
					require.NoError(t, err)
				}
			}
			node, _, stop := nodeOn(t, where, views, seen)
			count(node, 20)
			require.NoError(t, node.Projections().CatchUp(t.Context()))
			passed, err := node.Projections().Info(t.Context(), "reactions-echo")
			require.NoError(t, err)
			// These are in the backup, and what reacts to them is not.
			require.NoError(t, node.Projections().Stop(t.Context(), "reactions-echo"))
			count(node, 7)
			stop()
			restore := where.backup(t)
			kept := counted
			node, _, stop = nodeOn(t, where, views, seen)
			require.NoError(t, node.Projections().Start(t.Context(), "reactions-echo"))
			count(node, 13)
			require.NoError(t, node.Projections().CatchUp(t.Context()))
			stop()
			restore()

			node, journal, stop := nodeOn(t, where, views, seen)
			defer stop()
			all := node.Projections()
			_, err = Count.Ask(t.Context(), node, "0", wrapperspb.UInt64(1), actors.Await(all.Await("seen")))
			require.ErrorIs(t, err, actors.ErrBehind, "the command is done, and the view cannot show it")
			for _, name := range []string{"seen", "reactions-echo"} {
				require.ErrorIs(t, all.WaitFor(t.Context(), name, persistence.Position{Offset: 1}), projections.ErrDiverged)
			}
			require.ErrorContains(t, all.Reset(t.Context(), "reactions-echo"), "Seek")
			require.NoError(t, all.Reset(t.Context(), "seen"))
			sought, err := all.Seek(t.Context(), "reactions-echo", passed.Position)
			require.NoError(t, err)
			require.True(t, sought.Diverged)
			require.NoError(t, all.CatchUp(t.Context()))
			count(node, 3)
			require.NoError(t, all.CatchUp(t.Context()))
			require.NoError(t, all.CatchUp(t.Context()), "also with what the reactions have raised")

			heard := 0
			for counter := range counters {
				var echoed, told []string
				for recorded, err := range journal.Read(t.Context(), persistence.StreamID(fmt.Sprint("echo-counter-", counter)), persistence.ReadOptions{}) {
					require.NoError(t, err)
					echoed = append(echoed, strings.Split(string(recorded.Payload), `"`)[3])
				}
				for recorded, err := range journal.Read(t.Context(), persistence.StreamID(fmt.Sprint("counter-", counter)), persistence.ReadOptions{}) {
					require.NoError(t, err)
					told = append(told, fmt.Sprint(recorded.Version))
				}
				require.Equal(t, told, echoed, "each event that is left, once and in order")
				heard += len(told)
			}
			require.Equal(t, kept+1+3, heard)
			events, rows := 0, 0
			for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
				require.NoError(t, err)
				events += len(page.Events)
			}
			require.NoError(t, views.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM seen").Scan(&rows))
			require.Equal(t, events, rows, "the view is made of the history that is left")
		})
	}
}

// nodeOn starts a node on the journal as it is at this moment.
func nodeOn(t *testing.T, where restorable, views *sqlitetarget.Target, seen *projections.Definition[*sql.Tx]) (*stele.Node, persistence.Journal, func()) {
	t.Helper()
	journal, err := where.open(t.Context())
	require.NoError(t, err)
	node, err := stele.Start(t.Context(), stele.Config{
		Journal: journal, Aggregates: stele.Aggregates{Counters, echoes}, Projections: stele.Projections{seen.Into(views)}, Checkpoints: views,
	})
	require.NoError(t, err)
	return node, journal, func() {
		require.NoError(t, node.Stop(context.WithoutCancel(t.Context())))
		require.NoError(t, journal.Close())
	}
}
