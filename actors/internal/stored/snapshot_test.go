package stored_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

func TestSnapshotComesBack(t *testing.T) {
	t.Parallel()
	id, at := persistence.CommandID{1}, persistence.Position{Part: 2, Offset: 3}
	commands := []stored.RememberedCommand{{ID: id, Version: 4, At: 5}, {ID: persistence.CommandID{6}, Version: 7, At: -8}}
	remembered := stored.NewRemembered(len(commands))
	for _, command := range commands {
		remembered = remembered.Append(command)
	}
	want := stored.Snapshot{
		State: []byte("state"), Remembered: remembered, Forgotten: 9, Reacted: []stored.Place{{Position: at, Sub: 1}},
		Open: []*stored.Sent{stored.Keep(&stored.Sent{Kind: "clock", Id: "a", Payload: []byte("x"), Due: 10}, id, []byte("headers"), at)},
	}
	data, err := want.Encode()
	require.NoError(t, err)

	got, err := stored.ReadSnapshot(data)

	require.NoError(t, err)
	require.Equal(t, commands, slices.Collect(got.Remembered.All()))
	require.Equal(t, want.Reacted, got.Reacted)
	require.Equal(t, want.State, got.State)
	require.Equal(t, want.Forgotten, got.Forgotten)
	require.Len(t, got.Open, 1)
	kept, headers, position, err := stored.Kept(got.Open[0])
	require.NoError(t, err)
	require.Equal(t, id, kept)
	require.Equal(t, "headers", string(headers))
	require.Equal(t, at, position)
}

// Whatever is stored as a snapshot is one that can be stored again, or an error.
func FuzzReadSnapshot(f *testing.F) {
	for _, snapshot := range []stored.Snapshot{
		{},
		{State: []byte("{}"), Forgotten: 7, Remembered: stored.NewRemembered(1).Append(stored.RememberedCommand{At: 1})},
		{Remembered: stored.Remembered{1}},
		{Open: []*stored.Sent{{CommandId: []byte{1}}}, Reacted: []stored.Place{{Sub: 1}}},
	} {
		data, err := snapshot.Encode()
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		snapshot, err := stored.ReadSnapshot(data)
		if err != nil {
			return
		}
		data, err = snapshot.Encode()
		require.NoError(t, err)
		again, err := stored.ReadSnapshot(data)
		require.NoError(t, err)
		require.Equal(t, slices.Collect(snapshot.Remembered.All()), slices.Collect(again.Remembered.All()))
		require.Equal(t, snapshot.Reacted, again.Reacted)
		require.Len(t, again.Open, len(snapshot.Open))
	})
}
