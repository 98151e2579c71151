package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// The transcript is what a person sees who runs the program, runs it again, and
// then types commands. Every command starts it anew on the same file.
func TestTranscript(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bank.db")

	for _, step := range []struct {
		lines []string
		shown string
	}{
		{story, `
open ann               0 cents
deposit ann 100        100 cents
withdraw ann 1000000   refused: insufficient funds
withdraw ann 30        70 cents
show ann               70 cents
`},
		{story, `
open ann               refused: the account exists already
deposit ann 100        170 cents
withdraw ann 1000000   refused: insufficient funds
withdraw ann 30        140 cents
show ann               140 cents
`},
		{[]string{"show bob"}, `
show bob               refused: there is no such account
`},
		{[]string{"deposit ann much"}, `
deposit ann much       refused: the amount must be positive
`},
		{[]string{"close ann"}, `
close ann              refused: the bank knows open, deposit, withdraw and show
`},
	} {
		var out strings.Builder

		err := run(t.Context(), file, step.lines, &out)

		require.NoError(t, err)
		require.Equal(t, strings.TrimPrefix(step.shown, "\n"), out.String())
	}
}

// What is no answer of the account ends the program.
func TestFailure(t *testing.T) {
	t.Parallel()

	err := run(t.Context(), filepath.Join(t.TempDir(), "bank.db"), []string{"show"}, t.Output())
	require.ErrorIs(t, err, persistence.ErrInvalid)

	err = run(t.Context(), filepath.Join(t.TempDir(), "away", "bank.db"), story, t.Output())
	require.ErrorIs(t, err, persistence.ErrUnavailable)
}
