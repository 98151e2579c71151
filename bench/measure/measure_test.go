package measure

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each round has the ceilings next to it, and the one that is reported has the
// median of the ratios.
func TestBeside(t *testing.T) {
	t.Parallel()
	s := &Sheet{Rounds: 3}
	series := func(values ...float64) Sample[float64] {
		return func() (float64, error) {
			next := values[0]
			values = values[1:]
			return next, nil
		}
	}

	rounds, err := Beside(s, series(10, 60, 30), series(10, 30, 30, 70), series(1, 1, 1, 1))

	require.NoError(t, err)
	require.Equal(t, []Comparison{{10, 20}, {60, 30}, {30, 50}}, Compared(rounds[0], Identity))
	require.Equal(t, []Comparison{{10, 1}, {60, 1}, {30, 1}}, Compared(rounds[1], Identity))
	s.Against(Metric{Name: "reported", Unit: "events/s"}, Compared(rounds[0], Identity))
	require.InDelta(t, 0.6, *s.Figures[0].Ratio, 1e-9)
	require.InDelta(t, 0.5, *s.Figures[0].Low, 1e-9)
	require.InDelta(t, 2, *s.Figures[0].High, 1e-9)
}

func TestReport(t *testing.T) {
	t.Parallel()
	s := &Sheet{Scenario: "journal", Journal: "memory"}

	s.Value(Metric{Name: "plain", Is: "bytes", Unit: "B"}, 5)
	s.Value(Metric{Name: "small enough", Unit: "B", Aim: AtMost(6)}, 5)
	s.Middle(Metric{Name: "the middle", Unit: "B"}, []float64{7, 5, 1})
	s.Against(Metric{Name: "not enough", Is: "one, divided by the other", Unit: "events/s", Aim: AtLeast(0.5)}, []Comparison{{1, 4}, {1, 2}, {1, 8}})
	s.Against(Metric{Name: "nothing beside", Unit: "events/s", Aim: AtLeast(0.5)}, []Comparison{{1, 0}})

	var out bytes.Buffer
	require.NoError(t, PrintJSON(&out, Report{
		Machine:  Machine{Processor: "fast", GOMAXPROCS: 2, Platform: "here", Go: "go1", Commit: "abc"},
		Journals: map[string]string{"memory": "is in memory"}, Figures: s.Figures,
	}))
	require.JSONEq(t, `{
		"machine": {"processor":"fast","gomaxprocs":2,"platform":"here","go":"go1","commit":"abc"},
		"journals": {"memory":"is in memory"},
		"figures": [
			{"scenario":"journal","journal":"memory","metric":"plain","is":"bytes","value":5,"unit":"B","ceiling":null,"ratio":null,"low":null,"high":null,"aim":null,"met":null},
			{"scenario":"journal","journal":"memory","metric":"small enough","is":"","value":5,"unit":"B","ceiling":null,"ratio":null,"low":null,"high":null,"aim":6,"met":true},
			{"scenario":"journal","journal":"memory","metric":"the middle","is":"","value":5,"unit":"B","ceiling":null,"ratio":null,"low":1,"high":7,"aim":null,"met":null},
			{"scenario":"journal","journal":"memory","metric":"not enough","is":"one, divided by the other","value":1,"unit":"events/s","ceiling":4,"ratio":0.25,"low":0.125,"high":0.5,"aim":0.5,"met":false},
			{"scenario":"journal","journal":"memory","metric":"nothing beside","is":"","value":1,"unit":"events/s","ceiling":null,"ratio":null,"low":null,"high":null,"aim":null,"met":null}
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
