package journaltest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// snapshotting are the cases of [persistence.Snapshots].
var snapshotting = cases{
	"a snapshot comes back as it was saved":                           snapshotRoundTrip,
	"a newer snapshot wins":                                           snapshotNewer,
	"a snapshot that breaks a limit is refused":                       snapshotLimits,
	"snapshots are forgotten by stream and by category":               snapshotForgotten,
	"snapshots are forgotten by age":                                  snapshotAged,
	"a snapshot of a deleted stream does not return":                  snapshotDeleted,
	"snapshots that a journal takes and returns belong to the caller": snapshotOwned,
}

// damaging are the cases of journals whose snapshots the suite can damage.
var damaging = cases{
	"a damaged snapshot is no snapshot": snapshotDamaged,
}

func snapshotsOf(j journal) persistence.Snapshots { return ability[persistence.Snapshots](j.Journal) }

func saveSnapshot(j journal, snapshot persistence.Snapshot) {
	j.t.Helper()
	require.NoError(j.t, snapshotsOf(j).SaveSnapshot(j.ctx, snapshot))
}

// hasSnapshot requires that a stream has this snapshot, whatever its time.
func hasSnapshot(j journal, want persistence.Snapshot) {
	j.t.Helper()
	got, found, err := snapshotsOf(j).LoadSnapshot(j.ctx, want.Stream)
	require.NoError(j.t, err)
	require.True(j.t, found, "%s has no snapshot", want.Stream)
	require.True(j.t, bytes.Equal(want.State, got.State), "the stored state comes back unchanged")
	require.Equal(j.t, time.UTC, got.At.Location())
	require.False(j.t, got.At.IsZero())
	require.Equal(j.t, got.At.Truncate(time.Microsecond), got.At)
	got.At, got.State = want.At, want.State
	require.Equal(j.t, want, got)
}

func noSnapshot(j journal, stream persistence.StreamID) {
	j.t.Helper()
	got, found, err := snapshotsOf(j).LoadSnapshot(j.ctx, stream)
	require.NoError(j.t, err)
	require.False(j.t, found, "%s has a snapshot", stream)
	require.Zero(j.t, got)
}

// stateOf makes a snapshot of a stream.
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
		noSnapshot(j, name)
		snapshot.Stream = name
		before := j.head()

		saveSnapshot(j, snapshot)

		hasSnapshot(j, snapshot)
		require.True(t, samePlace(before, j.head()), "saving a snapshot takes no position")
	}
	j.create("empty-1", nil)
	saveSnapshot(j, stateOf("empty-1", 1, "of a stream without event"))
	noSnapshot(j, "state-10")
	noSnapshot(j, "State-1")
}

func snapshotNewer(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("newer-1", 9)
	j.grow("newer-2", 9)
	kept := stateOf("newer-1", 5, "5")
	saveSnapshot(j, kept)

	for _, version := range []persistence.Version{4, 1} {
		saveSnapshot(j, stateOf("newer-1", version, "older"))
		hasSnapshot(j, kept)
	}
	same := stateOf("newer-1", 5, "5 again")
	same.Fingerprint = "bank.v1/4"
	saveSnapshot(j, same)
	hasSnapshot(j, same) // it may be another program's, which cannot use the first
	for _, version := range []persistence.Version{6, 9, 1 << 40} {
		kept = stateOf("newer-1", version, "newer")
		saveSnapshot(j, kept)
		hasSnapshot(j, kept)
	}
	noSnapshot(j, "newer-2")
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
		require.ErrorIs(t, snapshotsOf(j).SaveSnapshot(j.ctx, broken), persistence.ErrInvalid, what)
	}
	noSnapshot(j, "limit-1")

	largest := stateOf("limit-1", 2, "")
	largest.State = bytes.Repeat([]byte("stele"), persistence.MaxSnapshot/5+1)[:persistence.MaxSnapshot]
	largest.Fingerprint = strings.Repeat("f", persistence.MaxFingerprint)
	saveSnapshot(j, largest)
	hasSnapshot(j, largest)
}

func snapshotForgotten(t *testing.T, s suite) {
	j := s.open(t)
	all := []persistence.StreamID{"user-1", "user-2", "user-3", "users-1", "User-1", "user", "u%r-1"}
	for _, stream := range all {
		j.grow(stream, 1)
		saveSnapshot(j, stateOf(stream, 1, string(stream)))
	}

	require.NoError(t, snapshotsOf(j).DeleteSnapshot(j.ctx, "user-2"))
	require.NoError(t, snapshotsOf(j).DeleteSnapshot(j.ctx, "user-2"), "deleting a snapshot that does not exist succeeds")
	require.NoError(t, snapshotsOf(j).DeleteSnapshot(j.ctx, "never-1"))
	noSnapshot(j, "user-2")
	loadsSnapshots(j, "user-1", "user-3", "users-1", "User-1", "user", "u%r-1")
	older := stateOf("user-2", 1, "saved again")
	saveSnapshot(j, older)
	hasSnapshot(j, older)

	require.Equal(t, 1, forgottenSnapshots(j, "u%r", time.Time{}))
	noSnapshot(j, "u%r-1")
	loadsSnapshots(j, "user-1", "user-2", "user-3", "users-1", "User-1", "user")
	require.Equal(t, 3, forgottenSnapshots(j, "user", time.Time{}))
	loadsSnapshots(j, "users-1", "User-1", "user")
	for _, stream := range all[:3] {
		noSnapshot(j, stream)
	}
	require.Zero(t, forgottenSnapshots(j, "user", time.Time{}))
	require.Zero(t, forgottenSnapshots(j, "nobody", time.Time{}))
	_, err := snapshotsOf(j).DeleteSnapshots(j.ctx, "", time.Time{})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	loadsSnapshots(j, "users-1", "User-1", "user")
	require.Len(t, j.events("user-1"), 1, "deleting a snapshot deletes no events")
}

// forgottenSnapshots deletes the snapshots of a category from before a time and returns
// their number.
func forgottenSnapshots(j journal, category string, before time.Time) int {
	j.t.Helper()
	n, err := snapshotsOf(j).DeleteSnapshots(j.ctx, category, before)
	require.NoError(j.t, err)
	return n
}

func snapshotAged(t *testing.T, s suite) {
	j := s.open(t)
	at := func(stream persistence.StreamID) time.Time {
		snapshot, found, err := snapshotsOf(j).LoadSnapshot(j.ctx, stream)
		require.NoError(t, err)
		require.True(t, found)
		return snapshot.At
	}
	for _, stream := range []persistence.StreamID{"aged-1", "aged-2", "other-1"} {
		j.grow(stream, 1)
		saveSnapshot(j, stateOf(stream, 1, "old"))
	}
	oldest := at("aged-1")
	for !at("aged-2").After(oldest) { // the clock may be slower than the journal
		saveSnapshot(j, stateOf("aged-2", 1, "young"))
	}
	young := at("aged-2")

	require.Zero(t, forgottenSnapshots(j, "aged", oldest), "a snapshot that is exactly as old as the bound stays")
	loadsSnapshots(j, "aged-1", "aged-2")
	require.Equal(t, 1, forgottenSnapshots(j, "aged", young))
	noSnapshot(j, "aged-1")
	loadsSnapshots(j, "aged-2", "other-1")
	require.Zero(t, forgottenSnapshots(j, "aged", young))
	require.Equal(t, 1, forgottenSnapshots(j, "aged", young.Add(time.Hour)))
	require.Zero(t, forgottenSnapshots(j, "other", time.Unix(0, 0)))
	loadsSnapshots(j, "other-1")
}

// loadsSnapshots requires that each stream has a snapshot.
func loadsSnapshots(j journal, streams ...persistence.StreamID) {
	j.t.Helper()
	for _, stream := range streams {
		_, found, err := snapshotsOf(j).LoadSnapshot(j.ctx, stream)
		require.NoError(j.t, err)
		require.True(j.t, found, "%s has no snapshot", stream)
	}
}

func snapshotDeleted(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("gone-1", 5)
	j.grow("kept-1", 5)
	saveSnapshot(j, stateOf("gone-1", 5, "personal"))
	saveSnapshot(j, stateOf("kept-1", 5, "kept"))
	j.delete("gone-1") // version 6

	noSnapshot(j, "gone-1")
	loadsSnapshots(j, "kept-1")
	for _, stream := range []persistence.StreamID{"gone-1", "never-1"} {
		saveSnapshot(j, stateOf(stream, 5, "it was on its way"))
		noSnapshot(j, stream)
		j.missing(stream)
	}
	j.grow("gone-1", 2)
	noSnapshot(j, "gone-1")
	saveSnapshot(j, stateOf("gone-1", 5, "still on its way"))
	noSnapshot(j, "gone-1")
	fresh := stateOf("gone-1", 8, "of the new life")
	saveSnapshot(j, fresh)
	hasSnapshot(j, fresh)

	j.truncate("kept-1", 5)
	loadsSnapshots(j, "kept-1")
	fresh = stateOf("kept-1", 5, "of the newest event, which stays")
	saveSnapshot(j, fresh)
	hasSnapshot(j, fresh)
}

func snapshotOwned(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("owned-1", 1)
	given := stateOf("owned-1", 1, "state")
	want := given
	want.State = []byte("state")
	saveSnapshot(j, given)

	given.State[0] = '!'
	hasSnapshot(j, want)
	got, _, err := snapshotsOf(j).LoadSnapshot(j.ctx, "owned-1")
	require.NoError(t, err)
	got.State[0] = '!'
	hasSnapshot(j, want)
}

func snapshotDamaged(t *testing.T, s suite) {
	j := s.open(t)
	for _, stream := range []persistence.StreamID{"damaged-1", "whole-1"} {
		j.grow(stream, 3)
		saveSnapshot(j, stateOf(stream, 2, strings.Repeat("state", 1000)))
	}

	s.Damage(t, j.Journal, "damaged-1")

	noSnapshot(j, "damaged-1")
	loadsSnapshots(j, "whole-1")
	mended := stateOf("damaged-1", 2, "made from the events again")
	saveSnapshot(j, mended)
	hasSnapshot(j, mended)
}
