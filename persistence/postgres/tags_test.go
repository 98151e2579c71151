package postgres_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/postgres"
)

// Few events among many are found by their tags, without reading the others.
func TestTagsAreLookedUp(t *testing.T) {
	t.Parallel()
	url, journal := urlAndJournal(t)
	const many, apart = 20_000, 6000
	for i := range many / 1000 {
		events := make([]persistence.Event, 1000)
		for k := range events {
			events[k].Type = "t"
			if n := 1000*i + k; n%apart == 17 {
				events[k].Tags = []string{"rare", fmt.Sprint("n", n), "common"}
			} else if n%7 == 0 {
				events[k].Tags = []string{"common"}
			}
		}
		require.NoError(t, appendAll(t, journal, "s-1", events))
	}
	rare := filter.Tag().Eq("rare")
	for name, c := range map[string]struct {
		filter      filter.Filter
		want, pages int
	}{
		"one tag":               {rare, 4, 5},
		"one of several":        {filter.Tag().In("n17", "n6017", "nowhere", "rare"), 4, 5},
		"two tags":              {rare.And(filter.Tag().Eq("common")), 4, 5},
		"a tag that is nowhere": {filter.Tag().Eq("nowhere"), 0, 1},
		"a tag and a type":      {rare.And(filter.Type().Ne("t")), 0, 1},
	} {
		for _, backward := range []bool{false, true} {
			pages, found := 0, 0
			var last persistence.Page
			for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{Filter: c.filter, PageRows: 1, Backward: backward}) {
				require.NoError(t, err)
				pages, found, last = pages+1, found+len(page.Events), page
			}
			require.Equal(t, c.want, found, name)
			require.LessOrEqual(t, pages, c.pages, name)
			require.True(t, last.AtHead)
			end := int64(many)
			if backward {
				end = 1
			}
			require.Equal(t, persistence.Positions{end}, last.Next, name)
		}
	}

	require.Equal(t, 4*3+1+many/7, scalar(t, url, "SELECT count(*) FROM stele.event_tag"))
	_, err := journal.Truncate(t.Context(), "s-1", many)
	require.NoError(t, err)
	_, err = journal.Scavenge(t.Context(), "s-1")
	require.NoError(t, err)
	require.Equal(t, 1, scalar(t, url, "SELECT count(*) FROM stele.event_tag"), "what is scavenged has no tags; the newest event stays")
}

// Offsets that cannot match are skipped.
func TestOffsetsAreJumpedOver(t *testing.T) {
	t.Parallel()
	_, journal := urlAndJournal(t)
	const many = 20_000
	for range many / 1000 {
		require.NoError(t, appendAll(t, journal, "s-1", make([]persistence.Event, 1000)))
	}
	for name, c := range map[string]struct {
		filter     filter.Filter
		want, most int
	}{
		"at the end":       {filter.Offset().Gt(many - 3), 3, 2},
		"at the beginning": {filter.Offset().Lt(4), 3, 3},
		"in the middle":    {filter.Offset().Ge(10_000).And(filter.Offset().Le(10_002)), 3, 3},
		"behind the head":  {filter.Offset().Gt(many), 0, 2},
		"at the greatest":  {filter.Offset().Eq(math.MaxInt64), 0, 2},
		"nowhere":          {filter.Offset().Gt(9).And(filter.Offset().Lt(5)), 0, 1},
	} {
		for _, backward := range []bool{false, true} {
			pages, found := 0, 0
			for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{Filter: c.filter, Backward: backward}) {
				require.NoError(t, err)
				pages, found = pages+1, found+len(page.Events)
			}
			require.Equal(t, c.want, found, name)
			require.LessOrEqual(t, pages, c.most, name)
		}
	}
}

func appendAll(t *testing.T, journal *postgres.Journal, stream persistence.StreamID, events []persistence.Event) error {
	t.Helper()
	for i := range events {
		events[i].Type = "t"
	}
	outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: stream, Expected: persistence.Any, Events: events})
	require.NoError(t, err)
	return outcomes[0].Err
}

func urlAndJournal(t *testing.T) (string, *postgres.Journal) {
	t.Helper()
	config := pgtest.Config(t)
	return config.URL, open(t, config)
}
