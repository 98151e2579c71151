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
	return scale{
		rounds: 2, window: 5 * time.Millisecond, appends: []int{256, 16, 1}, read: 40, rebuilt: 40,
		callers: 4, many: 8, idle: 50, history: 1000, timers: 100, late: 20, backlog: 20, paid: 30, long: 3000, nodes: 2, writers: 3, loads: []float64{0.5},
	}
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
		require.Len(t, f, 11, metric)
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

// Each round has the ceilings next to it, and the one that is reported has the
// median of the ratios.
func TestBeside(t *testing.T) {
	t.Parallel()
	s := &session{scale: scale{rounds: 3}}
	series := func(values ...float64) sample[float64] {
		return func() (float64, error) {
			next := values[0]
			values = values[1:]
			return next, nil
		}
	}

	rounds, err := beside(s, series(10, 60, 30), series(10, 30, 30, 70), series(1, 1, 1, 1))

	require.NoError(t, err)
	require.Equal(t, []comparison{{10, 20}, {60, 30}, {30, 50}}, compared(rounds[0], identity))
	require.Equal(t, []comparison{{10, 1}, {60, 1}, {30, 1}}, compared(rounds[1], identity))
	s.against("reported", compared(rounds[0], identity), "events/s", none)
	require.InDelta(t, 0.6, *s.figures[0].Ratio, 1e-9)
	require.InDelta(t, 0.5, *s.figures[0].Low, 1e-9)
	require.InDelta(t, 2, *s.figures[0].High, 1e-9)
}

func TestReport(t *testing.T) {
	t.Parallel()
	s := &session{scenario: "journal", journal: "memory"}

	s.value("plain", 5, "B", none)
	s.value("small enough", 5, "B", atMost(6))
	s.middle("the middle", []float64{7, 5, 1}, "B", none)
	s.against("not enough", []comparison{{1, 4}, {1, 2}, {1, 8}}, "events/s", atLeast(0.5))
	s.against("nothing beside", []comparison{{1, 0}}, "events/s", atLeast(0.5))

	var out bytes.Buffer
	require.NoError(t, printJSON(&out, report{
		Machine:  machine{Processor: "fast", GOMAXPROCS: 2, Platform: "here", Go: "go1", Commit: "abc"},
		Journals: map[string]string{"memory": "is in memory"}, Figures: s.figures,
	}))
	require.JSONEq(t, `{
		"machine": {"processor":"fast","gomaxprocs":2,"platform":"here","go":"go1","commit":"abc"},
		"journals": {"memory":"is in memory"},
		"figures": [
			{"scenario":"journal","journal":"memory","metric":"plain","value":5,"unit":"B","ceiling":null,"ratio":null,"low":null,"high":null,"aim":null,"met":null},
			{"scenario":"journal","journal":"memory","metric":"small enough","value":5,"unit":"B","ceiling":null,"ratio":null,"low":null,"high":null,"aim":6,"met":true},
			{"scenario":"journal","journal":"memory","metric":"the middle","value":5,"unit":"B","ceiling":null,"ratio":null,"low":1,"high":7,"aim":null,"met":null},
			{"scenario":"journal","journal":"memory","metric":"not enough","value":1,"unit":"events/s","ceiling":4,"ratio":0.25,"low":0.125,"high":0.5,"aim":0.5,"met":false},
			{"scenario":"journal","journal":"memory","metric":"nothing beside","value":1,"unit":"events/s","ceiling":null,"ratio":null,"low":null,"high":null,"aim":null,"met":null}
		]
	}`, out.String())
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
