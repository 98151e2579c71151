package journalkit_test

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pages is a reader with a head and pages, of which the last one may be an error.
type pages struct {
	persistence.Reader
	head  persistence.Positions
	pages []persistence.Page
	err   error
	after persistence.Positions
}

func (p *pages) Head(context.Context) (persistence.Positions, error) { return p.head, nil }

func (p *pages) ReadAll(_ context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	p.after = options.After
	return func(yield func(persistence.Page, error) bool) {
		for _, page := range p.pages {
			if !yield(page, nil) {
				return
			}
		}
		if p.err != nil {
			yield(persistence.Page{}, p.err)
		}
	}
}

func TestCheckEvents(t *testing.T) {
	t.Parallel()
	full := persistence.CheckOptions{Full: true}
	next := func(at ...int64) persistence.Page { return persistence.Page{Next: at} }
	cases := map[string]struct {
		pages
		options persistence.CheckOptions
		from    persistence.Positions
		text    string
		fault   bool
	}{
		"all":           {pages: pages{head: persistence.Positions{20_000, 7}, pages: []persistence.Page{next(9000, 7), next(20_001, 8)}}, options: full, from: persistence.Positions{0, 0}, text: "nothing is missing up to position 20000, 1:7"},
		"the newest":    {pages: pages{head: persistence.Positions{20_000, 7}, pages: []persistence.Page{next(20_000, 7)}}, from: persistence.Positions{10_000, 0}, text: "nothing is missing up to position 20000, 1:7, of the newest 10000"},
		"no event":      {options: full, from: persistence.Positions{}, text: "nothing is missing up to the beginning"},
		"a hole":        {pages: pages{head: persistence.Positions{5}, pages: []persistence.Page{next(2)}, err: &persistence.CorruptError{Reason: "no event at position 3"}}, options: full, from: persistence.Positions{0}, text: "behind position 2: corrupt: no event at position 3", fault: true},
		"behind a head": {pages: pages{head: persistence.Positions{5}, pages: []persistence.Page{next(5)}, err: &persistence.CorruptError{Reason: "not reached"}}, options: full, from: persistence.Positions{0}, text: "nothing is missing up to position 5"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			finding, err := journalkit.CheckEvents(t.Context(), &c.pages, c.options)

			require.NoError(t, err)
			require.Equal(t, c.from, c.after)
			require.Equal(t, "events", finding.Check)
			require.Equal(t, c.text, finding.Text)
			require.Equal(t, c.fault, finding.Severity == persistence.Fault)
			require.Equal(t, c.fault, finding.Fix != "")
		})
	}
	_, err := journalkit.CheckEvents(t.Context(), &pages{err: context.Canceled}, full)
	require.ErrorIs(t, err, context.Canceled)
}

func TestStreamsFinding(t *testing.T) {
	t.Parallel()

	require.Equal(t, persistence.Fine, journalkit.StreamsFinding(nil, persistence.CheckOptions{}).Severity)
	one := journalkit.StreamsFinding([]string{"a", "b"}, persistence.CheckOptions{})
	many := journalkit.StreamsFinding(strings.Split(strings.Repeat("f ", 12), " "), persistence.CheckOptions{})

	require.Equal(t, persistence.Finding{Severity: persistence.Fault, Check: "streams", Text: "a; b", Fix: one.Fix}, one)
	require.True(t, strings.HasSuffix(many.Text, "f; and 3 more"))
}
