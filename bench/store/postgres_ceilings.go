package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
)

// Rivals fulfils [Store].
func (p *Postgres) Rivals() []Rival {
	return []Rival{
		{Name: "copy", Is: "binary COPY over one connection, 1,000 rows a commit", Run: p.copy, Aims: map[int]measure.Aim{4096: measure.AtLeast(0.8), 256: measure.AtLeast(0.65)}},
		{Name: "two-copies", Is: "binary COPY over two connections, which nothing orders", Run: p.copyTwice, Aims: map[int]measure.Aim{4096: measure.AtLeast(0.5), 256: measure.None}},
		{Name: "pool", Is: "as many goroutines on a connection pool, a commit for each INSERT", Run: p.pool, Aims: map[int]measure.Aim{4096: measure.AtLeast(3.5), 256: measure.AtLeast(2.5), 16: measure.AtLeast(1)}},
		{Name: "insert", Is: "one prepared INSERT and commit after the other", Run: p.insert, Aims: map[int]measure.Aim{1: measure.AtMost(1.5)}},
	}
}

// rivalTable returns the rivals' table, empty. They never run side by side.
func (p *Postgres) rivalTable(ctx context.Context) (string, error) {
	const space = "rival"
	if err := p.migrate(ctx, space); err != nil {
		return "", err
	}
	return p.quoted(space) + ".event", p.Drop(ctx, space)
}

// copyRows is the number of rows of one COPY, and of one commit.
const copyRows = 1000

// copy is the fastest way to get rows into the table over one connection: COPY
// of rows encoded by hand, a commit for every thousand.
func (p *Postgres) copy(ctx context.Context, writers int, window time.Duration) (load.Result, error) {
	return p.copyOver(ctx, []*pgx.Conn{p.conn}, writers, window)
}

// copyTwice is the same over two connections. They work side by side: nothing
// orders their commits.
func (p *Postgres) copyTwice(ctx context.Context, writers int, window time.Duration) (_ load.Result, err error) {
	second, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = errors.Join(err, second.Close(ctx)) }()
	return p.copyOver(ctx, []*pgx.Conn{p.conn, second}, writers, window)
}

func (p *Postgres) copyOver(ctx context.Context, conns []*pgx.Conn, writers int, window time.Duration) (load.Result, error) {
	table, err := p.rivalTable(ctx)
	if err != nil {
		return load.Result{}, err
	}
	sql := "COPY " + table + " (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata) FROM STDIN (FORMAT binary)"
	buffers := make([][]byte, len(conns))
	l, err := load.Metered(ctx, p, func() (load.Result, error) {
		return load.ClosedLoop(len(conns), window, func(caller, i int) error {
			data := append(buffers[caller][:0], "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
			for k := range copyRows {
				data = appendCopy(data, p.rows.Next(int64((i*len(conns)+caller)*copyRows+k+1), writers), p.rows.Encoded)
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
	l.Count *= copyRows
	return l, err
}

// appendCopy encodes a row, with its metadata, in the form that COPY reads.
func appendCopy(data []byte, row load.Row, metadata []byte) []byte {
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
	integer(row.Position)
	integer(row.Stream)
	integer(row.Version)
	data = append(data, 0, 0, 0, 16)
	data = append(data, row.ID[:]...)
	value("\x00\x00\x00\x00") // schema
	value(load.EventType)
	data = binary.BigEndian.AppendUint32(data, uint32(len(row.Payload)))
	data = append(data, row.Payload...)
	value("") // headers
	data = binary.BigEndian.AppendUint32(data, uint32(len(metadata)))
	return append(data, metadata...)
}

const insertPostgres = ` (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata)
	VALUES (0, $1, $2, $3, $4, 0, '` + load.EventType + `', $5, '', $6)`

// pool does as most programs do: every writer takes a connection of a pool for an INSERT
// that commits by itself. Nothing orders the rows, and no version is expected.
func (p *Postgres) pool(ctx context.Context, writers int, window time.Duration) (load.Result, error) {
	if p.best[writers] == 0 {
		small, err := p.poolOf(ctx, 16, writers, window)
		if err != nil {
			return load.Result{}, err
		}
		large, err := p.poolOf(ctx, 64, writers, window)
		if err != nil {
			return load.Result{}, err
		}
		if p.best[writers] = 16; large.Rate() > small.Rate() {
			p.best[writers] = 64
		}
	}
	return p.poolOf(ctx, p.best[writers], writers, window)
}

func (p *Postgres) poolOf(ctx context.Context, size int32, writers int, window time.Duration) (load.Result, error) {
	table, err := p.rivalTable(ctx)
	if err != nil {
		return load.Result{}, err
	}
	pool, err := p.connections(ctx, size)
	if err != nil {
		return load.Result{}, err
	}
	var position atomic.Int64
	return load.ClosedLoop(writers, window, func(writer, i int) error {
		n := position.Add(1)
		_, err := pool.Exec(ctx, "INSERT INTO "+table+insertPostgres, n, writer+1, i+1, load.NewID(), p.rows.Payload(int(n)), p.rows.Encoded)
		return err
	})
}

// connections returns the pool of a size, with all its connections there.
func (p *Postgres) connections(ctx context.Context, size int32) (*pgxpool.Pool, error) {
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
func (p *Postgres) insert(ctx context.Context, _ int, window time.Duration) (_ load.Result, err error) {
	table, err := p.rivalTable(ctx)
	if err != nil {
		return load.Result{}, err
	}
	const name = "bench_insert"
	if _, err := p.conn.Prepare(ctx, name, "INSERT INTO "+table+insertPostgres); err != nil {
		return load.Result{}, err
	}
	return load.Single(window, func(i int) error {
		_, err := p.conn.Exec(ctx, name, i+1, 1, i+1, load.NewID(), p.rows.Payload(i), p.rows.Encoded)
		return err
	})
}

// Scan reads with one statement what the journal reads, in binary form, and does
// no more with a value than to look at it.
func (p *Postgres) Scan(ctx context.Context, space string) (count int, err error) {
	result := p.conn.PgConn().ExecParams(ctx, "SELECT version, position, created_at, event_id, schema_id, type, payload, headers, metadata, tags, stream_id FROM "+
		p.quoted(space)+".event WHERE part = 0 ORDER BY position", nil, nil, nil, []int16{1})
	for result.NextRow() {
		for _, value := range result.Values() {
			p.touched += len(value)
		}
		count++
	}
	_, err = result.Close()
	return count, err
}

// selectors is the number of connections that read streams side by side.
const selectors = 16

// SelectStream fulfils [Selector].
func (p *Postgres) SelectStream(ctx context.Context, space, stream string, each func(string, []byte) error) error {
	pool, err := p.connections(ctx, selectors)
	if err != nil {
		return err
	}
	rows, err := pool.Query(ctx, "SELECT e.version, e.type, e.payload FROM "+p.quoted(space)+".event e WHERE e.stream_id = (SELECT s.stream_id FROM "+
		p.quoted(space)+".stream s WHERE s.name = $1) ORDER BY e.version", stream)
	return eachSelected(rows, err, each)
}

// SelectAll fulfils [Selector].
func (p *Postgres) SelectAll(ctx context.Context, space string, each func(string, []byte) error) error {
	rows, err := p.conn.Query(ctx, "SELECT e.position, e.type, e.payload FROM "+p.quoted(space)+".event e WHERE e.part = 0 ORDER BY e.position")
	return eachSelected(rows, err, each)
}

func eachSelected(rows pgx.Rows, err error, each func(string, []byte) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var place int64
		var eventType string
		var payload []byte
		if err := rows.Scan(&place, &eventType, &payload); err != nil {
			return err
		}
		if err := each(eventType, payload); err != nil {
			return err
		}
	}
	return rows.Err()
}
