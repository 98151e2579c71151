package actors

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Whatever stands in the stream of lists, a list is made of parts in order or not at all.
func FuzzOpenList(f *testing.F) {
	for _, parts := range [][2]*stelev1.OpenSends{
		{{Last: true, Streams: []*stelev1.OpenSends_Stream{{Name: "clock-a", Open: 1, Next: 2}}}, {}},
		{{Last: true, List: []byte("a"), Part: 1}, {List: []byte("a")}},
		{{Last: true, Part: 3}, {Part: 2}},
	} {
		last, err := proto.Marshal(parts[0])
		require.NoError(f, err)
		before, err := proto.Marshal(parts[1])
		require.NoError(f, err)
		f.Add(last, before)
	}
	f.Fuzz(func(t *testing.T, last, before []byte) {
		var list openList
		for i, payload := range [][]byte{last, before} {
			complete, err := list.add(&persistence.Recorded{Event: persistence.Event{Type: typeOpenList, Payload: payload}})
			if err != nil {
				return
			}
			if complete {
				require.True(t, list.last.GetLast())
				require.LessOrEqual(t, list.last.GetPart(), uint32(i)) //nolint:gosec // an index
				for _, open := range list.open {
					require.NotZero(t, open.count)
				}
				return
			}
		}
	})
}
