package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// figure is one measured figure, as -o json prints it. What does not apply is
// null. The aim is for the ratio where there is one, else for the value.
type figure struct {
	Scenario string   `json:"scenario"`
	Journal  string   `json:"journal"`
	Metric   string   `json:"metric"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Ceiling  *float64 `json:"ceiling"`
	Ratio    *float64 `json:"ratio"`
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

func printJSON(out io.Writer, figures []figure) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(figures)
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
	})
	t.AppendHeader(table.Row{figures[0].Scenario + " on " + figures[0].Journal, "value", "unit", "ceiling", "ratio", "aim", "met"})
	for _, f := range figures {
		t.AppendRow(f.row())
	}
	fmt.Fprintln(out, t.Render())
}

func (f *figure) row() table.Row {
	row := table.Row{f.Metric, number(f.Value), f.Unit, "", "", "", ""}
	if f.Ceiling != nil {
		row[3], row[4] = number(*f.Ceiling), fmt.Sprintf("%.2f", *f.Ratio)
	}
	if f.Aim != nil {
		row[5], row[6] = f.direction+" "+number(*f.Aim), map[bool]string{true: "yes", false: "NO"}[*f.Met]
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
