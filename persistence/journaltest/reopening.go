package journaltest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// reopening are the cases of durable journals.
var reopening = cases{
	"acknowledged events are there when the journal is opened again": reopenKeeps,
	"a journal that is opened again counts on":                       reopenCounts,
}

// reopeningHusks are the cases of durable journals that are a [persistence.Scavenger].
var reopeningHusks = cases{
	"scavenged events stay scavenged when the journal is opened again": reopenScavenged,
}

// crashing are the cases of journals that the suite can crash.
var crashing = cases{
	"acknowledged events survive a crash":  crashKeeps,
	"many crashes under load lose nothing": crashUnderLoad,
}

func reopenKeeps(t *testing.T, s suite) {
	store := s.Store(t)
	j := s.use(t, store(t))
	keep := furnish(j)
	require.NoError(t, j.Close())

	keep(s.use(t, store(t)))
}

func crashKeeps(t *testing.T, s suite) {
	store := s.Store(t)
	j := s.bind(t, store(t))
	keep := furnish(j)
	s.Crash(t, j.Journal)

	keep(s.use(t, store(t)))
}

// furnish stores some of everything. It returns a check that everything is there, the
// identity included, and that chosen ids are still recognised.
func furnish(j journal) (keep func(journal)) {
	j.t.Helper()
	events := described("kept")
	events[0].Headers = []byte("headers")
	events[1].Tags = []string{"tag"}
	first := j.store("kept-1", persistence.NoStream, events...)
	j.grow("kept-2", 5)
	j.store("$kept-3", persistence.NoStream, note("system"))
	j.store("kept-1", persistence.Exact(3), note("4"))
	lives, abilities := furnishLives(j), furnishAbilities(j)
	all, head, identity := plain(j.all()), j.head(), j.Identity()
	streams, categories := j.list(persistence.ListOptions{System: true}), categoriesOf(j, persistence.ListOptions{})

	return func(again journal) {
		again.t.Helper()
		again.husks = j.husks
		require.Equal(again.t, all, plain(again.all()))
		require.True(again.t, samePlace(head, again.head()))
		require.Equal(again.t, identity, again.Identity())
		require.Equal(again.t, streams, again.list(persistence.ListOptions{System: true}))
		require.Equal(again.t, categories, categoriesOf(again, persistence.ListOptions{}))
		cameBack(again, "kept-1", append(events[:3:3], note("4")))
		first.Duplicate = true
		require.Equal(again.t, first, again.store("kept-1", persistence.NoStream, events...))
		events[1].Payload = []byte("other")
		require.ErrorIs(again.t, again.try("kept-1", persistence.Any, events...).Err, persistence.ErrEventIDReused)
		require.ErrorIs(again.t, again.try("kept-2", persistence.NoStream, note("n")).Err, persistence.ErrConflict)
		require.Equal(again.t, persistence.Version(6), again.store("kept-2", persistence.Exact(5), note("6")).First)
		abilities(again)
		lives(again)
	}
}

// furnishLives makes streams at every stage of their lives.
func furnishLives(j journal) (keep func(journal)) {
	j.t.Helper()
	events := described("forgotten")
	j.store("ids-1", persistence.NoStream, events...)
	j.delete("ids-1")
	for name, life := range allLives() {
		life.past(j, persistence.StreamID("life-"+name))
	}

	return func(again journal) {
		again.t.Helper()
		for name, life := range allLives() {
			stream, want := persistence.StreamID("life-"+name), life.info
			want.Stream = stream
			if life.exists() {
				require.Equal(again.t, want, again.info(stream), name)
				require.ErrorIs(again.t, again.Create(again.ctx, stream, nil), persistence.ErrStreamExists, name)
			} else {
				again.missing(stream)
			}
			if life.exists() && want.Version >= want.First {
				beginsAt(again, stream, want.First)
			}
			require.Equal(again.t, want.Version+1, again.store(stream, persistence.Any, note("n")).First, name)
			if life.exists() {
				revision, err := again.SetMetadata(again.ctx, stream, persistence.Metadata{"new": persistence.Int(1)}, want.Revision)
				require.NoError(again.t, err)
				require.Equal(again.t, want.Revision+1, revision, name)
			}
		}
		require.False(again.t, again.store("ids-1", persistence.NoStream, events...).Duplicate, "ids that a deletion forgot are still forgotten after opening again")
	}
}

// furnishAbilities stores what only some journals can keep.
func furnishAbilities(j journal) (keep func(journal)) {
	j.t.Helper()
	var checks []func(journal)
	if has[persistence.Snapshots](j.Journal) {
		newest := stateOf("kept-2", 5, "newest")
		saveSnapshot(j, stateOf("kept-1", 4, "deleted"))
		saveSnapshot(j, stateOf("kept-2", 2, "older"))
		saveSnapshot(j, newest)
		require.NoError(j.t, snapshotsOf(j).DeleteSnapshot(j.ctx, "kept-1"))
		checks = append(checks, func(again journal) {
			again.t.Helper()
			noSnapshot(again, "kept-1")
			hasSnapshot(again, newest)
			saveSnapshot(again, stateOf("kept-2", 4, "older"))
			hasSnapshot(again, newest)
		})
	}
	if has[persistence.Schemas](j.Journal) {
		id := registerSchema(j, persistence.JSON, []byte("{}"))
		registerSchema(j, persistence.Protobuf, []byte("descriptors"))
		schemas := schemasOf(j)
		checks = append(checks, func(again journal) {
			again.t.Helper()
			require.Equal(again.t, schemas, schemasOf(again))
			require.Equal(again.t, id, registerSchema(again, persistence.JSON, []byte("{}")))
			require.Greater(again.t, registerSchema(again, persistence.JSON, []byte("[]")), schemas[1].ID)
		})
	}
	if has[persistence.Transactor](j.Journal) {
		commits(j, to("pair-1", persistence.NoStream, note("left")), to("pair-2", persistence.NoStream, note("right")))
		changed := errors.New("changed his mind")
		require.Equal(j.t, changed, transact(j, func(_ context.Context, tx persistence.Transaction) error {
			_, err := tx.Append(to("pair-1", persistence.Any, note("not stored")))
			require.NoError(j.t, err)
			return changed
		}))
		checks = append(checks, func(again journal) {
			again.t.Helper()
			require.Equal(again.t, []string{"left"}, textsOf(again.events("pair-1")))
			require.Equal(again.t, []string{"right"}, textsOf(again.events("pair-2")))
			commits(again, to("pair-1", persistence.Exact(1), note("next")))
		})
	}
	return func(again journal) {
		again.t.Helper()
		for _, check := range checks {
			check(again)
		}
	}
}

func reopenScavenged(t *testing.T, s suite) {
	store := s.Store(t)
	j := s.use(t, store(t))
	events := described("husk")
	j.store("husk-1", persistence.NoStream, events...)
	j.grow("husk-1", 1)
	j.truncate("husk-1", 4)
	require.Equal(t, 3, j.scavenge("husk-1"))
	all, head := plain(j.all()), j.head()
	require.NoError(t, j.Close())

	again := s.use(t, store(t))
	again.husks = true
	require.Equal(t, all, plain(again.all()))
	require.True(t, samePlace(head, again.head()))
	beginsAt(again, "husk-1", 4)
	require.Zero(t, again.scavenge("husk-1"))
	outcome := again.store("husk-1", persistence.Exact(4), events...)
	require.False(t, outcome.Duplicate)
	require.Equal(t, head.Of(outcome.Position.Part).Offset+1, outcome.Position.Offset)
}

func reopenCounts(t *testing.T, s suite) {
	store := s.Store(t)
	var place persistence.Positions
	for round := range 4 {
		j := s.use(t, store(t))
		outcome := j.store("count-1", persistence.Exact(persistence.Version(2*round)), notes(fmt.Sprint(round), 2)...)
		require.Equal(t, place.Of(outcome.Position.Part).Offset+1, outcome.Position.Offset)
		require.Len(t, j.follow(persistence.ReadAllOptions{After: place, System: true}), 2, "a place is valid in the next process")
		require.ErrorIs(t, j.try("count-1", persistence.Exact(persistence.Version(2*round)), note("n")).Err, persistence.ErrConflict)
		place = j.head()
		require.NoError(t, j.Close())
	}
}

// crashUnderLoad crashes a journal several times during writes. In the end it compares the
// journal with what all writers were told.
func crashUnderLoad(t *testing.T, s suite) {
	store := s.Store(t)
	var l ledger
	for round := range 3 {
		j := s.bind(t, store(t))
		ctx, leave := context.WithCancel(j.ctx)
		j.ctx = ctx
		wait := startLoad(j, &l, round*100)

		s.Crash(t, j.Journal)
		leave()
		wait()
	}
	require.GreaterOrEqual(t, l.acknowledged(), 3)

	l.forget()
	again := s.use(t, store(t))
	l.verify(again)
	wholePairs(again)
}
