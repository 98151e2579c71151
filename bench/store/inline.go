package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/persistence"
	pgjournal "github.com/stele-es/stele/persistence/postgres"
	litejournal "github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
	"github.com/stele-es/stele/projections/sqlite"
)

// Inliner is a store whose journals can change a read model in the transaction that
// appends.
type Inliner interface {
	// Inline puts a read model that adds to a row for each stream in front of a journal
	// of a space, which it closes with itself; free is to be called then.
	Inline(ctx context.Context, j Journal, space string) (inlined Journal, free func(), err error)
}

// The statements of the read model, on both stores.
const (
	createSums = "CREATE TABLE IF NOT EXISTS %s (key text PRIMARY KEY, n bigint NOT NULL)"
	addToSum   = "INSERT INTO %s AS s VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = s.n + excluded.n"
)

// Inline fulfils [Inliner].
func (p *Postgres) Inline(ctx context.Context, j Journal, space string) (Journal, func(), error) {
	own, ok := j.(*pgjournal.Journal)
	if !ok {
		return nil, nil, fmt.Errorf("%T has no transactions of others", j)
	}
	pool, err := pgxpool.New(ctx, p.url)
	if err != nil {
		return nil, nil, err
	}
	table := pgx.Identifier{p.Schema(space), "sums"}.Sanitize()
	inlined, err := postgres.InlineBatched(ctx, own, pool, projections.Define("sums", 1, projections.Setup(func(_ context.Context, batch *pgx.Batch) error {
		batch.Queue(fmt.Sprintf(createSums, table))
		return nil
	}), projections.Any(func(_ context.Context, batch *pgx.Batch, recorded persistence.Recorded) error {
		batch.Queue(fmt.Sprintf(addToSum, table), string(recorded.Stream), int64(1))
		return nil
	})))
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return inlined, pool.Close, nil
}

func (s *sqliteStore) Inline(ctx context.Context, j Journal, space string) (Journal, func(), error) {
	own, ok := j.(*litejournal.Journal)
	if !ok {
		return nil, nil, fmt.Errorf("%T has no transactions of others", j)
	}
	db, err := sql.Open("sqlite", "file:"+s.file(space)+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=synchronous(full)")
	if err != nil {
		return nil, nil, err
	}
	free := func() { _ = db.Close() } // nothing is open on it
	inlined, err := sqlite.Inline(ctx, own, db, projections.Define("sums", 1, projections.Setup(func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(createSums, "sums"))
		return err
	}), projections.Any(func(ctx context.Context, tx *sql.Tx, recorded persistence.Recorded) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(addToSum, "sums"), string(recorded.Stream), int64(1))
		return err
	})))
	if err != nil {
		free()
		return nil, nil, err
	}
	return inlined, free, nil
}
