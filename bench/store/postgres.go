package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/persistence/postgres"
)

// Postgres keeps a schema for each space on one server. The rivals' tables
// are those of a journal too, made by the same migrations.
type Postgres struct {
	rows     *load.Rows
	url      string
	server   *pgserver.Server // nil when somebody else's is used
	conn     *pgx.Conn        // for everything that takes one connection
	pools    map[int32]*pgxpool.Pool
	best     map[int]int32 // the better size of pool, by the number of writers
	prefix   string        // of the schemas, so that a used server is left as it was
	version  string
	relaxed  bool
	migrated map[string]bool // the spaces whose tables are there
	recycled int64           // the length of the log when it was last recycled
	touched  int             // bytes that scans have looked at
}

func openPostgres(ctx context.Context, settings Settings) (Store, error) {
	return newPostgres(ctx, settings)
}

func newPostgres(ctx context.Context, settings Settings) (_ *Postgres, err error) {
	p := &Postgres{
		rows: load.NewRows(), url: settings.Postgres, relaxed: settings.Relaxed,
		pools: map[int32]*pgxpool.Pool{}, best: map[int]int32{}, migrated: map[string]bool{},
		prefix: fmt.Sprintf("stele_bench_%08x_", rand.Uint32()),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close(context.WithoutCancel(ctx)))
		}
	}()
	if p.url == "" {
		// A vacuum or a checkpoint in the middle of one sample of five would say
		// nothing about any of them.
		options := []pgserver.Option{
			pgserver.Durable, pgserver.Setting("autovacuum", "off"), pgserver.Setting("shared_buffers", "256MB"),
			pgserver.Setting("min_wal_size", "1GB"), pgserver.Setting("max_wal_size", "16GB"), pgserver.Setting("checkpoint_timeout", "1h"),
		}
		if settings.slow {
			options = append(options, pgserver.SlowFlush(time.Millisecond))
		}
		if p.server, err = pgserver.Start(ctx, options...); err != nil {
			return nil, err
		}
		p.url = p.server.URL()
	}
	if p.conn, err = pgx.Connect(ctx, p.url); err != nil {
		return nil, err
	}
	if err := p.preallocate(ctx); err != nil {
		return nil, err
	}
	return p, p.conn.QueryRow(ctx, `SELECT format('PostgreSQL %s fsync=%s synchronous_commit=%s autovacuum=%s shared_buffers=%s',
		split_part(current_setting('server_version'), ' ', 1), current_setting('fsync'), current_setting('synchronous_commit'),
		current_setting('autovacuum'), current_setting('shared_buffers'))`).Scan(&p.version)
}

// About fulfils [Store].
func (p *Postgres) About() string {
	if p.server == nil {
		return p.version + ", the server of STELE_BENCH_POSTGRES"
	}
	return p.version + ", a private server on a socket"
}

func (p *Postgres) config(space string) postgres.Config {
	config := postgres.Config{URL: p.url, Schema: p.Schema(space)}
	if p.relaxed {
		config.Durability = postgres.Relaxed
	}
	return config
}

// segments are the files of the log that a private server has ready, of 16 MiB.
const segments = 48

// preallocate gives a private server the files of a log that has been in use for
// a while. A new server makes one for every 16 MiB, for which everything stops.
func (p *Postgres) preallocate(ctx context.Context) error {
	if p.server == nil {
		return nil
	}
	for range segments {
		if _, err := p.conn.Exec(ctx, "SELECT pg_logical_emit_message(false, '', ''), pg_switch_wal()"); err != nil {
			return err
		}
	}
	return p.recycle(ctx)
}

// recycle gives the files of the log to be used again, once enough are used.
func (p *Postgres) recycle(ctx context.Context) error {
	if p.server == nil {
		return nil
	}
	length, err := p.Logged(ctx)
	if err != nil || length-p.recycled < segments/2<<24 {
		return err
	}
	p.recycled = length
	_, err = p.conn.Exec(ctx, "CHECKPOINT")
	return err
}

// Open fulfils [Store].
func (p *Postgres) Open(ctx context.Context, space string) (Journal, error) {
	if err := p.migrate(ctx, space); err != nil {
		return nil, err
	}
	return postgres.Open(ctx, p.config(space))
}

func (p *Postgres) migrate(ctx context.Context, space string) error {
	if err := p.recycle(ctx); err != nil {
		return err
	}
	if p.migrated[space] {
		return nil
	}
	p.migrated[space] = true
	return postgres.Migrate(ctx, p.config(space))
}

// Drop keeps the tables, because making them takes longer than many a sample.
func (p *Postgres) Drop(ctx context.Context, space string) error {
	schema := p.quoted(space)
	_, err := p.conn.Exec(ctx, fmt.Sprintf("TRUNCATE %[1]s.event, %[1]s.stream, %[1]s.event_key, %[1]s.event_tag, %[1]s.snapshot RESTART IDENTITY", schema))
	return err
}

// URL is where the server is.
func (p *Postgres) URL() string { return p.url }

// Schema is the schema of a space.
func (p *Postgres) Schema(space string) string { return p.prefix + space }

func (p *Postgres) quoted(space string) string {
	return pgx.Identifier{p.Schema(space)}.Sanitize()
}

// Close fulfils [Store].
func (p *Postgres) Close(ctx context.Context) (err error) {
	for _, pool := range p.pools {
		pool.Close()
	}
	if p.conn != nil {
		err = p.dropAll(ctx)
		err = errors.Join(err, p.conn.Close(ctx))
	}
	if p.server != nil {
		err = p.server.Stop() // and with it everything, however the rest went
	}
	return err
}

// dropAll also drops what an interrupted run has left open.
func (p *Postgres) dropAll(ctx context.Context) error {
	rows, err := p.conn.Query(ctx, "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)", p.prefix)
	if err != nil {
		return err
	}
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, schema := range schemas {
		if _, err := p.conn.Exec(ctx, "DROP SCHEMA "+pgx.Identifier{schema}.Sanitize()+" CASCADE"); err != nil {
			return err
		}
	}
	return nil
}

// Logged fulfils [Store].
func (p *Postgres) Logged(ctx context.Context) (n int64, err error) {
	err = p.conn.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&n)
	return n, err
}

// cost fulfils meter. The server's processes can be looked at when it is on this
// machine.
func (p *Postgres) Cost(ctx context.Context) (c load.Cost, err error) {
	if c.Logged, err = p.Logged(ctx); err != nil {
		return c, err
	}
	if strings.HasPrefix(p.conn.Config().Host, "/") {
		rows, err := p.conn.Query(ctx, "SELECT pid FROM pg_stat_activity")
		if err != nil {
			return c, err
		}
		processes, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			return c, err
		}
		for _, pid := range processes {
			c.Server += measure.ProcessorTimeOf(pid)
		}
	}
	c.Client = measure.ProcessorTime()
	return c, nil
}
