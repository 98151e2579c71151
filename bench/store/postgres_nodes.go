package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/bench/load"
)

// Slower fulfils [Slower]. A server of others is taken as it is; a private one needs a C
// compiler to be slow.
func (p *Postgres) Slower(ctx context.Context) (Shared, bool, error) {
	if p.server == nil {
		return lent{p}, true, nil
	}
	if _, err := exec.LookPath("cc"); err != nil || runtime.GOOS != "linux" {
		return nil, false, nil //nolint:nilerr // it is not measured then
	}
	slow, err := newPostgres(ctx, Settings{slow: true})
	return slow, true, err
}

// lent is a store that its owner closes.
type lent struct{ *Postgres }

func (lent) Close(context.Context) error { return nil }

// columnsOf is the number of parameters of a row of the insert.
const columnsOf = 5

// Unordered fulfils shared: the positions come from a sequence, which waits for no
// commit. So they do not stand in the order of the commits, which a journal cannot
// do without.
func (p *Postgres) Unordered(ctx context.Context, nodes, batch int, window time.Duration) (_ load.Result, err error) {
	table, err := p.rivalTable(ctx)
	if err != nil {
		return load.Result{}, err
	}
	sequence := p.quoted("rival") + ".unordered"
	if _, err := p.conn.Exec(ctx, "CREATE SEQUENCE IF NOT EXISTS "+sequence); err != nil {
		return load.Result{}, err
	}
	conns := make([]*pgx.Conn, nodes)
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				err = errors.Join(err, conn.Close(ctx))
			}
		}
	}()
	for i := range conns {
		if conns[i], err = pgx.Connect(ctx, p.url); err != nil {
			return load.Result{}, err
		}
		if _, err := conns[i].Prepare(ctx, "unordered", unorderedInsert(table, sequence, batch)); err != nil {
			return load.Result{}, err
		}
	}
	inserts := make([]unorderedRows, nodes)
	l, err := load.ClosedLoop(nodes, window, func(caller, i int) error {
		in := &inserts[caller]
		in.fill(p.rows, int64(caller+1), int64(i*batch), batch)
		result := conns[caller].PgConn().ExecPrepared(ctx, "unordered", in.parameters, []int16{1}, nil).Read()
		if result.Err == nil && result.CommandTag.RowsAffected() != int64(batch) {
			return fmt.Errorf("insert: %d rows of %d", result.CommandTag.RowsAffected(), batch)
		}
		return result.Err
	})
	l.Count *= batch
	return l, err
}

func unorderedInsert(table, sequence string, batch int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + table + " (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata) VALUES ")
	for i := range batch {
		if i > 0 {
			b.WriteString(", ")
		}
		n := i * columnsOf
		fmt.Fprintf(&b, "(0, nextval('%s'), $%d::bigint, $%d::bigint, $%d::uuid, 0, '%s', $%d::bytea, '', $%d::json)",
			strings.ReplaceAll(sequence, "'", "''"), n+1, n+2, n+3, load.EventType, n+4, n+5)
	}
	return b.String()
}

// unorderedRows are the parameters of one insert, in binary form.
type unorderedRows struct {
	parameters [][]byte
	fixed      []byte // what the short parameters point into
}

func (u *unorderedRows) fill(rows *load.Rows, stream, version int64, batch int) {
	u.parameters, u.fixed = u.parameters[:0], u.fixed[:0]
	for range batch {
		version++
		id := load.NewID()
		start := len(u.fixed)
		u.fixed = binary.BigEndian.AppendUint64(u.fixed, uint64(stream))
		u.fixed = binary.BigEndian.AppendUint64(u.fixed, uint64(version))
		u.fixed = append(u.fixed, id[:]...)
		row := u.fixed[start:]
		u.parameters = append(u.parameters, row[:8], row[8:16], row[16:], rows.Payload(int(version)), rows.Encoded)
	}
}
