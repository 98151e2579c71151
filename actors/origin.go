package actors

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// origin is the part of a caller's context that says where a command comes from.
type origin struct {
	stored.Origin
	metadata persistence.Metadata
	// checked says that the caller's part was checked: a context is used for many commands.
	checked *atomic.Bool
}

// checkedBefore marks origins that were checked when they were stored.
var checkedBefore = func() *atomic.Bool { b := new(atomic.Bool); b.Store(true); return b }()

// causing returns the origin of the commands that follow from a command.
func (o *origin) causing(id persistence.CommandID) *origin {
	next := origin{Origin: stored.Origin{Causation: id, Correlation: id}, checked: checkedBefore}
	if o != nil {
		next.Actor, next.Traceparent = o.Actor, o.Traceparent
		if o.Correlation != [16]byte{} {
			next.Correlation = o.Correlation
		}
	}
	return &next
}

type originKey struct{}

// ID is an id of a command or of an event.
type ID interface {
	~[16]byte
}

// WithMetadata adds metadata to every event of the commands that are asked with the
// returned context. Keys that begin with "stele." belong to the system. Such keys, and
// metadata that breaks the rules of [persistence.Metadata], fail the command.
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
	return withOrigin(ctx, func(o *origin) { o.Actor = actor })
}

// WithCausation says which command or event led to what is asked.
func WithCausation[T ID](ctx context.Context, id T) context.Context {
	return withOrigin(ctx, func(o *origin) { o.Causation = id })
}

// WithCorrelation joins commands to all that one call from outside has set off. Without it
// a command correlates with itself.
func WithCorrelation[T ID](ctx context.Context, id T) context.Context {
	return withOrigin(ctx, func(o *origin) { o.Correlation = id })
}

// CausedBy is [WithCausation] and [WithCorrelation] for commands that are asked because of
// an event. The event is their cause, and they get the correlation of the event, or its id
// when it has none.
func CausedBy(ctx context.Context, event *persistence.Recorded) context.Context {
	correlation := event.ID
	if from, _ := stored.ReadOrigin(event.Headers); from.Correlation != [16]byte{} {
		correlation = from.Correlation
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

// originOf returns the origin in a context, with the active span and the metadata of
// Config.Enrich.
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
		next.Traceparent = fmt.Sprintf("00-%s-%s-%s", span.TraceID(), span.SpanID(), span.TraceFlags()) // W3C Trace Context, version 0
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
	if len(o.Actor) > maxActor {
		return &persistence.InvalidError{Field: "actor", Reason: "is too long", Size: len(o.Actor), Limit: maxActor}
	}
	if !utf8.ValidString(o.Actor) { // headers are protobuf, which could not be read again
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
	kept.metadata, kept.Actor = nil, strings.ToValidUTF8(o.Actor[:min(len(o.Actor), maxActor)], "\uFFFD")
	return &kept
}

// headers encodes what the events of one command say about it, and leaves room for as
// many bytes more.
func (o *origin) headers(id persistence.CommandID, command string, room int) []byte {
	if o == nil {
		return stored.NewHeaders(id, command, nil, room)
	}
	return stored.NewHeaders(id, command, &o.Origin, room)
}

// Sizes of replies that are stored. A caller who chose an id may rely on its reply,
// so that a larger one fails the command; for the others it is a convenience.
const (
	maxReply     = 48 << 10
	maxKeptReply = 1 << 10
)
