package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	journallite "github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
)

type added struct{ N int }

func (added) MessageName() string { return "added" }

// A read model in the journal's file changes in the transaction that appends.
func TestInline(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/journal.db"
	journal, err := journallite.Open(t.Context(), journallite.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.ExecContext(t.Context(), "CREATE TABLE taken (n INTEGER PRIMARY KEY)")
	require.NoError(t, err)
	unique := projections.Define("taken", 1, projections.On(func(ctx context.Context, tx *sql.Tx, e projections.Event[added]) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO taken VALUES (?)", e.Data.N)
		return err
	}))
	store := func(n int) error {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }() // nothing after a commit
		a := persistence.Append{Stream: "a-1", Expected: persistence.Any, Events: []persistence.Event{{Type: "added", Payload: fmt.Appendf(nil, `{"N":%d}`, n)}}}
		outcomes, err := journallite.AppendTx(t.Context(), tx, a)
		require.NoError(t, err)
		if err := unique.Inline(t.Context(), tx, &a, outcomes[0]); err != nil {
			return err
		}
		return tx.Commit()
	}

	require.NoError(t, store(1))
	require.ErrorContains(t, store(1), "in projection taken")
	require.NoError(t, store(2))

	count, err := journal.Count(t.Context(), "a-1", persistence.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, 2, count)
}
