package sqlite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/sqlite"
)

func TestJournal(t *testing.T) {
	t.Parallel()
	journaltest.Durable{Store: newStore, Crash: sqlite.Crash, Damage: sqlite.Damage, Replace: sqlite.Replace}.Run(t)
}

func BenchmarkJournal(b *testing.B) {
	journaltest.Benchmark(b, func(t testing.TB) persistence.Journal { return newStore(t)(t) })
}

func newStore(t testing.TB) func(testing.TB) persistence.Journal {
	path := newPath(t)
	return func(t testing.TB) persistence.Journal {
		journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		require.NoError(t, err)
		return journal
	}
}
