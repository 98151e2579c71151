package persistence

import (
	"context"
	"iter"
	"sync/atomic"
)

// JournalID identifies one journal for ever: it is made when the journal is
// created and survives backups. Checkpoints carry it.
type JournalID [16]byte

// Journal stores the streams of a system and their global sequence. It is safe
// for concurrent use. Its promises, which package journaltest tries to break:
//
//   - An append is all or nothing, and is durable when its [Outcome] has no error.
//   - One writer per version: of two appends that expect the same version of a
//     stream at most one succeeds. The other gets a [*ConflictError].
//   - Versions inside a stream and offsets inside a partition are gapless.
//   - The global sequence is commit order: a reader that remembers a position
//     never misses an event, whatever other writers do.
//   - Event ids that the caller sets are idempotent inside a stream, for the
//     stream's life: an append whose ids are all stored already, in order and with
//     [Event.SameContent], succeeds with the first result and Duplicate set,
//     whatever it expects. Any other overlap is [ErrEventIDReused] and stores
//     nothing. The same id may stand in two streams.
//   - A failed part is unavailability, never a wrong answer.
type Journal interface {
	Appender
	Reader
	Streams

	// Close takes no more calls, writes the appends that were taken, and releases
	// everything. Appends that it cannot write are answered with [*UnavailableError] or,
	// when they had been sent, with [*UnknownOutcomeError]. It may be called more than
	// once.
	Close() error
}

// Appender is the writing half of a [Journal].
type Appender interface {
	// Append stores each of its arguments alone: one that fails does not touch the
	// others, and there is an [Outcome] for each, in the same order. Two appends to
	// one stream are executed in the order of the arguments.
	//
	// The error is set only when there are no outcomes: the journal is closed, ctx
	// was done before anything began, or an argument is invalid (then none was
	// executed). Errors of single appends stand in [Outcome.Err].
	//
	// When ctx ends while an append is under way the waiting ends, not the append:
	// its outcome is [*UnknownOutcomeError], or [*UnavailableError] when it had
	// surely not begun.
	Append(ctx context.Context, appends ...Append) ([]Outcome, error)
}

// Submitter is the optional ability to append without a waiting goroutine. A
// runtime that finds it uses it for every append.
type Submitter interface {
	// Submit hands an append over and returns at once; the events and all they hold
	// belong to the journal from then on. An error means that nothing was taken:
	// invalid, overloaded or closed. Otherwise done is called exactly once, with the
	// meaning that [Appender.Append] gives an outcome; it may be called before
	// Submit returns, must not block and must not call the journal.
	//
	// Appends submitted by one goroutine to one stream take effect in that order.
	// The chain may be nil; see [Chain].
	Submit(append Append, chain *Chain, done func(Outcome)) error
}

// Chain connects the appends of a writer that does not wait for one append before it
// decides the next. Once an append of a chain has failed, all later ones fail with the
// same error and store nothing, even when another writer has meanwhile reached the
// version that they expect. Journals may store consecutive appends of a chain as one. The
// zero Chain is ready; a writer that has read the stream again starts a new one.
type Chain struct{ err atomic.Pointer[error] }

// Fail breaks the chain; the first error stays. Journals call it, under the lock
// that orders appends, before they report the failure. A nil chain ignores it.
func (c *Chain) Fail(err error) {
	if c != nil {
		c.err.CompareAndSwap(nil, &err)
	}
}

// Err returns what broke the chain, or nil. A nil chain never breaks.
func (c *Chain) Err() error {
	if c == nil {
		return nil
	}
	if err := c.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Outcome is the result of one [Append].
type Outcome struct {
	// First and Last are the versions of the first and last event of the append. An
	// append without events stores nothing and reports the stream's version in Last.
	First, Last Version
	// Position is the position of the first event; the others follow without gap.
	Position Position
	// Duplicate reports that the events had been stored before, by their ids.
	Duplicate bool
	// Err is nil when the events are stored durably.
	Err error
}

// Reader is the reading half of a [Journal]. Errors come through the iterators, as their
// last pair; leaving a loop early releases its resources. An iterator may be used in more
// than one loop and reads again each time.
type Reader interface {
	// Read yields the events of one stream by version. A stream that does not exist is a
	// [*StreamNotFoundError]. A stream that was created and has no events yields nothing,
	// whatever From is. In a forward reading, a From other than 0 below the first
	// readable version is a [*TruncatedError], because a state must not be folded from
	// the middle. A backward reading ends at that first version. Tombstones are never
	// yielded.
	Read(ctx context.Context, stream StreamID, options ReadOptions) iter.Seq2[Recorded, error]

	// ReadAll yields the global sequence in pages, in order inside each partition,
	// until the head; the last page says AtHead. An event that commits later never
	// gets a position at or below one already yielded.
	//
	// The sequence shows tombstones, and it shows deleted and truncated events until they
	// are scavenged. Scavenged events are skipped but keep their positions; see
	// [ReadAllOptions.Whole].
	ReadAll(ctx context.Context, options ReadAllOptions) iter.Seq2[Page, error]

	// Count returns how many events [Reader.Read] would yield with these options, or
	// its error.
	Count(ctx context.Context, stream StreamID, options ReadOptions) (int, error)

	// Head returns the last position of every partition.
	Head(ctx context.Context) (Positions, error)

	// Stream returns what is known of a stream that exists, or [*StreamNotFoundError].
	Stream(ctx context.Context, stream StreamID) (StreamInfo, error)

	// Wait returns nil when an event beyond after may exist; it may be too early. When
	// ctx ends first, the error is [ErrUnavailable] and wraps the cause, as for every
	// call whose caller leaves before anything was done.
	Wait(ctx context.Context, after Positions) error

	// Identity returns the id of the journal, to which the versions and positions that
	// are read here belong.
	Identity() JournalID
}

// ReadOptions choose a part of a stream. The zero value reads all of it, oldest
// first.
type ReadOptions struct {
	// From is the first version to yield. 0 is the first readable version, or the last
	// one in a backward reading. Beyond the end, a forward reading yields nothing, and a
	// backward one begins at the last event.
	From Version
	// Limit is the greatest number of events; 0 is no limit, negative is invalid.
	Limit int
	// Backward reads from the newest to the oldest.
	Backward bool
	// Filter chooses among the events; Limit counts those it chose. Nil chooses all.
	Filter Filter
}

// Check returns an [*InvalidError] when the options are out of range.
func (o ReadOptions) Check() error {
	if o.From > MaxVersion {
		return &InvalidError{Field: "from", Reason: "is out of range"}
	}
	if err := checkLimit("limit", o.Limit); err != nil {
		return err
	}
	return checkFilter(o.Filter)
}

// Sizes of a page of [Reader.ReadAll] when the options leave them 0, and the
// most rows one may ask for.
const (
	DefaultPageRows  = 512
	DefaultPageBytes = 4 << 20
	MaxPageRows      = 10_000
)

// ReadAllOptions choose a part of the global sequence. The zero value reads all
// of it.
type ReadAllOptions struct {
	// After is the last place that was already seen; the reading begins behind it. A
	// backward reading begins before it, or at the head when it is empty.
	After Positions
	// Backward reads from the newest to the oldest; AtHead then says that the
	// beginning was reached.
	Backward bool
	// Filter chooses among the events. It does not change the places that pages cover: a
	// page may have no events and still move on. Nil chooses all.
	Filter Filter
	// PageRows and PageBytes limit the events of a page, whichever is reached first. An
	// event larger than PageBytes has a page of its own. 0 is the default, negative is
	// invalid, and more than [MaxPageRows] rows are taken as [MaxPageRows].
	// [ReadAllOptions.Scan] limits the events that a page skips.
	PageRows, PageBytes int
	// System includes streams whose name begins with "$".
	System bool
	// Whole yields what only copies need: [Recorded.Named], and scavenged events, which
	// have type [TypeGone] and still their stream, version, id and time. It is slower,
	// and cannot be combined with Backward.
	Whole bool
}

// Normal returns the options with defaults filled in, or an [*InvalidError].
func (o ReadAllOptions) Normal() (ReadAllOptions, error) {
	if err := checkLimit("page rows", o.PageRows); err != nil {
		return o, err
	}
	if err := checkLimit("page bytes", o.PageBytes); err != nil {
		return o, err
	}
	if err := checkFilter(o.Filter); err != nil {
		return o, err
	}
	if o.Whole && o.Backward {
		return o, &InvalidError{Field: "backward", Reason: "does not read the whole sequence"}
	}
	for _, offset := range o.After {
		if offset < 0 {
			return o, &InvalidError{Field: "after", Reason: "is negative"}
		}
	}
	if o.PageRows == 0 {
		o.PageRows = DefaultPageRows
	}
	if o.PageBytes == 0 {
		o.PageBytes = DefaultPageBytes
	}
	o.PageRows = min(o.PageRows, MaxPageRows)
	return o, nil
}

// Scan returns how many events a page covers at most, chosen or not, for normal options:
// ten times PageRows and not less than [DefaultPageRows]. So a filter that chooses
// nothing gives empty pages, and not one page that never comes. A journal that finds
// events by an index need not count those that it never looks at.
func (o ReadAllOptions) Scan() int { return max(10*o.PageRows, DefaultPageRows) }

// Page is a part of the global sequence, without gap.
type Page struct {
	// Events are those that the filter chose, in the order of the reading.
	Events []Recorded
	// Next is the place at which the next page begins: the last one that this page has
	// covered. It moves on even when the page has no events, so that a reader that stores
	// it as a checkpoint never reads a part twice. In a backward reading it names a place
	// in every partition, so that it never means the head.
	Next Positions
	// AtHead reports that nothing lay beyond Next when the page was read.
	AtHead bool
}

// PageReader is the optional ability to read the first pages of many streams in
// one round trip, which makes recovering many aggregates cheap.
type PageReader interface {
	// ReadPages answers every request alone, in order. The error is set only when
	// none could be answered.
	ReadPages(ctx context.Context, requests []PageRequest) ([]StreamPage, error)
}

// PageRequest asks for the events of a stream from a version on, at most Limit
// of them, oldest first. Limit must be positive, and From means what it means in
// [ReadOptions].
type PageRequest struct {
	Stream StreamID // need not exist
	From   Version  // of the first event
	Limit  int      // of stored events
}

// StreamPage answers one [PageRequest]. For a stream without readable events, or one that
// does not exist, it has neither events nor an error. Limit counts stored events.
type StreamPage struct {
	Events []Recorded // by version
	Err    error      // why this stream could not be read
}

func checkFilter(f Filter) error {
	if f == nil {
		return nil
	}
	return f.Check()
}

func checkLimit(field string, n int) error {
	if n < 0 {
		return &InvalidError{Field: field, Reason: "is negative"}
	}
	return nil
}
