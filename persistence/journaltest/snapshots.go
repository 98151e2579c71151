package journaltest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// snapshotting holds for journals that are [persistence.Snapshots].
var snapshotting = cases{
	"a snapshot comes back as it was saved":               snapshotRoundTrip,
	"a newer snapshot wins":                               snapshotNewer,
	"a snapshot that breaks a limit is refused":           snapshotLimits,
	"snapshots are forgotten by stream and by category":   snapshotForgotten,
	"snapshots are forgotten by age":                      snapshotAged,
	"the snapshot of a deleted stream does not come back": snapshotDeleted,
	"a snapshot belongs to who saves and who loads it":    snapshotOwned,
}

// damaging holds for journals whose snapshots can be damaged.
var damaging = cases{
	"a snapshot that was damaged is none": snapshotDamaged,
}

func (j journal) snapshots() persistence.Snapshots { return ability[persistence.Snapshots](j.Journal) }

func (j journal) save(snapshot persistence.Snapshot) {
	j.t.Helper()
	require.NoError(j.t, j.snapshots().SaveSnapshot(j.ctx, snapshot))
}

// snapshotted requires that a stream has this snapshot, but for its time.
func (j journal) snapshotted(want persistence.Snapshot) {
	j.t.Helper()
	got, found, err := j.snapshots().LoadSnapshot(j.ctx, want.Stream)
	require.NoError(j.t, err)
	require.True(j.t, found, "%s has no snapshot", want.Stream)
	require.True(j.t, bytes.Equal(want.State, got.State), "the state is another")
	require.Equal(j.t, time.UTC, got.At.Location())
	require.False(j.t, got.At.IsZero())
	require.Equal(j.t, got.At.Truncate(time.Microsecond), got.At)
	got.At, got.State = want.At, want.State
	require.Equal(j.t, want, got)
}

func (j journal) noSnapshot(stream persistence.StreamID) {
	j.t.Helper()
	got, found, err := j.snapshots().LoadSnapshot(j.ctx, stream)
	require.NoError(j.t, err)
	require.False(j.t, found, "%s has a snapshot", stream)
	require.Zero(j.t, got)
}

// stateOf is a snapshot of a stream that is there.
func stateOf(stream persistence.StreamID, version persistence.Version, state string) persistence.Snapshot {
	return persistence.Snapshot{Stream: stream, Version: version, EventID: persistence.NewEventID(), Fingerprint: "bank.v1/3", State: []byte(state)}
}

func snapshotRoundTrip(t *testing.T, s suite) {
	j := s.open(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, snapshot := range map[persistence.StreamID]persistence.Snapshot{
		"state-1":   {Version: 2, EventID: persistence.NewEventID(), Fingerprint: "f", State: every},
		"bare-1":    {Version: 1},
		"bytes-1":   {Version: 3, Fingerprint: string(every[1:]), State: []byte{0}},
		"$sys-1":    {Version: 3, EventID: persistence.NewEventID(), State: []byte("not UTF-8 \xff")},
		"ahead-1":   {Version: persistence.MaxVersion, State: []byte("of a tail that was lost")},
		"it's 100%": {Version: 1, Fingerprint: "'\\", State: []byte("'); DROP TABLE snapshot; --")},
	} {
		j.grow(name, 3)
		j.noSnapshot(name)
		snapshot.Stream = name
		before := j.head()

		j.save(snapshot)

		j.snapshotted(snapshot)
		require.True(t, samePlace(before, j.head()), "a snapshot is no event")
	}
	j.create("empty-1", nil)
	j.save(stateOf("empty-1", 1, "of a stream without event"))
	j.noSnapshot("state-10")
	j.noSnapshot("State-1")
}

func snapshotNewer(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("newer-1", 9)
	j.grow("newer-2", 9)
	kept := stateOf("newer-1", 5, "5")
	j.save(kept)

	for _, version := range []persistence.Version{4, 1} {
		j.save(stateOf("newer-1", version, "older"))
		j.snapshotted(kept)
	}
	same := stateOf("newer-1", 5, "5 again")
	same.Fingerprint = "bank.v1/4"
	j.save(same)
	j.snapshotted(same) // it may be another program's, which has no use for the first
	for _, version := range []persistence.Version{6, 9, 1 << 40} {
		kept = stateOf("newer-1", version, "newer")
		j.save(kept)
		j.snapshotted(kept)
	}
	j.noSnapshot("newer-2")
}

func snapshotLimits(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("limit-1", 2)
	for what, broken := range map[string]persistence.Snapshot{
		"version 0":       {Stream: "limit-1"},
		"version":         {Stream: "limit-1", Version: persistence.MaxVersion + 1},
		"fingerprint":     {Stream: "limit-1", Version: 1, Fingerprint: strings.Repeat("f", persistence.MaxFingerprint+1)},
		"state":           {Stream: "limit-1", Version: 1, State: make([]byte, persistence.MaxSnapshot+1)},
		"no stream":       {Version: 1},
		"state of no one": {Stream: "missing-1", Version: 1, State: make([]byte, persistence.MaxSnapshot+1)},
	} {
		require.ErrorIs(t, j.snapshots().SaveSnapshot(j.ctx, broken), persistence.ErrInvalid, what)
	}
	j.noSnapshot("limit-1")

	largest := stateOf("limit-1", 2, "")
	largest.State = bytes.Repeat([]byte("stele"), persistence.MaxSnapshot/5+1)[:persistence.MaxSnapshot]
	largest.Fingerprint = strings.Repeat("f", persistence.MaxFingerprint)
	j.save(largest)
	j.snapshotted(largest)
}

func snapshotForgotten(t *testing.T, s suite) {
	j := s.open(t)
	all := []persistence.StreamID{"user-1", "user-2", "user-3", "users-1", "User-1", "user", "u%r-1"}
	for _, stream := range all {
		j.grow(stream, 1)
		j.save(stateOf(stream, 1, string(stream)))
	}

	require.NoError(t, j.snapshots().DeleteSnapshot(j.ctx, "user-2"))
	require.NoError(t, j.snapshots().DeleteSnapshot(j.ctx, "user-2"), "none is fine")
	require.NoError(t, j.snapshots().DeleteSnapshot(j.ctx, "never-1"))
	j.noSnapshot("user-2")
	j.loads("user-1", "user-3", "users-1", "User-1", "user", "u%r-1")
	older := stateOf("user-2", 1, "saved again")
	j.save(older)
	j.snapshotted(older)

	require.Equal(t, 1, j.forgotten("u%r", time.Time{}))
	j.noSnapshot("u%r-1")
	j.loads("user-1", "user-2", "user-3", "users-1", "User-1", "user")
	require.Equal(t, 3, j.forgotten("user", time.Time{}))
	j.loads("users-1", "User-1", "user")
	for _, stream := range all[:3] {
		j.noSnapshot(stream)
	}
	require.Zero(t, j.forgotten("user", time.Time{}))
	require.Zero(t, j.forgotten("nobody", time.Time{}))
	_, err := j.snapshots().DeleteSnapshots(j.ctx, "", time.Time{})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	j.loads("users-1", "User-1", "user")
	require.Len(t, j.events("user-1"), 1, "events are not snapshots")
}

// forgotten is how many snapshots of a category it was made to forget.
func (j journal) forgotten(category string, before time.Time) int {
	j.t.Helper()
	n, err := j.snapshots().DeleteSnapshots(j.ctx, category, before)
	require.NoError(j.t, err)
	return n
}

func snapshotAged(t *testing.T, s suite) {
	j := s.open(t)
	at := func(stream persistence.StreamID) time.Time {
		snapshot, found, err := j.snapshots().LoadSnapshot(j.ctx, stream)
		require.NoError(t, err)
		require.True(t, found)
		return snapshot.At
	}
	for _, stream := range []persistence.StreamID{"aged-1", "aged-2", "other-1"} {
		j.grow(stream, 1)
		j.save(stateOf(stream, 1, "old"))
	}
	oldest := at("aged-1")
	for !at("aged-2").After(oldest) { // the clock may be slower than the journal
		j.save(stateOf("aged-2", 1, "young"))
	}
	young := at("aged-2")

	require.Zero(t, j.forgotten("aged", oldest), "before means before")
	j.loads("aged-1", "aged-2")
	require.Equal(t, 1, j.forgotten("aged", young))
	j.noSnapshot("aged-1")
	j.loads("aged-2", "other-1")
	require.Zero(t, j.forgotten("aged", young))
	require.Equal(t, 1, j.forgotten("aged", young.Add(time.Hour)))
	require.Zero(t, j.forgotten("other", time.Unix(0, 0)))
	j.loads("other-1")
}

// loads requires that streams have a snapshot.
func (j journal) loads(streams ...persistence.StreamID) {
	j.t.Helper()
	for _, stream := range streams {
		_, found, err := j.snapshots().LoadSnapshot(j.ctx, stream)
		require.NoError(j.t, err)
		require.True(j.t, found, "%s has no snapshot", stream)
	}
}

func snapshotDeleted(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("gone-1", 5)
	j.grow("kept-1", 5)
	j.save(stateOf("gone-1", 5, "personal"))
	j.save(stateOf("kept-1", 5, "kept"))
	j.delete("gone-1") // version 6

	j.noSnapshot("gone-1")
	j.loads("kept-1")
	for _, stream := range []persistence.StreamID{"gone-1", "never-1"} {
		j.save(stateOf(stream, 5, "it was on its way"))
		j.noSnapshot(stream)
		j.missing(stream)
	}
	j.grow("gone-1", 2)
	j.noSnapshot("gone-1")
	j.save(stateOf("gone-1", 5, "still on its way"))
	j.noSnapshot("gone-1")
	fresh := stateOf("gone-1", 8, "of the new life")
	j.save(fresh)
	j.snapshotted(fresh)

	j.truncate("kept-1", 5)
	j.loads("kept-1")
	fresh = stateOf("kept-1", 5, "the newest event stays, and so may its state")
	j.save(fresh)
	j.snapshotted(fresh)
}

func snapshotOwned(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("owned-1", 1)
	given := stateOf("owned-1", 1, "state")
	want := given
	want.State = []byte("state")
	j.save(given)

	given.State[0] = '!'
	j.snapshotted(want)
	got, _, err := j.snapshots().LoadSnapshot(j.ctx, "owned-1")
	require.NoError(t, err)
	got.State[0] = '!'
	j.snapshotted(want)
}

func snapshotDamaged(t *testing.T, s suite) {
	j := s.open(t)
	for _, stream := range []persistence.StreamID{"damaged-1", "whole-1"} {
		j.grow(stream, 3)
		j.save(stateOf(stream, 2, strings.Repeat("state", 1000)))
	}

	s.Damage(t, j.Journal, "damaged-1")

	j.noSnapshot("damaged-1")
	j.loads("whole-1")
	mended := stateOf("damaged-1", 2, "made from the events again")
	j.save(mended)
	j.snapshotted(mended)
}
