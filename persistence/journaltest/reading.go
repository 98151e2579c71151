package journaltest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var reading = cases{
	"a stream is read forward and backward from any version":       readBothWays,
	"a stream is read in pages of any size":                        readInPages,
	"a missing stream is not an empty one":                         readMissing,
	"a loop over a stream may be left and begun again":             readAgain,
	"a reader may call the journal inside its loop":                readInside,
	"options out of range are invalid":                             readInvalid,
	"values that a journal takes and returns belong to the caller": readOwned,
	"the head is the last position":                                readHead,
}

// readBothWays compares readings with the slices that the options mean.
func readBothWays(t *testing.T, s suite) {
	j := s.open(t)
	const count = 12
	for i := range count {
		j.grow("other-1", i%3)
		j.store("both-1", persistence.Exact(persistence.Version(i)), note(fmt.Sprint(i+1)))
	}
	for _, from := range []persistence.Version{0, 1, 2, count - 1, count, count + 1, persistence.MaxVersion} {
		for _, limit := range []int{0, 1, 2, count - 1, count, count + 1, 1_000_000} {
			for _, backward := range []bool{false, true} {
				options := persistence.ReadOptions{From: from, Limit: limit, Backward: backward}

				events, err := j.read("both-1", options)

				require.NoError(t, err)
				require.Equal(t, chosen(count, options), versionsOf(events), "%+v", options)
			}
		}
	}
}

// chosen returns the versions that options choose of a stream, in the simplest way.
func chosen(count persistence.Version, options persistence.ReadOptions) []persistence.Version {
	var versions []persistence.Version
	for version := persistence.Version(1); version <= count; version++ {
		if options.From == 0 || options.Backward && version <= options.From || !options.Backward && version >= options.From {
			versions = append(versions, version)
		}
	}
	if options.Backward {
		slices.Reverse(versions)
	}
	if options.Limit > 0 {
		versions = versions[:min(options.Limit, len(versions))]
	}
	return versions
}

func versionsOf(events []persistence.Recorded) []persistence.Version {
	var versions []persistence.Version
	for i := range events {
		versions = append(versions, events[i].Version)
	}
	return versions
}

func readInPages(t *testing.T, s suite) {
	j := s.open(t)
	const count = 23
	j.store("paged-1", persistence.NoStream, notes("p", count)...)
	want := plain(j.events("paged-1"))
	require.Len(t, want, count)
	backward := slices.Clone(want)
	slices.Reverse(backward)

	for _, size := range []int{1, 2, 10, 1000} {
		var there, back []persistence.Recorded
		for from := persistence.Version(1); from <= count; from = there[len(there)-1].Version + 1 {
			page, err := j.read("paged-1", persistence.ReadOptions{From: from, Limit: size})
			require.NoError(t, err)
			there = append(there, page...)
		}
		for from := persistence.Version(count); from > 0; from = back[len(back)-1].Version - 1 {
			page, err := j.read("paged-1", persistence.ReadOptions{From: from, Limit: size, Backward: true})
			require.NoError(t, err)
			back = append(back, page...)
		}
		require.Equal(t, want, plain(there), "pages of %d", size)
		require.Equal(t, backward, plain(back), "pages of %d", size)
	}
}

func readMissing(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("near-1", 2)

	for _, stream := range []persistence.StreamID{"near", "near-", "near-10", "Near-1", "near-1 ", "-1", "$near-1"} {
		j.missing(stream)
	}
	events, err := j.read("near-1", persistence.ReadOptions{From: 3})
	require.NoError(t, err, "reading beyond the end finds nothing and is no error")
	require.Empty(t, events)
}

func readAgain(t *testing.T, s suite) {
	j := s.open(t)
	j.store("again-1", persistence.NoStream, notes("a", 5)...)
	stream, all := j.Read(j.ctx, "again-1", persistence.ReadOptions{}), j.ReadAll(j.ctx, persistence.ReadAllOptions{PageRows: 2})

	for range 40 { // more often than a journal has connections to lose
		for recorded, err := range stream {
			require.NoError(t, err)
			if recorded.Version == 2 {
				break
			}
		}
		for page, err := range all {
			require.NoError(t, err)
			require.Len(t, page.Events, 2)
			break
		}
	}
	j.store("again-1", persistence.Exact(5), note("a 6"))

	events, err := collect(stream)
	require.NoError(t, err)
	require.Equal(t, []string{"a 1", "a 2", "a 3", "a 4", "a 5", "a 6"}, textsOf(events))
	count := 0
	for page, err := range all {
		require.NoError(t, err)
		count += len(page.Events)
	}
	require.Equal(t, 6, count, "each loop reads from the beginning")
}

func readInside(t *testing.T, s suite) {
	j := s.open(t)
	j.store("outer-1", persistence.NoStream, notes("o", 3)...)

	for outer, err := range j.Read(j.ctx, "outer-1", persistence.ReadOptions{Limit: 3}) {
		require.NoError(t, err)
		for inner, err := range j.Read(j.ctx, "outer-1", persistence.ReadOptions{From: outer.Version, Limit: 1}) {
			require.NoError(t, err)
			j.store("inner-1", persistence.Any, note(string(inner.Payload)))
		}
	}
	for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{PageRows: 1}) {
		require.NoError(t, err)
		if len(page.Events) == 1 && page.Events[0].Stream == "outer-1" {
			j.store("inner-1", persistence.Any, note(string(page.Events[0].Payload)))
		}
	}

	require.Equal(t, []string{"o 1", "o 2", "o 3", "o 1", "o 2", "o 3"}, textsOf(j.events("inner-1")))
}

func readInvalid(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("range-1", 1)
	for _, options := range []persistence.ReadOptions{{Limit: -1}, {From: persistence.MaxVersion + 1}, {Limit: -1, Backward: true}} {
		events, err := j.read("range-1", options)
		require.ErrorIs(t, err, persistence.ErrInvalid, "%+v", options)
		require.Empty(t, events)
	}
	for _, options := range []persistence.ReadAllOptions{{PageRows: -1}, {PageBytes: -1}, {After: persistence.Positions{-1}}, {After: persistence.Positions{0, -1}}} {
		times := 0
		for page, err := range j.ReadAll(j.ctx, options) {
			require.ErrorIs(t, err, persistence.ErrInvalid, "%+v", options)
			require.Empty(t, page.Events)
			times++
		}
		require.Equal(t, 1, times, "an error is the last pair of a loop")
	}
}

func readOwned(t *testing.T, s suite) {
	j := s.open(t)
	fresh := func() []persistence.Event {
		e := persistence.Event{Type: "owned", Payload: []byte("payload"), Headers: []byte("headers"), Metadata: persistence.Metadata{"k": persistence.Int(1)}}
		return []persistence.Event{e, e}
	}
	given := fresh()
	j.store("owned-1", persistence.NoStream, given...)

	require.Equal(t, fresh(), given, "an append does not change the events that it is given")
	scribble(given[0])
	cameBack(j, "owned-1", fresh()) // the journal does not keep the writer's slices
	for _, recorded := range append(j.events("owned-1"), j.all()...) {
		scribble(recorded.Event)
	}
	cameBack(j, "owned-1", fresh()) // the journal does not share slices with its readers
	if pages, ok := persistence.As[persistence.PageReader](j.Journal); ok {
		got, err := pages.ReadPages(j.ctx, []persistence.PageRequest{{Stream: "owned-1", Limit: 2}})
		require.NoError(t, err)
		for _, recorded := range got[0].Events {
			scribble(recorded.Event)
		}
		cameBack(j, "owned-1", fresh())
	}
}

// scribble overwrites everything that an event refers to, also behind the end of a slice.
func scribble(e persistence.Event) {
	for _, data := range [][]byte{e.Payload, e.Headers} {
		for i := range data {
			data[i] = '!'
		}
		_ = append(data, "behind"...)
	}
	e.Metadata["k"] = persistence.Int(2)
	e.Metadata["more"] = persistence.Int(3)
}

func readHead(t *testing.T, s suite) {
	j := s.open(t)
	require.True(t, samePlace(nil, j.head()), "the head of an empty journal is the beginning")
	want := persistence.Positions{}
	for i := range 3 {
		outcome := j.store("$head-1", persistence.Any, notes("h", i+1)...)
		want = want.With(persistence.Position{Part: outcome.Position.Part, Offset: outcome.Position.Offset + int64(i)})
		require.True(t, samePlace(want, j.head()))
	}

	ctx, leave := context.WithCancel(j.ctx)
	leave()
	_, err := j.Head(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
