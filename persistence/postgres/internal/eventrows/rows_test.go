package eventrows

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// FuzzRow decodes rows of any bytes: the result is an event that is right, or an error.
func FuzzRow(f *testing.F) {
	number := []byte{0, 0, 0, 0, 0, 0, 0, 7}
	id := persistence.NewEventID()
	f.Add(number, number, number, id[:], []byte{0, 0, 0, 3}, "type", []byte("payload"), []byte("headers"), []byte("{\"a\": 1}"), wire.Texts([]persistence.StreamID{"a", ""}), number)
	f.Add(number, number, number, id[:], []byte{0, 0, 0, 3}, "", []byte{}, []byte{}, []byte{}, wire.Texts[string](nil), number)
	f.Add(number, number, []byte("\x7f\xff\xff\xff\xff\xff\xff\xff"), id[:], []byte{0, 0, 0, 3}, "type", bytes.Repeat([]byte{1}, chunkSize), []byte{}, []byte("{\"a\": [1]}"), []byte{}, number)
	f.Add([]byte{1}, []byte{}, number, id[:3], []byte{0}, "type", []byte{}, []byte{}, []byte{2}, wire.Int8s([]int64{1}), []byte{9})
	f.Fuzz(func(t *testing.T, version, position, at, id, schema []byte, name string, payload, headers, metadata, tags, stream []byte) {
		r := Rows{}
		for range 2 { // the second shares the chunk of the first
			if err := r.Add("s-1", [][]byte{version, position, at, id, schema, []byte(name), payload, headers, metadata, tags, stream}); err != nil {
				require.ErrorIs(t, err, persistence.ErrCorrupt)
				require.Empty(t, r.Events)
				return
			}
		}
		require.Len(t, r.Events, 2)
		require.Len(t, r.Numbers, 2)
		for i := range r.Events {
			e := &r.Events[i]
			require.Equal(t, name, e.Type)
			require.Equal(t, string(payload), string(e.Payload))
			require.Equal(t, string(headers), string(e.Headers))
			require.Equal(t, time.UTC, e.At.Location())
			require.Equal(t, len(e.Payload), cap(e.Payload), "a reader that appends must not meet its neighbour")
			require.Equal(t, len(e.Headers), cap(e.Headers))
		}
	})
}
