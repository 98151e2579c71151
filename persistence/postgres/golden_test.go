package postgres_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file")

// The golden file shows reviewers what all migrations together make. After a new
// one: go test ./persistence/postgres -run Golden -rewrite.
func TestSchemaIsAsInTheGoldenFile(t *testing.T) {
	t.Parallel()
	const golden = "schema.golden.sql"
	text := strings.Join(describe(t, pgtest.URL(t), "stele"), "\n\n") + "\n"
	if *rewrite {
		require.NoError(t, os.WriteFile(golden, []byte(text), 0o644))
	}

	want, err := os.ReadFile(golden)

	require.NoError(t, err)
	require.Equal(t, string(want), text)
}
