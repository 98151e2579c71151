package journaltest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var filtering = cases{
	"a filter chooses among the events of a stream":              filterStream,
	"a filter chooses among the events of the sequence":          filterSequence,
	"a filter never moves the place at which a reader continues": filterPlace,
	"a filter that chooses nothing still gives pages":            filterNothing,
	"a filter is asked about events as they are stored":          filterSees,
	"a filter that is invalid is refused":                        filterInvalid,
	"count is the number of events that are read":                countReads,
}

// growMarked stores events, some of them marked, with system events between them.
func growMarked(j journal, count int) {
	j.t.Helper()
	for i := range count {
		event := note(fmt.Sprint(i))
		if i%3 == 1 {
			event.Type = "marked"
		}
		j.store(persistence.StreamID(fmt.Sprintf("filter-%d", i%2)), persistence.Any, event)
		if i%5 == 0 {
			event.Type = "marked"
			j.store("$filter", persistence.Any, event)
		}
	}
}

func isMarked(recorded *persistence.Recorded) bool { return recorded.Type == "marked" }

// kept returns the events that a filter chooses, in the simplest way.
func kept(events []persistence.Recorded, match func(*persistence.Recorded) bool) []persistence.Recorded {
	return slices.DeleteFunc(slices.Clone(events), func(recorded persistence.Recorded) bool { return !match(&recorded) })
}

func filterStream(t *testing.T, s suite) {
	j := s.open(t)
	growMarked(j, 40)
	j.truncate("filter-1", 4)
	for _, stream := range []persistence.StreamID{"filter-0", "filter-1", "$filter"} {
		all := plain(j.events(stream))
		for _, from := range []persistence.Version{0, 4, 7, 20, 99} {
			for _, limit := range []int{0, 1, 2, 5, 100} {
				for _, backward := range []bool{false, true} {
					options := persistence.ReadOptions{From: from, Limit: limit, Backward: backward}
					want := slices.Clone(all)
					if backward {
						slices.Reverse(want)
					}
					want = kept(want, func(r *persistence.Recorded) bool {
						return isMarked(r) && (from == 0 || backward && r.Version <= from || !backward && r.Version >= from)
					})
					if limit > 0 {
						want = want[:min(limit, len(want))] // a limit counts chosen events
					}
					options.Filter = where(isMarked)

					events, err := j.read(stream, options)

					require.NoError(t, err)
					require.Equal(t, want, plain(events), "%s %+v", stream, options)
					count, err := j.Count(j.ctx, stream, options)
					require.NoError(t, err)
					require.Equal(t, len(want), count)
				}
			}
		}
		events, err := j.read(stream, persistence.ReadOptions{Filter: where(func(*persistence.Recorded) bool { return false })})
		require.NoError(t, err, "a stream exists also when the filter chooses none of its events")
		require.Empty(t, events)
	}
	_, err := j.read("filter-1", persistence.ReadOptions{From: 1, Filter: where(isMarked)})
	truncatedAt(j, "filter-1", 4, err)
	_, err = j.read("missing-1", persistence.ReadOptions{Filter: where(isMarked)})
	require.ErrorIs(t, err, persistence.ErrStreamNotFound)
}

func filterSequence(t *testing.T, s suite) {
	j := s.open(t)
	growMarked(j, 60)
	j.delete("filter-1")
	all := plain(j.all())
	filters := map[string]func(*persistence.Recorded) bool{
		"marked": isMarked,
		"all":    func(*persistence.Recorded) bool { return true },
		"none":   func(*persistence.Recorded) bool { return false },
		"stream": func(r *persistence.Recorded) bool { return r.Stream == "filter-1" },
		"first":  func(r *persistence.Recorded) bool { return r.Position == all[0].Position },
		"last":   func(r *persistence.Recorded) bool { return r.Type == persistence.TypeDeleted },
	}
	for name, match := range filters {
		for _, system := range []bool{false, true} {
			want := kept(all, func(r *persistence.Recorded) bool { return match(r) && (system || r.Stream[0] != '$') })
			backward := slices.Clone(want)
			slices.Reverse(backward)
			for _, rows := range []int{0, 1, 2, 7, 1000} {
				options := persistence.ReadAllOptions{Filter: where(match), System: system, PageRows: rows}
				require.Equal(t, want, plain(j.follow(options)), "%s, %d rows", name, rows)
				options.Backward = true
				require.Equal(t, backward, plain(j.follow(options)), "%s, %d rows backward", name, rows)
			}
		}
	}
}

// filterPlace lets a reader store each place and continue from it, with and without the
// filter. The place must be valid for both.
func filterPlace(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("filter-0", 20)
	growMarked(j, 50)
	j.grow("filter-0", 20)
	all := plain(j.all())
	for _, backward := range []bool{false, true} {
		want := slices.Clone(all)
		if backward {
			slices.Reverse(want)
		}
		seen := 0
		options := persistence.ReadAllOptions{Filter: where(isMarked), System: true, PageRows: 2, Backward: backward}
		for page, err := range j.ReadAll(j.ctx, options) {
			require.NoError(t, err)
			rest := persistence.ReadAllOptions{System: true, Backward: backward, After: page.Next}
			left := plain(j.follow(rest))
			covered := want[seen : len(want)-len(left)]
			require.Equal(t, kept(covered, isMarked), plain(page.Events), "a page holds all chosen events of the part that it covers")
			require.Equal(t, want[len(want)-len(left):], left, "no chosen event between the page and the next place is left out")
			seen += len(covered)
		}
		require.Equal(t, len(all), seen)
	}
}

// filterNothing uses a filter that chooses none of many events. One page must not ask it
// about all of them.
func filterNothing(t *testing.T, s suite) {
	j := s.open(t)
	const count = 3000
	for i := range count / 1000 {
		j.store(persistence.StreamID(fmt.Sprintf("long-%d", i)), persistence.NoStream, notes("n", 1000)...)
	}
	for _, backward := range []bool{false, true} {
		for _, rows := range []int{1, 60, 100} {
			var asked atomic.Int64
			options, err := persistence.ReadAllOptions{PageRows: rows, Backward: backward, Filter: where(func(*persistence.Recorded) bool {
				asked.Add(1)
				return false
			})}.Normal()
			require.NoError(t, err)
			at, pages := options.After, 0
			for page, err := range j.ReadAll(j.ctx, options) {
				require.NoError(t, err)
				require.Empty(t, page.Events)
				require.True(t, page.AtHead || !samePlace(at, page.Next), "an empty page has a next place further on")
				at, pages = page.Next, pages+1
				require.LessOrEqual(t, asked.Load(), int64(pages*options.Scan()), "a page of %d rows looks at too many events", rows)
			}
			require.GreaterOrEqual(t, pages, count/options.Scan())
			require.Equal(t, int64(count), asked.Load(), "each event is looked at once")
		}
	}
}

func filterSees(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("other-1", 2)
	events := named(
		persistence.Event{Type: "a", Schema: 7, Payload: []byte("payload"), Headers: []byte("headers"), Metadata: persistence.Metadata{"k": persistence.Float(1), "n": persistence.Int(1)}, Tags: []string{"t", "u"}},
		persistence.Event{Type: "b"},
	)
	j.store("seen-1", persistence.NoStream, events...)
	want := map[persistence.EventID]persistence.Recorded{}
	for _, recorded := range plain(j.events("seen-1")) {
		want[recorded.ID] = recorded
	}
	seen := 0
	sees := where(func(recorded *persistence.Recorded) bool {
		if recorded.Stream == "seen-1" {
			seen++
			require.Equal(t, want[recorded.ID], plain([]persistence.Recorded{*recorded})[0])
		}
		return false
	})

	for _, backward := range []bool{false, true} {
		_, err := j.read("seen-1", persistence.ReadOptions{Filter: sees, Backward: backward})
		require.NoError(t, err)
		_, err = j.Count(j.ctx, "seen-1", persistence.ReadOptions{Filter: sees, Backward: backward})
		require.NoError(t, err)
		j.follow(persistence.ReadAllOptions{Filter: sees, Backward: backward})
	}

	require.Equal(t, 2*3*len(events), seen)
}

func filterInvalid(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("filter-1", 2)
	reason := &persistence.InvalidError{Field: "filter", Reason: "is only a test"}
	broken := opaque{err: reason, match: func(*persistence.Recorded) bool { t.Error("an invalid filter is asked"); return true }}

	for _, backward := range []bool{false, true} {
		for _, stream := range []persistence.StreamID{"filter-1", "missing-1"} {
			events, err := j.read(stream, persistence.ReadOptions{Filter: broken, Backward: backward})
			require.ErrorIs(t, err, reason)
			require.Empty(t, events)
			_, err = j.Count(j.ctx, stream, persistence.ReadOptions{Filter: broken, Backward: backward})
			require.ErrorIs(t, err, reason)
		}
		times := 0
		for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{Filter: broken, Backward: backward}) {
			require.ErrorIs(t, err, reason)
			require.Empty(t, page.Events)
			times++
		}
		require.Equal(t, 1, times)
	}
}

func countReads(t *testing.T, s suite) {
	j := s.open(t)
	const length = 9
	j.grow("count-1", length)
	j.grow("other-1", 3)
	odd := where(func(r *persistence.Recorded) bool { return r.Version%2 == 1 })
	for _, first := range []persistence.Version{1, 4} {
		j.truncate("count-1", first)
		for from := persistence.Version(0); from <= length+1; from++ {
			for limit := range length + 2 {
				for _, f := range []persistence.Filter{nil, odd} {
					options := persistence.ReadOptions{From: from, Limit: limit, Backward: limit%2 == 1, Filter: f}
					events, readError := j.read("count-1", options)

					count, err := j.Count(j.ctx, "count-1", options)

					require.Equal(t, len(events), count, "%+v", options)
					require.Equal(t, errors.Is(readError, persistence.ErrTruncated), errors.Is(err, persistence.ErrTruncated), "%+v", options)
					require.Equal(t, readError == nil, err == nil)
				}
			}
		}
	}
	_, err := j.Count(j.ctx, "count-1", persistence.ReadOptions{Limit: -1})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	_, err = j.Count(j.ctx, "count-1", persistence.ReadOptions{From: persistence.MaxVersion + 1})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	_, err = j.Count(j.ctx, persistence.StreamID(strings.Repeat("m", 9)), persistence.ReadOptions{})
	require.ErrorIs(t, err, persistence.ErrStreamNotFound)
}
