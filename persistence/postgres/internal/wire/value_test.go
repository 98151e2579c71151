package wire_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

func TestEmptyArraysAreEmpty(t *testing.T) {
	t.Parallel()
	var names []string
	require.NoError(t, pgtype.NewMap().Scan(pgtype.TextArrayOID, pgtype.BinaryFormatCode, wire.Texts[string](nil), &names))
	require.Empty(t, names)
	var ids []int64
	require.NoError(t, pgtype.NewMap().Scan(pgtype.Int8ArrayOID, pgtype.BinaryFormatCode, wire.Int8s([]int64{3, -4}), &ids))
	require.Equal(t, []int64{3, -4}, ids)
}

// FuzzReadInt4Array reads any bytes: the result is what the driver reads, or a refusal.
func FuzzReadInt4Array(f *testing.F) {
	for _, values := range [][]int32{nil, {}, {1}, {1, 2, 3}, {-1, 1 << 30}} {
		encoded, err := pgtype.NewMap().Encode(pgtype.Int4ArrayOID, pgtype.BinaryFormatCode, values, nil)
		require.NoError(f, err)
		f.Add(encoded)
	}
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x17\x7f\xff\xff\xff\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, ok := wire.ReadInt4s(data)
		if !ok {
			return
		}
		var driver []int32
		require.NoError(t, pgtype.NewMap().Scan(pgtype.Int4ArrayOID, pgtype.BinaryFormatCode, data, &driver))
		require.Equal(t, fmt.Sprint(driver), fmt.Sprint(values))
	})
}
