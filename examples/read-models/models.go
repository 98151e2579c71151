package main

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
	"github.com/stele-es/stele/projections/sqlite"
)

// counts says what an order adds to the turnover, in the versions of the read
// models. The first took returns off; the second leaves them out.
func counts(version, cents int) int {
	if version == 2 && cents < 0 {
		return 0
	}
	return cents
}

// customerOf is the customer of a stream.
func customerOf(stream persistence.StreamID) string {
	return strings.TrimPrefix(string(stream), "customer-")
}

// The statements are the same for both databases, but for their parameters. Each
// version has a table of its own, and readers look through a view.
const (
	createTable = "CREATE TABLE IF NOT EXISTS turnover_v%d (customer text PRIMARY KEY, cents bigint NOT NULL)"
	upsert      = "INSERT INTO turnover_v%d VALUES (%s) ON CONFLICT (customer) DO UPDATE SET cents = turnover_v%[1]d.cents + excluded.cents"
	dropView    = "DROP VIEW IF EXISTS turnover"
	createView  = "CREATE VIEW turnover AS SELECT customer, cents FROM turnover_v%d"
	selectAll   = "SELECT customer, cents FROM turnover"
)

func openModels(ctx context.Context, directory, url string) (*models, error) {
	m := &models{all: []model{inMemory()}}
	file, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(directory, "views.db")})
	if err != nil {
		return nil, err
	}
	m.closing = append(m.closing, file.Close)
	m.all = append(m.all, inSQLite(file))
	if url == "" {
		return m, nil
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	m.closing = append(m.closing, func() error {
		pool.Close()
		return nil
	})
	target, err := postgres.Open(ctx, postgres.Config{Pool: pool, Migrate: true})
	if err != nil {
		return nil, err
	}
	m.all = append(m.all, inPostgres(pool, target))
	return m, nil
}

// turnovers is the read model in memory: what each version makes of the orders.
type turnovers struct {
	of     map[int]map[string]int
	active int
}

func inMemory() model {
	target := projections.InMemory(&turnovers{of: map[int]map[string]int{1: {}, 2: {}}, active: 1})
	version := func(n int) projections.Projection {
		return projections.Define("turnover-memory", n,
			projections.On(func(_ context.Context, t *turnovers, e projections.Event[OrderPlaced]) error {
				t.of[n][customerOf(e.Stream)] += counts(n, e.Data.Cents)
				return nil
			}),
			projections.Activate(func(_ context.Context, t *turnovers) error {
				t.active = n
				return nil
			})).With(projections.FromKinds("customer")).Into(target)
	}
	return model{"memory", []projections.Projection{version(1), version(2)}, func(context.Context) (found map[string]int, err error) {
		target.View(func(t *turnovers) { found = maps.Clone(t.of[t.active]) })
		return found, nil
	}}
}

func inSQLite(target *sqlite.Target) model {
	version := func(n int) projections.Projection {
		do := func(statements ...string) func(context.Context, *sql.Tx) error {
			return func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, strings.Join(statements, ";"))
				return err
			}
		}
		setup := []string{fmt.Sprintf(createTable, n)}
		if n == 1 {
			setup = append(setup, dropView, fmt.Sprintf(createView, n))
		}
		statement := fmt.Sprintf(upsert, n, "?, ?")
		return projections.Define("turnover-sqlite", n,
			projections.On(func(ctx context.Context, tx *sql.Tx, e projections.Event[OrderPlaced]) error {
				_, err := tx.ExecContext(ctx, statement, customerOf(e.Stream), counts(n, e.Data.Cents))
				return err
			}),
			projections.Setup(do(setup...)), projections.Activate(do(dropView, fmt.Sprintf(createView, n))),
		).With(projections.FromKinds("customer")).Into(target)
	}
	return model{"sqlite", []projections.Projection{version(1), version(2)}, func(ctx context.Context) (map[string]int, error) {
		rows, err := target.DB().QueryContext(ctx, selectAll)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		found := map[string]int{}
		for rows.Next() {
			var customer string
			var cents int
			if err := rows.Scan(&customer, &cents); err != nil {
				return nil, err
			}
			found[customer] = cents
		}
		return found, rows.Err()
	}}
}

// inPostgres sends the statements of a page together.
func inPostgres(pool *pgxpool.Pool, target *postgres.Target) model {
	version := func(n int) projections.Projection {
		do := func(statements ...string) func(context.Context, *pgx.Batch) error {
			return func(_ context.Context, batch *pgx.Batch) error {
				for _, statement := range statements {
					batch.Queue(statement)
				}
				return nil
			}
		}
		setup := []string{fmt.Sprintf(createTable, n)}
		if n == 1 {
			setup = append(setup, dropView, fmt.Sprintf(createView, n))
		}
		statement := fmt.Sprintf(upsert, n, "$1, $2")
		return projections.Define("turnover-postgres", n,
			projections.On(func(_ context.Context, batch *pgx.Batch, e projections.Event[OrderPlaced]) error {
				batch.Queue(statement, customerOf(e.Stream), counts(n, e.Data.Cents))
				return nil
			}),
			projections.Setup(do(setup...)), projections.Activate(do(dropView, fmt.Sprintf(createView, n))),
		).With(projections.FromKinds("customer")).Into(postgres.Batched(target))
	}
	return model{"postgres", []projections.Projection{version(1), version(2)}, func(ctx context.Context) (map[string]int, error) {
		rows, err := pool.Query(ctx, selectAll)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		found := map[string]int{}
		for rows.Next() {
			var customer string
			var cents int
			if err := rows.Scan(&customer, &cents); err != nil {
				return nil, err
			}
			found[customer] = cents
		}
		return found, rows.Err()
	}}
}
