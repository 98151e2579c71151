package sqlite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// opaque hides from the journal what a filter is made of, and so decides alone.
type opaque struct{ filter.Filter }

func (o opaque) Necessary() {} // not the method that the journal looks for

// variedFilters are leaves of all kinds and what is drawn from them.
func variedFilters(draw *rand.Rand, all []persistence.Recorded) []filter.Filter {
	some := func() *persistence.Recorded { return &all[draw.IntN(len(all))] }
	text := func() string { return []string{"a", "b", "it's", "c%"}[draw.IntN(4)] }
	leaves := func() filter.Filter {
		r, s := some(), some()
		drawn := []filter.Filter{
			filter.Type().Eq(r.Type), filter.Type().In(r.Type, s.Type), filter.Type().NotIn(r.Type), filter.Type().Prefix("a"), filter.Type().In(),
			filter.Stream().Eq(r.Stream), filter.Stream().In(r.Stream, s.Stream, "missing"), filter.Category().Eq(text()), filter.Category().Ne("a"),
			filter.Tag().Eq(text()), filter.Tag().In(text(), text(), text()), filter.Tag().In("t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "a"),
			filter.Version().Ge(r.Version), filter.Version().Lt(r.Version), filter.Version().Eq(r.Version), filter.Version().In(r.Version, s.Version),
			filter.Offset().Gt(r.Position.Offset), filter.Offset().Le(r.Position.Offset), filter.Offset().Eq(r.Position.Offset), filter.Offset().Lt(1), filter.Offset().Gt(1 << 62),
			filter.Time().Ge(r.At), filter.Time().Lt(r.At), filter.Time().Eq(r.At), filter.Time().Le(time.Unix(0, 0)),
			filter.ID().Eq(r.ID), filter.ID().In(r.ID, s.ID), filter.Meta("n").Int().Lt(3), filter.Meta("n").Text().Eq("1"),
			{},
		}
		return drawn[draw.IntN(len(drawn))]
	}
	filters := []filter.Filter{{}}
	for range 400 {
		f := leaves()
		for range draw.IntN(4) {
			switch g := leaves(); draw.IntN(4) {
			case 0:
				f = f.Or(g)
			case 1:
				f = filter.Not(f)
			default:
				f = f.And(g)
			}
		}
		filters = append(filters, f)
	}
	return filters
}

func (o opened) varied(draw *rand.Rand) []persistence.Recorded {
	o.t.Helper()
	texts := []string{"a", "b", "it's", "c%"}
	for i := range 120 {
		a := addition(persistence.StreamID(fmt.Sprintf("%s-%d", texts[draw.IntN(4)], draw.IntN(2))), persistence.Any)
		if i%7 == 0 {
			a.Stream = "$system"
		}
		for range 1 + draw.IntN(3) {
			e := persistence.Event{Type: texts[draw.IntN(4)], Metadata: persistence.Metadata{"n": persistence.Int(draw.Int64N(6))}}
			for k, tag := range append(texts, "t1", "t8") {
				if draw.IntN(3+k) == 0 {
					e.Tags = append(e.Tags, tag)
				}
			}
			a.Events = append(a.Events, e)
		}
		_, err := o.Append(o.t.Context(), a)
		require.NoError(o.t, err)
	}
	_, err := o.Truncate(o.t.Context(), "a-0", 5)
	require.NoError(o.t, err)
	_, err = o.Scavenge(o.t.Context(), "a-0")
	require.NoError(o.t, err)
	_, err = o.Delete(o.t.Context(), "b-1", persistence.Any)
	require.NoError(o.t, err)
	return o.follow(persistence.ReadAllOptions{System: true})
}

func (o opened) follow(options persistence.ReadAllOptions) (all []persistence.Recorded) {
	o.t.Helper()
	for page, err := range o.ReadAll(o.t.Context(), options) {
		require.NoError(o.t, err)
		all = append(all, page.Events...)
	}
	return all
}

// ids tells events apart.
func ids(events []persistence.Recorded) (all []persistence.EventID) {
	for i := range events {
		all = append(all, events[i].ID)
	}
	return all
}

// TestLongPrefilter draws filters and compares what SQLite found with what the filter
// chooses among all.
func TestLongPrefilter(t *testing.T) {
	t.Parallel()
	draw := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same at every run
	o := openInside(t)
	all := o.varied(draw)
	chosen, looked := 0, 0
	for _, f := range variedFilters(draw, all) {
		require.NoError(t, f.Check())
		if newPrefilter(f).tags(false) != nil {
			looked++
		}
		system, backward := draw.IntN(2) == 0, draw.IntN(2) == 0
		var want []persistence.Recorded
		for i := range all {
			if f.Match(&all[i]) && (system || all[i].Stream[0] != '$') {
				want = append(want, all[i])
			}
		}
		chosen += len(want)
		if backward {
			slices.Reverse(want)
		}
		options := persistence.ReadAllOptions{Filter: f, System: system, Backward: backward, PageRows: 1 + draw.IntN(60)}

		require.Equal(t, ids(want), ids(o.follow(options)), "%s %+v", f, options)

		o.alikeInStream(f, all[draw.IntN(len(all))].Stream, persistence.ReadOptions{Limit: draw.IntN(5), Backward: backward})
	}
	require.Greater(t, chosen, 1000, "filters choose something")
	require.Greater(t, looked, 20, "tags were looked up")
}

// alikeInStream requires that a filter chooses the same events of a stream when the
// journal cannot look into it.
func (o opened) alikeInStream(f filter.Filter, stream persistence.StreamID, options persistence.ReadOptions) {
	o.t.Helper()
	read := func(f persistence.Filter) (events []persistence.Recorded, count int, failed error) {
		options.Filter = f
		for recorded, err := range o.Read(o.t.Context(), stream, options) {
			if err != nil {
				return nil, 0, err
			}
			events = append(events, recorded)
		}
		count, err := o.Count(o.t.Context(), stream, options)
		require.NoError(o.t, err)
		return events, count, nil
	}
	want, wantCount, wantErr := read(opaque{f})
	got, gotCount, gotErr := read(f)
	require.Equal(o.t, wantErr, gotErr)
	require.Equal(o.t, ids(want), ids(got), "%s of %s %+v", f, stream, options)
	require.Equal(o.t, wantCount, gotCount)
}

// TestPrefilterLooksLittle has filters choose few of many events. What an index or
// the place tells must not be looked at row by row.
func TestPrefilterLooksLittle(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	for range 12 {
		a := addition("a-1", persistence.Any)
		for i := range 1000 {
			a.Events = append(a.Events, persistence.Event{Type: "t"})
			if i == 500 {
				a.Events[i].Tags = []string{"rare"}
			}
		}
		_, err := o.Append(t.Context(), a)
		require.NoError(t, err)
	}
	for name, c := range map[string]struct {
		filter filter.Filter
		want   int
	}{
		"a tag":               {filter.Tag().Eq("rare"), 12},
		"one of two tags":     {filter.Tag().In("rare", "other"), 12},
		"a tag and a version": {filter.Tag().Eq("rare").And(filter.Version().Gt(6000)), 6},
		"no such tag":         {filter.Tag().Eq("other"), 0},
		"late positions":      {filter.Offset().Gt(11_990), 10},
		"early positions":     {filter.Offset().Le(10), 10},
		"nothing":             {filter.Type().In(), 0},
	} {
		pages, found := 0, 0
		for page, err := range o.ReadAll(t.Context(), persistence.ReadAllOptions{Filter: c.filter}) {
			require.NoError(t, err)
			pages++
			found += len(page.Events)
			require.True(t, page.AtHead)
			require.Equal(t, int64(12_000), page.Next.Of(0).Offset, name)
		}
		require.Equal(t, 1, pages, name)
		require.Equal(t, c.want, found, name)
	}
}
