package postgres_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file")

// The golden file shows reviewers what all migrations together make. After a new
// one: go test ./persistence/postgres -run Golden -rewrite.
func TestSchemaIsAsInTheGoldenFile(t *testing.T) {
	t.Parallel()
	const golden = "schema.golden.sql"
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var text strings.Builder
	for _, part := range []string{
		// Tables, column by column.
		`SELECT format(E'TABLE %s (\n%s\n)%s', c.relname, string_agg(format('  %s %s', a.attname, concat_ws(' ',
		    format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || l.collname END,
		    CASE WHEN a.attnotnull THEN 'NOT NULL' END,
		    CASE a.attgenerated WHEN 's' THEN 'GENERATED ' || pg_get_expr(d.adbin, d.adrelid) ELSE 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END,
		    CASE a.attidentity WHEN 'a' THEN 'IDENTITY ALWAYS' WHEN 'd' THEN 'IDENTITY' END)), E',\n' ORDER BY a.attnum),
		    coalesce(' WITH ' || c.reloptions::text, ''))
		 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid
		 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum LEFT JOIN pg_collation l ON l.oid = a.attcollation
		 WHERE c.relnamespace = 'stele'::regnamespace AND c.relkind = 'r' AND c.relname <> 'migration' GROUP BY c.oid, c.relname, c.reloptions ORDER BY c.relname`,
		`SELECT format('CONSTRAINT %s ON %s %s', o.conname, c.relname, pg_get_constraintdef(o.oid)) FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
		 WHERE o.connamespace = 'stele'::regnamespace AND o.contype <> 'n' AND c.relname <> 'migration' ORDER BY c.relname, o.conname`,
		`SELECT indexdef FROM pg_indexes WHERE schemaname = 'stele' AND tablename <> 'migration' ORDER BY indexname`,
		`SELECT pg_get_functiondef(p.oid) FROM pg_proc p
		 WHERE p.pronamespace = 'stele'::regnamespace ORDER BY p.proname`,
	} {
		rows, err := conn.Query(t.Context(), part)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.NotEmpty(t, lines)
		text.WriteString(strings.Join(lines, "\n") + "\n\n")
	}
	if *rewrite {
		require.NoError(t, os.WriteFile(golden, []byte(text.String()), 0o644))
	}

	want, err := os.ReadFile(golden)

	require.NoError(t, err)
	require.Equal(t, string(want), text.String())
}
