package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	journalpg "github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
)

func TestInline(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	inner, err := journalpg.Open(t.Context(), journalpg.Config{URL: url, Durability: journalpg.Relaxed})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, inner.Close()) })
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), "CREATE TABLE taken (n int PRIMARY KEY, by text)")
	require.NoError(t, err)
	errRefused := errors.New("no zero")
	unique := projections.Define("taken", 1, projections.On(func(ctx context.Context, tx pgx.Tx, e projections.Event[added]) error {
		switch e.Data.N {
		case 0:
			return errRefused
		case -1:
			panic("secret")
		}
		_, err := tx.Exec(ctx, "INSERT INTO taken VALUES ($1, $2)", e.Data.N, fmt.Sprintf("%s@%d", e.Stream, e.Version))
		return err
	})).With(projections.FromKinds("a"))
	journal := postgres.Inline(inner, pool, unique)
	store := func(stream persistence.StreamID, expected persistence.Expected, numbers ...int) persistence.Outcome {
		a := persistence.Append{Stream: stream, Expected: expected}
		for _, n := range numbers {
			a.Events = append(a.Events, persistence.Event{Type: "added", Payload: fmt.Appendf(nil, `{"N":%d}`, n)})
		}
		outcomes, err := journal.Append(t.Context(), a)
		require.NoError(t, err)
		return outcomes[0]
	}

	require.NoError(t, store("a-1", persistence.NoStream, 1, 2).Err)
	require.ErrorIs(t, store("a-2", persistence.NoStream, 3, 2).Err, persistence.ErrRejected, "2 is taken")
	require.ErrorIs(t, store("a-2", persistence.NoStream, 0).Err, errRefused)
	refused := store("a-2", persistence.NoStream, -1).Err
	require.ErrorIs(t, refused, persistence.ErrRejected)
	require.NotContains(t, refused.Error(), "secret")
	require.ErrorIs(t, store("a-1", persistence.NoStream, 9).Err, persistence.ErrConflict)
	require.NoError(t, store("b-1", persistence.NoStream, 2).Err, "another kind")
	require.NoError(t, store("a-1", persistence.Exact(2), 3).Err)

	var rows []string
	found, err := pool.Query(t.Context(), "SELECT n || ' ' || by FROM taken ORDER BY n")
	require.NoError(t, err)
	rows, err = pgx.CollectRows(found, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"1 a-1@1", "2 a-1@2", "3 a-1@3"}, rows)
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{4}, head, "what was refused is not in the journal")
	_, err = journal.Append(t.Context(), persistence.Append{})
	require.ErrorIs(t, err, persistence.ErrInvalid)
}
