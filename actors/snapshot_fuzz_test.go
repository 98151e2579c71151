package actors

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Whatever is stored as a snapshot gives a state or an error, and never a panic.
func FuzzSnapshot(f *testing.F) {
	type state struct {
		Tags []string
		By   map[string]int
	}
	d := Define("list", SnapshotEvery[state](1)).definition()
	for _, body := range []*stelev1.Snapshot{
		{},
		{State: []byte(`{"Tags":["a"],"By":{"b":1}}`), Forgotten: 7, Remembered: make([]byte, 64)},
		{State: []byte(`null`)},
		{State: []byte(`{}`), Remembered: []byte{1}},
	} {
		data, err := proto.Marshal(body)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := d.readSnapshot(&persistence.Snapshot{Fingerprint: d.snapshots.fingerprint, State: data}, dedupe.Retention{Age: time.Hour, Count: 10})

		if err == nil {
			require.NotNil(t, p.state)
		}
	})
}
