package journaltest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var truncating = cases{
	"truncated events cannot be read in their stream":          truncateHides,
	"a truncation never goes back and leaves the newest event": truncateMonotone,
	"truncated events stay in the sequence":                    truncateStays,
	"a truncated stream continues as before":                   truncateGoesOn,
	"a stream that does not exist cannot be truncated":         truncateMissing,
	"a truncation ends with its stream":                        truncateDeleted,
}

// scavenging are the cases of a [persistence.Scavenger].
var scavenging = cases{
	"scavenged events are skipped and leave no gap":            scavengeEmpties,
	"scavenging removes nothing that can be read":              scavengeKeeps,
	"scavenging forgets the ids of the events that it empties": scavengeForgets,
	"long runs of scavenged events are skipped":                scavengeLong,
}

func truncateHides(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("cut-1", 6)
	j.grow("whole-1", 3)

	for before := persistence.Version(1); before <= 6; before++ {
		require.Equal(t, before, j.truncate("cut-1", before))
		beginsAt(j, "cut-1", before)
		require.Equal(t, persistence.Version(1), j.info("cut-1").Begin, "a truncation does not begin a new life of the stream")
	}
	beginsAt(j, "whole-1", 1)
}

func truncateMonotone(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("cut-1", 5)
	for _, c := range []struct{ before, first persistence.Version }{
		{0, 1}, {1, 1}, {3, 3}, {0, 3}, {2, 3}, {3, 3}, {4, 4}, {6, 5}, {persistence.MaxVersion, 5}, {1, 5},
	} {
		require.Equal(t, c.first, j.truncate("cut-1", c.before), "before %d", c.before)
		require.Equal(t, c.first, j.info("cut-1").First)
	}
	j.grow("cut-1", 1)
	beginsAt(j, "cut-1", 5)
	require.Equal(t, persistence.Version(6), j.truncate("cut-1", 99))
	require.Equal(t, []persistence.Version{6}, versionsOf(j.events("cut-1")), "the newest event always stays")

	j.create("empty-1", nil)
	require.Equal(t, persistence.Version(1), j.truncate("empty-1", 9), "truncating an empty stream changes nothing")
	j.grow("empty-1", 1)
	beginsAt(j, "empty-1", 1)
}

func truncateStays(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("cut-1", 4)
	j.grow("other-1", 1)
	j.grow("cut-1", 2)
	before, head := plain(j.all()), j.head()

	j.truncate("cut-1", 6)

	require.Equal(t, before, plain(j.all()))
	require.True(t, samePlace(head, j.head()), "truncating takes no position")
	require.Len(t, j.follow(persistence.ReadAllOptions{PageRows: 2}), 7)
}

func truncateGoesOn(t *testing.T, s suite) {
	j := s.open(t)
	events := described("named")
	first := j.store("cut-1", persistence.NoStream, events...)
	j.grow("cut-1", 2)
	meta := persistence.Metadata{"k": persistence.Int(1)}
	_, err := j.SetMetadata(j.ctx, "cut-1", meta, 0)
	require.NoError(t, err)

	j.truncate("cut-1", 5)

	require.Equal(t, persistence.StreamInfo{Stream: "cut-1", Version: 5, First: 5, Begin: 1, Metadata: meta, Revision: 1}, j.info("cut-1"))
	first.Duplicate = true
	require.Equal(t, first, j.store("cut-1", persistence.Any, events...), "ids are recognised until their events are scavenged")
	require.ErrorIs(t, j.try("cut-1", persistence.NoStream, note("n")).Err, persistence.ErrConflict)
	require.ErrorIs(t, j.try("cut-1", persistence.Exact(4), note("n")).Err, persistence.ErrConflict)
	require.Equal(t, persistence.Version(6), j.store("cut-1", persistence.Exact(5), note("n")).First)
	beginsAt(j, "cut-1", 5)
}

func truncateMissing(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("deleted-1", 3)
	j.delete("deleted-1")
	j.grow("range-1", 1)

	for _, stream := range []persistence.StreamID{"missing-1", "deleted-1"} {
		_, err := j.Truncate(j.ctx, stream, 2)
		require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		j.missing(stream)
	}
	_, err := j.Truncate(j.ctx, "range-1", persistence.MaxVersion+1)
	require.ErrorIs(t, err, persistence.ErrInvalid)
}

func truncateDeleted(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("cut-1", 4)
	j.truncate("cut-1", 3)
	j.delete("cut-1")
	j.create("cut-1", nil)

	require.Equal(t, persistence.Version(6), j.truncate("cut-1", 99), "a truncation does not make a tombstone readable")
	j.grow("cut-1", 2)

	beginsAt(j, "cut-1", 6)
	require.Equal(t, persistence.Version(6), j.truncate("cut-1", 3), "deleted events do not return")
	require.Equal(t, persistence.Version(7), j.truncate("cut-1", 7))
	info := j.info("cut-1")
	require.Equal(t, []persistence.Version{7, 6}, []persistence.Version{info.First, info.Begin})
}

func scavengeEmpties(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("cut-1", 4)
	j.grow("other-1", 1)
	j.grow("gone-1", 2)
	j.delete("gone-1")
	j.grow("cut-1", 1)
	j.grow("gone-1", 1)
	before, head := plain(j.all()), j.head() // cut 1-4, other, gone 1-2, tombstone, cut 5, gone 4
	j.truncate("cut-1", 4)

	require.Equal(t, 3, j.scavenge("cut-1"))
	require.Equal(t, 2, j.scavenge("gone-1"))
	require.Zero(t, j.scavenge("cut-1"), "scavenging again empties nothing")
	require.Zero(t, j.scavenge("gone-1"))
	require.Zero(t, j.scavenge("never-1"))
	require.Zero(t, j.scavenge("other-1"))

	left := append(before[3:5:5], before[7:]...)
	require.Equal(t, left, plain(j.all()), "tombstones and readable events keep their places")
	require.Equal(t, left[1:], plain(j.follow(persistence.ReadAllOptions{System: true, After: persistence.Positions{}.With(left[0].Position)})))
	require.True(t, samePlace(head, j.head()))
	outcome := j.store("other-1", persistence.Any, note("next"))
	require.Equal(t, head.Of(outcome.Position.Part).Offset+1, outcome.Position.Offset)
	j.truncate("cut-1", 5)
	require.Equal(t, 1, j.scavenge("cut-1"), "scavenging empties only events that were truncated since")
	j.delete("cut-1")
	require.Equal(t, 1, j.scavenge("cut-1"), "a deleted stream is scavenged too")
	j.missing("cut-1")
}

func scavengeKeeps(t *testing.T, s suite) {
	j := s.open(t)
	meta := persistence.Metadata{"k": persistence.Int(1)}
	j.create("kept-1", meta)
	j.store("kept-1", persistence.Any, described("kept")...)
	j.grow("kept-1", 4)
	require.Zero(t, j.scavenge("kept-1"), "nothing was truncated, so that nothing is emptied")
	j.truncate("kept-1", 3)
	want, info := plain(j.events("kept-1")), j.info("kept-1")

	require.Equal(t, 2, j.scavenge("kept-1"))

	require.Equal(t, want, plain(j.events("kept-1")))
	require.Equal(t, info, j.info("kept-1"))
	beginsAt(j, "kept-1", 3)
	require.Equal(t, persistence.Version(8), j.store("kept-1", persistence.Exact(7), note("8")).First)
	require.ErrorIs(t, j.try("kept-1", persistence.NoStream, note("n")).Err, persistence.ErrConflict)
}

func scavengeForgets(t *testing.T, s suite) {
	j := s.open(t)
	events := described("named")
	j.store("ids-1", persistence.NoStream, events...)
	j.grow("ids-1", 1)
	j.truncate("ids-1", 3)
	require.Equal(t, 2, j.scavenge("ids-1"))

	require.True(t, j.store("ids-1", persistence.Any, events[2]).Duplicate, "the id of a readable event is recognised")
	require.ErrorIs(t, j.try("ids-1", persistence.Any, events...).Err, persistence.ErrEventIDReused, "a run of ids of which only a part is recognised is refused")
	outcome := j.store("ids-1", persistence.Exact(4), events[:2]...)

	require.False(t, outcome.Duplicate)
	require.Equal(t, persistence.Version(5), outcome.First)
	require.True(t, j.store("ids-1", persistence.Any, events[:2]...).Duplicate)
	require.Equal(t, []persistence.Version{3, 4, 5, 6}, versionsOf(j.events("ids-1")))
}

// scavengeLong leaves few events in a long sequence that was scavenged.
func scavengeLong(t *testing.T, s suite) {
	j := s.open(t)
	const rounds, long = 3, 800
	for range rounds {
		j.store("long-1", persistence.Any, notes("long", long)...)
		j.grow("left-1", 1)
	}
	j.truncate("long-1", rounds*long)
	before := plain(j.all())

	require.Equal(t, rounds*long-1, j.scavenge("long-1"))

	var want []persistence.Recorded
	for _, recorded := range before {
		if recorded.Stream == "left-1" || recorded.Version == rounds*long {
			want = append(want, recorded)
		}
	}
	backward := slices.Clone(want)
	slices.Reverse(backward)
	for _, rows := range []int{0, 1, 2, 4, 50, 1000} {
		require.Equal(t, want, plain(j.follow(persistence.ReadAllOptions{PageRows: rows, System: true})), "%d rows", rows)
		require.Equal(t, backward, plain(j.follow(persistence.ReadAllOptions{PageRows: rows, System: true, Backward: true})), "%d rows backward", rows)
	}
}
