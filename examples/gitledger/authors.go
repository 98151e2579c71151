package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/stele-es/stele/examples/gitledger/ledgerpb"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// Contribution is what one author has changed in one month: so many lines of the
// history, which has one for each file and commit.
type Contribution struct {
	Month, Author string
	Lines         int
}

// contributions is the state of the projection.
type contributions struct {
	Lines map[string]map[string]int // by month and author
}

// Authors counts the lines of history by author and month. Who wrote a commit, and
// when, stands in the metadata of its events.
var Authors = projections.Define("authors", 1,
	projections.On(func(_ context.Context, s *projections.State[contributions], e projections.Event[*ledgerpb.Written]) error {
		return s.Value.count(e.Metadata)
	}),
	projections.On(func(_ context.Context, s *projections.State[contributions], e projections.Event[*ledgerpb.Removed]) error {
		return s.Value.count(e.Metadata)
	}),
).With(projections.FromKinds("file"))

func (c *contributions) count(metadata persistence.Metadata) error {
	author, _ := metadata["author"].AsString()
	moment, _ := metadata["time"].AsString()
	month := moment[:min(len(moment), len("2006-01"))]
	if c.Lines == nil {
		c.Lines = map[string]map[string]int{}
	}
	if c.Lines[month] == nil {
		c.Lines[month] = map[string]int{}
	}
	c.Lines[month][author]++
	return nil
}

// list sorts by month and author.
func (c *contributions) list() (all []Contribution) {
	for _, month := range slices.Sorted(maps.Keys(c.Lines)) {
		for author, lines := range c.Lines[month] {
			all = append(all, Contribution{month, author, lines})
		}
	}
	slices.SortFunc(all, func(a, b Contribution) int {
		return cmp.Or(cmp.Compare(a.Month, b.Month), cmp.Compare(a.Author, b.Author))
	})
	return all
}

// printAuthors folds the projection once, and prints it.
func printAuthors(ctx context.Context, journal persistence.Reader, out io.Writer) error {
	found, _, err := projections.Fold(ctx, journal, Authors, projections.FoldOptions[contributions]{})
	if err != nil {
		return err
	}
	for _, c := range found.list() {
		if _, err := fmt.Fprintf(out, "%s\t%d\t%s\n", c.Month, c.Lines, c.Author); err != nil {
			return err
		}
	}
	return nil
}
