package journaltest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var naming = cases{
	"the same ids with the same content give the first result":       repeatedIsDuplicate,
	"the same ids with other content are refused and store nothing":  reusedIsRefused,
	"ids that overlap in part or in another order are refused":       overlapIsRefused,
	"an id may stand in two streams":                                 idInTwoStreams,
	"a refused append does not use up its ids":                       refusedKeepsIDs,
	"one call may repeat its own ids":                                repeatedInOneCall,
	"headers and the form of empty metadata do not count as content": sameContent,
}

// described makes three events with chosen ids and with all that counts as content.
func described(text string) []persistence.Event {
	events := named(notes(text, 3)...)
	for i := range events {
		events[i].Schema = persistence.SchemaID(i)
		events[i].Metadata = persistence.Metadata{"who": persistence.String(text), "n": persistence.Int(int64(i)), "live": persistence.Bool(true)}
	}
	return events
}

func repeatedIsDuplicate(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("again-0", 4)
	j.grow("again-1", 2)
	events := described("again")
	first := j.store("again-1", persistence.Exact(2), events...)
	require.False(t, first.Duplicate)
	first.Duplicate = true
	j.grow("again-1", 2)

	j.unchanged(func() {
		for _, expected := range []persistence.Expected{
			persistence.Any, persistence.NoStream, persistence.StreamExists, persistence.Exact(2), persistence.Exact(5), persistence.Exact(99),
		} {
			require.Equal(t, first, j.try("again-1", expected, events...), expected.String())
		}
	})
	require.Equal(t, events[1].ID, j.events("again-1")[3].ID)
}

func reusedIsRefused(t *testing.T, s suite) {
	j := s.open(t)
	events := described("reused")
	j.store("reused-1", persistence.NoStream, events...)
	changes := map[string]func(*persistence.Event){
		"type":           func(e *persistence.Event) { e.Type = "other" },
		"schema":         func(e *persistence.Event) { e.Schema += 7 },
		"payload":        func(e *persistence.Event) { e.Payload = []byte("reused 2 ") },
		"no payload":     func(e *persistence.Event) { e.Payload = nil },
		"value":          func(e *persistence.Event) { e.Metadata = with(e.Metadata, "n", persistence.Int(2)) },
		"kind of number": func(e *persistence.Event) { e.Metadata = with(e.Metadata, "n", persistence.Float(1)) },
		"kind of value":  func(e *persistence.Event) { e.Metadata = with(e.Metadata, "live", persistence.String("true")) },
		"more metadata":  func(e *persistence.Event) { e.Metadata = with(e.Metadata, "more", persistence.Int(1)) },
		"no metadata":    func(e *persistence.Event) { e.Metadata = nil },
	}

	j.unchanged(func() {
		for name, change := range changes {
			other := slices.Clone(events)
			change(&other[1])
			err := j.try("reused-1", persistence.Any, other...).Err
			require.ErrorIs(t, err, persistence.ErrEventIDReused, "%s", name)
			require.NotErrorIs(t, err, persistence.ErrConflict)
		}
	})
}

func with(m persistence.Metadata, key string, value persistence.Value) persistence.Metadata {
	changed := persistence.Metadata{key: value}
	for k, v := range m {
		if k != key {
			changed[k] = v
		}
	}
	return changed
}

func overlapIsRefused(t *testing.T, s suite) {
	j := s.open(t)
	old, fresh := described("old"), described("fresh")
	j.store("overlap-1", persistence.NoStream, old...)
	overlaps := map[string][]persistence.Event{
		"begins with old": {old[2], fresh[0]},
		"ends with old":   {fresh[0], fresh[1], old[0]},
		"encloses old":    {fresh[0], old[0], old[1], old[2], fresh[1]},
		"all and one":     {old[0], old[1], old[2], fresh[0]},
		"another order":   {old[1], old[0], old[2]},
		"reversed":        {old[2], old[1], old[0]},
		"with a hole":     {old[0], old[2]},
	}

	j.unchanged(func() {
		for name, events := range overlaps {
			for _, expected := range []persistence.Expected{persistence.Any, persistence.Exact(3), persistence.NoStream} {
				require.ErrorIs(t, j.try("overlap-1", expected, events...).Err, persistence.ErrEventIDReused, name)
			}
		}
		part := j.try("overlap-1", persistence.NoStream, old[1:]...)
		require.NoError(t, part.Err, "a run of ids that are all stored is a repetition")
		require.True(t, part.Duplicate)
		require.Equal(t, []persistence.Version{2, 3}, []persistence.Version{part.First, part.Last})
	})
}

func idInTwoStreams(t *testing.T, s suite) {
	j := s.open(t)
	events := described("copied")
	j.store("copied-1", persistence.NoStream, events...)
	other := slices.Clone(events)
	other[0].Payload = []byte("not the same")

	require.False(t, j.store("copied-2", persistence.NoStream, events...).Duplicate)
	require.False(t, j.store("copied-3", persistence.Any, other...).Duplicate)

	require.True(t, j.store("copied-3", persistence.Any, other...).Duplicate)
	require.Len(t, j.all(), 9)
}

func refusedKeepsIDs(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("kept-1", 1)
	events := described("kept")
	require.ErrorIs(t, j.try("kept-1", persistence.NoStream, events...).Err, persistence.ErrConflict)
	require.ErrorIs(t, j.try("kept-2", persistence.StreamExists, events...).Err, persistence.ErrConflict)

	outcome := j.store("kept-1", persistence.Exact(1), events...)

	require.False(t, outcome.Duplicate)
	require.Equal(t, persistence.Version(2), outcome.First)
	j.missing("kept-2")
}

func repeatedInOneCall(t *testing.T, s suite) {
	j := s.open(t)
	to := func(expected persistence.Expected, events []persistence.Event) persistence.Append {
		return persistence.Append{Stream: "call-1", Expected: expected, Events: events}
	}
	events := described("call")
	other := slices.Clone(events)
	other[2].Payload = []byte("other")

	outcomes := j.tryAll(to(persistence.NoStream, events), to(persistence.NoStream, events), to(persistence.Any, other), to(persistence.Exact(3), notes("next", 1)))

	require.NoError(t, outcomes[0].Err)
	duplicate := outcomes[0]
	duplicate.Duplicate = true
	require.Equal(t, duplicate, outcomes[1])
	require.ErrorIs(t, outcomes[2].Err, persistence.ErrEventIDReused)
	require.NoError(t, outcomes[3].Err)
	require.Len(t, j.all(), 4)
}

func sameContent(t *testing.T, s suite) {
	j := s.open(t)
	pairs := [][2]persistence.Event{
		{{Type: "t", Headers: []byte("trace 1")}, {Type: "t", Headers: []byte("trace 2")}},
		{{Type: "t", Metadata: persistence.Metadata{}}, {Type: "t"}},
		{{Type: "t", Payload: []byte{}}, {Type: "t"}},
		{
			{Type: "t", Metadata: persistence.Metadata{"f": persistence.Float(0)}},
			{Type: "t", Metadata: persistence.Metadata{"f": persistence.Float(negativeZero)}},
		},
	}

	for i, pair := range pairs {
		stream := persistence.StreamID(fmt.Sprintf("same-%d", i))
		pair[0].ID = persistence.NewEventID()
		pair[1].ID = pair[0].ID
		j.store(stream, persistence.NoStream, pair[0])
		require.True(t, j.store(stream, persistence.NoStream, pair[1]).Duplicate, "pair %d", i)
		require.Equal(t, string(pair[0].Headers), string(j.events(stream)[0].Headers), "a repetition does not change the stored headers")
	}
}
