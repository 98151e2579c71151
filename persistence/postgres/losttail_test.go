package postgres_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// A journal that has stored an event says by its head when the server does not have the
// event any more, however it was stored, and also when others have used its position again.
func TestOwnEventsThatAreLostAreTold(t *testing.T) {
	t.Parallel()
	ways := map[string]func(t *testing.T, journal *postgres.Journal){
		"at a version": func(t *testing.T, journal *postgres.Journal) {
			t.Helper()
			require.NoError(t, appendOne(t, journal, "a-1", persistence.Exact(1), "lost").Err)
		},
		"at any version": func(t *testing.T, journal *postgres.Journal) {
			t.Helper()
			require.NoError(t, appendOne(t, journal, "a-1", persistence.Any, "lost").Err)
		},
		"in a transaction": func(t *testing.T, journal *postgres.Journal) {
			t.Helper()
			require.NoError(t, journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(one("a-1", persistence.Any))
				return err
			}))
		},
	}
	for name, store := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			journal, stranger := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed}), other(t, url)
			require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "kept").Err)
			_, err := journal.Head(t.Context())
			require.NoError(t, err)
			store(t, journal)
			_, err = journal.Head(t.Context())
			require.NoError(t, err)

			execute(t, url, "DELETE FROM stele.event WHERE position > 1")

			_, err = journal.Head(t.Context())
			require.ErrorIs(t, err, persistence.ErrLostTail, "the journal ends before")
			require.NoError(t, appendOne(t, stranger, "t-1", persistence.NoStream, "other").Err)
			_, err = journal.Head(t.Context())
			require.ErrorIs(t, err, persistence.ErrLostTail, "another event stands there")
			_, err = open(t, postgres.Config{URL: url, Durability: postgres.Relaxed}).Head(t.Context())
			require.NoError(t, err, "another journal goes on")
		})
	}
}
