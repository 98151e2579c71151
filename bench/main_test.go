package main

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/bench/scenario"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// Every scenario runs on every journal, and says what it found in the form that
// programs read. How fast anything is no test can say.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]func(*testing.T) store.Settings{
		"memory": func(*testing.T) store.Settings { return store.Settings{} },
		"sqlite": func(*testing.T) store.Settings { return store.Settings{} },
		"postgres": func(t *testing.T) store.Settings {
			t.Helper()
			return store.Settings{Postgres: pgtest.Database(t), Relaxed: true}
		},
	} {
		for _, part := range scenario.All() {
			t.Run(name+"/"+part.Name, func(t *testing.T) {
				t.Parallel()
				p, err := parse([]string{"-o", "json", "-journal", name, part.Name}, io.Discard)
				require.NoError(t, err)
				p.scale = scenario.Tiny()
				var out, log bytes.Buffer

				err = p.measure(t.Context(), settings(t), &out, &log)

				require.NoError(t, err)
				require.Empty(t, log.String())
				requireFigures(t, out.Bytes(), part.Name, name)
			})
		}
	}
}

func requireFigures(t *testing.T, out []byte, scenario, journal string) {
	t.Helper()
	var printed struct {
		Machine  map[string]any
		Journals map[string]string
		Figures  []map[string]any
	}
	require.NoError(t, json.Unmarshal(out, &printed))
	for _, key := range []string{"processor", "gomaxprocs", "platform", "go", "commit"} {
		require.NotEmpty(t, printed.Machine[key], key)
	}
	require.NotEmpty(t, printed.Journals[journal])
	require.NotEmpty(t, printed.Figures)
	seen := map[string]bool{}
	for _, f := range printed.Figures {
		metric, _ := f["metric"].(string)
		require.Len(t, f, 12, metric)
		require.Equal(t, scenario, f["scenario"])
		require.Equal(t, journal, f["journal"])
		require.NotEmpty(t, metric)
		require.False(t, seen[metric], "%s is there twice", metric)
		seen[metric] = true
		require.NotEmpty(t, f["unit"], metric)
		value, ok := f["value"].(float64)
		require.True(t, ok, metric)

		require.Contains(t, f, "ceiling", metric)
		is, _ := f["is"].(string)
		require.NotEmpty(t, is, metric)
		ceiling, compared := f["ceiling"].(float64)
		ratio, hasRatio := f["ratio"].(float64)
		require.Equal(t, compared, hasRatio, metric)
		if compared {
			require.InEpsilon(t, value/ceiling, ratio, 1e-9, metric)
			require.Contains(t, is, "divided by", metric)
		}

		low, among := f["low"].(float64)
		high, among2 := f["high"].(float64)
		require.Equal(t, among, among2, metric)
		if among {
			require.LessOrEqual(t, low, high, metric)
		}

		require.Contains(t, f, "aim", metric)
		_, aimed := f["aim"].(float64)
		_, judged := f["met"].(bool)
		require.Equal(t, aimed, judged, metric)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	p, err := parse([]string{"-journal", "memory", "journal", "command"}, io.Discard)
	require.NoError(t, err)
	p.scale = scenario.Tiny()
	var out, log bytes.Buffer

	err = p.measure(t.Context(), store.Settings{}, &out, &log)

	require.NoError(t, err)
	require.Contains(t, out.String(), "journal on memory")
	require.Contains(t, out.String(), "command on memory")
	require.Contains(t, out.String(), "≤ 15")
	require.Regexp(t, `(?m)^machine +.*GOMAXPROCS`, log.String())
	require.Regexp(t, `(?m)^program +go.*commit `, log.String())
	require.Regexp(t, `(?m)^memory +.*not durable`, log.String())
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no scenario":      {nil, 2, "name a scenario"},
		"unknown scenario": {[]string{"journal", "jurnal"}, 2, `unknown scenario "jurnal": there are journal, latency, read, command`},
		"unknown journal":  {[]string{"-journal", "paper", "journal"}, 2, `unknown journal "paper": there are memory, sqlite, postgres`},
		"unknown output":   {[]string{"-o", "xml", "journal"}, 2, `unknown output "xml"`},
		"unknown flag":     {[]string{"-fast", "journal"}, 2, "-fast"},
		"help":             {[]string{"-h"}, 0, "usage: bench"},
		"no such server":   {[]string{"-journal", "postgres", "journal"}, 1, "measure on postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, log bytes.Buffer

			code := run(t.Context(), c.args, store.Settings{Postgres: "postgres://localhost:1/none?connect_timeout=1"}, &out, &log)

			require.Equal(t, c.code, code)
			require.Contains(t, log.String(), c.says)
			require.Empty(t, out.String())
		})
	}
}
