package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// figure is one measured figure, as -o json prints it. What does not apply is
// null. The aim is for the ratio where there is one, else for the value; low and
// high are the least and the greatest of it among the rounds.
type figure struct {
	Scenario string   `json:"scenario"`
	Journal  string   `json:"journal"`
	Metric   string   `json:"metric"`
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

// aim is what a figure should reach.
type aim struct {
	direction string
	bound     float64
}

// none is the aim of a figure that is for information.
var none aim

func atLeast(bound float64) aim { return aim{"≥", bound} }
func atMost(bound float64) aim  { return aim{"≤", bound} }

func (a aim) met(value float64) bool {
	if a.direction == "≤" {
		return value <= a.bound
	}
	return value >= a.bound
}

// among notes between which values the rounds lie.
func (f figure) among(rounds []float64) figure {
	if len(rounds) > 1 {
		low, high := slices.Min(rounds), slices.Max(rounds)
		f.Low, f.High = &low, &high
	}
	return f
}

// report is what -o json prints: all figures, and what they were measured on.
type report struct {
	Machine machine `json:"machine"`
	// Journals says how each measured one was configured.
	Journals map[string]string `json:"journals"`
	Figures  []figure          `json:"figures"`
}

func printJSON(out io.Writer, r report) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// printTable prints the figures of one scenario on one journal.
func printTable(out io.Writer, figures []figure) {
	if len(figures) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options.SeparateColumns = false
	t.Style().Format.Header = text.FormatLower
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 2, Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Number: 4, Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Number: 5, Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Number: 6, Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Number: 7, Align: text.AlignRight, AlignHeader: text.AlignRight},
	})
	t.AppendHeader(table.Row{figures[0].Scenario + " on " + figures[0].Journal, "value", "unit", "ceiling", "ratio", "rounds", "aim", "met"})
	for _, f := range figures {
		t.AppendRow(f.row())
	}
	fmt.Fprintln(out, t.Render())
}

func (f *figure) row() table.Row {
	row := table.Row{f.Metric, number(f.Value), f.Unit, "", "", "", "", ""}
	if f.Ceiling != nil {
		row[3], row[4] = number(*f.Ceiling), fmt.Sprintf("%.2f", *f.Ratio)
	}
	if f.Low != nil {
		row[5] = number(*f.Low) + "–" + number(*f.High)
	}
	if f.Aim != nil {
		row[6], row[7] = f.direction+" "+number(*f.Aim), map[bool]string{true: "yes", false: "NO"}[*f.Met]
	}
	return row
}

// number shows as many digits as a noisy measurement is worth.
func number(v float64) string {
	switch {
	case v == math.Trunc(v) && math.Abs(v) < 1e6, math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
