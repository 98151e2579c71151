package scenario

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
)

// measureTables measures catching up into a table of Postgres.
func measureTables(ctx context.Context, s *session, j store.Journal, space string, events int, v *views) error {
	rounds, err := measure.Beside(s.Sheet, func() (float64, error) { return catchUp(ctx, j, events, v.batches()) },
		func() (float64, error) { return v.byHand(ctx, space) })
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: "catch-up-table-vs-by-hand", Unit: "events/s", Aim: measure.AtLeast(0.7),
		Is: "rate at which a projection fills a table, divided by that of a loop written by hand",
	}, measure.Compared(rounds[0], measure.Identity))
	rounds, err = measure.Beside(s.Sheet, func() (float64, error) { return catchUp(ctx, j, events, v.sums(2)) },
		func() (float64, error) { return catchUp(ctx, j, events, v.sums(1)) })
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: "catch-up-2-workers-vs-1", Unit: "events/s", Aim: measure.AtLeast(1.6),
		Is: "rate with two workers and a round trip for each event, divided by that with one",
	}, measure.Compared(rounds[0], measure.Identity))
	return nil
}

// views are the read models of one database.
type views struct {
	pool   *pgxpool.Pool
	target *postgres.Target
	store  *store.Postgres
	schema string
	names  int
}

func withViews(ctx context.Context, p *store.Postgres, use func(*views) error) (err error) {
	config, err := pgxpool.ParseConfig(p.URL())
	if err != nil {
		return err
	}
	config.MaxConns = 8
	// Without statistics, which nobody gathers here, the loop by hand would be planned
	// badly. The journal plans its own statements like this too.
	for _, setting := range []string{"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"} {
		config.ConnConfig.RuntimeParams[setting] = "off"
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	v := &views{pool: pool, store: p, schema: p.Schema("views")}
	if v.target, err = postgres.Open(ctx, postgres.Config{Pool: pool, Schema: v.schema, Migrate: true}); err != nil {
		return err
	}
	defer func() {
		_, dropped := pool.Exec(context.WithoutCancel(ctx), "DROP SCHEMA "+pgx.Identifier{v.schema}.Sanitize()+" CASCADE")
		err = errors.Join(err, dropped)
	}()
	return use(v)
}

// table names a fresh table, with the statements that make it and add to it.
func (v *views) table() (name, create, add string) {
	v.names++
	name = fmt.Sprintf("sum-%d", v.names)
	table := pgx.Identifier{v.schema, name}.Sanitize()
	return name, "CREATE TABLE " + table + " (key text PRIMARY KEY, n bigint NOT NULL)",
		"INSERT INTO " + table + " AS s VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = s.n + excluded.n"
}

// batches is a projection that sends what its pages have come to together.
func (v *views) batches() projections.Projection {
	return v.batchesInto(postgres.Batched(v.target), func(*persistence.Recorded) {})
}

func (v *views) batchesInto(target projections.Target[*pgx.Batch], note func(*persistence.Recorded)) projections.Projection {
	name, create, add := v.table()
	return projections.Define(name, 1, projections.Setup(func(_ context.Context, batch *pgx.Batch) error {
		batch.Queue(create)
		return nil
	}), projections.Any(func(_ context.Context, batch *pgx.Batch, recorded persistence.Recorded) error {
		batch.Queue(add, string(recorded.Stream), int64(len(recorded.Payload)))
		note(&recorded)
		return nil
	})).Into(target)
}

// sums is a projection with a statement, and a round trip, for each event.
func (v *views) sums(workers int) projections.Projection {
	name, create, add := v.table()
	return projections.Define(name, 1, projections.Setup(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, create)
		return err
	}), projections.Any(func(ctx context.Context, tx pgx.Tx, recorded persistence.Recorded) error {
		_, err := tx.Exec(ctx, add, string(recorded.Stream), int64(len(recorded.Payload)))
		return err
	})).With(projections.Workers(workers)).Into(v.target)
}

// byHand does what batches does in as few lines as one would write.
func (v *views) byHand(ctx context.Context, space string) (rate float64, err error) {
	_, create, add := v.table()
	if _, err := v.pool.Exec(ctx, create); err != nil {
		return 0, err
	}
	journal := pgx.Identifier{v.store.Schema(space)}.Sanitize()
	read := "SELECT position, stream_id, payload FROM " + journal + ".event WHERE part = 0 AND position > $1 ORDER BY position LIMIT 512"
	start, count, position := time.Now(), 0, int64(0)
	for {
		page, err := v.pool.Query(ctx, read, position)
		if err != nil {
			return 0, err
		}
		batch := new(pgx.Batch)
		for page.Next() {
			var stream int64
			var payload []byte
			if err := page.Scan(&position, &stream, &payload); err != nil {
				return 0, err
			}
			batch.Queue(add, strconv.FormatInt(stream, 10), int64(len(payload)))
		}
		if err := page.Err(); err != nil {
			return 0, err
		}
		if batch.Len() == 0 {
			return float64(count) / time.Since(start).Seconds(), nil
		}
		count += batch.Len()
		batch.Queue(add, "$checkpoint", position)
		tx, err := v.pool.Begin(ctx)
		if err != nil {
			return 0, err
		}
		if err := errors.Join(tx.SendBatch(ctx, batch).Close(), tx.Commit(ctx)); err != nil {
			return 0, err
		}
	}
}
