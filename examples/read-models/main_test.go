package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

func TestRun(t *testing.T) {
	t.Parallel()
	var out strings.Builder

	err := run(t.Context(), []string{"--postgres", pgtest.Database(t), t.TempDir()}, &out)

	require.NoError(t, err)
	require.Equal(t, `turnover
  in memory: ann 1500, bob 200
  in sqlite: ann 1500, bob 200
  in postgres: ann 1500, bob 200
turnover without returns
  in memory: ann 1500, bob 250
  in sqlite: ann 1500, bob 250
  in postgres: ann 1500, bob 250
`, out.String())
}

func TestRunAgain(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{directory}, &out))
	out.Reset()

	require.NoError(t, run(t.Context(), []string{directory}, &out))

	require.Contains(t, out.String(), "turnover without returns\n  in memory: ann 3000, bob 500\n  in sqlite: ann 3000, bob 500\n")
}
