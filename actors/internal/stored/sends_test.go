package stored_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// Sends that are written by hand are what the generated code reads.
func TestSendsAreEncoded(t *testing.T) {
	t.Parallel()
	sents := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *stored.Sent {
		text := rapid.StringN(0, 40, 200)
		return &stored.Sent{
			Kind: text.Draw(t, "kind"), Id: text.Draw(t, "id"), Command: text.Draw(t, "command"), Key: text.Draw(t, "key"),
			Payload: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload"), Due: rapid.Int64().Draw(t, "due"),
		}
	}), 0, 5)
	ids := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) persistence.CommandID {
		return persistence.CommandID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	}), 0, 5)
	rapid.Check(t, func(t *rapid.T) {
		want := &stored.Sends{Sent: sents.Draw(t, "sent"), Open: rapid.Uint32Min(1).Draw(t, "open"), Next: rapid.Int64().Draw(t, "next")}
		var sends []byte
		for _, s := range want.Sent {
			sends = stored.AppendSent(sends, s)
		}
		for _, id := range ids.Draw(t, "done") {
			want.Done = append(want.Done, id[:])
			sends = stored.AppendDone(sends, id)
		}
		before := len(sends)
		sends = stored.AppendOpen(sends, int(want.Open), want.Next)

		got, err := stored.ReadSends(sends)

		require.NoError(t, err)
		require.True(t, proto.Equal(want, got), "%v is not %v", got, want)
		require.LessOrEqual(t, len(sends)-before, stored.OpenRoom)
	})
}
