package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
	pgtarget "github.com/stele-es/stele/projections/postgres"
	sqlitetarget "github.com/stele-es/stele/projections/sqlite"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{"fill stock": fillStock})
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(pgtest.Main(m))
}

// openShop opens a shop: on Postgres by its URL, or on SQLite in a folder.
func openShop(ctx context.Context, where string) (node *stele.Node, journal persistence.Journal, closeBoth func() error, err error) {
	var store projections.Store
	if strings.HasPrefix(where, "postgres") {
		pool, err := pgxpool.New(ctx, where)
		if err != nil {
			return nil, nil, nil, err
		}
		if journal, err = postgres.Open(ctx, postgres.Config{URL: where, Durability: postgres.Relaxed}); err != nil { // as the server of the tests
			return nil, nil, nil, err
		}
		if store, err = pgtarget.Open(ctx, pgtarget.Config{Pool: pool, Migrate: true}); err != nil {
			return nil, nil, nil, err
		}
		closeBoth = func() error { pool.Close(); return journal.Close() }
	} else {
		if journal, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(where, "journal.db")}); err != nil {
			return nil, nil, nil, err
		}
		target, err := sqlitetarget.Open(ctx, sqlitetarget.Config{Path: filepath.Join(where, "views.db")})
		if err != nil {
			return nil, nil, nil, err
		}
		store, closeBoth = target, func() error { return errors.Join(target.Close(), journal.Close()) }
	}
	node, err = stele.Start(ctx, stele.Config{
		Journal: journal, Aggregates: stele.Aggregates{stock, buyers}, Checkpoints: store,
		TakeOverAfter: 50 * time.Millisecond, // so that a child comes to react before it is killed
	})
	return node, journal, closeBoth, err
}

// fillStock adds to an item for each line that it is given, and says so.
func fillStock(ctx context.Context, arguments []string) error {
	node, _, _, err := openShop(ctx, arguments[0])
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var item string
		var count int
		if _, err := fmt.Sscan(lines.Text(), &item, &count); err != nil {
			return err
		}
		if _, err := fill.Ask(ctx, node, item, Fill{Count: count}); err != nil {
			return err
		}
		fmt.Println("filled")
	}
	return errors.New("nobody fills anything any more")
}

// A shop is killed again and again while its buyers watch the stock. Whatever was
// stored, a buyer has seen all of it, once and in order.
func TestLongReactionsAreKilled(t *testing.T) {
	t.Parallel()
	const kills, items = 8, 3
	for name, where := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { t.Helper(); return t.TempDir() },
		"postgres": func(t *testing.T) string { t.Helper(); return pgtest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where, filled := where(t), 0
			for range kills {
				child := killtest.Start(t, "fill stock", where)
				for range 5 + rand.N(60) { //nolint:gosec // a story
					child.Say(fmt.Sprint(rand.N(items), " ", 1+rand.N(1000))) //nolint:gosec // a story
					_, answered := child.Line()
					require.True(t, answered, "it does not fill")
					filled++
				}
				child.Kill()
			}

			node, journal, closeBoth, err := openShop(t.Context(), where)
			require.NoError(t, err)
			require.NoError(t, node.Projections().CatchUp(t.Context()))
			require.NoError(t, node.Stop(t.Context()))
			stored := 0
			for item := range items {
				filled := counts(t, journal, fmt.Sprint("stock-", item), Stocked{}.MessageName())
				require.Equal(t, filled, counts(t, journal, fmt.Sprint("buyer-", item), Seen{}.MessageName()))
				stored += len(filled)
			}
			require.GreaterOrEqual(t, stored, filled)
			t.Logf("%d events, each seen once", stored)
			require.NoError(t, closeBoth())
		})
	}
}

// counts are what the events of a type in a stream say.
func counts(t *testing.T, journal persistence.Reader, stream, of string) (counts []int) {
	t.Helper()
	for recorded, err := range journal.Read(t.Context(), persistence.StreamID(stream), persistence.ReadOptions{}) {
		if errors.Is(err, persistence.ErrStreamNotFound) {
			break
		}
		require.NoError(t, err)
		if recorded.Type == of {
			var event struct{ Count int }
			require.NoError(t, json.Unmarshal(recorded.Payload, &event))
			counts = append(counts, event.Count)
		}
	}
	return counts
}
