package journaltest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// reopening holds for journals that are durable.
var reopening = cases{
	"what was acknowledged is there when the journal is opened again": reopenKeeps,
	"a journal that is opened again goes on counting":                 reopenCounts,
}

// crashing holds for journals that can be crashed.
var crashing = cases{
	"what was acknowledged survives a crash":      crashKeeps,
	"crash after crash during load loses nothing": crashUnderLoad,
}

func reopenKeeps(t *testing.T, s suite) {
	store := s.Store(t)
	j := s.use(t, store(t))
	keep := j.furnish()
	require.NoError(t, j.Close())

	keep(s.use(t, store(t)))
}

func crashKeeps(t *testing.T, s suite) {
	store := s.Store(t)
	j := s.bind(t, store(t))
	keep := j.furnish()
	s.Crash(t, j.Journal)

	keep(s.use(t, store(t)))
}

// furnish stores some of everything and returns a check that it is all there,
// the identity included, and that named ids are known still.
func (j journal) furnish() (keep func(journal)) {
	j.t.Helper()
	events := described("kept")
	events[0].Headers = []byte("headers")
	first := j.store("kept-1", persistence.NoStream, events...)
	j.grow("kept-2", 5)
	j.store("$kept-3", persistence.NoStream, note("system"))
	j.store("kept-1", persistence.Exact(3), note("4"))
	all, head, identity := plain(j.all()), j.head(), j.Identity()

	return func(again journal) {
		again.t.Helper()
		require.Equal(again.t, all, plain(again.all()))
		require.True(again.t, samePlace(head, again.head()))
		require.Equal(again.t, identity, again.Identity())
		again.cameBack("kept-1", append(events[:3:3], note("4")))
		first.Duplicate = true
		require.Equal(again.t, first, again.store("kept-1", persistence.NoStream, events...))
		events[1].Payload = []byte("other")
		require.ErrorIs(again.t, again.try("kept-1", persistence.Any, events...).Err, persistence.ErrEventIDReused)
		require.ErrorIs(again.t, again.try("kept-2", persistence.NoStream, note("n")).Err, persistence.ErrConflict)
		require.Equal(again.t, persistence.Version(6), again.store("kept-2", persistence.Exact(5), note("6")).First)
	}
}

func reopenCounts(t *testing.T, s suite) {
	store := s.Store(t)
	var place persistence.Positions
	for round := range 4 {
		j := s.use(t, store(t))
		outcome := j.store("count-1", persistence.Exact(persistence.Version(2*round)), notes(fmt.Sprint(round), 2)...)
		require.Equal(t, place.Of(outcome.Position.Part).Offset+1, outcome.Position.Offset)
		require.Len(t, j.follow(persistence.ReadAllOptions{After: place, System: true}), 2, "a place is good for the next process")
		require.ErrorIs(t, j.try("count-1", persistence.Exact(persistence.Version(2*round)), note("n")).Err, persistence.ErrConflict)
		place = j.head()
		require.NoError(t, j.Close())
	}
}

// crashUnderLoad crashes a journal in the midst of writing, several times, and
// compares what is there in the end with what all writers were told.
func crashUnderLoad(t *testing.T, s suite) {
	store := s.Store(t)
	var l ledger
	for round := range 3 {
		j := s.bind(t, store(t))
		ctx, leave := context.WithCancel(j.ctx)
		j.ctx = ctx
		wait := j.load(&l, round*100)

		s.Crash(t, j.Journal)
		leave()
		wait()
	}
	require.GreaterOrEqual(t, l.acknowledged(), 3)

	l.forget()
	l.verify(s.use(t, store(t)))
}
