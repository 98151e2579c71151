package stored

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Sent is a command that an aggregate sends.
type Sent = stelev1.Sent

// Sends are the commands that one command sent and ended, decoded by the generated code.
type Sends = stelev1.Sends

// Fields of stele.v1.Sends. They are written by hand because every step of a process
// manager passes here.
const (
	sendsSent protowire.Number = iota + 1
	sendsDone
	sendsOpen
	sendsNext
)

// Sizes of what commands send, for the buffer that it is encoded into, in bytes.
const (
	// SentRoom is the size of most sent commands beside their payload.
	SentRoom = 128
	// DoneRoom is the size of a command that has ended.
	DoneRoom = 2 + len(persistence.CommandID{})
	// OpenRoom is the greatest size of what is open.
	OpenRoom = 2 + 5 + 10
)

// AppendSent adds a command that is sent. Its texts are valid UTF-8.
func AppendSent(sends []byte, s *Sent) []byte {
	sends = protowire.AppendVarint(protowire.AppendTag(sends, sendsSent, protowire.BytesType), uint64(proto.Size(s))) //nolint:gosec // a size
	sends, _ = proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(sends, s)                                      // fails for invalid text only
	return sends
}

// AppendDone adds the id of a sent command that has ended: its outcome was handled, or it
// was cancelled.
func AppendDone(sends []byte, id persistence.CommandID) []byte {
	return appendBytes(sends, sendsDone, id[:])
}

// AppendOpen adds how many sent commands the aggregate has open afterwards, at least one,
// and when the first of them is due in unix microseconds.
func AppendOpen(sends []byte, open int, next int64) []byte {
	sends = appendNumber(sends, sendsOpen, uint64(open)) //nolint:gosec // a count
	return appendNumber(sends, sendsNext, uint64(next))  //nolint:gosec // as protobuf has it
}

// ReadSends decodes what a command sent and ended.
func ReadSends(data []byte) (*Sends, error) {
	sends := new(Sends)
	return sends, proto.Unmarshal(data, sends)
}

// Keep returns a sent command as a snapshot holds it: with its id, the headers of the
// command that led to it, and the position of its event.
func Keep(s *Sent, id persistence.CommandID, headers []byte, at persistence.Position) *Sent {
	return &Sent{
		Kind: s.GetKind(), Id: s.GetId(), Command: s.GetCommand(), Payload: s.GetPayload(), Due: s.GetDue(), Key: s.GetKey(),
		CommandId: id[:], Headers: headers, Part: uint32(at.Part), Offset: at.Offset,
	}
}

// Kept returns what [Keep] has added to a sent command.
func Kept(s *Sent) (id persistence.CommandID, headers []byte, at persistence.Position, err error) {
	if len(s.GetCommandId()) != len(id) {
		return id, nil, at, fmt.Errorf("an id of %d bytes", len(s.GetCommandId()))
	}
	return persistence.CommandID(s.GetCommandId()), s.GetHeaders(), persistence.Position{Part: uint16(s.GetPart()), Offset: s.GetOffset()}, nil //nolint:gosec // as it was stored
}
