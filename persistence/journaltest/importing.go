package journaltest

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

// importing are the cases of a [persistence.Importer].
var importing = cases{
	"a copy is equal to the original journal":                                           importCopies,
	"an import skips events that are there already":                                     importRepeats,
	"events that do not follow their stream are not imported":                           importRefuses,
	"events that no journal can have stored are not imported":                           importChecks,
	"imported ids are recognised if a caller chose them":                                importNames,
	"an imported tombstone ends its stream":                                             importEnds,
	"the state of streams is imported":                                                  importStates,
	"an import of an older state changes nothing":                                       importStale,
	"many imports of the same events store them once":                                   importOnce,
	"a waiting reader wakes on an import":                                               importWakes,
	"a reader of the whole sequence sees scavenged events and which ids are recognised": wholeShown,
	"deleted streams are listed on request":                                             deletedListed,
}

// instant is the time at which imported events were stored.
var instant = time.Date(2001, 2, 3, 4, 5, 6, 789_012_000, time.UTC)

// foreign makes recorded events of a stream, from a version on, as another journal would
// have stored them.
func foreign(stream persistence.StreamID, from persistence.Version, events ...persistence.Event) []persistence.Recorded {
	recorded := make([]persistence.Recorded, len(events))
	for i, event := range events {
		recorded[i] = persistence.Recorded{Event: event, Stream: stream, Version: from + persistence.Version(i), At: instant.Add(time.Duration(i) * time.Second)}
		if recorded[i].ID == (persistence.EventID{}) {
			recorded[i].ID = persistence.NewEventID()
		}
	}
	return recorded
}

// keyed marks events whose ids a caller chose.
func keyed(events []persistence.Recorded) []persistence.Recorded {
	for i := range events {
		events[i].Named = true
	}
	return events
}

func tombstone() persistence.Event { return persistence.Event{Type: persistence.TypeDeleted} }

func tryImport(j journal, events ...persistence.Recorded) (persistence.Position, error) {
	return ability[persistence.Importer](j.Journal).Import(j.ctx, events)
}

// importAll imports events and returns the position of the last one.
func importAll(j journal, events ...persistence.Recorded) persistence.Position {
	j.t.Helper()
	position, err := tryImport(j, events...)
	require.NoError(j.t, err)
	return position
}

func tryStates(j journal, streams ...persistence.StreamInfo) error {
	return ability[persistence.Importer](j.Journal).ImportStreams(j.ctx, streams)
}

// readWhole reads everything that a copy needs, in pages of this many events.
func readWhole(j journal, rows int) []persistence.Recorded {
	j.t.Helper()
	var events []persistence.Recorded
	for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{System: true, Whole: true, PageRows: rows}) {
		require.NoError(j.t, err)
		events = append(events, page.Events...)
	}
	for i := range events {
		require.EqualValues(j.t, i+1, events[i].Position.Offset, "no position is missing")
	}
	return events
}

func statesOf(j journal) []persistence.StreamInfo {
	j.t.Helper()
	return j.list(persistence.ListOptions{System: true, Deleted: true})
}

// copyOf copies a journal into another one, in calls of this many events.
func (s suite) copyOf(t *testing.T, from journal, rows int) journal {
	t.Helper()
	to := s.open(t)
	to.husks = from.husks
	for events := range slices.Chunk(readWhole(from, rows), rows) {
		require.Equal(t, events[len(events)-1].Position, importAll(to, events...), "in an empty journal imported events keep their positions")
	}
	require.NoError(t, tryStates(to, statesOf(from)...))
	return to
}

// liveThrough gives a journal streams at every stage of their lives.
func liveThrough(j *journal) {
	j.t.Helper()
	tagged := note("tagged")
	tagged.Tags, tagged.Headers = []string{"b", "a"}, []byte{0, 1}
	j.store("plain-1", persistence.NoStream, note("1"), tagged, persistence.Event{Type: "empty"})
	j.store("named-1", persistence.NoStream, described("named")...)
	j.create("empty-1", persistence.Metadata{"of": persistence.Float(1)})
	j.grow("$system-1", 2)
	j.grow("cut-1", 6)
	j.truncate("cut-1", 4)
	_, err := j.SetMetadata(j.ctx, "cut-1", persistence.Metadata{"k": persistence.Int(1)}, persistence.AnyRevision)
	require.NoError(j.t, err)
	j.store("emptied-1", persistence.NoStream, described("emptied")...)
	j.grow("emptied-1", 2)
	j.truncate("emptied-1", 3)
	require.Equal(j.t, 2, j.scavenge("emptied-1"))
	j.create("gone-1", persistence.Metadata{"k": persistence.Int(1)})
	j.store("gone-1", persistence.Any, described("gone")...)
	j.delete("gone-1")
	j.grow("again-1", 2)
	j.delete("again-1")
	j.grow("again-1", 3)
	j.truncate("again-1", 5)
	require.Equal(j.t, 3, j.scavenge("again-1"))
	j.grow("reborn-1", 1)
	j.delete("reborn-1")
	j.create("reborn-1", nil)
}

func importCopies(t *testing.T, s suite) {
	from := s.open(t)
	liveThrough(&from)

	for _, rows := range []int{1, 3, 1000} {
		to := s.copyOf(t, from, rows)

		require.Equal(t, plain(readWhole(from, 0)), plain(readWhole(to, 2)))
		require.Equal(t, statesOf(from), statesOf(to))
		require.Equal(t, plain(from.all()), plain(to.all()))
		require.True(t, samePlace(from.head(), to.head()))
		for _, info := range from.list(persistence.ListOptions{System: true}) {
			require.Equal(t, info, to.info(info.Stream))
			require.Equal(t, plain(from.events(info.Stream)), plain(to.events(info.Stream)))
			if !info.Empty() {
				beginsAt(to, info.Stream, info.First)
			}
		}
		to.missing("gone-1")
	}
	// A copy of the copy, which then continues as the original does.
	to := s.copyOf(t, s.copyOf(t, from, 4), 5)
	for _, stream := range []persistence.StreamID{"plain-1", "empty-1", "cut-1", "gone-1", "again-1", "reborn-1", "new-1"} {
		require.Equal(t, from.store(stream, persistence.Any, note("next")), to.store(stream, persistence.Any, note("next")))
		revision, err := from.SetMetadata(from.ctx, stream, persistence.Metadata{"new": persistence.Bool(true)}, persistence.AnyRevision)
		require.NoError(t, err)
		copied, err := to.SetMetadata(to.ctx, stream, persistence.Metadata{"new": persistence.Bool(true)}, persistence.AnyRevision)
		require.NoError(t, err)
		require.Equal(t, revision, copied, stream)
	}
}

func importRepeats(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("other-1", 2)
	events := append(keyed(foreign("kept-1", 1, described("kept")...)), foreign("kept-1", 4, notes("kept", 3)...)...)
	require.EqualValues(t, 4, importAll(j, events[:2]...).Offset)
	require.Zero(t, importAll(j).Offset, "an import of no events imports nothing")

	require.EqualValues(t, 4, importAll(j, events[:2]...).Offset)
	require.EqualValues(t, 3, importAll(j, events[0]).Offset, "an event that is there already keeps its position")
	require.EqualValues(t, 8, importAll(j, events...).Offset)
	again := slices.Clone(events)
	again[2].Headers = []byte("another trace")
	j.unchanged(func() { require.EqualValues(t, 8, importAll(j, again[1:]...).Offset) })

	mixed := append(foreign("new-1", 1, note("new")), events[4:]...)
	require.EqualValues(t, 8, importAll(j, mixed...).Offset)
	require.Equal(t, []string{"kept 1", "kept 2", "kept 3", "kept 1", "kept 2", "kept 3"}, textsOf(j.events("kept-1")))
	require.EqualValues(t, 9, j.events("new-1")[0].Position.Offset)
	for i, recorded := range j.events("kept-1") {
		require.Equal(t, events[i].At, recorded.At, "an imported event keeps the time of the other journal")
		require.Equal(t, events[i].ID, recorded.ID)
	}
	if !has[persistence.Scavenger](j.Journal) {
		return
	}
	j.truncate("kept-1", 3)
	require.Equal(t, 2, j.scavenge("kept-1"))
	require.EqualValues(t, 8, importAll(j, events...).Offset, "events that were scavenged since are skipped")
	gone := slices.Clone(events)
	gone[2].Event, gone[2].Named = persistence.Event{ID: gone[2].ID, Type: persistence.TypeGone}, false
	require.EqualValues(t, 8, importAll(j, gone...).Offset, "events that the other journal has scavenged are skipped")
	gone[2].ID = persistence.NewEventID()
	_, err := tryImport(j, gone...)
	require.ErrorIs(t, err, persistence.ErrConflict, "another id at the place of a scavenged event is a conflict")
}

func importRefuses(t *testing.T, s suite) {
	j := s.open(t)
	first := foreign("kept-1", 1, notes("kept", 3)...)
	importAll(j, first...)
	other := slices.Clone(first)
	other[1].Payload = []byte("other")
	renamed := slices.Clone(first)
	renamed[1].ID = persistence.NewEventID()
	before := foreign("before-1", 1, notes("before", 2)...)

	for what, c := range map[string]struct {
		events   []persistence.Recorded
		conflict persistence.ConflictError
	}{
		"a hole":         {foreign("kept-1", 5, note("5")), persistence.ConflictError{Stream: "kept-1", Expected: 4, Actual: 3}},
		"a hole at once": {foreign("hole-1", 2, note("2")), persistence.ConflictError{Stream: "hole-1", Expected: 1, Actual: 0}},
		"a hole inside": {
			append(foreign("kept-1", 4, note("4")), foreign("kept-1", 6, note("6"))...), persistence.ConflictError{Stream: "kept-1", Expected: 5, Actual: 4},
		},
		"a step back":  {[]persistence.Recorded{first[1], first[0]}, persistence.ConflictError{Stream: "kept-1", Expected: 0, Actual: 2}},
		"other bytes":  {other, persistence.ConflictError{Stream: "kept-1", Expected: 1, Actual: 3}},
		"another id":   {renamed, persistence.ConflictError{Stream: "kept-1", Expected: 1, Actual: 3}},
		"a bad fellow": {append(before, other[1]), persistence.ConflictError{Stream: "kept-1", Expected: 1, Actual: 3}},
	} {
		j.unchanged(func() {
			_, err := tryImport(j, c.events...)
			conflict, ok := err.(*persistence.ConflictError) //nolint:errorlint // it comes unwrapped
			require.True(t, ok, "%s: %v", what, err)
			require.Equal(t, c.conflict, *conflict, what)
		})
	}
	j.missing("before-1")
	j.missing("hole-1")
	require.EqualValues(t, 4, importAll(j, foreign("kept-1", 4, note("4"))...).Offset, "a refusal leaves no gap")
	require.EqualValues(t, 2, j.store("hole-1", persistence.NoStream, notes("whole", 2)...).Last)
}

func importChecks(t *testing.T, s suite) {
	j := s.open(t)
	many := make([]persistence.Event, persistence.MaxAppendEvents+1)
	for i := range many {
		many[i].Type = "t"
	}
	large := make([]persistence.Event, 9)
	for i := range large {
		large[i] = persistence.Event{Type: "t", Payload: make([]byte, persistence.MaxPayload)}
	}
	spoilt := func(spoil func(*persistence.Recorded)) []persistence.Recorded {
		events := foreign("spoilt-1", 1, notes("n", 2)...)
		spoil(&events[1])
		return events
	}

	for field, events := range map[string][]persistence.Recorded{
		"are too many":   foreign("many-1", 1, many...),
		"are too large":  foreign("large-1", 1, large...),
		"stream":         spoilt(func(r *persistence.Recorded) { r.Stream = "" }),
		"version":        spoilt(func(r *persistence.Recorded) { r.Version = 0 }),
		"event id":       spoilt(func(r *persistence.Recorded) { r.ID = persistence.EventID{} }),
		"time":           spoilt(func(r *persistence.Recorded) { r.At = time.Time{} }),
		"sub":            spoilt(func(r *persistence.Recorded) { r.SubCount = 2 }),
		"type is empty":  spoilt(func(r *persistence.Recorded) { r.Type = "" }),
		"type is one":    spoilt(func(r *persistence.Recorded) { r.Type = persistence.TypeGone }),
		"type is one of": spoilt(func(r *persistence.Recorded) { r.Type = persistence.TypeDeleted }),
		"payload":        spoilt(func(r *persistence.Recorded) { r.Payload = make([]byte, persistence.MaxPayload+1) }),
		"headers":        spoilt(func(r *persistence.Recorded) { r.Headers = make([]byte, persistence.MaxHeaders+1) }),
		"schema":         spoilt(func(r *persistence.Recorded) { r.Schema = -1 }),
		"metadata":       spoilt(func(r *persistence.Recorded) { r.Metadata = persistence.Metadata{"k": {}} }),
		"tag":            spoilt(func(r *persistence.Recorded) { r.Tags = []string{"t", "t"} }),
	} {
		_, err := tryImport(j, events...)
		require.ErrorIs(t, err, persistence.ErrInvalid, field)
		require.ErrorContains(t, err, field)
	}
	good := persistence.StreamInfo{Stream: "state-1", First: 1, Begin: 1}
	for field, spoil := range map[string]func(*persistence.StreamInfo){
		"stream":   func(i *persistence.StreamInfo) { i.Stream = "" },
		"revision": func(i *persistence.StreamInfo) { i.Revision = -1 },
		"first":    func(i *persistence.StreamInfo) { i.First = 2 },
		"metadata": func(i *persistence.StreamInfo) { i.Metadata = persistence.Metadata{"k": {}} },
		"deleted":  func(i *persistence.StreamInfo) { i.Deleted = true },
	} {
		bad := good
		spoil(&bad)
		err := tryStates(j, persistence.StreamInfo{Stream: "state-2", First: 1, Begin: 1}, bad)
		require.ErrorIs(t, err, persistence.ErrInvalid, field)
		require.ErrorContains(t, err, field)
	}
	require.ErrorIs(t, tryStates(j, good, good), persistence.ErrInvalid, "twice")
	require.True(t, samePlace(nil, j.head()))
	require.Empty(t, statesOf(j))
	require.EqualValues(t, persistence.MaxAppendEvents, importAll(j, foreign("many-1", 1, many[1:]...)...).Offset, "an import of exactly the limit is allowed")
}

func importNames(t *testing.T, s suite) {
	j := s.open(t)
	events := described("named")
	importAll(j, keyed(foreign("named-1", 1, events...))...)
	importAll(j, foreign("plain-1", 1, events...)...)

	outcome := j.store("named-1", persistence.NoStream, events...)
	require.True(t, outcome.Duplicate)
	require.EqualValues(t, 1, outcome.Position.Offset)
	other := slices.Clone(events[:1])
	other[0].Payload = []byte("other")
	require.ErrorIs(t, j.try("named-1", persistence.Any, other...).Err, persistence.ErrEventIDReused)
	require.False(t, j.store("plain-1", persistence.Any, events...).Duplicate, "ids that no caller chose are not recognised")

	again := keyed(foreign("named-1", 4, events[1]))
	j.unchanged(func() {
		_, err := tryImport(j, append(foreign("good-1", 1, note("good")), again...)...)
		require.ErrorIs(t, err, persistence.ErrEventIDReused)
		_, err = tryImport(j, keyed(foreign("twice-1", 1, events[0], events[0]))...)
		require.ErrorIs(t, err, persistence.ErrEventIDReused)
	})
	again[0].Named = false
	importAll(j, again...)
	_, err := tryImport(j, foreign("good-1", 1, note("good"))...)
	require.NoError(t, err)

	// The ids of a life end with it.
	lives := append(foreign("named-1", 5, tombstone()), keyed(foreign("named-1", 6, events...))...)
	importAll(j, lives...)
	outcome = j.store("named-1", persistence.Any, events...)
	require.True(t, outcome.Duplicate)
	require.Equal(t, persistence.Version(6), outcome.First)
}

func importEnds(t *testing.T, s suite) {
	j := s.open(t)
	events := described("ended")
	j.create("ended-1", persistence.Metadata{"k": persistence.Int(1)})
	importAll(j, keyed(foreign("ended-1", 1, events...))...)
	snapshots, keeps := persistence.As[persistence.Snapshots](j.Journal)
	if keeps {
		require.NoError(t, snapshots.SaveSnapshot(j.ctx, persistence.Snapshot{Stream: "ended-1", Version: 3, EventID: events[2].ID, State: []byte("s")}))
	}

	require.EqualValues(t, 4, importAll(j, foreign("ended-1", 4, tombstone())...).Offset)

	j.missing("ended-1")
	if keeps {
		_, found, err := snapshots.LoadSnapshot(j.ctx, "ended-1")
		require.NoError(t, err)
		require.False(t, found, "an imported tombstone forgets the snapshot")
	}
	require.Equal(t, []persistence.StreamInfo{{Stream: "ended-1", Version: 4, First: 5, Begin: 5, Revision: 2, Deleted: true}}, statesOf(j))
	outcome := j.store("ended-1", persistence.NoStream, events...)
	require.False(t, outcome.Duplicate)
	require.Equal(t, persistence.Version(5), outcome.First)
	require.Equal(t, persistence.StreamInfo{Stream: "ended-1", Version: 7, First: 5, Begin: 5, Revision: 2}, j.info("ended-1"))
}

func importStates(t *testing.T, s suite) {
	j := s.open(t)
	meta := persistence.Metadata{"k": persistence.Float(1), "text": persistence.String("é")}
	importAll(j, foreign("cut-1", 1, notes("cut", 4)...)...)
	importAll(j, foreign("gone-1", 1, note("gone"), tombstone())...)
	states := []persistence.StreamInfo{
		{Stream: "cut-1", Version: 4, First: 3, Begin: 1, Metadata: meta, Revision: 7},
		{Stream: "empty-1", First: 1, Begin: 1, Metadata: meta, Revision: 1},
		{Stream: "gone-1", Version: 2, First: 3, Begin: 3, Revision: 5, Deleted: true},
		{Stream: "unset-1", First: 1, Begin: 1},
	}

	require.NoError(t, tryStates(j))
	for range 2 {
		require.NoError(t, tryStates(j, states...))
		require.Equal(t, states, statesOf(j))
	}

	beginsAt(j, "cut-1", 3)
	beginsAt(j, "empty-1", 1)
	j.missing("gone-1")
	j.create("gone-1", meta)
	require.Equal(t, persistence.Revision(6), j.info("gone-1").Revision)
	_, err := j.SetMetadata(j.ctx, "cut-1", nil, 7)
	require.NoError(t, err)
}

func importStale(t *testing.T, s suite) {
	j := s.open(t)
	meta, older := persistence.Metadata{"k": persistence.Int(2)}, persistence.Metadata{"k": persistence.Int(1)}
	importAll(j, foreign("cut-1", 1, notes("cut", 5)...)...)
	importAll(j, foreign("again-1", 1, note("1"), tombstone(), note("3"))...)
	require.NoError(t, tryStates(j, persistence.StreamInfo{Stream: "cut-1", Version: 5, First: 4, Begin: 1, Metadata: meta, Revision: 3}))

	j.unchanged(func() {
		require.NoError(t, tryStates(j,
			persistence.StreamInfo{Stream: "cut-1", Version: 4, First: 2, Begin: 1, Metadata: older, Revision: 2},
			persistence.StreamInfo{Stream: "again-1", Version: 1, First: 1, Begin: 1, Metadata: older, Revision: 9},
		), "a later state stays")
		fresh := persistence.StreamInfo{Stream: "fresh-1", First: 1, Begin: 1, Metadata: meta, Revision: 1}
		err := tryStates(j, fresh, persistence.StreamInfo{Stream: "cut-1", Version: 6, First: 5, Begin: 1, Metadata: meta, Revision: 3})
		conflict, ok := err.(*persistence.ConflictError) //nolint:errorlint // it comes unwrapped
		require.True(t, ok, "the error is a *ConflictError, because the stream has fewer events: %v", err)
		require.Equal(t, persistence.ConflictError{Stream: "cut-1", Expected: 6, Actual: 5}, *conflict)
		err = tryStates(j, fresh, persistence.StreamInfo{Stream: "cut-1", Version: 5, First: 5, Begin: 1, Metadata: older, Revision: 3})
		revision, ok := err.(*persistence.RevisionError) //nolint:errorlint // it comes unwrapped
		require.True(t, ok, "the error is a *RevisionError, because the metadata differs: %v", err)
		require.Equal(t, persistence.RevisionError{Stream: "cut-1", Expected: 3, Actual: 3}, *revision)
	})
	require.NoError(t, tryStates(j, persistence.StreamInfo{Stream: "cut-1", Version: 5, First: 5, Begin: 1, Metadata: older, Revision: 4}))
	require.Equal(t, persistence.StreamInfo{Stream: "cut-1", Version: 5, First: 5, Begin: 1, Metadata: older, Revision: 4}, j.info("cut-1"))
}

// importOnce lets many callers import the same events, while others write to streams of
// their own.
func importOnce(t *testing.T, s suite) {
	j := s.open(t)
	const many, rounds = 4, 10
	events := foreign("shared-1", 1, notes("shared", 10*rounds)...)
	var group errgroup.Group
	for i := range many {
		group.Go(func() error {
			for part := range slices.Chunk(events, 10) {
				if _, err := tryImport(j, part...); err != nil {
					return err
				}
			}
			return nil
		})
		group.Go(func() error {
			for range rounds {
				outcomes, err := j.Append(j.ctx, persistence.Append{Stream: persistence.StreamID("own-" + string(rune('a'+i))), Expected: persistence.Any, Events: notes("own", 2)})
				if err == nil {
					err = outcomes[0].Err
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	require.Len(t, j.all(), len(events)+many*rounds*2)
	require.Len(t, j.events("shared-1"), len(events))
	require.Equal(t, textsOf(events), textsOf(j.events("shared-1")))
}

func importWakes(t *testing.T, s suite) {
	j := s.open(t)
	woken := make(chan error)
	for version := range persistence.Version(3) {
		at := j.head()
		go func() { _, err := waitNext(j, at); woken <- err }() // ends with the case's context at the latest

		importAll(j, foreign("wake-1", version+1, note("n"))...)

		require.NoError(t, <-woken)
	}
}

func wholeShown(t *testing.T, s suite) {
	j := s.open(t)
	liveThrough(&j)

	events := readWhole(j, 0)

	require.Equal(t, plain(events), plain(readWhole(j, 3)))
	kinds, keys := map[string]int{}, map[persistence.StreamID]int{}
	for i := range events {
		recorded := &events[i]
		kinds[recorded.Type]++
		if recorded.Named {
			keys[recorded.Stream]++
		}
		if recorded.Type == persistence.TypeGone {
			require.NotZero(t, recorded.ID)
			require.False(t, recorded.At.IsZero())
			require.Equal(t, persistence.Event{ID: recorded.ID, Type: persistence.TypeGone}, plain(events[i : i+1])[0].Event)
		}
	}
	require.Equal(t, map[string]int{"noted": 22, "empty": 1, persistence.TypeGone: 5, persistence.TypeDeleted: 3}, kinds)
	require.Equal(t, map[persistence.StreamID]int{"named-1": 3, "emptied-1": 1}, keys, "ids of an earlier life of a stream are not recognised")
	for _, recorded := range j.all() {
		require.False(t, recorded.Named, "only a reader of the whole sequence is told which ids are recognised")
	}
	only := persistence.ReadAllOptions{Whole: true, Filter: where(func(r *persistence.Recorded) bool { return r.Type == persistence.TypeGone })}
	gone := 0
	for page, err := range j.ReadAll(j.ctx, only) {
		require.NoError(t, err)
		gone += len(page.Events)
	}
	require.Equal(t, 5, gone, "a filter chooses among scavenged events too")
	for _, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{Whole: true, Backward: true}) {
		require.ErrorIs(t, err, persistence.ErrInvalid)
	}
}

func deletedListed(t *testing.T, s suite) {
	j := s.open(t)
	liveThrough(&j)
	gone := persistence.StreamInfo{Stream: "gone-1", Version: 4, First: 5, Begin: 5, Revision: 2, Deleted: true}

	all := statesOf(j)

	require.Contains(t, all, gone)
	require.Equal(t, j.list(persistence.ListOptions{System: true}), slices.DeleteFunc(slices.Clone(all), func(i persistence.StreamInfo) bool { return i.Deleted }))
	require.True(t, slices.IsSortedFunc(all, func(a, b persistence.StreamInfo) int { return cmp.Compare(a.Stream, b.Stream) }))
	for _, options := range []persistence.ListOptions{{Name: "gone-1"}, {Category: "gone"}, {Prefix: "gon"}, {Pattern: "^gone-"}, {After: "gone", Limit: 1}} {
		require.NotContains(t, j.list(options), gone)
		options.Deleted = true
		require.Equal(t, []persistence.StreamInfo{gone}, j.list(options))
	}
	for _, err := range j.Categories(j.ctx, persistence.ListOptions{Deleted: true}) {
		require.ErrorIs(t, err, persistence.ErrInvalid)
	}
	for category, err := range j.Categories(j.ctx, persistence.ListOptions{}) {
		require.NoError(t, err)
		require.NotEqual(t, "gone", category)
	}
}
