package sqlite

import (
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkRowsAtOnce is why rowsAtOnce is what it is: the processor time of a
// row by the rows of a statement, without a flush.
func BenchmarkRowsAtOnce(b *testing.B) {
	for _, rows := range []int{1, 5, 20, 50, 100, 200} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			w, err := openWriter(b.Context(), filepath.Join(b.TempDir(), "journal.db"), false)
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, w.close()) })
			require.NoError(b, w.exec("PRAGMA synchronous = OFF"))
			insert, err := w.prepare(repeated(query("event_insert"), rows))
			require.NoError(b, err)
			id := make([]byte, 16)
			args := make([]driver.Value, 0, 11*rows)
			position := int64(0)
			for b.Loop() {
				require.NoError(b, w.begin.run())
				for range 1000 / rows {
					args = args[:0]
					for range rows {
						position++
						args = append(args, position, position%1000, position/1000, id, int64(0), int64(0), "bank.v1.Deposited", nil, nil, payload[:115], payload)
					}
					require.NoError(b, insert.run(args...))
				}
				require.NoError(b, w.commit.run())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
		})
	}
}

var payload = make([]byte, 200)
