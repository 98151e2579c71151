package actors

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// origin is what a caller's context says about where a command comes from.
type origin struct {
	metadata    persistence.Metadata
	actor       string
	causation   [16]byte
	correlation [16]byte
	traceparent string
	// checked says that what the caller gave was found right: a context is used for many
	// commands.
	checked *atomic.Bool
}

// checkedBefore is of origins that were checked when they were stored.
var checkedBefore = func() *atomic.Bool { b := new(atomic.Bool); b.Store(true); return b }()

// causing is the origin of what follows from a command.
func (o *origin) causing(id persistence.CommandID) *origin {
	next := origin{causation: id, correlation: id, checked: checkedBefore}
	if o != nil {
		next.actor, next.traceparent = o.actor, o.traceparent
		if o.correlation != [16]byte{} {
			next.correlation = o.correlation
		}
	}
	return &next
}

type originKey struct{}

// ID is an id of a command or of an event.
type ID interface {
	~[16]byte
}

// WithMetadata adds metadata to every event of the commands asked with the
// returned context. Keys that begin with "stele." belong to the system; they,
// and what else breaks the rules of [persistence.Metadata], fail the command.
func WithMetadata(ctx context.Context, metadata persistence.Metadata) context.Context {
	return withOrigin(ctx, func(o *origin) {
		merged := make(persistence.Metadata, len(o.metadata)+len(metadata))
		maps.Copy(merged, o.metadata)
		maps.Copy(merged, metadata)
		o.metadata = merged
	})
}

// WithActor says who asks, as the audit trail shows it.
func WithActor(ctx context.Context, actor string) context.Context {
	return withOrigin(ctx, func(o *origin) { o.actor = actor })
}

// WithCausation says which command or event led to what is asked.
func WithCausation[T ID](ctx context.Context, id T) context.Context {
	return withOrigin(ctx, func(o *origin) { o.causation = id })
}

// WithCorrelation joins what is asked to everything that one outside call set
// off. Without it a command correlates with itself.
func WithCorrelation[T ID](ctx context.Context, id T) context.Context {
	return withOrigin(ctx, func(o *origin) { o.correlation = id })
}

// CausedBy is [WithCausation] and [WithCorrelation] for whoever asks because of an
// event: the event is the cause, and what comes of it belongs to the same call from
// outside as the event, or to the event itself when that says of none.
func CausedBy(ctx context.Context, event *persistence.Recorded) context.Context {
	var about stelev1.Headers
	correlation := event.ID
	if proto.Unmarshal(event.Headers, &about) == nil && len(about.CorrelationId) == len(correlation) {
		correlation = persistence.EventID(about.CorrelationId)
	}
	return WithCorrelation(WithCausation(ctx, event.ID), correlation)
}

func withOrigin(ctx context.Context, change func(*origin)) context.Context {
	var next origin
	if o := originOf(ctx); o != nil {
		next = *o
	}
	change(&next)
	next.checked = new(atomic.Bool)
	return context.WithValue(ctx, originKey{}, &next)
}

func originOf(ctx context.Context) *origin {
	o, _ := ctx.Value(originKey{}).(*origin)
	return o
}

// originOf is the origin with the span that is active, and with what the
// configuration adds to it.
func (s *System) originOf(ctx context.Context) *origin {
	o := originOf(ctx)
	span := trace.SpanContextFromContext(ctx)
	if s.config.Enrich == nil && !span.IsValid() {
		return o
	}
	var next origin
	if o != nil {
		next = *o
	}
	next.checked = new(atomic.Bool)
	if span.IsValid() {
		next.traceparent = fmt.Sprintf("00-%s-%s-%s", span.TraceID(), span.SpanID(), span.TraceFlags()) // W3C Trace Context, version 0
	}
	if s.config.Enrich == nil {
		return &next
	}
	added := s.config.Enrich(ctx)
	next.metadata = make(persistence.Metadata, len(added)+len(o.meta()))
	maps.Copy(next.metadata, added)
	maps.Copy(next.metadata, o.meta())
	return &next
}

func (o *origin) meta() persistence.Metadata {
	if o == nil {
		return nil
	}
	return o.metadata
}

// Sizes of what a caller may say about a command, in bytes.
const (
	maxActor    = 256
	maxMetadata = 8 << 10
)

func (o *origin) check() error {
	if o == nil || o.checked.Load() {
		return nil
	}
	if len(o.actor) > maxActor {
		return &persistence.InvalidError{Field: "actor", Reason: "is too long", Size: len(o.actor), Limit: maxActor}
	}
	if !utf8.ValidString(o.actor) { // headers are protobuf, which could not be read again
		return &persistence.InvalidError{Field: "actor", Reason: "is not valid UTF-8"}
	}
	for key := range o.metadata {
		if strings.HasPrefix(key, "stele.") {
			return &persistence.InvalidError{Field: "metadata key", Reason: `begins with "stele.", which belongs to the system`}
		}
	}
	if size := len(persistence.EncodeMetadata(o.metadata)); size > maxMetadata {
		return &persistence.InvalidError{Field: "metadata", Reason: "is too large for a command", Size: size, Limit: maxMetadata}
	}
	if err := o.metadata.Check(); err != nil {
		return err
	}
	o.checked.Store(true)
	return nil
}

// storable returns the part of an origin that can be stored: all of it when it is valid.
// The log needs it, because it also holds commands that were refused for their origin.
func (o *origin) storable() *origin {
	if o.check() == nil {
		return o
	}
	kept := *o
	kept.metadata, kept.actor = nil, strings.ToValidUTF8(o.actor[:min(len(o.actor), maxActor)], "\uFFFD")
	return &kept
}

// Fields of stele.v1.Headers. They are written by hand because every event
// passes here; a test decodes them with the generated code.
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

// headers encodes what the events of one command say about it, and leaves room for as
// many bytes more.
func headers(id persistence.CommandID, command string, o *origin, room int) []byte {
	size := 2 + 16 + 2 + 16 + 2 + len(command)
	if o != nil {
		size += 2 + 16 + 3 + len(o.traceparent) + 3 + len(o.actor)
	}
	out := make([]byte, 0, size+room)
	out = appendField(out, headerCommandID, id[:])
	out = appendField(out, headerCommand, []byte(command))
	correlation := [16]byte(id)
	if o != nil && o.correlation != [16]byte{} {
		correlation = o.correlation
	}
	if o != nil && o.causation != [16]byte{} {
		out = appendField(out, headerCausation, o.causation[:])
	}
	out = appendField(out, headerCorrelation, correlation[:])
	if o != nil && o.traceparent != "" {
		out = appendField(out, headerTraceparent, []byte(o.traceparent))
	}
	if o != nil && o.actor != "" {
		out = appendField(out, headerActor, []byte(o.actor))
	}
	return out
}

// typeReceipt is the event of a command that raised none and whose outcome has to
// be remembered. All it says stands in its headers.
const typeReceipt = "$stele.receipt"

// outcomeRoom is what the outcome of most commands takes of the headers, in bytes.
const outcomeRoom = 48

// Sizes of replies that are stored. A caller who chose an id may rely on its reply,
// so that a larger one fails the command; for the others it is a convenience.
const (
	maxReply     = 48 << 10
	maxKeptReply = 1 << 10
)

// outcomeHeaders adds the outcome of a command to the headers of its last event.
func (a *activation) outcomeHeaders(c *call, out []byte, reply any, refusal error) (whole []byte, err error) {
	defer func() { // the reply and the error may have methods of their own
		if reason := recover(); reason != nil {
			a.system.config.Logger.Error("reply panicked", slog.String("stream", string(a.stream)),
				slog.String("command", c.handler.command.Name()), slog.Any("err", a.system.traced(reason)))
			whole, err = nil, a.system.refused(reason)
		}
	}()
	if c.class != generated {
		out = appendField(out, headerDigest, c.digest[:])
	}
	if c.reacts != nil {
		out = appendField(out, headerReacted, placeOf(c.reacts).encode())
	}
	switch {
	case refusal != nil:
		return appendField(out, headerRejection, c.key.kind.rejection(refusal).encode()), nil
	case c.handler.reply.IsNil(reply):
		return out, nil
	}
	// In place, because every command passes here: most replies are short enough for
	// a length of one byte, and the others are moved.
	whole = append(protowire.AppendTag(out, headerReply, protowire.BytesType), 0)
	start := len(whole)
	whole, err = c.handler.reply.Append(whole, reply)
	size, limit := len(whole)-start, maxReply
	if c.class == generated {
		limit = maxKeptReply
	}
	switch {
	case err == nil && size < 0x80:
		whole[start-1] = byte(size)
		return whole, nil
	case err == nil && size <= limit:
		return appendField(out, headerReply, slices.Clone(whole[start:])), nil
	case c.class == generated:
		return protowire.AppendVarint(protowire.AppendTag(out, headerReplyLeftOut, protowire.VarintType), 1), nil
	case err != nil:
		return nil, &persistence.Error{Kind: persistence.ErrInvalid, Err: fmt.Errorf("encode %s: %w", c.handler.reply.Name(), err)}
	}
	return nil, &persistence.InvalidError{Field: "reply " + c.handler.reply.Name(), Reason: "is too large to be remembered", Size: size, Limit: limit}
}

func appendField(out []byte, field protowire.Number, value []byte) []byte {
	out = protowire.AppendTag(out, field, protowire.BytesType)
	return protowire.AppendBytes(out, value)
}
