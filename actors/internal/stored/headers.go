package stored

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Headers are the headers of an event, decoded by the generated code.
type Headers = stelev1.Headers

// Rejection is a refusal of the domain, decoded by the generated code.
type Rejection = stelev1.Rejection

// Fields of stele.v1.Headers. They are written by hand because every event passes here.
const (
	headerCommandID protowire.Number = iota + 1
	headerCommand
	headerCausation
	headerCorrelation
	headerTraceparent
	headerActor
	headerDigest
	headerReply
	headerRejection
	headerReplyLeftOut
	headerSends
	headerReacted
)

// Origin says where a command comes from. Zero fields are not stored.
type Origin struct {
	Causation   [16]byte // id of the command or event that led to it
	Correlation [16]byte // shared by all that one call from outside set off
	Traceparent string   // W3C Trace Context
	Actor       string   // valid UTF-8
}

// OutcomeRoom is the size of the outcome of most commands in the headers, in bytes.
const OutcomeRoom = 48

// NewHeaders encodes what the events of one command say about it, and leaves room for as
// many bytes more. A command without a correlation, or without an origin, correlates with
// itself.
func NewHeaders(id persistence.CommandID, command string, from *Origin, room int) []byte {
	size := 2 + 16 + 2 + 16 + 2 + len(command)
	if from != nil {
		size += 2 + 16 + 3 + len(from.Traceparent) + 3 + len(from.Actor)
	}
	out := make([]byte, 0, size+room)
	out = appendBytes(out, headerCommandID, id[:])
	out = appendBytes(out, headerCommand, []byte(command))
	correlation := [16]byte(id)
	if from != nil && from.Correlation != [16]byte{} {
		correlation = from.Correlation
	}
	if from != nil && from.Causation != [16]byte{} {
		out = appendBytes(out, headerCausation, from.Causation[:])
	}
	out = appendBytes(out, headerCorrelation, correlation[:])
	if from != nil && from.Traceparent != "" {
		out = appendBytes(out, headerTraceparent, []byte(from.Traceparent))
	}
	if from != nil && from.Actor != "" {
		out = appendBytes(out, headerActor, []byte(from.Actor))
	}
	return out
}

// AppendDigest adds the digest of a command whose outcome must be found again.
func AppendDigest(headers, digest []byte) []byte { return appendBytes(headers, headerDigest, digest) }

// AppendReacted adds the place of the event that the command is a reaction to.
func AppendReacted(headers []byte, to Place) []byte {
	data, _ := proto.Marshal(to.message()) // numbers can always be encoded
	return appendBytes(headers, headerReacted, data)
}

// AppendSends adds what the command sends, see [AppendSent].
func AppendSends(headers, sends []byte) []byte { return appendBytes(headers, headerSends, sends) }

// AppendRejection adds why the command was refused.
func AppendRejection(headers []byte, kind, code, text string) []byte {
	data, _ := proto.Marshal(&Rejection{Kind: Text(kind), Code: Text(code), Text: Text(text)}) // fails for invalid text only
	return appendBytes(headers, headerRejection, data)
}

// AppendReplyLeftOut adds that there was a reply which is too large to be kept.
func AppendReplyLeftOut(headers []byte) []byte { return appendNumber(headers, headerReplyLeftOut, 1) }

// A reply is written in place, because every command passes here: most replies are short
// enough for a length of one byte, and the others are moved.
const replyStart = 2 // bytes before the reply: the tag and the length

// BeginReply adds the start of a reply; the caller appends the encoded reply, and then
// calls [EndReply].
func BeginReply(headers []byte) []byte {
	return append(protowire.AppendTag(headers, headerReply, protowire.BytesType), 0)
}

// EndReply completes headers whose last size bytes are the reply that [BeginReply] began.
func EndReply(headers []byte, size int) []byte {
	start := len(headers) - size
	if size < 0x80 {
		headers[start-1] = byte(size)
		return headers
	}
	return appendBytes(headers[:start-replyStart], headerReply, slices.Clone(headers[start:]))
}

// ReadHeaders decodes all of the headers of an event.
func ReadHeaders(headers []byte) (*Headers, error) {
	all := new(Headers)
	return all, proto.Unmarshal(headers, all)
}

// ReadOrigin decodes who caused the command that led to an event, and the id of that
// command. Headers that cannot be decoded say nothing.
func ReadOrigin(headers []byte) (origin Origin, command persistence.CommandID) {
	all, err := ReadHeaders(headers)
	if err != nil {
		return origin, command
	}
	origin.Actor, origin.Traceparent = all.GetActor(), all.GetTraceparent()
	copy(origin.Causation[:], all.GetCausationId())
	copy(origin.Correlation[:], all.GetCorrelationId())
	copy(command[:], all.GetCommandId())
	return origin, command
}

// About is the part of an event's headers that recovery needs. Its slices share the
// memory of the event.
type About struct {
	// Command is the id of the command; zero when the headers have none.
	Command persistence.CommandID
	// Remember says that the outcome of the command stands here, to be found again.
	Remember bool
	// Sends are the commands that the command sent and ended, for [ReadSends]; nil when
	// there are none.
	Sends []byte
	// Origin are the headers up to the outcome of the command.
	Origin []byte

	reacted []byte
}

// ReadAbout reads the headers of an event. Headers that are not well formed are an error,
// because an outcome may be in them.
func ReadAbout(recorded *persistence.Recorded) (about About, err error) {
	if recorded.Type == TypeSent {
		about.Sends = recorded.Payload
	}
	for left := recorded.Headers; len(left) > 0; {
		field, form, n := protowire.ConsumeTag(left)
		if n < 0 {
			return about, protowire.ParseError(n)
		}
		left = left[n:]
		if n = protowire.ConsumeFieldValue(field, form, left); n < 0 {
			return about, protowire.ParseError(n)
		}
		if form == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(left)
			about.set(field, value)
		}
		if left = left[n:]; field < headerDigest {
			about.Origin = recorded.Headers[:len(recorded.Headers)-len(left)]
		}
	}
	about.Remember = about.Remember && about.Command != persistence.CommandID{}
	return about, nil
}

func (a *About) set(field protowire.Number, value []byte) {
	switch {
	case field == headerCommandID && len(value) == len(a.Command):
		copy(a.Command[:], value)
	case field == headerDigest:
		a.Remember = true
	case field == headerSends:
		a.Sends = value
	case field == headerReacted:
		a.reacted = value
	}
}

// Reacted returns the place of the event that the command reacted to, and whether there is
// one.
func (a *About) Reacted() (to Place, found bool, err error) {
	if a.reacted == nil {
		return to, false, nil
	}
	var message stelev1.Place
	if err := proto.Unmarshal(a.reacted, &message); err != nil {
		return to, false, fmt.Errorf("decode a place: %w", err)
	}
	return placeOf(&message), true, nil
}

// Place is a place in the global sequence, of an event or of one of several events that a
// stored one is read as.
type Place struct {
	persistence.Position
	Sub uint16 // counts the events that one stored event is read as
}

func (p Place) message() *stelev1.Place {
	return &stelev1.Place{Part: uint32(p.Part), Offset: p.Offset, Sub: uint32(p.Sub)}
}

func placeOf(m *stelev1.Place) Place {
	return Place{persistence.Position{Part: uint16(m.GetPart()), Offset: m.GetOffset()}, uint16(m.GetSub())} //nolint:gosec // as it was stored
}
