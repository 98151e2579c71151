package postgres_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/postgres"
)

// The suite holds for every protocol, with an early release of the order lock, with the rights
// of a program, and behind a pooler.

func TestLongJournalThatReleasesEarly(t *testing.T) {
	t.Parallel()
	journaltest.Durable{Store: func(t testing.TB) func(testing.TB) persistence.Journal {
		t.Helper()
		config := pgtest.Config(t)
		config.EarlyRelease = postgres.EarlyOn
		return opener(config)
	}, Crash: crash, Damage: damage}.Run(t)
}

func TestLongJournalByUnnamedStatementsWithTheRightsOfAProgram(t *testing.T) {
	t.Parallel()
	journaltest.Durable{Store: func(t testing.TB) func(testing.TB) persistence.Journal {
		t.Helper()
		url := pgtest.URL(t)
		roles := named(t, url)
		roles.AppTruncates = true
		grant(t, url, roles)
		config := as(t, url, roles.App)
		config.Protocol = postgres.ProtocolExec
		return func(t testing.TB) persistence.Journal {
			t.Helper()
			journal := opener(config)(t).(*postgres.Journal)
			return program{journal, journal, journal, journal, journal, journal, journal, journal, url}
		}
	}, Crash: crash, Damage: damage}.Run(t)
}

// program is a journal with all its abilities but that of an administrator.
type program struct {
	persistence.Journal
	persistence.Submitter
	persistence.PageReader
	persistence.Transactor
	persistence.Snapshots
	persistence.Schemas
	persistence.Checker
	own *postgres.Journal
	url string
}

func (p program) place() (*postgres.Journal, string) { return p.own, p.url }

func TestLongJournalBehindAPooler(t *testing.T) {
	t.Parallel()
	through := pgtest.Pooler(t)
	journaltest.Durable{Store: func(t testing.TB) func(testing.TB) persistence.Journal {
		t.Helper()
		url := pgtest.URL(t)
		open := opener(postgres.Config{URL: through(url), Pooler: true, Durability: postgres.Relaxed})
		return func(t testing.TB) persistence.Journal {
			t.Helper()
			return pooled{open(t), url}
		}
	}, Crash: crash, Damage: damage}.Run(t)
}

// pooled is a journal behind a pooler.
type pooled struct {
	persistence.Journal
	url string
}

// Unwrap fulfils [persistence.Front].
func (p pooled) Unwrap() persistence.Journal { return p.Journal }

func (p pooled) place() (*postgres.Journal, string) { return p.Journal.(*postgres.Journal), p.url }

// Behind a pooler everything works, or the check says what to do.
func TestCheckOfPoolers(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	strict := pgtest.Pooler(t)(url)
	sent := postgres.ConnConfig(open(t, postgres.Config{URL: url, Durability: postgres.Relaxed})).RuntimeParams
	lenient := pgtest.Pooler(t, "ignore_startup_parameters = "+strings.Join(slices.Sorted(maps.Keys(sent)), ", "))(url)

	_, err := postgres.Open(t.Context(), postgres.Config{URL: strict, Durability: postgres.Relaxed})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	require.ErrorContains(t, err, "set Config.Pooler")

	told := open(t, postgres.Config{URL: strict, Durability: postgres.Relaxed, Pooler: true})
	require.Equal(t, persistence.Fine, examined(t, told, "pooler", false)[0].Severity)
	require.NoError(t, appendOne(t, told, "s-1", persistence.Any, "x").Err)

	forgotten := open(t, postgres.Config{URL: lenient, Durability: postgres.Relaxed, Protocol: postgres.ProtocolExec})
	found(t, examined(t, forgotten, "pooler", false), persistence.Fault, "a pooler gives each transaction another process of the server")

	prepared := open(t, postgres.Config{URL: strict, Durability: postgres.Relaxed, Pooler: true, Protocol: postgres.ProtocolPrepared})
	if finding := examined(t, prepared, "pooler", false)[0]; finding.Severity == persistence.Fault {
		require.Contains(t, finding.Text, "knows no prepared statements")
	} else {
		require.NoError(t, appendOne(t, prepared, "s-1", persistence.Any, "x").Err)
	}

	needless := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed, Pooler: true})
	found(t, examined(t, needless, "pooler", false), persistence.Note, "Config.Pooler says otherwise")
}

// Every mode of PgBouncer that has transactions will do without prepared statements. The
// mode without them cannot hold a journal, whatever the protocol.
func TestModesOfAPooler(t *testing.T) {
	t.Parallel()
	for mode, fine := range map[string]bool{"session": true, "transaction": true, "statement": false} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			through := pgtest.Pooler(t, "pool_mode = "+mode)
			journal := open(t, postgres.Config{URL: through(pgtest.URL(t)), Durability: postgres.Relaxed, Pooler: true})

			err := appendOne(t, journal, "s-1", persistence.NoStream, "x").Err

			if !fine {
				require.ErrorIs(t, err, persistence.ErrUnavailable)
				require.ErrorContains(t, err, "statement pooling mode")
				return
			}
			require.NoError(t, err)
			require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(1), "y").Err)
			require.NoError(t, journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(one("s-2", persistence.NoStream), one("s-1", persistence.Exact(2)))
				return err
			}))
			require.Len(t, readAll(t, journal, "s-1"), 3)
			require.Equal(t, persistence.Fine, examined(t, journal, "pooler", false)[0].Severity)
		})
	}
}

// Migrations go through a pooler, and at once.
func TestMigrateThroughAPooler(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	config := postgres.Config{URL: pgtest.Pooler(t)(url), Pooler: true, Durability: postgres.Relaxed}
	errs := make(chan error, 3)

	for range cap(errs) {
		go func() { errs <- postgres.Migrate(t.Context(), config) }()
	}

	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.NoError(t, postgres.Validate(t.Context(), config))
	all, err := postgres.ListMigrations(t.Context(), config)
	require.NoError(t, err)
	require.False(t, all[len(all)-1].AppliedAt.IsZero())
	require.NoError(t, appendOne(t, open(t, config), "s-1", persistence.NoStream, "x").Err)
}
