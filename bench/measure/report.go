package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Report holds all figures and the machine and journals they come from, as -o json prints
// them.
type Report struct {
	Machine Machine `json:"machine"`
	// Journals says how each measured one was configured.
	Journals map[string]string `json:"journals"`
	// Figures are in the order in which they were measured.
	Figures []Figure `json:"figures"`
}

// PrintJSON prints a report for programs.
func PrintJSON(out io.Writer, r Report) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// PrintTable prints the figures of one scenario on one journal.
func PrintTable(out io.Writer, figures []Figure) {
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

func (f *Figure) row() table.Row {
	row := table.Row{f.Metric + "\n  " + f.Is, number(f.Value), f.Unit, "", "", "", "", ""}
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
