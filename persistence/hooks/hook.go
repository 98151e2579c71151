package hooks

import (
	"context"
	"maps"

	"github.com/stele-es/stele/persistence"
)

// Hook is a set of functions, all of them optional, that a [Journal] calls. They are
// called by many goroutines at once. A panic of a hook, or runtime.Goexit, is contained:
// before an append it refuses, with an error of kind [persistence.ErrRejected] for the
// reason "panic"; before a reading it is a [*persistence.UnavailableError], on an event
// that was read a [*persistence.CorruptError]; afterwards it is logged and changes
// nothing. For this a function may run in another goroutine than that of its caller, who
// waits for it.
type Hook struct {
	// Name is the name of the hook in errors and logs.
	Name string

	// BeforeAppend may change the append, or refuse it with an error. Its caller finds that
	// by errors.Is and errors.As in an error which says that nothing was stored: of kind
	// [persistence.ErrRejected], of the kind that the hook's error has, or
	// [persistence.ErrUnavailable] when that leaves open whether something was done, as
	// errors of a context or a network do. The events and their metadata are the hook's own, and metadata
	// is never nil; payloads, headers and tags may be replaced but not written into.
	// Changes are part of what the caller appends: a named append that is repeated
	// with other metadata is not the same append any more.
	//
	// The context is the caller's. A journal's [persistence.Submitter] has none, and
	// its hooks get one without values: what an aggregate stores is given its
	// metadata when the command is asked, where the caller is.
	BeforeAppend func(ctx context.Context, append *persistence.Append) error
	// AroundAppend is called when the hook has not refused, and what it returns, if
	// anything, with the outcome: for what has to be kept between the two, such as
	// the time or a span. The append must not be changed.
	AroundAppend func(ctx context.Context, append *persistence.Append) (after func(persistence.Outcome))
	// AfterAppend is called with the outcome of an append that the hook has not
	// refused. In a transaction that is when the transaction has ended, and the
	// outcome of what was not committed is an error. The append must not be changed.
	//
	// Neither this nor what AroundAppend returns may block or call the journal, for
	// the journal may be waiting for it.
	AfterAppend func(ctx context.Context, append *persistence.Append, outcome persistence.Outcome)

	// BeforeRead may change what is to be read, or refuse it with an error that the
	// reader gets unchanged.
	BeforeRead func(ctx context.Context, reading *Reading) error
	// AroundRead is called when the hook has not refused, and what it returns, if
	// anything, when the reading has ended: with the number of events that the reader
	// got or, when [Reading.Count] is set, was told of, and the error that ended it.
	AroundRead func(ctx context.Context, reading *Reading) (after func(events int, err error))
	// AfterRead is called with each event before the reader gets it, and may change
	// it. An error ends the reading, and the reader gets it unchanged. The reader also
	// does not get the events before it on the same page.
	AfterRead func(ctx context.Context, reading *Reading, recorded *persistence.Recorded) error
}

// Reading says what is to be read: each page of a [persistence.PageReader] and
// each reading in a transaction is one.
type Reading struct {
	// Stream is the stream that is read, empty for the global sequence.
	Stream persistence.StreamID
	// Options are those for a stream.
	Options persistence.ReadOptions
	// All are those for the global sequence.
	All persistence.ReadAllOptions
	// Count says that only the number of events is wanted. Changing it changes nothing.
	Count bool
}

// Enrich is a hook that adds to what is appended, from the context.
func Enrich(enrich func(ctx context.Context, append *persistence.Append)) Hook {
	return Hook{Name: "enrich", BeforeAppend: func(ctx context.Context, append *persistence.Append) error {
		enrich(ctx, append)
		return nil
	}}
}

// Metadata is a hook that gives every event metadata from the context. Metadata of the
// event itself stays.
func Metadata(metadata func(ctx context.Context) persistence.Metadata) Hook {
	return Enrich(func(ctx context.Context, append *persistence.Append) {
		added := metadata(ctx)
		for i := range append.Events {
			own := append.Events[i].Metadata
			merged := make(persistence.Metadata, len(own)+len(added))
			maps.Copy(merged, added)
			maps.Copy(merged, own)
			append.Events[i].Metadata = merged
		}
	})
}

func (h *Hook) appends() bool {
	return h.BeforeAppend != nil || h.AroundAppend != nil || h.AfterAppend != nil
}

func (h *Hook) entersAppend() bool { return h.BeforeAppend != nil || h.AroundAppend != nil }

func (h *Hook) entersReading() bool { return h.BeforeRead != nil || h.AroundRead != nil }

func (h *Hook) reads() bool { return h.BeforeRead != nil || h.AroundRead != nil || h.AfterRead != nil }
