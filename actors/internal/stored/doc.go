// Package stored defines what the runtime itself writes into a journal: the headers of
// events, what commands send, receipts, snapshots, the log of commands, and the lists of
// streams with open sends. It is the only package that knows the fields of these
// messages; their meaning is documented in the .proto files of proto/stele/v1.
//
// The messages of every command are written and read by hand, field by field:
//
//	headers := stored.NewHeaders(id, "bank.v1.Withdraw", nil, 0)
//	about, err := stored.ReadAbout(&recorded)
//
// Tests compare it with the generated code. The package knows no journal, no aggregate
// and no handler: it turns values into bytes, and bytes into values or an error.
package stored

import (
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Types of the system's own events.
const (
	// TypeReceipt is the event of a command that raised none and whose outcome has to be
	// remembered. All that it says stands in its headers.
	TypeReceipt = "$stele.receipt"
	// TypeSent is the event of a command that sends much, or that sends and raises none.
	// Its payload is a stele.v1.Sends.
	TypeSent = "$stele.sent"
	// TypeOpenList is the event of one part of a list of streams with open sends.
	TypeOpenList = "$stele.open"
	// TypeCommand is the event of a command in the log of its kind.
	TypeCommand = "$stele.command"
)

// maxText bounds a text that people read, such as that of a rejection, in bytes.
const maxText = 4 << 10

// Text returns the beginning of a text as protobuf can store it: at most 4 KiB of valid
// UTF-8.
func Text(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxText)], "\uFFFD") }

func appendBytes(out []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, field, protowire.BytesType), value)
}

func appendNumber(out []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(out, field, protowire.VarintType), value)
}
