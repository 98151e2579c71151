package postgres_test

import (
	"math"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence/postgres"
)

// What is sent as text means what a bound parameter means, and what comes back as
// text is what comes back in binary: the server says so, whatever the text is.
func TestTextsMeanWhatParametersMean(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	// The quotes hold what looks like parameters.
	const sql = `SELECT $1::text AS "$1", $2::bytea, $3::bigint, $4::int, $5::smallint, $6::boolean, $7::uuid, $8::timestamptz, $9::text[], $10::bigint[] = $11, $12::jsonb, $13::int[], $14::json, $15::json[] IS NULL, '$2' || $1::text, $1 = ANY ($9)`
	tricky := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", "'", "''", `\`, `\'`, `'; DROP SCHEMA stele CASCADE; --`, "$1", "$$", "$body$", `"`, "{}", "{a,b}", "NULL", "null", `E'\x'`, "\n", "é🗿", "a,b", " ", "-- ", "/*", "%s", "::text",
	}))
	clean := rapid.Map(tricky, func(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "") })
	rapid.Check(t, func(r *rapid.T) {
		optional := func(value []byte, name string) []byte {
			if rapid.IntRange(0, 9).Draw(r, name+" is NULL") == 0 {
				return nil
			}
			return value
		}
		text := clean.Draw(r, "text")
		words := rapid.SliceOfN(clean, 0, 4).Draw(r, "words")
		numbers := rapid.SliceOfN(rapid.Int64(), 0, 3).Draw(r, "numbers")
		id := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "id")
		micros := rapid.OneOf(rapid.Int64Range(-211_813_488_000_000_000, 9_223_371_331_199_999_999), rapid.SampledFrom([]int64{0, -1, 9_223_371_331_199_999_999, -211_813_488_000_000_000, math.MaxInt64, math.MinInt64, -63_082_281_600_000_000})).Draw(r, "time")
		parameters := [][]byte{
			optional([]byte(text), "text"),
			optional(append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(r, "bytes")...), "bytes"),
			optional(postgres.Int8(rapid.Int64().Draw(r, "int8")), "int8"),
			optional(postgres.Int4(rapid.Int32().Draw(r, "int4")), "int4"),
			optional(postgres.Int2(rapid.Int16().Draw(r, "int2")), "int2"),
			optional([]byte{byte(rapid.IntRange(0, 1).Draw(r, "bool"))}, "bool"),
			optional(id, "id"),
			optional(postgres.Int8(micros), "time"),
			optional(postgres.TextArray(words), "words"),
			optional(postgres.Int8Array(numbers), "numbers"),
			postgres.Int8Array(numbers),
			optional(append([]byte{1}, `{"k":[1,2.50,12345678901234567890,"'\\"]}`...), "json"),
			optional(postgres.Int4Array(rapid.SliceOfN(rapid.Int32(), 0, 3).Draw(r, "int4s")), "int4s"),
			optional([]byte(`{"k" : [1, 2.50, "'\\"]}`), "text of json"),
			nil,
		}

		prepared, err := postgres.Ask(t.Context(), conn, postgres.ProtocolPrepared, sql, parameters)
		require.NoError(r, err)
		exec, err := postgres.Ask(t.Context(), conn, postgres.ProtocolExec, sql, parameters)
		require.NoError(r, err)
		simple, err := postgres.Ask(t.Context(), conn, postgres.ProtocolSimple, sql, parameters)
		require.NoError(r, err)

		// Arrays say whether they may hold NULL; nobody looks.
		for _, array := range []int{8, 11} {
			for _, row := range [][][]byte{prepared[0], exec[0], simple[0]} {
				if row[array] != nil {
					row[array][7] = 0
				}
			}
		}
		require.Equal(r, prepared, exec)
		require.Equal(r, prepared, simple)
	})
}

func TestTextsRefuseWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	for _, sql := range []string{"SELECT 1.5::float8", "SELECT '1 day'::interval", "SET bytea_output = 'escape'; SELECT '\\x00'::bytea"} {
		_, err := postgres.Ask(t.Context(), conn, postgres.ProtocolSimple, sql, nil)
		require.Error(t, err, sql)
	}
	_, err = postgres.Ask(t.Context(), conn, postgres.ProtocolSimple, "SELECT $1::float8", [][]byte{{1}})
	require.Error(t, err)
	_, err = postgres.Ask(t.Context(), conn, postgres.ProtocolSimple, "SELECT $1::int", nil)
	require.Error(t, err, "there is no parameter")
	_, err = postgres.Ask(t.Context(), conn, postgres.ProtocolSimple, "SELECT $1::nonesuch", [][]byte{{1}})
	require.ErrorContains(t, err, "42704")
}
