package journaltest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// lives are the cases in which the life of a stream so far decides.
var lives = cases{
	"the expected version decides at each stage of a stream's life": livesDecide,
	"the expected version decides about a deletion":                 livesDeleted,
	"a name that no stream can have is refused everywhere":          namesRefused,
	"only the journal itself writes tombstones":                     tombstonesRefused,
}

// life is the past of a stream and what follows from it.
type life struct {
	past func(j journal, stream persistence.StreamID)
	// info is the state of the stream then, without its name. A life without a first
	// version does not exist.
	info persistence.StreamInfo
}

func (l *life) exists() bool { return l.info.First > 0 }

// admits says which expectations the contract accepts, in the simplest way.
func (l *life) admits(expected persistence.Expected) bool {
	switch expected {
	case persistence.Any:
		return true
	case persistence.NoStream:
		return !l.exists() || l.info.First > l.info.Version
	case persistence.StreamExists:
		return l.exists()
	}
	version, _ := expected.Version()
	return version == l.info.Version
}

func allLives() map[string]life {
	meta := persistence.Metadata{"k": persistence.Int(1)}
	return map[string]life{
		"never written": {func(journal, persistence.StreamID) {}, persistence.StreamInfo{}},
		"created":       {func(j journal, s persistence.StreamID) { j.create(s, nil) }, persistence.StreamInfo{First: 1, Begin: 1}},
		"written":       {func(j journal, s persistence.StreamID) { j.grow(s, 3) }, persistence.StreamInfo{Version: 3, First: 1, Begin: 1}},
		"created and written": {func(j journal, s persistence.StreamID) {
			j.create(s, meta)
			j.grow(s, 3)
		}, persistence.StreamInfo{Version: 3, First: 1, Begin: 1, Metadata: meta, Revision: 1}},
		"deleted": {func(j journal, s persistence.StreamID) {
			j.grow(s, 3)
			j.delete(s)
		}, persistence.StreamInfo{Version: 4}},
		"created and deleted": {func(j journal, s persistence.StreamID) {
			j.create(s, nil)
			j.delete(s)
		}, persistence.StreamInfo{Version: 1}},
		"deleted and created": {func(j journal, s persistence.StreamID) {
			j.grow(s, 3)
			j.delete(s)
			j.create(s, meta)
		}, persistence.StreamInfo{Version: 4, First: 5, Begin: 5, Metadata: meta, Revision: 2}},
		"written again": {func(j journal, s persistence.StreamID) {
			j.grow(s, 3)
			j.delete(s)
			j.grow(s, 2)
		}, persistence.StreamInfo{Version: 6, First: 5, Begin: 5, Revision: 1}},
		"deleted again": {func(j journal, s persistence.StreamID) {
			j.grow(s, 1)
			j.delete(s)
			j.grow(s, 1)
			j.delete(s)
		}, persistence.StreamInfo{Version: 4}},
		"truncated": {func(j journal, s persistence.StreamID) {
			j.grow(s, 5)
			j.truncate(s, 4)
		}, persistence.StreamInfo{Version: 5, First: 4, Begin: 1}},
		"written again and truncated": {func(j journal, s persistence.StreamID) {
			j.grow(s, 2)
			j.delete(s)
			j.grow(s, 3)
			j.truncate(s, 9)
		}, persistence.StreamInfo{Version: 6, First: 6, Begin: 4, Revision: 1}},
	}
}

// eachLife calls do with a stream of its own for every life and expectation.
func eachLife(j journal, do func(life life, stream persistence.StreamID, expected persistence.Expected, what string)) {
	j.t.Helper()
	for name, life := range allLives() {
		version := life.info.Version
		for i, expected := range []persistence.Expected{
			persistence.Any, persistence.NoStream, persistence.StreamExists, persistence.Exact(version), persistence.Exact(version + 1),
			persistence.Exact(max(version, 1) - 1), persistence.Exact(1),
		} {
			stream := persistence.StreamID(fmt.Sprintf("%s-%d", name, i))
			life.past(j, stream)
			do(life, stream, expected, fmt.Sprintf("%s expected, %s", expected, name))
		}
	}
}

func livesDecide(t *testing.T, s suite) {
	j := s.open(t)
	eachLife(j, func(life life, stream persistence.StreamID, expected persistence.Expected, what string) {
		before := life.info
		before.Stream = stream
		if life.exists() {
			require.Equal(t, before, j.info(stream), what)
		} else {
			j.missing(stream)
		}
		head := j.head()

		outcome := j.try(stream, expected, notes("new", 2)...)

		if life.admits(expected) {
			require.NoError(t, outcome.Err, what)
			require.Equal(t, []persistence.Version{before.Version + 1, before.Version + 2}, []persistence.Version{outcome.First, outcome.Last}, what)
			events := j.events(stream)
			require.Equal(t, outcome.Last, events[len(events)-1].Version, what)
			require.Equal(t, outcome.Last, j.info(stream).Version, what)
			return
		}
		conflict, _ := errors.AsType[*persistence.ConflictError](outcome.Err)
		require.Equal(t, &persistence.ConflictError{Stream: stream, Expected: expected, Actual: before.Version}, conflict, what)
		require.True(t, samePlace(head, j.head()), what)
		if life.exists() {
			require.Equal(t, before, j.info(stream), what)
		} else {
			j.missing(stream)
			j.create(stream, nil) // the refused call left nothing behind
		}
	})
}

func livesDeleted(t *testing.T, s suite) {
	j := s.open(t)
	eachLife(j, func(life life, stream persistence.StreamID, expected persistence.Expected, what string) {
		head := j.head()

		version, err := j.Delete(j.ctx, stream, expected)

		switch {
		case !life.exists():
			require.ErrorIs(t, err, persistence.ErrStreamNotFound, what)
			require.NotErrorIs(t, err, persistence.ErrConflict, what)
			require.True(t, samePlace(head, j.head()), what)
		case life.admits(expected):
			require.NoError(t, err, what)
			require.Equal(t, life.info.Version+1, version, what)
			j.missing(stream)
		default:
			conflict, _ := errors.AsType[*persistence.ConflictError](err)
			require.Equal(t, &persistence.ConflictError{Stream: stream, Expected: expected, Actual: life.info.Version}, conflict, what)
			require.True(t, samePlace(head, j.head()), what)
			require.Equal(t, life.info.Version, j.info(stream).Version, what)
		}
	})
}

func namesRefused(t *testing.T, s suite) {
	j := s.open(t)
	for what, name := range brokenNames() {
		stream := persistence.StreamID(name)
		for call, err := range everyCallOf(j, stream) {
			require.ErrorIs(t, err, persistence.ErrInvalid, "%s of a name that is %s", call, what)
		}
	}
	require.Empty(t, j.all())
	require.Empty(t, j.list(persistence.ListOptions{System: true}))
}

func tombstonesRefused(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("own-1", 1)
	for _, name := range []string{persistence.TypeDeleted, persistence.TypeGone} {
		j.refuses(persistence.ErrInvalid, persistence.Append{Stream: "own-1", Expected: persistence.Any, Events: []persistence.Event{{Type: name}}})
	}
	require.Len(t, j.all(), 1)
}
