package journaltest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var sequence = cases{
	"the global sequence is read in pages of any size":          sequencePages,
	"a page is limited by its bytes and has at least one event": sequenceBytes,
	"the next place lies behind hidden streams":                 sequenceHidden,
	"system streams are shown on request only":                  sequenceSystem,
	"a place beyond the head is an empty page at the head":      sequenceBeyond,
	"an empty journal is one empty page":                        sequenceEmpty,
	"a reader may change the place that a page returned":        sequenceOwned,
}

func sequencePages(t *testing.T, s suite) {
	j := s.open(t)
	var want []string
	for i := range 37 {
		text := fmt.Sprint(i)
		j.store(persistence.StreamID(fmt.Sprintf("pages-%d", i%5)), persistence.Any, note(text))
		want = append(want, text)
	}
	all := plain(j.all())
	require.Equal(t, want, textsOf(all))

	for _, rows := range []int{0, 1, 2, 10, 36, 37, 38, 1000, math.MaxInt} {
		require.Equal(t, all, plain(j.follow(persistence.ReadAllOptions{PageRows: rows})), "%d rows", rows)
	}
	for i := range all {
		after := persistence.Positions{}.With(all[i].Position)
		require.Equal(t, all[i+1:], plain(j.follow(persistence.ReadAllOptions{PageRows: 7, After: after})), "after %d", i)
	}
}

func sequenceBytes(t *testing.T, s suite) {
	j := s.open(t)
	sizes := []int{10, 0, 900, 900, 3000, 1, 1, 5000, 5000, 100, 100, 100, 0, 0, 2400}
	for i, size := range sizes {
		e := persistence.Event{Type: "sized", Payload: bytes.Repeat([]byte{byte(i)}, size/2), Headers: bytes.Repeat([]byte{'h'}, size-size/2)}
		j.store(persistence.StreamID(fmt.Sprintf("sized-%d", i%3)), persistence.Any, e)
	}
	all := plain(j.all())
	require.Len(t, all, len(sizes))

	for _, limit := range []int{1, 1000, 2500, 6000, math.MaxInt} {
		options := persistence.ReadAllOptions{PageBytes: limit}
		require.Equal(t, all, plain(j.follow(options)), "%d bytes", limit)
		pages := 0
		for page, err := range j.ReadAll(j.ctx, options) {
			require.NoError(t, err)
			require.True(t, len(page.Events) <= 1 || bytesOf(page.Events) <= limit, "%d events of %d bytes in a page of %d", len(page.Events), bytesOf(page.Events), limit)
			pages++
		}
		require.True(t, limit > 1 || pages >= len(sizes), "each event has a page of its own when the limit is below its size")
		require.True(t, limit < math.MaxInt || pages <= 2, "events that fit are one page, with at most one empty page after it")
	}
}

func bytesOf(events []persistence.Recorded) int {
	size := 0
	for i := range events {
		size += len(events[i].Payload) + len(events[i].Headers)
	}
	return size
}

func sequenceHidden(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("shown-1", 2)
	for i := range 25 {
		j.store(persistence.StreamID(fmt.Sprintf("$hidden-%d", i)), persistence.NoStream, note("hidden"))
	}

	for _, rows := range []int{0, 1, 4, 26, 27, 28} {
		var at persistence.Positions
		count := 0
		for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{PageRows: rows}) {
			require.NoError(t, err)
			count += len(page.Events)
			at = page.Next
		}
		require.Equal(t, 2, count)
		require.True(t, samePlace(j.head(), at), "a reader that continues at Next does not read the hidden events again")
	}
	j.grow("shown-1", 1)
	require.Len(t, j.follow(persistence.ReadAllOptions{PageRows: 3}), 3)
}

func sequenceSystem(t *testing.T, s suite) {
	j := s.open(t)
	for _, stream := range []persistence.StreamID{"$a-1", "a-$", "a$-1", "$", "-$"} {
		j.store(stream, persistence.NoStream, persistence.Event{Type: "$type"}, persistence.Event{Type: "type"})
	}

	shown := j.follow(persistence.ReadAllOptions{})

	var streams []persistence.StreamID
	for _, recorded := range shown {
		streams = append(streams, recorded.Stream)
	}
	require.Equal(t, []persistence.StreamID{"a-$", "a-$", "a$-1", "a$-1", "-$", "-$"}, streams)
	require.Equal(t, "$type", shown[0].Type, "only streams are hidden, not types")
	require.Len(t, j.all(), 10)
	require.Len(t, j.events("$a-1"), 2)
}

func sequenceBeyond(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("beyond-1", 3)
	head := j.head()

	for _, ahead := range []int64{0, 1, 1000, math.MaxInt64 - 10} {
		after := slices.Clone(head)
		for part := range after {
			after[part] += ahead
		}
		pages := 0
		for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{After: after}) {
			require.NoError(t, err)
			require.Empty(t, page.Events)
			require.True(t, page.AtHead)
			require.True(t, samePlace(after, page.Next), "a place never moves back")
			pages++
		}
		require.Equal(t, 1, pages)
	}
}

func sequenceEmpty(t *testing.T, s suite) {
	j := s.open(t)
	for _, options := range []persistence.ReadAllOptions{{}, {System: true}, {PageRows: 1}, {PageBytes: 1}} {
		pages := 0
		for page, err := range j.ReadAll(j.ctx, options) {
			require.NoError(t, err)
			require.Empty(t, page.Events)
			require.True(t, page.AtHead)
			require.True(t, samePlace(nil, page.Next))
			pages++
		}
		require.Equal(t, 1, pages)
	}
}

func sequenceOwned(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("owned-1", 5)
	after := persistence.Positions{1}
	var events []persistence.Recorded

	for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{After: after, PageRows: 2}) {
		require.NoError(t, err)
		events = append(events, page.Events...)
		for part := range page.Next {
			page.Next[part] = 0
		}
		require.LessOrEqual(t, len(events), 4, "the loop does not follow the caller's changes of a place")
	}

	require.Equal(t, persistence.Positions{1}, after, "the journal does not change the caller's place")
	require.Equal(t, []persistence.Version{2, 3, 4, 5}, versionsOf(events))
}
