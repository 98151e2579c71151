package journaltest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// tester is the part of a test, a benchmark or rapid that a journal needs.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	FailNow()
}

// journal is the journal under test. Its methods fail the test when a call fails, so that
// the cases stay short. The context limits the time of the case.
type journal struct {
	persistence.Journal
	t   tester
	ctx context.Context //nolint:containedctx // every call of a case would pass the same one
	// husks is set when the case has scavenged, so that positions may have gaps.
	husks bool
}

// opaque is a filter that a journal cannot evaluate itself: it is asked about every event.
type opaque struct {
	match func(*persistence.Recorded) bool
	err   error
}

func (f opaque) Match(recorded *persistence.Recorded) bool { return f.match(recorded) }
func (f opaque) Check() error                              { return f.err }

func where(match func(*persistence.Recorded) bool) persistence.Filter { return opaque{match: match} }

// ability returns an ability that the journal is known to have.
func ability[T any](journal persistence.Journal) T {
	able, _ := persistence.As[T](journal)
	return able
}

func has[T any](journal persistence.Journal) bool {
	_, ok := persistence.As[T](journal)
	return ok
}

// note makes a small event that is recognised by its text.
func note(text string) persistence.Event {
	return persistence.Event{Type: "noted", Payload: []byte(text)}
}

// notes makes count events, recognised by the text and their number from 1.
func notes(text string, count int) []persistence.Event {
	events := make([]persistence.Event, count)
	for i := range events {
		events[i] = note(fmt.Sprintf("%s %d", text, i+1))
	}
	return events
}

// named gives events ids, as a caller that chooses them does.
func named(events ...persistence.Event) []persistence.Event {
	for i := range events {
		events[i].ID = persistence.NewEventID()
	}
	return events
}

// textsOf returns the texts of notes.
func textsOf(events []persistence.Recorded) []string {
	var texts []string
	for i := range events {
		texts = append(texts, string(events[i].Payload))
	}
	return texts
}

// try appends and returns the outcome, whatever it is.
func (j journal) try(stream persistence.StreamID, expected persistence.Expected, events ...persistence.Event) persistence.Outcome {
	j.t.Helper()
	return j.tryAll(persistence.Append{Stream: stream, Expected: expected, Events: events})[0]
}

func (j journal) tryAll(appends ...persistence.Append) []persistence.Outcome {
	j.t.Helper()
	outcomes, err := j.Append(j.ctx, appends...)
	require.NoError(j.t, err)
	require.Len(j.t, outcomes, len(appends), "one outcome for each append")
	return outcomes
}

// store appends and requires that it succeeds.
func (j journal) store(stream persistence.StreamID, expected persistence.Expected, events ...persistence.Event) persistence.Outcome {
	j.t.Helper()
	outcome := j.try(stream, expected, events...)
	require.NoError(j.t, outcome.Err)
	return outcome
}

// grow appends count notes at once, none for 0.
func (j journal) grow(stream persistence.StreamID, count int) {
	j.t.Helper()
	if count > 0 {
		j.store(stream, persistence.Any, notes(string(stream), count)...)
	}
}

// refuses requires that a call is refused with an error of this kind.
func (j journal) refuses(kind persistence.ErrorKind, appends ...persistence.Append) {
	j.t.Helper()
	outcomes, err := j.Append(j.ctx, appends...)
	require.ErrorIs(j.t, err, kind)
	require.Empty(j.t, outcomes, "a call that fails returns no outcomes")
}

// events reads a whole stream, which may be missing.
func (j journal) events(stream persistence.StreamID) []persistence.Recorded {
	j.t.Helper()
	events, err := j.read(stream, persistence.ReadOptions{})
	if err != nil {
		require.ErrorIs(j.t, err, persistence.ErrStreamNotFound)
	}
	return events
}

// read reads a stream until its end or the first error.
func (j journal) read(stream persistence.StreamID, options persistence.ReadOptions) ([]persistence.Recorded, error) {
	return collect(j.Read(j.ctx, stream, options))
}

func collect(loop iter.Seq2[persistence.Recorded, error]) ([]persistence.Recorded, error) {
	var events []persistence.Recorded
	for recorded, err := range loop {
		if err != nil {
			return events, err
		}
		events = append(events, recorded)
	}
	return events, nil
}

// missing requires that a stream does not exist for any reader.
func (j journal) missing(stream persistence.StreamID) {
	j.t.Helper()
	for _, options := range []persistence.ReadOptions{{}, {From: 1}, {Backward: true}, {From: 1, Backward: true}, {From: 7, Limit: 1}} {
		events, err := j.read(stream, options)
		require.ErrorIs(j.t, err, persistence.ErrStreamNotFound)
		require.ErrorIs(j.t, err, persistence.ErrNotFound)
		require.Empty(j.t, events)
		count, err := j.Count(j.ctx, stream, options)
		require.ErrorIs(j.t, err, persistence.ErrStreamNotFound)
		require.Zero(j.t, count)
	}
	_, err := j.Stream(j.ctx, stream)
	require.ErrorIs(j.t, err, persistence.ErrStreamNotFound)
	require.Empty(j.t, j.list(persistence.ListOptions{Name: string(stream), System: true}))
	if pages, ok := persistence.As[persistence.PageReader](j.Journal); ok {
		page, err := pages.ReadPages(j.ctx, []persistence.PageRequest{{Stream: stream, Limit: 1}, {Stream: stream, From: 1, Limit: 1}})
		require.NoError(j.t, err)
		for i := range page {
			require.NoError(j.t, page[i].Err)
			require.Empty(j.t, page[i].Events)
		}
	}
}

// info returns what the journal knows of a stream that exists, and requires that all ways
// to ask give the same answer.
func (j journal) info(stream persistence.StreamID) persistence.StreamInfo {
	j.t.Helper()
	info, err := j.Stream(j.ctx, stream)
	require.NoError(j.t, err)
	require.Equal(j.t, []persistence.StreamInfo{tidy(info)}, j.list(persistence.ListOptions{Name: string(stream), System: true}))
	return tidy(info)
}

// tidy gives equal infos one form: nil for empty metadata.
func tidy(info persistence.StreamInfo) persistence.StreamInfo {
	if len(info.Metadata) == 0 {
		info.Metadata = nil
	}
	return info
}

func (j journal) list(options persistence.ListOptions) []persistence.StreamInfo {
	j.t.Helper()
	var streams []persistence.StreamInfo
	for info, err := range j.List(j.ctx, options) {
		require.NoError(j.t, err)
		streams = append(streams, tidy(info))
	}
	return streams
}

func (j journal) create(stream persistence.StreamID, metadata persistence.Metadata) {
	j.t.Helper()
	require.NoError(j.t, j.Create(j.ctx, stream, metadata))
}

// delete deletes a stream and returns the version of its tombstone.
func (j journal) delete(stream persistence.StreamID) persistence.Version {
	j.t.Helper()
	version, err := j.Delete(j.ctx, stream, persistence.Any)
	require.NoError(j.t, err)
	return version
}

func (j journal) truncate(stream persistence.StreamID, before persistence.Version) (first persistence.Version) {
	j.t.Helper()
	first, err := j.Truncate(j.ctx, stream, before)
	require.NoError(j.t, err)
	return first
}

// scavenge empties the truncated events of a stream and returns their number.
func (j *journal) scavenge(stream persistence.StreamID) int {
	j.t.Helper()
	j.husks = true
	events, err := ability[persistence.Scavenger](j.Journal).Scavenge(j.ctx, stream)
	require.NoError(j.t, err)
	return events
}

// head returns the last position of every partition.
func (j journal) head() persistence.Positions {
	j.t.Helper()
	head, err := j.Head(j.ctx)
	require.NoError(j.t, err)
	return head
}

// all reads the global sequence from its beginning, system streams included.
func (j journal) all() []persistence.Recorded {
	j.t.Helper()
	return j.follow(persistence.ReadAllOptions{System: true})
}

// follow reads the global sequence. It requires of every page what a reader relies on
// that remembers Next.
func (j journal) follow(options persistence.ReadAllOptions) []persistence.Recorded {
	j.t.Helper()
	check := j.checkPage
	if options.Backward {
		check = j.checkBackward
	}
	var events []persistence.Recorded
	at, done := options.After, false
	for page, err := range j.ReadAll(j.ctx, options) {
		require.NoError(j.t, err)
		require.False(j.t, done, "no page follows the one at the head")
		check(page, at, options)
		require.True(j.t, page.AtHead || !samePlace(page.Next, at), "a page that is not at the head has a next place further on")
		events = append(events, page.Events...)
		at, done = page.Next, page.AtHead
	}
	require.True(j.t, done, "the last page is at the head")
	return events
}

// checkPage requires that a page begins after the place at, has positions in order, and
// shows nothing that the options hide.
func (j journal) checkPage(page persistence.Page, at persistence.Positions, options persistence.ReadAllOptions) {
	j.t.Helper()
	if options.PageRows > 0 {
		require.LessOrEqual(j.t, len(page.Events), options.PageRows)
	}
	gapless := options.System && options.Filter == nil && !j.husks
	for i := range page.Events {
		recorded := &page.Events[i]
		last := at.Of(recorded.Position.Part).Offset
		if gapless {
			require.Equal(j.t, last+1, recorded.Position.Offset, "positions have no gap")
		}
		require.NotEqual(j.t, persistence.TypeGone, recorded.Type, "scavenged events are hidden")
		require.Greater(j.t, recorded.Position.Offset, last, "positions grow")
		require.True(j.t, options.System || recorded.Stream[0] != '$', "system streams are hidden")
		at = at.With(recorded.Position)
	}
	for part := range max(len(at), len(page.Next)) {
		require.True(j.t, page.Next.Covers(at.Of(uint16(part))), "Next lies at or after every event of the page")
	}
}

// checkBackward is checkPage for a backward reader. Without a place the reader begins at
// the head.
func (j journal) checkBackward(page persistence.Page, at persistence.Positions, options persistence.ReadAllOptions) {
	j.t.Helper()
	if options.PageRows > 0 {
		require.LessOrEqual(j.t, len(page.Events), options.PageRows)
	}
	gapless := options.System && options.Filter == nil && !j.husks
	for i := range page.Events {
		recorded := &page.Events[i]
		if last := at.Of(recorded.Position.Part).Offset; len(at) > 0 {
			require.True(j.t, i == 0 || !gapless || last-1 == recorded.Position.Offset, "positions have no gap")
			require.Less(j.t, recorded.Position.Offset, last, "positions shrink")
		}
		require.NotEqual(j.t, persistence.TypeGone, recorded.Type, "scavenged events are hidden")
		require.True(j.t, options.System || recorded.Stream[0] != '$', "system streams are hidden")
		at = at.With(recorded.Position)
	}
	require.NotEmpty(j.t, page.Next, "Next is not empty, because an empty place means the head")
	if len(at) > 0 {
		for part := range max(len(at), len(page.Next)) {
			require.True(j.t, at.Covers(page.Next.Of(uint16(part))), "Next lies at or before every event of the page")
		}
	}
}

// samePlace compares places: a missing partition is at 0.
func samePlace(a, b persistence.Positions) bool {
	for part := range max(len(a), len(b)) {
		if a.Of(uint16(part)) != b.Of(uint16(part)) {
			return false
		}
	}
	return true
}

// unchanged requires that do changes nothing that a reader can see.
func (j journal) unchanged(do func()) {
	j.t.Helper()
	before, head, streams := plain(j.all()), j.head(), j.list(persistence.ListOptions{System: true})
	do()
	require.Equal(j.t, before, plain(j.all()))
	require.True(j.t, samePlace(head, j.head()), "the head does not move")
	require.Equal(j.t, streams, j.list(persistence.ListOptions{System: true}))
}

// plain gives equal events one form: nil for empty fields, tags in order, times in UTC.
func plain(events []persistence.Recorded) []persistence.Recorded {
	same := make([]persistence.Recorded, len(events))
	for i, recorded := range events {
		if len(recorded.Payload) == 0 {
			recorded.Payload = nil
		}
		if len(recorded.Headers) == 0 {
			recorded.Headers = nil
		}
		if len(recorded.Metadata) == 0 {
			recorded.Metadata = nil
		}
		recorded.Tags = slices.Sorted(slices.Values(recorded.Tags))
		recorded.At = recorded.At.In(time.UTC)
		same[i] = recorded
	}
	return same
}
