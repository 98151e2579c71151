package sqlite

import (
	"bytes"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// BenchmarkCeiling measures what the journal cannot beat: the rows of
// journaltest.Benchmark, inserted by prepared statements of 20 rows through
// database/sql, into the journal's own table, one transaction for a batch.
func BenchmarkCeiling(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("append/batch=%d", size), func(b *testing.B) { ceilingAppend(b, size) })
	}
	b.Run("tail/events=10000", ceilingTail)
}

const ceilingRows = 20

func ceilingAppend(b *testing.B, size int) {
	c := ceilingStore(b)
	row := ceilingRow()
	args := make([]any, 0, ceilingRows*len(row))
	position := int64(0)
	b.ReportAllocs()
	for version := int64(1); b.Loop(); version++ {
		c.exec(b, "BEGIN IMMEDIATE")
		for left := size; left > 0; {
			rows, insert := 1, c.one
			if left >= ceilingRows {
				rows, insert = ceilingRows, c.many
			}
			args = args[:0]
			for range rows {
				position++
				id := persistence.NewEventID()
				row[0], row[1], row[2], row[3] = position, int64(left), version, id[:]
				args = append(args, row...)
				left--
			}
			_, err := insert.Exec(args...)
			require.NoError(b, err)
		}
		c.exec(b, "COMMIT")
		if version%64 == 0 { // as often as the journal does, more or less
			c.exec(b, "PRAGMA wal_checkpoint(PASSIVE)")
		}
	}
	b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
}

// ceiling is a database as a program would use it that knows nothing else.
type ceiling struct {
	db        *sql.DB
	many, one *sql.Stmt
}

func (c ceiling) exec(b *testing.B, statement string) {
	b.Helper()
	_, err := c.db.Exec(statement)
	require.NoError(b, err)
}

func ceilingRow() []any {
	return []any{
		int64(0), int64(0), int64(0), []byte(nil), int64(1784000000000000), int64(0), "bank.v1.Deposited", nil, nil,
		bytes.Repeat([]byte("trace"), 23), bytes.Repeat([]byte("payload "), 25),
	}
}

func ceilingStore(b *testing.B) ceiling {
	b.Helper()
	path := filepath.Join(b.TempDir(), "journal.db")
	w, err := openWriter(b.Context(), path, false)
	require.NoError(b, err)
	require.NoError(b, w.close())
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	db.SetMaxOpenConns(1)
	c := ceiling{db: db}
	for pragma := range strings.SplitSeq("synchronous = FULL; cache_size = -65536; wal_autocheckpoint = 0", ";") {
		c.exec(b, "PRAGMA "+pragma)
	}
	c.many, err = db.Prepare(repeated(query("event_insert"), ceilingRows))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.many.Close()) })
	c.one, err = db.Prepare(query("event_insert"))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.one.Close()) })
	return c
}

func ceilingTail(b *testing.B) {
	const events = 10000
	c := ceilingStore(b)
	row := ceilingRow()
	c.exec(b, "BEGIN")
	for i := range int64(events) {
		id := persistence.NewEventID()
		row[0], row[1], row[2], row[3] = i+1, i%100, i/100, id[:]
		_, err := c.one.Exec(row...)
		require.NoError(b, err)
	}
	c.exec(b, "COMMIT")
	b.ReportAllocs()
	for b.Loop() {
		scanAll(b, c.db)
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}

func scanAll(b *testing.B, db *sql.DB) {
	b.Helper()
	rows, err := db.Query("SELECT position, version, event_id, created_at, schema_id, type, tags, metadata, headers, payload, stream_id FROM event ORDER BY position")
	require.NoError(b, err)
	defer func() { require.NoError(b, rows.Close()) }()
	var ints [5]int64
	var raw [6]sql.RawBytes
	for rows.Next() {
		require.NoError(b, rows.Scan(&ints[0], &ints[1], &raw[0], &ints[2], &ints[3], &raw[1], &raw[2], &raw[3], &raw[4], &raw[5], &ints[4]))
	}
	require.NoError(b, rows.Err())
}
