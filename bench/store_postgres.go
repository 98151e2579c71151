package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/persistence/postgres"
)

// postgresStore keeps a schema for each space on one server. The rivals' tables
// are those of a journal too, made by the same migrations.
type postgresStore struct {
	rows     *rows
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

func openPostgres(ctx context.Context, settings settings) (store, error) {
	return newPostgres(ctx, settings)
}

func newPostgres(ctx context.Context, settings settings) (_ *postgresStore, err error) {
	p := &postgresStore{
		rows: newRows(), url: settings.postgres, relaxed: settings.relaxed,
		pools: map[int32]*pgxpool.Pool{}, best: map[int]int32{}, migrated: map[string]bool{},
		prefix: fmt.Sprintf("stele_bench_%08x_", rand.Uint32()),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(context.WithoutCancel(ctx)))
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

func (p *postgresStore) about() string {
	if p.server == nil {
		return p.version + ", the server of STELE_BENCH_POSTGRES"
	}
	return p.version + ", a private server on a socket"
}

func (p *postgresStore) config(space string) postgres.Config {
	config := postgres.Config{URL: p.url, Schema: p.prefix + space}
	if p.relaxed {
		config.Durability = postgres.Relaxed
	}
	return config
}

// segments are the files of the log that a private server has ready, of 16 MiB.
const segments = 48

// preallocate gives a private server the files of a log that has been in use for
// a while. A new server makes one for every 16 MiB, for which everything stops.
func (p *postgresStore) preallocate(ctx context.Context) error {
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
func (p *postgresStore) recycle(ctx context.Context) error {
	if p.server == nil {
		return nil
	}
	length, err := p.logged(ctx)
	if err != nil || length-p.recycled < segments/2<<24 {
		return err
	}
	p.recycled = length
	_, err = p.conn.Exec(ctx, "CHECKPOINT")
	return err
}

func (p *postgresStore) open(ctx context.Context, space string) (journal, error) {
	if err := p.migrate(ctx, space); err != nil {
		return nil, err
	}
	return postgres.Open(ctx, p.config(space))
}

func (p *postgresStore) migrate(ctx context.Context, space string) error {
	if err := p.recycle(ctx); err != nil {
		return err
	}
	if p.migrated[space] {
		return nil
	}
	p.migrated[space] = true
	return postgres.Migrate(ctx, p.config(space))
}

// drop keeps the tables, because making them takes longer than many a sample.
func (p *postgresStore) drop(ctx context.Context, space string) error {
	schema := p.schema(space)
	_, err := p.conn.Exec(ctx, fmt.Sprintf("TRUNCATE %[1]s.event, %[1]s.stream, %[1]s.event_key, %[1]s.event_tag, %[1]s.snapshot RESTART IDENTITY", schema))
	return err
}

func (p *postgresStore) schema(space string) string {
	return pgx.Identifier{p.prefix + space}.Sanitize()
}

func (p *postgresStore) close(ctx context.Context) (err error) {
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
func (p *postgresStore) dropAll(ctx context.Context) error {
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

func (p *postgresStore) rivals() []rival {
	return []rival{
		{name: "copy", run: p.copy, aims: map[int]aim{4096: atLeast(0.8), 256: atLeast(0.65)}},
		{name: "two-copies", run: p.copyTwice, aims: map[int]aim{4096: atLeast(0.5), 256: none}},
		{name: "pool", run: p.pool, aims: map[int]aim{4096: atLeast(3.5), 256: atLeast(2.5), 16: atLeast(1)}},
		{name: "insert", run: p.insert, aims: map[int]aim{1: atMost(1.5)}},
	}
}

// rivalTable returns the rivals' table, empty. They never run side by side.
func (p *postgresStore) rivalTable(ctx context.Context) (string, error) {
	const space = "rival"
	if err := p.migrate(ctx, space); err != nil {
		return "", err
	}
	return p.schema(space) + ".event", p.drop(ctx, space)
}

// copyRows is how many rows one COPY brings, and one commit.
const copyRows = 1000

// copy is the fastest way to get rows into the table over one connection: COPY
// of rows encoded by hand, a commit for every thousand.
func (p *postgresStore) copy(ctx context.Context, writers int, window time.Duration) (load, error) {
	return p.copyOver(ctx, []*pgx.Conn{p.conn}, writers, window)
}

// copyTwice is the same over two connections. They work side by side: nothing
// orders their commits.
func (p *postgresStore) copyTwice(ctx context.Context, writers int, window time.Duration) (_ load, err error) {
	second, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return load{}, err
	}
	defer func() { err = errors.Join(err, second.Close(ctx)) }()
	return p.copyOver(ctx, []*pgx.Conn{p.conn, second}, writers, window)
}

func (p *postgresStore) copyOver(ctx context.Context, conns []*pgx.Conn, writers int, window time.Duration) (load, error) {
	table, err := p.rivalTable(ctx)
	if err != nil {
		return load{}, err
	}
	sql := "COPY " + table + " (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata) FROM STDIN (FORMAT binary)"
	buffers := make([][]byte, len(conns))
	l, err := metered(ctx, p, func() (load, error) {
		return closedLoop(len(conns), window, func(caller, i int) error {
			data := append(buffers[caller][:0], "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
			for k := range copyRows {
				data = p.rows.appendCopy(data, p.rows.next(int64((i*len(conns)+caller)*copyRows+k+1), writers))
			}
			data = append(data, 0xff, 0xff)
			buffers[caller] = data
			tag, err := conns[caller].PgConn().CopyFrom(ctx, bytes.NewReader(data), sql)
			if err == nil && tag.RowsAffected() != copyRows {
				err = fmt.Errorf("copy: %d rows of %d", tag.RowsAffected(), copyRows)
			}
			return err
		})
	})
	l.count *= copyRows
	return l, err
}

// appendCopy encodes a row as COPY reads it.
func (r *rows) appendCopy(data []byte, row row) []byte {
	integer := func(v int64) {
		data = append(data, 0, 0, 0, 8)
		data = binary.BigEndian.AppendUint64(data, uint64(v))
	}
	value := func(v string) {
		data = binary.BigEndian.AppendUint32(data, uint32(len(v)))
		data = append(data, v...)
	}
	data = append(data, 0, 10) // columns
	value("\x00\x00")          // part
	integer(row.position)
	integer(row.stream)
	integer(row.version)
	data = append(data, 0, 0, 0, 16)
	data = append(data, row.id[:]...)
	value("\x00\x00\x00\x00") // schema
	value(eventType)
	data = binary.BigEndian.AppendUint32(data, uint32(len(row.payload)))
	data = append(data, row.payload...)
	value("") // headers
	data = binary.BigEndian.AppendUint32(data, uint32(len(r.encoded)))
	return append(data, r.encoded...)
}

const insertPostgres = ` (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata)
	VALUES (0, $1, $2, $3, $4, 0, '` + eventType + `', $5, '', $6)`

// pool is what most programs do: every writer takes a connection of a pool for
// an INSERT that commits by itself. It orders nothing and expects nothing.
func (p *postgresStore) pool(ctx context.Context, writers int, window time.Duration) (load, error) {
	if p.best[writers] == 0 {
		small, err := p.poolOf(ctx, 16, writers, window)
		if err != nil {
			return load{}, err
		}
		large, err := p.poolOf(ctx, 64, writers, window)
		if err != nil {
			return load{}, err
		}
		if p.best[writers] = 16; large.rate() > small.rate() {
			p.best[writers] = 64
		}
	}
	return p.poolOf(ctx, p.best[writers], writers, window)
}

func (p *postgresStore) poolOf(ctx context.Context, size int32, writers int, window time.Duration) (load, error) {
	table, err := p.rivalTable(ctx)
	if err != nil {
		return load{}, err
	}
	pool, err := p.connections(ctx, size)
	if err != nil {
		return load{}, err
	}
	var position atomic.Int64
	return closedLoop(writers, window, func(writer, i int) error {
		n := position.Add(1)
		_, err := pool.Exec(ctx, "INSERT INTO "+table+insertPostgres, n, writer+1, i+1, newID(), p.rows.payload(int(n)), p.rows.encoded)
		return err
	})
}

// connections returns the pool of a size, with all its connections there.
func (p *postgresStore) connections(ctx context.Context, size int32) (*pgxpool.Pool, error) {
	if p.pools[size] != nil {
		return p.pools[size], nil
	}
	config, err := pgxpool.ParseConfig(p.url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = size
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	p.pools[size] = pool
	all := make([]*pgxpool.Conn, size)
	for i := range all {
		if all[i], err = pool.Acquire(ctx); err != nil {
			break
		}
	}
	for _, conn := range all {
		if conn != nil {
			conn.Release()
		}
	}
	return pool, err
}

// insert is one prepared INSERT after the other on one connection.
func (p *postgresStore) insert(ctx context.Context, _ int, window time.Duration) (_ load, err error) {
	table, err := p.rivalTable(ctx)
	if err != nil {
		return load{}, err
	}
	const name = "bench_insert"
	if _, err := p.conn.Prepare(ctx, name, "INSERT INTO "+table+insertPostgres); err != nil {
		return load{}, err
	}
	return single(window, func(i int) error {
		_, err := p.conn.Exec(ctx, name, i+1, 1, i+1, newID(), p.rows.payload(i), p.rows.encoded)
		return err
	})
}

// scan reads with one statement what the journal reads, in binary form, and does
// no more with a value than to look at it.
func (p *postgresStore) scan(ctx context.Context, space string) (count int, err error) {
	result := p.conn.PgConn().ExecParams(ctx, "SELECT version, position, created_at, event_id, schema_id, type, payload, headers, metadata, tags, stream_id FROM "+
		p.schema(space)+".event WHERE part = 0 ORDER BY position", nil, nil, nil, []int16{1})
	for result.NextRow() {
		for _, value := range result.Values() {
			p.touched += len(value)
		}
		count++
	}
	_, err = result.Close()
	return count, err
}

func (p *postgresStore) logged(ctx context.Context) (n int64, err error) {
	err = p.conn.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&n)
	return n, err
}

// cost fulfils meter. The server's processes can be looked at when it is on this
// machine.
func (p *postgresStore) cost(ctx context.Context) (c cost, err error) {
	if c.logged, err = p.logged(ctx); err != nil {
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
			c.server += processorTimeOf(pid)
		}
	}
	c.client = processorTime()
	return c, nil
}
