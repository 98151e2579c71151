package postgres_test

import (
	"testing"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/postgres"
)

// The suite holds whatever way statements are sent, with the rights of a program,
// and behind a pooler.

func TestJournalByText(t *testing.T) {
	t.Parallel()
	journaltest.Durable{Store: func(t testing.TB) func(testing.TB) persistence.Journal {
		t.Helper()
		config := pgtest.Config(t)
		config.Protocol = postgres.ProtocolSimple
		return opener(config)
	}, Crash: crash, Damage: damage}.Run(t)
}

func TestJournalByUnnamedStatementsWithTheRightsOfAProgram(t *testing.T) {
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

func TestJournalBehindAPooler(t *testing.T) {
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
