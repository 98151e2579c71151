package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// tiny is the least that goes everywhere. Its figures mean nothing.
func tiny() scale {
	return scale{rounds: 1, window: 5 * time.Millisecond, appends: []int{256, 16, 1}, read: 40, callers: 4, many: 8, idle: 50}
}

// Every scenario runs on every journal, and says what it found in the form that
// programs read. How fast anything is no test can say.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]func(*testing.T) settings{
		"memory":   func(*testing.T) settings { return settings{} },
		"sqlite":   func(*testing.T) settings { return settings{} },
		"postgres": func(t *testing.T) settings { t.Helper(); return settings{postgres: pgtest.Database(t), relaxed: true} },
	} {
		for _, scenario := range scenarios() {
			t.Run(name+"/"+scenario.name, func(t *testing.T) {
				t.Parallel()
				p, err := parse([]string{"-o", "json", "-journal", name, scenario.name}, io.Discard)
				require.NoError(t, err)
				p.scale = tiny()
				var out, log bytes.Buffer

				err = p.measure(t.Context(), settings(t), &out, &log)

				require.NoError(t, err)
				require.Empty(t, log.String())
				requireFigures(t, out.Bytes(), scenario.name, name)
			})
		}
	}
}

func requireFigures(t *testing.T, out []byte, scenario, journal string) {
	t.Helper()
	var figures []map[string]any
	require.NoError(t, json.Unmarshal(out, &figures))
	require.NotEmpty(t, figures)
	seen := map[string]bool{}
	for _, f := range figures {
		metric, _ := f["metric"].(string)
		require.Len(t, f, 9, metric)
		require.Equal(t, scenario, f["scenario"])
		require.Equal(t, journal, f["journal"])
		require.NotEmpty(t, metric)
		require.False(t, seen[metric], "%s is there twice", metric)
		seen[metric] = true
		require.NotEmpty(t, f["unit"], metric)
		value, ok := f["value"].(float64)
		require.True(t, ok, metric)

		require.Contains(t, f, "ceiling", metric)
		ceiling, compared := f["ceiling"].(float64)
		ratio, hasRatio := f["ratio"].(float64)
		require.Equal(t, compared, hasRatio, metric)
		if compared {
			require.InEpsilon(t, value/ceiling, ratio, 1e-9, metric)
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
	p.scale = tiny()
	var out, log bytes.Buffer

	err = p.measure(t.Context(), settings{}, &out, &log)

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
		"unknown scenario": {[]string{"journal", "jurnal"}, 2, `unknown scenario "jurnal": there are journal, command`},
		"unknown journal":  {[]string{"-journal", "paper", "journal"}, 2, `unknown journal "paper": there are memory, sqlite, postgres`},
		"unknown output":   {[]string{"-o", "xml", "journal"}, 2, `unknown output "xml"`},
		"unknown flag":     {[]string{"-fast", "journal"}, 2, "-fast"},
		"help":             {[]string{"-h"}, 0, "usage: bench"},
		"no such server":   {[]string{"-journal", "postgres", "journal"}, 1, "measure on postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, log bytes.Buffer

			code := run(t.Context(), c.args, settings{postgres: "postgres://localhost:1/none?connect_timeout=1"}, &out, &log)

			require.Equal(t, c.code, code)
			require.Contains(t, log.String(), c.says)
			require.Empty(t, out.String())
		})
	}
}

// The ratio that is reported is the median of the rounds, and each round has the
// ceilings next to it.
func TestBeside(t *testing.T) {
	t.Parallel()
	s := &session{scale: scale{rounds: 3}}
	series := func(values ...float64) sample {
		return func() (float64, error) {
			next := values[0]
			values = values[1:]
			return next, nil
		}
	}

	compared, err := s.beside(series(10, 60, 30), series(10, 30, 30, 70), series(1, 1, 1, 1))

	require.NoError(t, err)
	// The ratios are 10/20, 60/30 and 30/50, and then 10, 60 and 30.
	require.Equal(t, []comparison{{30, 50}, {30, 1}}, compared)
}

func TestReport(t *testing.T) {
	t.Parallel()
	s := &session{scenario: "journal", journal: "memory"}

	s.value("plain", 5, "B", none)
	s.value("small enough", 5, "B", atMost(6))
	s.against("not enough", comparison{1, 4}, "events/s", atLeast(0.5))
	s.against("nothing beside", comparison{1, 0}, "events/s", atLeast(0.5))

	var out bytes.Buffer
	require.NoError(t, printJSON(&out, s.figures))
	require.JSONEq(t, `[
		{"scenario":"journal","journal":"memory","metric":"plain","value":5,"unit":"B","ceiling":null,"ratio":null,"aim":null,"met":null},
		{"scenario":"journal","journal":"memory","metric":"small enough","value":5,"unit":"B","ceiling":null,"ratio":null,"aim":6,"met":true},
		{"scenario":"journal","journal":"memory","metric":"not enough","value":1,"unit":"events/s","ceiling":4,"ratio":0.25,"aim":0.5,"met":false},
		{"scenario":"journal","journal":"memory","metric":"nothing beside","value":1,"unit":"events/s","ceiling":null,"ratio":null,"aim":null,"met":null}
	]`, out.String())
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, shown := range map[float64]string{
		0.5: "0.50", 3.14159: "3.14", 42.42: "42.4", 1234.5: "1234", 15: "15", 250_000: "250000", 3_456_789.1: "3456789", 0: "0",
	} {
		require.Equal(t, shown, number(v))
	}
	require.Equal(t, "NaN", number(math.NaN()))
}
