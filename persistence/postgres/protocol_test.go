package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/postgres"
)

// A journal keeps its promises whatever way its statements are sent.
func TestJournalByUnnamedStatements(t *testing.T) {
	t.Parallel()
	journaltest.Durable{Store: storeBy(postgres.ProtocolExec), Crash: crash, Damage: damage}.Run(t)
}

func TestJournalByText(t *testing.T) {
	t.Parallel()
	journaltest.Durable{Store: storeBy(postgres.ProtocolSimple), Crash: crash, Damage: damage}.Run(t)
}

func storeBy(protocol postgres.Protocol) func(testing.TB) func(testing.TB) persistence.Journal {
	return func(t testing.TB) func(testing.TB) persistence.Journal {
		t.Helper()
		config := pgtest.Config(t)
		config.Protocol = protocol
		return func(t testing.TB) persistence.Journal {
			t.Helper()
			journal, err := postgres.Open(t.Context(), config)
			require.NoError(t, err)
			return journal
		}
	}
}
