package persistence

import (
	"context"
	"iter"
	"strings"

	"github.com/stele-es/stele/persistence/internal/pattern"
)

// Streams is the part of a [Journal] that works on whole streams.
//
// A stream exists when it was created explicitly or has an event after its last
// tombstone. Its versions never begin again: they count on after a deletion, so
// that a version or a position that somebody remembers never means another event.
//
// All methods take the names of system streams too, and answer a name that no stream can
// have with [*InvalidError]. A change treats ctx as an append does: when it ends the
// waiting ends, with [*UnknownOutcomeError], or with [*UnavailableError] when surely
// nothing was done.
type Streams interface {
	// Create makes an empty stream with metadata, which may be nil. A stream that
	// exists is [*StreamExistsError].
	Create(ctx context.Context, stream StreamID, metadata Metadata) error

	// SetMetadata replaces the metadata of a stream that exists and returns the new
	// revision. With another expected revision than [AnyRevision] it is refused with
	// [*RevisionError] unless the metadata is at that one. Setting the same metadata
	// again succeeds whatever revision is expected, changes nothing and returns the
	// current revision, so that a call of unknown outcome can be repeated.
	SetMetadata(ctx context.Context, stream StreamID, metadata Metadata, expected Revision) (Revision, error)

	// Delete ends a stream by a tombstone, an event of type [TypeDeleted] that takes
	// the next version: the events before it cannot be read any more, a writer that
	// has not seen it gets a conflict, and metadata, event ids that callers have set
	// and the snapshot are forgotten. It returns the tombstone's version. A stream that
	// does not exist is [*StreamNotFoundError], whatever is expected; else expected
	// decides as for an append, with [*ConflictError].
	//
	// The bytes of the events stay until an administrator scavenges them.
	Delete(ctx context.Context, stream StreamID, expected Expected) (Version, error)

	// Truncate makes the events before a version unreadable and returns the first version
	// that can be read. The newest event always stays, and events that were truncated
	// earlier do not return, so the result may be below or above the given version. A
	// stream that does not exist is [*StreamNotFoundError].
	Truncate(ctx context.Context, stream StreamID, before Version) (first Version, err error)

	// List yields the existing streams that the options choose, ordered by the bytes of
	// their names.
	List(ctx context.Context, options ListOptions) iter.Seq2[StreamInfo, error]

	// Categories yields each category of the existing streams once, ordered by the bytes
	// of their names. The options choose among the categories; Category, Metadata and
	// Deleted are not allowed.
	Categories(ctx context.Context, options ListOptions) iter.Seq2[string, error]
}

// Scavenger is the ability of a journal to release the space of events that can no longer
// be read. It is for administrators, not for programs.
type Scavenger interface {
	// Scavenge empties the events of a stream that were truncated or deleted: type
	// [TypeGone], no payload, headers, schema, metadata or tags. Tombstones stay as they
	// are. Positions, versions and the events' ids stay too, so the global sequence keeps
	// its order without gap; but an id that a caller had set is no longer recognised when
	// it is repeated. It works in small transactions, returns how many events it emptied,
	// and may be repeated. A stream without events has nothing to empty.
	Scavenge(ctx context.Context, stream StreamID) (events int, err error)
}

// Types of the journal's own events.
const (
	// TypeDeleted is the type of tombstones. Readers of the global sequence see them, so
	// that projections can follow deletions.
	TypeDeleted = "$deleted"
	// TypeGone is the type of scavenged events. Readers do not see them, unless they read
	// with [ReadAllOptions.Whole].
	TypeGone = "$gone"
)

// Revision counts the changes of a stream's metadata; 0 means that it was never set.
// Creating a stream counts as a change if it has metadata. A deletion clears the metadata
// and always counts as a change; the revision counts on after it.
type Revision int64

// AnyRevision expects nothing of the metadata.
const AnyRevision Revision = -1

// Check returns an [*InvalidError] unless a caller may expect this revision.
func (r Revision) Check() error {
	if r < AnyRevision {
		return &InvalidError{Field: "revision", Reason: "is negative"}
	}
	return nil
}

// StreamInfo says what a journal knows of a stream without reading its events.
type StreamInfo struct {
	// Stream is its name.
	Stream StreamID
	// Version is the version of the last event, 0 when the stream has none.
	Version Version
	// First is the lowest readable version, or Version+1 when no event is readable.
	First Version
	// Begin is the first version of the stream's life: the one behind its last tombstone,
	// or 1 when the stream was never deleted. A state that is folded from First on is
	// complete when First is Begin; otherwise the stream was truncated.
	Begin Version
	// Metadata is the metadata of the stream, not of its events.
	Metadata Metadata
	// Revision counts the changes of Metadata.
	Revision Revision
	// Deleted says that the stream ended by the tombstone at Version and does not
	// exist. Only [ListOptions.Deleted] yields such streams.
	Deleted bool
}

// ListOptions choose among names. The zero value chooses all. Several conditions
// must all hold.
type ListOptions struct {
	// Name chooses the stream of exactly this name.
	Name string
	// Prefix chooses names that begin with it.
	Prefix string
	// Pattern chooses names of which some part matches this RE2 expression. It has at
	// most [MaxPattern] bytes, and at most 4096 steps when its repetitions are written
	// out.
	Pattern string
	// Category chooses streams of this category.
	Category string
	// Metadata are keys and values that the metadata of the streams must have.
	// Numbers are the same when they are mathematically: 1 is 1.0.
	Metadata Metadata
	// After is the last name that was already seen, for paging. It need not exist.
	After string
	// Limit is the greatest number of names; 0 is no limit, negative is invalid.
	Limit int
	// Offset leaves out this many matches behind After. It still reads them, so paging by
	// After costs less. Negative is invalid.
	Offset int
	// System includes names that begin with "$".
	System bool
	// Deleted includes deleted streams. Only copies need them.
	Deleted bool
}

// MaxPattern is the length of a pattern in bytes.
const MaxPattern = 1 << 10

// Matcher returns a function that says whether a name fulfils Name, Prefix,
// Pattern and System, or an [*InvalidError]. Journals use it so that all agree.
func (o *ListOptions) Matcher() (func(name string) bool, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	regex, steps, ok := pattern.Compile(o.Pattern)
	switch {
	case !ok:
		return nil, &InvalidError{Field: "pattern", Reason: "is not an RE2 expression"}
	case regex == nil:
		return nil, &InvalidError{Field: "pattern", Reason: "repeats too much", Size: steps, Limit: pattern.MaxSteps}
	}
	return func(name string) bool {
		return (o.Name == "" || name == o.Name) && strings.HasPrefix(name, o.Prefix) &&
			(o.System || !strings.HasPrefix(name, "$")) && (o.Pattern == "" || regex.MatchString(name))
	}, nil
}

// CategoryMatcher is the [ListOptions.Matcher] of [Streams.Categories]. It refuses the
// conditions that only streams can fulfil.
func (o *ListOptions) CategoryMatcher() (func(category string) bool, error) {
	if o.Category != "" {
		return nil, &InvalidError{Field: "category", Reason: "does not choose among categories"}
	}
	if len(o.Metadata) > 0 {
		return nil, &InvalidError{Field: "metadata", Reason: "does not choose among categories"}
	}
	if o.Deleted {
		return nil, &InvalidError{Field: "deleted", Reason: "does not choose among categories"}
	}
	return o.Matcher()
}

// MatchesMetadata reports whether the metadata of a stream has all keys and values of
// Metadata.
func (o *ListOptions) MatchesMetadata(metadata Metadata) bool {
	for key, wanted := range o.Metadata {
		if value, ok := metadata[key]; !ok || !value.same(wanted) {
			return false
		}
	}
	return true
}

func (o *ListOptions) check() error {
	if err := checkLimit("limit", o.Limit); err != nil {
		return err
	}
	if err := checkLimit("offset", o.Offset); err != nil {
		return err
	}
	for _, text := range [...]struct{ field, value string }{
		{"name", o.Name}, {"prefix", o.Prefix}, {"category", o.Category}, {"after", o.After},
	} {
		if text.value == "" {
			continue
		}
		if err := checkText(text.field, text.value, MaxStreamName); err != nil {
			return err
		}
	}
	if len(o.Pattern) > MaxPattern {
		return &InvalidError{Field: "pattern", Reason: "is too long", Size: len(o.Pattern), Limit: MaxPattern}
	}
	return o.Metadata.Check()
}

// Filter chooses among recorded events. Package filter has filters that journals can
// answer in part by their indexes. Any other filter is asked about each event.
type Filter interface {
	// Match decides about one event as it is stored, before upcasting. It must not
	// change the event nor keep anything of it, and may be called by several
	// goroutines.
	Match(recorded *Recorded) bool
	// Check returns an [*InvalidError] when the filter breaks a rule; journals call
	// it before they read.
	Check() error
}
