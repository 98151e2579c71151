package measure

import (
	"slices"
)

// Metric says what a figure is.
type Metric struct {
	// Name is short and stays the same over time, so that runs can be compared.
	Name string
	// Is says in plain words what was measured, and what it was divided by.
	Is   string
	Unit string
	Aim  Aim
}

// Figure is one measured figure, as -o json prints it. A field that does not apply is
// null. The aim is for the ratio where there is one, else for the value; low and
// high are the least and the greatest of it among the rounds.
type Figure struct {
	Scenario string   `json:"scenario"`
	Journal  string   `json:"journal"`
	Metric   string   `json:"metric"`
	Is       string   `json:"is"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Ceiling  *float64 `json:"ceiling"`
	Ratio    *float64 `json:"ratio"`
	Low      *float64 `json:"low"`
	High     *float64 `json:"high"`
	Aim      *float64 `json:"aim"`
	Met      *bool    `json:"met"`

	direction string // of the aim
}

// Aim is a bound that a figure should reach.
type Aim struct {
	direction string
	bound     float64
}

// None is the aim of a figure that is for information.
var None Aim

// AtLeast is met by the bound and all above it.
func AtLeast(bound float64) Aim { return Aim{"≥", bound} }

// AtMost is met by the bound and all below it.
func AtMost(bound float64) Aim { return Aim{"≤", bound} }

func (a Aim) met(value float64) bool {
	if a.direction == "≤" {
		return value <= a.bound
	}
	return value >= a.bound
}

// among notes between which values the rounds lie.
func (f Figure) among(rounds []float64) Figure {
	if len(rounds) > 1 {
		low, high := slices.Min(rounds), slices.Max(rounds)
		f.Low, f.High = &low, &high
	}
	return f
}
