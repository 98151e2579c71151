package stored_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Whatever stands in the stream of lists, a list is made of parts in order or not at all.
func FuzzOpenList(f *testing.F) {
	for _, parts := range [][2]*stelev1.OpenSends{
		{{Journal: make([]byte, 16), Last: true, Streams: []*stelev1.OpenSends_Stream{{Name: "clock-a", Open: 1, Next: 2}}}, {}},
		{{Journal: make([]byte, 16), Last: true, List: []byte("a"), Part: 1}, {List: []byte("a")}},
		{{Last: true, Part: 3}, {Part: 2}},
	} {
		last, err := proto.Marshal(parts[0])
		require.NoError(f, err)
		before, err := proto.Marshal(parts[1])
		require.NoError(f, err)
		f.Add(last, before)
	}
	f.Fuzz(func(t *testing.T, last, before []byte) {
		var reader stored.OpenListReader
		for _, payload := range [][]byte{last, before} {
			list, err := reader.Add(&persistence.Event{Type: stored.TypeOpenList, Payload: payload})
			if err != nil {
				return
			}
			if list != nil {
				for _, open := range list.Streams {
					require.NotZero(t, open.Count)
				}
				return
			}
		}
	})
}

// A list that is larger than an event comes back from its parts, read backward.
func TestLongOpenList(t *testing.T) {
	t.Parallel()
	want := stored.OpenList{Journal: persistence.JournalID{1}, Positions: persistence.Positions{7}, Streams: map[persistence.StreamID]stored.Open{}}
	for i := range 100_000 {
		want.Streams[persistence.StreamID(fmt.Sprintf("clock-%d", i))] = stored.Open{Next: int64(i), Count: 1}
	}
	var parts [][]byte
	for payload, err := range want.Parts(persistence.NewEventID()) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(payload), persistence.MaxPayload)
		parts = append(parts, payload)
	}
	require.Greater(t, len(parts), 1)

	var reader stored.OpenListReader
	for i, payload := range slices.Backward(parts) {
		list, err := reader.Add(&persistence.Event{Type: stored.TypeOpenList, Payload: payload})

		require.NoError(t, err)
		if i > 0 {
			require.Nil(t, list)
			continue
		}
		require.Equal(t, &want, list)
	}
}
