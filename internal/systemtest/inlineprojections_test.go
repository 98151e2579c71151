package systemtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/persistence"
	journallite "github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/sqlite"
)

// Aggregates on a journal with an inline projection: of all that want a page for
// themselves one gets it, and the others are rejected and go on.
func TestInlineProjection(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/journal.db"
	behind, err := journallite.Open(t.Context(), journallite.Config{Path: path})
	require.NoError(t, err)
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=synchronous(full)")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	journal, err := sqlite.Inline(t.Context(), behind, db, projections.Define("pages", 1, projections.Setup(func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS page (name TEXT PRIMARY KEY, visitor TEXT)")
		return err
	}), projections.On(func(ctx context.Context, tx *sql.Tx, e projections.Event[visited]) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO page VALUES (?, ?)", e.Data.Page, string(e.Stream))
		return err
	})))
	require.NoError(t, err)
	defer func() { require.NoError(t, journal.Close()) }()
	node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{allVisits}})
	require.NoError(t, err)
	defer func() { require.NoError(t, node.Stop(context.WithoutCancel(t.Context()))) }()

	const visitors, pages = 8, 25
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a busy machine may halt for a while
	defer cancel()
	got := make([]int, visitors)
	var group errgroup.Group
	for visitor := range visitors {
		group.Go(func() error {
			for page := range pages {
				reply, err := visitPage.Ask(ctx, node, fmt.Sprint(visitor), visit{fmt.Sprint(page)})
				switch {
				case err == nil:
					got[visitor]++
					if reply.Nth != got[visitor] {
						return fmt.Errorf("visit %d is told to be the %dth", got[visitor], reply.Nth)
					}
				case !errors.Is(err, persistence.ErrRejected):
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	sum, rows := 0, 0
	for _, n := range got {
		sum += n
	}
	require.Equal(t, pages, sum)
	require.NoError(t, db.QueryRowContext(ctx, "SELECT count(*) FROM page").Scan(&rows))
	require.Equal(t, pages, rows)
	head, err := journal.Head(ctx)
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{pages}, head, "what was rejected is not in the journal")
}
