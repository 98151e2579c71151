package persistence

import (
	"context"
	"iter"
	"strings"

	"github.com/stele-es/stele/persistence/internal/pattern"
)

// Streams is the part of a [Journal] that treats streams as wholes.
//
// A stream exists when it was created explicitly or has an event after its last
// tombstone. Its versions never begin again: they count on after a deletion, so
// that a version or a position that somebody remembers never means another event.
//
// All methods take the names of system streams too, and answer a name that no
// stream can have with [*InvalidError]. What ctx means to a change is what it means
// to an append: when it ends the waiting ends, with [*UnknownOutcomeError], or with
// [*UnavailableError] when surely nothing was done.
type Streams interface {
	// Create makes an empty stream with metadata, which may be nil. A stream that
	// exists is [*StreamExistsError].
	Create(ctx context.Context, stream StreamID, metadata Metadata) error

	// SetMetadata replaces the metadata of a stream that exists and returns the new
	// revision. With another expected revision than [AnyRevision] it is refused with
	// [*RevisionError] unless the metadata is at that one. Setting what is set
	// already succeeds whatever is expected, changes nothing and returns the revision
	// as it is, so that repeating a call of unknown outcome is safe.
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

	// Truncate makes the events before a version unreadable and returns the first
	// version that can be read. The newest event always stays, and what was
	// truncated before does not come back, so the result may lie below or above what
	// was asked for. A stream that does not exist is [*StreamNotFoundError].
	Truncate(ctx context.Context, stream StreamID, before Version) (first Version, err error)

	// List yields the streams that exist and that the options choose, by name,
	// bytewise.
	List(ctx context.Context, options ListOptions) iter.Seq2[StreamInfo, error]

	// Categories yields the categories of the streams that exist, once each, by
	// name, bytewise. The options choose among the categories; Category, Metadata and
	// Deleted are not allowed.
	Categories(ctx context.Context, options ListOptions) iter.Seq2[string, error]
}

// Scavenger is the ability of a journal to give up the bytes of events that
// cannot be read any more. It is an administrator's, not a program's.
type Scavenger interface {
	// Scavenge empties the events of a stream that were truncated or deleted: type
	// [TypeGone], no payload, headers, schema, metadata or tags. Tombstones stay as
	// they are. Positions, versions and the events' ids stay too, so the global
	// sequence keeps its order without gap; but an id that a caller had set is no
	// longer recognised when it is repeated. It works in small transactions, returns
	// how many events it emptied, and may be repeated. A stream that nobody has
	// written to has nothing to empty.
	Scavenge(ctx context.Context, stream StreamID) (events int, err error)
}

// Types of the journal's own events.
const (
	// TypeDeleted is a tombstone. Readers of the global sequence see it, so that
	// projections can follow.
	TypeDeleted = "$deleted"
	// TypeGone is an event that was scavenged. Readers never see it.
	TypeGone = "$gone"
)

// Revision counts the changes of a stream's metadata: 0 is never set. Creating a
// stream with metadata is a change, without is none. It counts on across a
// deletion, which clears the metadata and always is a change.
type Revision int64

// AnyRevision makes no claim about the metadata.
const AnyRevision Revision = -1

// Check returns an [*InvalidError] unless metadata may be expected at r.
func (r Revision) Check() error {
	if r < AnyRevision {
		return &InvalidError{Field: "revision", Reason: "is negative"}
	}
	return nil
}

// StreamInfo is what a journal knows of a stream without reading its events.
type StreamInfo struct {
	// Stream is its name.
	Stream StreamID
	// Version is that of the last event, 0 for a stream that has none.
	Version Version
	// First is the lowest version that can be read; Version+1 when there is none.
	First Version
	// Begin is the version that the stream's life begins with: the one behind its last
	// tombstone, 1 for a stream that was never deleted. Who folds a state from First
	// on has all of it when First is Begin; otherwise it was truncated.
	Begin Version
	// Metadata is that of the stream, not of its events.
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
	// Name is one exact name.
	Name string
	// Prefix is what names begin with.
	Prefix string
	// Pattern is an RE2 expression that names match somewhere, at most [MaxPattern]
	// bytes, and 4096 steps once its repetitions are written out.
	Pattern string
	// Category is the category of the streams.
	Category string
	// Metadata are keys and values that the metadata of the streams must have.
	// Numbers are the same when they are mathematically: 1 is 1.0.
	Metadata Metadata
	// After is the last name already seen: the way to page. It need not exist.
	After string
	// Limit is the greatest number of names; 0 is no limit, negative is invalid.
	Limit int
	// Offset leaves out the first matches behind After. It reads them all the same;
	// After does not. Negative is invalid.
	Offset int
	// System includes names that begin with "$".
	System bool
	// Deleted includes streams that were deleted and do not exist any more, which
	// only a copy needs.
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

// CategoryMatcher is [ListOptions.Matcher] for [Streams.Categories], which
// refuses the conditions that only streams can fulfil.
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

// MatchesMetadata reports whether the metadata of a stream has all that Metadata
// demands.
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

// Filter chooses among recorded events. Package filter has one that journals can
// partly answer by their indexes; any other is asked for each event.
type Filter interface {
	// Match decides about one event as it is stored, before upcasting. It must not
	// change the event nor keep anything of it, and may be called by several
	// goroutines.
	Match(recorded *Recorded) bool
	// Check returns an [*InvalidError] when the filter breaks a rule; journals call
	// it before they read.
	Check() error
}
