package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
	journallite "github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/sqlite"
)

type added struct{ N int }

func (added) MessageName() string { return "added" }

var errRefused = errors.New("no zero")

// taken are numbers that may be taken once.
func taken() *projections.Definition[*sql.Tx] {
	return projections.Define("taken", 1, projections.Setup(func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS taken (n INTEGER PRIMARY KEY, stream TEXT)")
		return err
	}), projections.On(func(ctx context.Context, tx *sql.Tx, e projections.Event[added]) error {
		if e.Data.N == 0 {
			return errRefused
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO taken VALUES (?, ?)", e.Data.N, string(e.Stream))
		return err
	}))
}

func openInline(t *testing.T, parameters string) (*sqlite.InlineJournal, *sql.DB, error) {
	path := t.TempDir() + "/journal.db"
	journal, err := journallite.Open(t.Context(), journallite.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	db, err := sql.Open("sqlite", "file:"+path+"?"+parameters)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	inline, err := sqlite.Inline(t.Context(), journal, db, taken())
	if err == nil {
		t.Cleanup(func() { require.NoError(t, inline.Close()) })
	}
	return inline, db, err
}

const patient = "_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=synchronous(full)"

func take(stream string, expected persistence.Expected, numbers ...int) persistence.Append {
	a := persistence.Append{Stream: persistence.StreamID(stream), Expected: expected}
	for _, n := range numbers {
		a.Events = append(a.Events, persistence.Event{Type: "added", Payload: fmt.Appendf(nil, `{"N":%d}`, n)})
	}
	return a
}

// A read model in the journal's file changes in the transaction that appends, and
// one that is refused takes nobody else along.
func TestInline(t *testing.T) {
	t.Parallel()
	journal, db, err := openInline(t, patient)
	require.NoError(t, err)

	outcomes, err := journal.Append(t.Context(),
		take("a-1", persistence.NoStream, 1, 2), take("a-2", persistence.NoStream, 3, 2), take("a-3", persistence.NoStream, 0),
		take("a-4", persistence.Exact(7), 4), take("a-5", persistence.NoStream, 5))
	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	require.ErrorIs(t, outcomes[1].Err, persistence.ErrRejected, "2 is taken")
	require.ErrorIs(t, outcomes[2].Err, errRefused)
	require.ErrorIs(t, outcomes[3].Err, persistence.ErrConflict)
	require.NoError(t, outcomes[4].Err)

	require.Equal(t, []string{"1 a-1", "2 a-1", "5 a-5"}, rowsOf(t, db))
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{3}, head, "what was refused is not in the journal")
}

// Of many who want the same, each number is given once.
func TestInlineCrowd(t *testing.T) {
	t.Parallel()
	journal, db, err := openInline(t, patient)
	require.NoError(t, err)
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
	require.Len(t, rowsOf(t, db), numbers)
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{numbers}, head)
}

// Of appends that were joined because each builds on the one before, those before
// the one that is refused are stored.
func TestInlineChain(t *testing.T) {
	t.Parallel()
	journal, db, err := openInline(t, patient)
	require.NoError(t, err)
	chain, outcomes := new(persistence.Chain), make(chan persistence.Outcome, 4)

	for i, n := range []int{1, 2, 1, 3} {
		err := journal.Submit(take("a-1", persistence.Exact(persistence.Version(i)), n), chain, func(o persistence.Outcome) { outcomes <- o })
		require.NoError(t, err)
	}

	require.NoError(t, (<-outcomes).Err)
	require.NoError(t, (<-outcomes).Err)
	require.ErrorIs(t, (<-outcomes).Err, persistence.ErrRejected)
	require.ErrorIs(t, (<-outcomes).Err, persistence.ErrRejected, "it was decided on what is not stored")
	require.Equal(t, []string{"1 a-1", "2 a-1"}, rowsOf(t, db))
}

func TestInlineRefuses(t *testing.T) {
	t.Parallel()
	_, _, err := openInline(t, "_txlock=immediate")
	require.ErrorIs(t, err, persistence.ErrInvalid)
	require.ErrorContains(t, err, "busy_timeout(5000)")
	_, err = sqlite.Inline(t.Context(), nil, nil, nil)
	require.ErrorIs(t, err, persistence.ErrInvalid)
}

func rowsOf(t *testing.T, db *sql.DB) (found []string) {
	rows, err := db.QueryContext(t.Context(), "SELECT n || ' ' || stream FROM taken ORDER BY n")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var row string
		require.NoError(t, rows.Scan(&row))
		found = append(found, row)
	}
	require.NoError(t, rows.Err())
	return found
}

func TestInlineStoresNothingIntoWhatIsLost(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/journal.db"
	journal, err := journallite.Open(t.Context(), journallite.Config{Path: path})
	require.NoError(t, err)
	db, err := sql.Open("sqlite", "file:"+path+"?"+patient)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	inline, err := sqlite.Inline(t.Context(), journal, db, taken())
	require.NoError(t, err)
	t.Cleanup(func() { _ = inline.Close() })
	outcomes, err := inline.Append(t.Context(), take("a-1", persistence.NoStream, 1))
	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	require.NoError(t, os.Rename(path, path+".away"))

	outcomes, err = inline.Append(t.Context(), take("a-2", persistence.NoStream, 2))

	require.NoError(t, err)
	require.ErrorIs(t, outcomes[0].Err, persistence.ErrReplaced)
	require.NoError(t, os.Rename(path+".away", path))
	outcomes, err = inline.Append(t.Context(), take("a-2", persistence.NoStream, 2))
	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
}

// A handler that appends to its own journal would wait for itself.
func TestInlineHandlerThatAppends(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/journal.db"
	behind, err := journallite.Open(t.Context(), journallite.Config{Path: path})
	require.NoError(t, err)
	db, err := sql.Open("sqlite", "file:"+path+"?"+patient)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	var journal *sqlite.InlineJournal
	definition := projections.Define("nested", 1, projections.On(func(ctx context.Context, _ *sql.Tx, _ projections.Event[added]) error {
		_, err := journal.Append(ctx, take("b-1", persistence.Any, 7))
		return err
	}))
	journal, err = sqlite.Inline(t.Context(), behind, db, definition)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()

	outcomes, err := journal.Append(ctx, take("a-1", persistence.NoStream, 1))

	require.NoError(t, err)
	require.ErrorIs(t, outcomes[0].Err, persistence.ErrInvalid)
	require.ErrorContains(t, outcomes[0].Err, "transaction on this journal")
}
