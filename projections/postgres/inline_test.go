package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	journalpg "github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
)

var errRefused = errors.New("no zero")

// taken are numbers that may be taken once, and what the last one says of the stream
// is checked at the end of the transaction.
func taken() *projections.Definition[pgx.Tx] {
	return projections.Define("taken", 1, projections.Setup(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS taken (n int PRIMARY KEY, by text, late int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
		return err
	}), projections.On(func(ctx context.Context, tx pgx.Tx, e projections.Event[added]) error {
		switch e.Data.N {
		case 0:
			return errRefused
		case -1:
			panic("secret")
		}
		_, err := tx.Exec(ctx, "INSERT INTO taken VALUES ($1, $2, $3)", e.Data.N, fmt.Sprintf("%s@%d", e.Stream, e.Version), e.Data.N%100)
		return err
	})).With(projections.FromKinds("a"))
}

func openInline(t testing.TB, definitions ...*projections.Definition[pgx.Tx]) (*postgres.InlineJournal, *pgxpool.Pool) {
	url := pgtest.URL(t)
	behind, err := journalpg.Open(t.Context(), journalpg.Config{URL: url, Durability: journalpg.Relaxed})
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	journal, err := postgres.Inline(t.Context(), behind, pool, definitions...)
	require.NoError(t, err)
	return journal, pool
}

func take(stream string, expected persistence.Expected, numbers ...int) persistence.Append {
	a := persistence.Append{Stream: persistence.StreamID(stream), Expected: expected}
	for _, n := range numbers {
		a.Events = append(a.Events, persistence.Event{Type: "added", Payload: fmt.Appendf(nil, `{"N":%d}`, n)})
	}
	return a
}

// The read model changes in the transaction that appends, and what is refused takes
// nobody else along: not those that were to be stored with it, nor those before it
// in its own chain.
func TestInline(t *testing.T) {
	t.Parallel()
	journal, pool := openInline(t, taken())
	t.Cleanup(func() { require.NoError(t, journal.Close()) })

	outcomes, err := journal.Append(t.Context(),
		take("a-1", persistence.NoStream, 1, 2), take("a-2", persistence.NoStream, 3, 2), take("a-3", persistence.NoStream, 0),
		take("a-4", persistence.NoStream, -1), take("a-5", persistence.Exact(7), 5), take("b-1", persistence.NoStream, 2),
		take("a-6", persistence.NoStream, 6), take("a-7", persistence.NoStream, 101))
	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	require.ErrorIs(t, outcomes[1].Err, persistence.ErrRejected, "2 is taken")
	require.ErrorIs(t, outcomes[2].Err, errRefused)
	require.ErrorIs(t, outcomes[3].Err, persistence.ErrRejected)
	require.NotContains(t, outcomes[3].Err.Error(), "secret")
	require.ErrorIs(t, outcomes[4].Err, persistence.ErrConflict)
	require.NoError(t, outcomes[5].Err, "another kind")
	require.NoError(t, outcomes[6].Err)
	require.ErrorIs(t, outcomes[7].Err, persistence.ErrRejected, "at the commit")
	chain, chained := new(persistence.Chain), make(chan persistence.Outcome, 3)
	for i, n := range []int{11, 1, 12} {
		require.NoError(t, journal.Submit(take("a-8", persistence.Exact(persistence.Version(i)), n), chain, func(o persistence.Outcome) { chained <- o }))
	}
	require.NoError(t, (<-chained).Err)
	require.ErrorIs(t, (<-chained).Err, persistence.ErrRejected)
	require.ErrorIs(t, (<-chained).Err, persistence.ErrRejected, "it was decided on what is not stored")

	require.Equal(t, []string{"1 a-1@1", "2 a-1@2", "6 a-6@1", "11 a-8@1"}, rowsOf(t, pool))
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{5}, head, "what was refused is not in the journal")
	_, err = journal.Append(t.Context(), persistence.Append{})
	require.ErrorIs(t, err, persistence.ErrInvalid)
}

// Of many who want the same, each number is given once.
func TestInlineCrowd(t *testing.T) {
	t.Parallel()
	journal, pool := openInline(t, taken())
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	const callers, numbers = 16, 20
	var group errgroup.Group
	won := make([]int, callers)
	for caller := range callers {
		group.Go(func() error {
			for n := range numbers {
				outcomes, err := journal.Append(t.Context(), take(fmt.Sprint("a-", caller), persistence.Any, n+1))
				if err != nil {
					return err
				}
				if outcomes[0].Err == nil {
					won[caller]++
				} else if !errors.Is(outcomes[0].Err, persistence.ErrRejected) {
					return outcomes[0].Err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	sum := 0
	for _, n := range won {
		sum += n
	}
	require.Equal(t, numbers, sum)
	require.Len(t, rowsOf(t, pool), numbers)
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{numbers}, head)
}

// Statements that are queued are sent behind the appends, and tell which of them
// cannot be.
func TestInlineBatched(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	behind, err := journalpg.Open(t.Context(), journalpg.Config{URL: url, Durability: journalpg.Relaxed})
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	journal, err := postgres.InlineBatched(t.Context(), behind, pool, projections.Define("taken", 1, projections.Setup(func(_ context.Context, batch *pgx.Batch) error {
		batch.Queue("CREATE TABLE IF NOT EXISTS taken (n int PRIMARY KEY, by text)")
		return nil
	}), projections.On(func(_ context.Context, batch *pgx.Batch, e projections.Event[added]) error {
		batch.Queue("INSERT INTO taken VALUES ($1, $2)", e.Data.N, fmt.Sprintf("%s@%d", e.Stream, e.Version))
		return nil
	})))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })

	outcomes, err := journal.Append(t.Context(), take("a-1", persistence.NoStream, 1, 2), take("a-2", persistence.NoStream, 2), take("a-3", persistence.NoStream, 3))

	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	require.ErrorIs(t, outcomes[1].Err, persistence.ErrRejected)
	require.NoError(t, outcomes[2].Err)
	require.Equal(t, []string{"1 a-1@1", "2 a-1@2", "3 a-3@1"}, rowsOf(t, pool))
}

func TestInlineRefuses(t *testing.T) {
	t.Parallel()
	_, err := postgres.Inline(t.Context(), nil, nil)
	require.ErrorIs(t, err, persistence.ErrInvalid)
	url := pgtest.URL(t)
	behind, err := journalpg.Open(t.Context(), journalpg.Config{URL: url, Durability: journalpg.Relaxed})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, behind.Close()) })
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	_, err = postgres.Inline(t.Context(), behind, pool, projections.Define[pgx.Tx]("Taken", 0), nil)
	require.ErrorContains(t, err, "no handler")
	require.ErrorContains(t, err, "is nil")
	broken := projections.Define("broken", 1, projections.Setup(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "CREATE NONSENSE")
		return err
	}), projections.Any(func(context.Context, pgx.Tx, persistence.Recorded) error { return nil }))
	_, err = postgres.Inline(t.Context(), behind, pool, broken)
	require.ErrorContains(t, err, "set up inline projection broken")
}

func rowsOf(t *testing.T, pool *pgxpool.Pool) []string {
	found, err := pool.Query(t.Context(), "SELECT n || ' ' || by FROM taken ORDER BY n")
	require.NoError(t, err)
	rows, err := pgx.CollectRows(found, pgx.RowTo[string])
	require.NoError(t, err)
	return rows
}
