package journaltest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var appending = cases{
	"an append gives versions and positions without gap":                 appendCounts,
	"an append without events checks the expectation and stores nothing": appendNothing,
	"appends of one call succeed or fail alone":                          appendsAlone,
	"appends to one stream in one call follow each other":                appendsFollow,
	"an append is stored whole or not at all":                            appendWhole,
	"an invalid append refuses the whole call":                           appendInvalid,
	"a caller whose context has ended changes nothing":                   appendLeft,
	"a long append and a long call are stored":                           appendLong,
}

func appendCounts(t *testing.T, s suite) {
	j := s.open(t)
	order := []persistence.StreamID{"count-a", "count-b", "count-a", "count-a", "count-c", "count-b"}
	versions := map[persistence.StreamID]persistence.Version{}
	var offsets []int64

	for i, stream := range order {
		outcome := j.store(stream, persistence.Exact(versions[stream]), notes("n", i+1)...)

		require.Equal(t, versions[stream]+1, outcome.First)
		versions[stream] += persistence.Version(i + 1)
		require.Equal(t, versions[stream], outcome.Last)
		require.False(t, outcome.Duplicate)
		offsets = append(offsets, outcome.Position.Offset)
		require.Equal(t, outcome.Position.Offset+int64(i), j.head().Of(outcome.Position.Part).Offset, "the head is the position of the last event")
		info, err := j.Stream(j.ctx, stream)
		require.NoError(t, err)
		require.Equal(t, persistence.StreamInfo{Stream: stream, Version: versions[stream], First: 1, Begin: 1}, info)
	}

	all := j.all() // checks that positions have no gap
	require.Len(t, all, 1+2+3+4+5+6)
	counted := map[persistence.StreamID]persistence.Version{}
	ids := map[persistence.EventID]bool{{}: true}
	for _, recorded := range all {
		counted[recorded.Stream]++
		require.Equal(t, counted[recorded.Stream], recorded.Version, "versions have no gap")
		require.False(t, ids[recorded.ID], "the journal gives every event an id of its own")
		ids[recorded.ID] = true
	}
	require.Equal(t, int64(1), offsets[0], "the first position is 1")
}

func appendNothing(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("known-1", 3)

	j.unchanged(func() {
		for _, expected := range []persistence.Expected{persistence.Any, persistence.NoStream, persistence.StreamExists, persistence.Exact(3), persistence.Exact(2), persistence.Exact(7)} {
			for stream, version := range map[persistence.StreamID]persistence.Version{"known-1": 3, "unknown-1": 0} {
				outcome := j.try(stream, expected)
				if expected.Accepts(version) {
					require.Equal(t, persistence.Outcome{Last: version}, outcome, "%s of %s", expected, stream)
					continue
				}
				conflict, _ := errors.AsType[*persistence.ConflictError](outcome.Err)
				require.Equal(t, &persistence.ConflictError{Stream: stream, Expected: expected, Actual: version}, conflict, "%s of %s", expected, stream)
			}
		}
		require.Empty(t, j.tryAll())
	})
	j.missing("unknown-1")
}

func appendsAlone(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("alone-a", 2)
	held := named(note("held"))
	j.store("alone-named", persistence.NoStream, held...)
	reused := held[0]
	reused.Payload = []byte("other")

	outcomes := j.tryAll(
		persistence.Append{Stream: "alone-b", Expected: persistence.NoStream, Events: notes("b", 2)},
		persistence.Append{Stream: "alone-a", Expected: persistence.Exact(1), Events: notes("late", 2)},
		persistence.Append{Stream: "alone-c", Expected: persistence.StreamExists, Events: notes("c", 1)},
		persistence.Append{Stream: "alone-named", Expected: persistence.Any, Events: []persistence.Event{reused}},
		persistence.Append{Stream: "alone-d", Expected: persistence.Any, Events: notes("d", 3)},
		persistence.Append{Stream: "alone-a", Expected: persistence.Exact(2), Events: notes("a", 1)},
	)

	require.NoError(t, outcomes[0].Err)
	require.ErrorIs(t, outcomes[1].Err, persistence.ErrConflict)
	require.ErrorIs(t, outcomes[2].Err, persistence.ErrConflict)
	require.ErrorIs(t, outcomes[3].Err, persistence.ErrEventIDReused)
	require.NoError(t, outcomes[4].Err)
	require.NoError(t, outcomes[5].Err)
	require.Equal(t, persistence.Version(3), outcomes[5].First)
	require.Equal(t, []string{"b 1", "b 2"}, textsOf(j.events("alone-b")))
	require.Equal(t, []string{"d 1", "d 2", "d 3"}, textsOf(j.events("alone-d")))
	require.Equal(t, []string{"alone-a 1", "alone-a 2", "a 1"}, textsOf(j.events("alone-a")))
	j.missing("alone-c")
	require.Len(t, j.all(), 2+1+2+3+1)
}

func appendsFollow(t *testing.T, s suite) {
	j := s.open(t)
	to := func(expected persistence.Expected, text string) persistence.Append {
		return persistence.Append{Stream: "follow-1", Expected: expected, Events: []persistence.Event{note(text)}}
	}

	outcomes := j.tryAll(
		to(persistence.NoStream, "1"), to(persistence.Exact(1), "2"), to(persistence.NoStream, "refused"),
		to(persistence.Any, "3"), to(persistence.StreamExists, "4"), to(persistence.Exact(4), "5"),
	)

	for i, last := range []persistence.Version{1, 2, 0, 3, 4, 5} {
		require.Equal(t, last, outcomes[i].Last)
	}
	require.ErrorIs(t, outcomes[2].Err, persistence.ErrConflict)
	require.Equal(t, []string{"1", "2", "3", "4", "5"}, textsOf(j.events("follow-1")))
}

func appendWhole(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("whole-1", 1)

	j.unchanged(func() {
		for range 3 {
			outcome := j.try("whole-1", persistence.NoStream, notes("refused", 5)...)
			require.ErrorIs(t, outcome.Err, persistence.ErrConflict)
		}
	})
	outcome := j.store("whole-1", persistence.Exact(1), notes("w", 2)...)

	require.Equal(t, persistence.Version(2), outcome.First, "refused events take no version")
	require.Equal(t, int64(2), outcome.Position.Offset, "refused events take no position")
}

func appendInvalid(t *testing.T, s suite) {
	j := s.open(t)
	valid := persistence.Append{Stream: "valid-1", Expected: persistence.Any, Events: notes("n", 1)}
	invalid := map[string]persistence.Append{
		"no stream":            {Events: notes("n", 1)},
		"no type":              {Stream: "a-1", Events: []persistence.Event{{}}},
		"negative expectation": {Stream: "a-1", Expected: -3, Events: notes("n", 1)},
		"beyond all versions":  {Stream: "a-1", Expected: persistence.Exact(persistence.MaxVersion + 1), Events: notes("n", 1)},
		"no room for versions": {Stream: "a-1", Expected: persistence.Exact(persistence.MaxVersion), Events: notes("n", 1)},
		"negative schema":      {Stream: "a-1", Events: []persistence.Event{{Type: "t", Schema: -1}}},
		"ids for some":         {Stream: "a-1", Events: append(named(note("n")), note("n"))},
		"one id twice":         {Stream: "a-1", Events: twice(named(note("n"))[0])},
		"no value":             {Stream: "a-1", Events: []persistence.Event{{Type: "t", Metadata: persistence.Metadata{"k": {}}}}},
	}

	for name, broken := range invalid {
		j.refuses(persistence.ErrInvalid, broken)
		j.refuses(persistence.ErrInvalid, valid, broken)
		j.refuses(persistence.ErrInvalid, broken, valid)
		require.Empty(t, j.all(), name)
	}
}

func twice(e persistence.Event) []persistence.Event { return []persistence.Event{e, e} }

func appendLeft(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("left-1", 3)
	left := j
	var leave context.CancelCauseFunc
	left.ctx, leave = context.WithCancelCause(j.ctx)
	leave(errors.New("gone"))

	j.unchanged(func() {
		for call, err := range everyWriteOf(left, "left-1") {
			require.ErrorIs(t, err, persistence.ErrUnavailable, call)
		}
		for call, err := range everyCall(left, "left-1") {
			require.Error(t, err, call)
		}
		for call, err := range everyWriteOf(left, "new-1") {
			require.ErrorIs(t, err, persistence.ErrUnavailable, call)
		}
	})
	j.missing("new-1")
	if has[persistence.Schemas](j.Journal) {
		require.Empty(t, schemasOf(j))
	}
}

func appendLong(t *testing.T, s suite) {
	j := s.open(t)
	long := notes("long", persistence.MaxAppendEvents)
	appends := []persistence.Append{{Stream: "long-0", Events: long}, {Stream: "long-1", Events: long[:999]}}
	for i := range 200 {
		stream := persistence.StreamID(fmt.Sprintf("many-%d", i%26))
		appends = append(appends, persistence.Append{Stream: stream, Expected: persistence.Any, Events: long[i : i+1]})
	}

	for i, outcome := range j.tryAll(appends...) {
		require.NoError(t, outcome.Err)
		require.Len(t, appends[i].Events, int(outcome.Last-outcome.First)+1)
	}

	require.Len(t, j.events("long-0"), 1000)
	require.Equal(t, "long 1000", string(j.events("long-0")[999].Payload))
	require.Len(t, j.events("long-1"), 999)
	require.Len(t, j.all(), 1000+999+200)
}
