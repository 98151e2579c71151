package journaltest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var deleting = cases{
	"readers do not find a deleted stream":                              deleteHides,
	"a tombstone is an event of the sequence":                           deleteShown,
	"a stream that is written again counts on":                          deleteCounts,
	"a stream is not deleted twice":                                     deleteTwice,
	"a deletion forgets the ids of its stream":                          deleteForgets,
	"a writer that has not seen a deletion gets a conflict":             deleteStale,
	"one of many callers that delete a stream succeeds":                 deleteOnce,
	"a waiting reader wakes on a deletion":                              deleteWakes,
	"a reader that continues from a tombstone sees the events after it": deleteFollowed,
}

func deleteHides(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("kept-1", 3)
	for i, past := range []func(persistence.StreamID){
		func(stream persistence.StreamID) { j.grow(stream, 3) },
		func(stream persistence.StreamID) { j.create(stream, persistence.Metadata{"k": persistence.Int(1)}) },
		func(stream persistence.StreamID) { j.grow(stream, 5); j.truncate(stream, 3) },
	} {
		stream := persistence.StreamID(fmt.Sprintf("gone-%d", i))
		past(stream)

		j.delete(stream)

		j.missing(stream)
		require.Equal(t, []string{"kept"}, categoriesOf(j, persistence.ListOptions{}), "a category ends with its last stream")
		_, err := j.SetMetadata(j.ctx, stream, nil, persistence.AnyRevision)
		require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		_, err = j.Truncate(j.ctx, stream, 1)
		require.ErrorIs(t, err, persistence.ErrStreamNotFound)
	}
	require.Len(t, j.events("kept-1"), 3, "other streams stay")
}

func deleteShown(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("shown-1", 2)
	j.grow("other-1", 1)
	before := plain(j.all())

	version := j.delete("shown-1")

	require.Equal(t, persistence.Version(3), version)
	for _, system := range []bool{false, true} {
		all := plain(j.follow(persistence.ReadAllOptions{System: system}))
		require.Len(t, all, 4, "deleted events stay in the sequence until they are scavenged")
		require.Equal(t, before, all[:3])
		tombstone := all[3]
		require.Equal(t, j.head().Of(tombstone.Position.Part), tombstone.Position)
		require.NotEqual(t, persistence.EventID{}, tombstone.ID)
		require.False(t, tombstone.At.IsZero())
		require.Equal(t, persistence.Recorded{
			Event: persistence.Event{ID: tombstone.ID, Type: persistence.TypeDeleted}, Stream: "shown-1", Version: 3,
			Position: tombstone.Position, At: tombstone.At,
		}, tombstone)
	}
	j.create("$system-1", nil)
	j.delete("$system-1")
	require.Len(t, j.follow(persistence.ReadAllOptions{}), 4, "the tombstone of a system stream is hidden like its events")
	require.Len(t, j.all(), 5)
}

func deleteCounts(t *testing.T, s suite) {
	j := s.open(t)
	last := persistence.Version(0)
	for round := range 3 {
		outcome := j.store("again-1", persistence.NoStream, notes(fmt.Sprint(round), 5)...)
		require.Equal(t, last+1, outcome.First, "versions never begin again")
		require.Equal(t, []persistence.Version{last + 1, last + 2, last + 3, last + 4, last + 5}, versionsOf(j.events("again-1")), "events from before the deletion are not read")
		require.Equal(t, fmt.Sprintf("%d 1", round), string(j.events("again-1")[0].Payload))
		info := j.info("again-1")
		require.Equal(t, []persistence.Version{last + 5, last + 1, last + 1}, []persistence.Version{info.Version, info.First, info.Begin})
		beginsAt(j, "again-1", last+1)

		last = j.delete("again-1")

		require.Equal(t, outcome.Last+1, last)
	}
	require.Len(t, j.all(), 3*6)
}

// beginsAt requires that a stream can be read from this version on and not below it.
func beginsAt(j journal, stream persistence.StreamID, first persistence.Version) {
	j.t.Helper()
	info := j.info(stream)
	require.Equal(j.t, first, info.First)
	all := j.events(stream)
	require.Len(j.t, all, int(info.Version-first+1))
	for from := persistence.Version(1); from < first; from++ {
		options := persistence.ReadOptions{From: from, Limit: 1}
		events, err := j.read(stream, options)
		truncatedAt(j, stream, first, err)
		require.Empty(j.t, events)
		_, err = j.Count(j.ctx, stream, options)
		truncatedAt(j, stream, first, err)
		if pages, ok := persistence.As[persistence.PageReader](j.Journal); ok {
			page, err := pages.ReadPages(j.ctx, []persistence.PageRequest{{Stream: stream, From: from, Limit: 9}, {Stream: stream, Limit: 9}})
			require.NoError(j.t, err)
			truncatedAt(j, stream, first, page[0].Err)
			require.Empty(j.t, page[0].Events)
			require.NoError(j.t, page[1].Err)
			require.Equal(j.t, plain(all[:min(9, len(all))]), plain(page[1].Events))
		}
		options.Backward = true
		events, err = j.read(stream, options)
		require.NoError(j.t, err)
		require.Empty(j.t, events, "a backward reader finds nothing below the first version")
	}
	for _, options := range []persistence.ReadOptions{{From: first}, {From: first, Limit: 1}, {Backward: true}, {From: first, Backward: true}, {From: info.Version + 1}} {
		events, err := j.read(stream, options)
		require.NoError(j.t, err)
		var want []persistence.Version
		for _, version := range chosen(info.Version, options) {
			if version >= first {
				want = append(want, version)
			}
		}
		require.Equal(j.t, want, versionsOf(events), "%+v", options)
		count, err := j.Count(j.ctx, stream, options)
		require.NoError(j.t, err)
		require.Equal(j.t, len(want), count)
	}
}

func truncatedAt(j journal, stream persistence.StreamID, first persistence.Version, err error) {
	j.t.Helper()
	require.ErrorIs(j.t, err, persistence.ErrTruncated)
	require.ErrorIs(j.t, err, persistence.ErrNotFound)
	truncated, _ := errors.AsType[*persistence.TruncatedError](err)
	require.Equal(j.t, &persistence.TruncatedError{Stream: stream, First: first}, truncated)
}

func deleteTwice(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("twice-1", 2)
	j.delete("twice-1")

	j.unchanged(func() {
		for _, expected := range []persistence.Expected{persistence.Any, persistence.NoStream, persistence.Exact(3), persistence.StreamExists} {
			_, err := j.Delete(j.ctx, "twice-1", expected)
			require.ErrorIs(t, err, persistence.ErrStreamNotFound)
			_, err = j.Delete(j.ctx, "never-1", expected)
			require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		}
		_, err := j.Delete(j.ctx, "never-1", -3)
		require.ErrorIs(t, err, persistence.ErrInvalid)
	})
	j.grow("twice-1", 1)
	require.Equal(t, persistence.Version(5), j.delete("twice-1"), "a stream that was written again can be deleted again")
	j.missing("twice-1")
}

func deleteForgets(t *testing.T, s suite) {
	j := s.open(t)
	events := described("forgotten")
	other := slices.Clone(events)
	other[0].Payload = []byte("other")
	j.store("forgotten-1", persistence.NoStream, events...)
	j.store("kept-1", persistence.NoStream, events...)
	j.delete("forgotten-1")

	outcome := j.store("forgotten-1", persistence.Exact(4), other...)

	require.False(t, outcome.Duplicate, "an append does not repeat one from before the deletion")
	require.Equal(t, persistence.Version(5), outcome.First)
	outcome.Duplicate = true
	require.Equal(t, outcome, j.store("forgotten-1", persistence.NoStream, other...), "ids that were stored after the deletion are recognised")
	require.True(t, j.store("kept-1", persistence.NoStream, events...).Duplicate, "ids of other streams are still recognised")
	j.delete("forgotten-1")
	require.ErrorIs(t, j.try("forgotten-1", persistence.StreamExists, other...).Err, persistence.ErrConflict)
}

func deleteStale(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("stale-1", 3)
	j.delete("stale-1")

	j.unchanged(func() {
		for _, expected := range []persistence.Expected{persistence.Exact(3), persistence.Exact(2), persistence.Exact(5), persistence.StreamExists} {
			require.ErrorIs(t, j.try("stale-1", expected, note("late")).Err, persistence.ErrConflict)
			require.ErrorIs(t, j.try("stale-1", expected, named(note("late"))...).Err, persistence.ErrConflict)
		}
		for _, expected := range []persistence.Expected{persistence.Any, persistence.NoStream, persistence.Exact(4)} {
			require.Equal(t, persistence.Outcome{Last: 4}, j.try("stale-1", expected), "an append without events returns the tombstone's version")
		}
		for _, expected := range []persistence.Expected{persistence.StreamExists, persistence.Exact(3)} {
			require.ErrorIs(t, j.try("stale-1", expected).Err, persistence.ErrConflict)
		}
	})
	if has[persistence.Submitter](j.Journal) {
		p := newPipeline(j, 2, new(persistence.Chain))
		p.submit("stale-1", persistence.Exact(3), note("late"))
		p.submit("stale-1", persistence.Exact(4), note("fits by chance"))
		for _, outcome := range p.wait() {
			require.ErrorIs(t, outcome.Err, persistence.ErrConflict)
		}
		p = newPipeline(j, 3, new(persistence.Chain))
		p.submit("stale-1", persistence.NoStream, note("5"))
		p.submit("stale-1", persistence.Exact(5), note("6"))
		p.submit("stale-1", persistence.NoStream, note("refused"))
		outcomes := p.wait()
		require.NoError(t, outcomes[0].Err)
		require.NoError(t, outcomes[1].Err)
		require.ErrorIs(t, outcomes[2].Err, persistence.ErrConflict)
		require.Equal(t, []string{"5", "6"}, textsOf(j.events("stale-1")))
	}
}

func deleteOnce(t *testing.T, s suite) {
	j := s.open(t)
	for round := range 5 {
		j.grow("once-1", 2)
		oneOfMany(j, 6, persistence.ErrStreamNotFound, func(int) error {
			_, err := j.Delete(j.ctx, "once-1", persistence.StreamExists)
			return err
		})
		require.Len(t, j.all(), 3*(round+1), "many deletions leave one tombstone")
	}
}

func deleteWakes(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("wake-1", 1)
	head := j.head()
	woken := make(chan error, 1)
	go func() { // ends with the deletion or with the case's context
		_, err := waitNext(j, head)
		woken <- err
	}()

	j.delete("wake-1")

	require.NoError(t, <-woken)
}

func deleteFollowed(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("followed-1", 2)
	j.delete("followed-1")
	place := j.head()
	j.grow("followed-1", 1)
	j.delete("followed-1")
	j.grow("other-1", 1)

	var types []string
	for _, recorded := range j.follow(persistence.ReadAllOptions{After: place, System: true}) {
		types = append(types, recorded.Type)
	}

	require.Equal(t, []string{"noted", persistence.TypeDeleted, "noted"}, types)
}
