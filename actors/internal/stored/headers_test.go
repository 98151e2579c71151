package stored_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Headers that are written by hand are what the generated code reads, and what recovery
// reads by hand.
func TestHeadersAreEncoded(t *testing.T) {
	t.Parallel()
	text, short := rapid.StringN(0, 40, 200), rapid.SliceOfN(rapid.Byte(), 1, 300)
	id := rapid.Custom(func(t *rapid.T) (id [16]byte) {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		return id
	})
	rapid.Check(t, func(t *rapid.T) {
		command := persistence.CommandID(id.Draw(t, "command"))
		from := stored.Origin{Causation: id.Draw(t, "causation"), Correlation: id.Draw(t, "correlation"), Traceparent: text.Draw(t, "trace"), Actor: text.Draw(t, "actor")}
		want := &stored.Headers{CommandId: command[:], Command: text.Draw(t, "name"), Traceparent: from.Traceparent, Actor: from.Actor}
		if from.Causation != [16]byte{} {
			want.CausationId = from.Causation[:]
		}
		if want.CorrelationId = from.Correlation[:]; from.Correlation == [16]byte{} {
			want.CorrelationId = command[:]
		}
		headers := stored.NewHeaders(command, want.Command, &from, rapid.IntRange(0, 64).Draw(t, "room"))
		origin := len(headers)
		place := stored.Place{Position: persistence.Position{Part: 3, Offset: rapid.Int64().Draw(t, "offset")}, Sub: 2}
		remember, reacts := rapid.Bool().Draw(t, "remember"), rapid.Bool().Draw(t, "reacts")
		if remember {
			want.Digest = short.Draw(t, "digest")
			headers = stored.AppendDigest(headers, want.Digest)
		}
		if reacts {
			want.Reacted = &stelev1.Place{Part: 3, Offset: place.Offset, Sub: 2}
			headers = stored.AppendReacted(headers, place)
		}
		switch rapid.IntRange(0, 3).Draw(t, "outcome") {
		case 0:
			want.Reply = short.Draw(t, "reply")
			headers = stored.EndReply(append(stored.BeginReply(headers), want.Reply...), len(want.Reply))
		case 1:
			want.ReplyLeftOut = true
			headers = stored.AppendReplyLeftOut(headers)
		case 2:
			want.Rejection = &stored.Rejection{Kind: "a", Code: "b", Text: text.Draw(t, "text")}
			headers = stored.AppendRejection(headers, "a", "b", want.Rejection.Text)
		}
		sends := rapid.Bool().Draw(t, "sends")
		if sends {
			want.Sends = &stored.Sends{Open: 1, Next: 7}
			headers = stored.AppendSends(headers, stored.AppendOpen(nil, 1, 7))
		}

		got, err := stored.ReadHeaders(headers)
		require.NoError(t, err)
		require.True(t, proto.Equal(want, got), "%v is not %v", got, want)
		about, err := stored.ReadAbout(&persistence.Recorded{Event: persistence.Event{Headers: headers}})
		require.NoError(t, err)
		require.Equal(t, command, about.Command)
		require.Equal(t, remember && command != persistence.CommandID{}, about.Remember)
		require.Equal(t, headers[:origin], about.Origin)
		require.Equal(t, sends, about.Sends != nil)
		reacted, found, err := about.Reacted()
		require.NoError(t, err)
		require.Equal(t, reacts, found)
		if reacts {
			require.Equal(t, place, reacted)
		}
	})
}

// What recovery finds in headers is what the generated code finds.
func FuzzReadAbout(f *testing.F) {
	id := persistence.NewEventID()
	for _, headers := range []*stored.Headers{
		{},
		{CommandId: id[:], Command: "a"},
		{CommandId: id[:], Command: "a", Digest: []byte{1}, Reply: []byte{}},
		{CommandId: id[:3], Digest: []byte{1}, ReplyLeftOut: true},
		{CommandId: id[:], Digest: []byte{1}, Rejection: &stored.Rejection{Code: "x"}},
		{CommandId: id[:], Reacted: &stelev1.Place{Offset: 7}, Sends: &stored.Sends{Open: 1}},
	} {
		data, err := proto.Marshal(headers)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		headers, invalid := stored.ReadHeaders(data)

		about, err := stored.ReadAbout(&persistence.Recorded{Event: persistence.Event{Headers: data}})
		if err != nil {
			require.Error(t, invalid)
		}
		if invalid != nil {
			return
		}
		require.NoError(t, err)
		if about.Remember {
			require.Equal(t, headers.GetCommandId(), about.Command[:])
		}
		require.Equal(t, headers.Sends != nil, about.Sends != nil)
		_, found, err := about.Reacted()
		require.NoError(t, err)
		require.Equal(t, headers.Reacted != nil, found)
	})
}
