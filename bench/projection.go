package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
)

// measureProjection measures projections of the global sequence of a journal.
func measureProjection(s *session) error {
	made := newRows()
	s.scale.read = s.scale.rebuilt
	for _, part := range []struct {
		name string
		do   func(*rows) error
	}{
		{"catching up", s.measureCatchingUp},
		{"inline", s.measureInline},
		{"many", s.measureMany},
		{"following", s.measureFollowing},
	} {
		if err := part.do(made); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// projecting runs projections while body works.
func (s *session) projecting(j persistence.Journal, all []projections.Projection, body func(context.Context, *projections.Runner) error) error {
	runner, err := projections.New(projections.Config{Journal: j, Projections: all})
	if err != nil {
		return err
	}
	group := lifecycle.Start(s.ctx, lifecycle.Component{Name: "projections", Run: runner.Run})
	err = body(s.ctx, runner)
	return errors.Join(err, group.Stop(context.WithoutCancel(s.ctx)))
}

// catchUp is the rate at which projections come to the end of a journal of so many
// events.
func (s *session) catchUp(j persistence.Journal, events int, all ...projections.Projection) (rate float64, err error) {
	err = s.projecting(j, all, func(ctx context.Context, runner *projections.Runner) error {
		start := time.Now()
		if err := runner.CatchUp(ctx); err != nil {
			return err
		}
		rate = float64(events) / time.Since(start).Seconds()
		return nil
	})
	return rate, err
}

// counter counts events in memory.
func counter(name string) projections.Projection {
	return projections.Define(name, 1, projections.Any(func(_ context.Context, n *int, _ persistence.Recorded) error {
		*n++
		return nil
	})).Into(projections.InMemory(new(int)))
}

func (s *session) measureCatchingUp(rows *rows) (err error) {
	const space = "projected"
	j, err := s.store.open(s.ctx, space)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, j.Close(), s.store.drop(context.WithoutCancel(s.ctx), space))
	}()
	if err := fill(j, "bench", s.scale.read, rows.event); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	events := s.scale.read * eventsEach
	rounds, err := beside(s, func() (float64, error) { return s.catchUp(j, events, counter("counter")) },
		s.reading(func() (int, error) { return s.tail(j, persistence.DefaultPageRows) }))
	if err != nil {
		return err
	}
	s.against("catch-up-memory-vs-tail", compared(rounds[0], identity), "events/s", atLeast(0.7))
	store, ok := s.store.(*postgresStore)
	if !ok {
		return nil
	}
	return store.withViews(s.ctx, func(v *views) error { return s.measureTables(j, space, events, v) })
}

// measureTables measures catching up into a table of Postgres.
func (s *session) measureTables(j journal, space string, events int, v *views) error {
	rounds, err := beside(s, func() (float64, error) { return s.catchUp(j, events, v.batches()) },
		func() (float64, error) { return v.byHand(s.ctx, space) })
	if err != nil {
		return err
	}
	s.against("catch-up-table-vs-by-hand", compared(rounds[0], identity), "events/s", atLeast(0.7))
	rounds, err = beside(s, func() (float64, error) { return s.catchUp(j, events, v.sums(2)) },
		func() (float64, error) { return s.catchUp(j, events, v.sums(1)) })
	if err != nil {
		return err
	}
	s.against("catch-up-2-workers-vs-1", compared(rounds[0], identity), "events/s", atLeast(1.6))
	return nil
}

// views are the read models of one database.
type views struct {
	pool   *pgxpool.Pool
	target *postgres.Target
	store  *postgresStore
	schema string
	names  int
}

func (p *postgresStore) withViews(ctx context.Context, use func(*views) error) (err error) {
	config, err := pgxpool.ParseConfig(p.url)
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
	v := &views{pool: pool, store: p, schema: p.prefix + "views"}
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
	journal := pgx.Identifier{v.store.prefix + space}.Sanitize()
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

// counted counts the reads of a journal's sequence.
type counted struct {
	journal
	reads atomic.Int64
}

// ReadAll fulfils [persistence.Reader].
func (c *counted) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		for page, err := range c.journal.ReadAll(ctx, options) {
			c.reads.Add(1)
			if !yield(page, err) {
				return
			}
		}
	}
}

// Head fulfils [persistence.Reader].
func (c *counted) Head(ctx context.Context) (persistence.Positions, error) {
	c.reads.Add(1)
	return c.journal.Head(ctx)
}

// measureMany counts what a hundred projections on one node read of the journal.
func (s *session) measureMany(rows *rows) error {
	const many, pages = 100, 200
	return s.fresh(func(j journal) error {
		c := &counted{journal: j}
		var all []projections.Projection
		for i := range many {
			all = append(all, counter("counter-"+strconv.Itoa(i)))
		}
		return s.projecting(c, all, func(ctx context.Context, runner *projections.Runner) error {
			w := newWriter(j, newLanes("bench", 1), rows.exactly)
			if err := errors.Join(w.append(0), runner.CatchUp(ctx)); err != nil {
				return err
			}
			c.reads.Store(0)
			for i := range pages {
				if err := w.append(i + 1); err != nil {
					return err
				}
				for n := range many {
					if err := runner.WaitFor(ctx, "counter-"+strconv.Itoa(n), persistence.Position{Offset: int64(i + 2)}); err != nil {
						return err
					}
				}
			}
			s.value("reads-per-page-of-100-projections", float64(c.reads.Load())/pages, "reads", atMost(2))
			c.reads.Store(0)
			if err := wait(ctx, s.scale.window); err != nil {
				return err
			}
			s.value("reads-when-idle-of-100-projections", float64(c.reads.Load())/s.scale.window.Seconds(), "reads/s", atMost(1))
			return nil
		})
	})
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// measureFollowing measures how long after its acknowledgement an event is in the
// read model, while writers append at parts of what they can while it is made.
func (s *session) measureFollowing(rows *rows) error {
	if store, ok := s.store.(*postgresStore); ok {
		return store.withViews(s.ctx, func(v *views) error {
			return s.following(rows, func(t *times) projections.Projection {
				stamped := &stamping{Target: postgres.Batched(v.target), times: t}
				return v.batchesInto(stamped, stamped.add)
			})
		})
	}
	return s.following(rows, func(t *times) projections.Projection {
		return projections.Define("counter", 1, projections.Any(func(_ context.Context, n *int, recorded persistence.Recorded) error {
			*n++
			t.note(recorded.Position, func(m *moments) { m.delivered = time.Since(t.start) })
			return nil
		})).Into(projections.InMemory(new(int)))
	})
}

func (s *session) following(rows *rows, make func(*times) projections.Projection) error {
	most, err := s.projected(rows, 0, make, func(do work) (load, error) { return closedLoop(s.scale.writers, s.scale.window, do) })
	if err != nil {
		return err
	}
	for _, part := range []float64{0.1, 0.5, 0.9} {
		rate := part * most.rate
		rounds, err := alone(s, func() (followed, error) {
			return s.projected(rows, int(rate*s.scale.window.Seconds())+1, make, func(do work) (load, error) {
				return openLoop(s.ctx, s.scale.writers, rate, s.scale.window, do)
			})
		})
		if err != nil {
			return err
		}
		for _, percentile := range []float64{50, 99} {
			lags := []float64{}
			for _, found := range rounds {
				lags = append(lags, found.at(percentile).ours)
			}
			s.middle(fmt.Sprintf("lag-at-%g%%-p%g", 100*part, percentile), lags, "µs", none)
		}
	}
	return nil
}

// projected lets a projection follow what drive lets the writers append.
func (s *session) projected(rows *rows, room int, make func(*times) projections.Projection, drive func(work) (load, error)) (f followed, err error) {
	err = s.fresh(func(j journal) error {
		writers, err := s.writers(j, rows)
		if err != nil {
			return err
		}
		head, err := j.Head(s.ctx)
		if err != nil {
			return err
		}
		t := newTimes(head.Of(0).Offset, room)
		return s.projecting(j, []projections.Projection{make(t)}, func(ctx context.Context, runner *projections.Runner) error {
			if err := runner.CatchUp(ctx); err != nil {
				return err
			}
			for i := range writers {
				t.watch(&writers[i])
			}
			t.start = time.Now()
			l, err := drive(func(caller, i int) error { return writers[caller].append(i + 1) })
			if err == nil {
				err = runner.CatchUp(ctx)
			}
			f = t.histograms(l.count)
			return err
		})
	})
	return f, err
}

// stamping notes when the transactions of a target were committed.
type stamping struct {
	projections.Target[*pgx.Batch]
	times *times

	mu      sync.Mutex // protects applied
	applied []persistence.Position
}

func (s *stamping) add(recorded *persistence.Recorded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = append(s.applied, recorded.Position)
}

// Transact fulfils [projections.Target].
func (s *stamping) Transact(ctx context.Context, body func(context.Context, *pgx.Batch, projections.Book) error) error {
	err := s.Target.Transact(ctx, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Since(s.times.start); err == nil {
		for _, position := range s.applied {
			s.times.note(position, func(m *moments) { m.delivered = now })
		}
	}
	s.applied = s.applied[:0]
	return err
}
