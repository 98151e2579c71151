package persistence

import (
	"fmt"
	"strings"
	"time"
)

// ErrorKind sorts errors by what a caller can do about them. An ErrorKind is itself an
// error, so errors.Is(err, persistence.ErrConflict) holds through every wrapping.
type ErrorKind string //nolint:errname // it sorts errors

// The kinds. Unless said otherwise nothing was done.
const (
	// ErrRejected: the domain said no.
	ErrRejected ErrorKind = "rejected"
	// ErrConflict: the stream is not at the version the writer expected.
	ErrConflict ErrorKind = "conflict"
	// ErrEventIDReused: an event id is stored already with other content.
	ErrEventIDReused ErrorKind = "event id reused"
	// ErrNotFound: a stream, kind or other named thing does not exist.
	ErrNotFound ErrorKind = "not found"
	// ErrInvalid: the input breaks a rule; the same input will never be accepted.
	ErrInvalid ErrorKind = "invalid"
	// ErrUnavailable: a part is away; the same call may succeed later.
	ErrUnavailable ErrorKind = "unavailable"
	// ErrOverloaded: a bounded queue is full; try again later.
	ErrOverloaded ErrorKind = "overloaded"
	// ErrUnknownOutcome: the call may have done it, and that cannot be known yet. Only a
	// repetition with the same ids is safe.
	ErrUnknownOutcome ErrorKind = "unknown outcome"
	// ErrFenced: this owner is no longer the owner.
	ErrFenced ErrorKind = "fenced"
	// ErrCorrupt: stored data cannot be decoded or is not contiguous. An operator
	// has to look.
	ErrCorrupt ErrorKind = "corrupt"
	// ErrDone: the call has done it, and something failed afterwards: a projection does
	// not show it yet, or the reply was kept back. A repetition would do it twice.
	ErrDone ErrorKind = "done"
)

// ErrStreamNotFound is the [ErrNotFound] of streams.
const ErrStreamNotFound ErrorKind = "stream not found"

// ErrStreamExists is the [ErrConflict] of [Streams.Create].
const ErrStreamExists ErrorKind = "stream exists"

// ErrRevision is the [ErrConflict] of [Streams.SetMetadata].
const ErrRevision ErrorKind = "other revision"

// ErrTruncated is the [ErrNotFound] of events that were truncated.
const ErrTruncated ErrorKind = "truncated"

// ErrLostTail is the [ErrCorrupt] of a journal that does not have an event which a
// reader, a checkpoint or a snapshot knows: it is another journal, or has lost its newest
// events (its tail), as after a failover.
const ErrLostTail ErrorKind = "lost tail"

// ErrTables is the [ErrUnavailable] of a journal whose tables are missing or belong to
// another release. Its text names the command that repairs this.
const ErrTables ErrorKind = "tables not current"

// ErrReplaced is the [ErrUnavailable] of a journal whose files or tables are no longer
// those that it was opened with. It stores nothing until they are back or the program is
// started again.
const ErrReplaced ErrorKind = "journal replaced"

// Error fulfils error.
func (k ErrorKind) Error() string { return string(k) }

// Is matches the wider kind that a kind belongs to.
func (k ErrorKind) Is(target error) bool {
	switch k {
	case ErrStreamNotFound, ErrTruncated:
		return target == ErrNotFound
	case ErrStreamExists, ErrRevision:
		return target == ErrConflict
	case ErrLostTail:
		return target == ErrCorrupt
	case ErrTables, ErrReplaced:
		return target == ErrUnavailable
	}
	return false
}

// NewErrorKind makes a narrower kind of error for another package. errors.Is and
// [Classify] find it also by the wider kind.
func NewErrorKind(text string, wider ErrorKind) error { return narrow{text, wider} }

type narrow struct {
	text  string
	wider ErrorKind
}

func (n narrow) Error() string { return n.text }

func (n narrow) Is(target error) bool { return target == n.wider }

// ConflictError reports that a stream was not at the expected version (optimistic
// concurrency), and not because of an earlier attempt of the same append.
type ConflictError struct {
	Stream   StreamID // that was to be written to
	Expected Expected // what the writer asked for
	Actual   Version  // what the journal found; 0 is no event
}

// Error fulfils error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("conflict on %s: expected %s, found version %d", e.Stream, e.Expected, e.Actual)
}

// Is matches [ErrConflict], and [ErrStreamNotFound] when [StreamExists] was
// expected.
func (e *ConflictError) Is(target error) bool {
	return target == ErrConflict || e.Expected == StreamExists && (target == ErrStreamNotFound || target == ErrNotFound)
}

// StreamNotFoundError reports a stream that does not exist: nobody has written to
// it, or it was deleted.
type StreamNotFoundError struct {
	Stream StreamID // that was asked for
}

// Error fulfils error.
func (e *StreamNotFoundError) Error() string { return fmt.Sprintf("stream %s not found", e.Stream) }

// Is matches [ErrStreamNotFound] and [ErrNotFound].
func (e *StreamNotFoundError) Is(target error) bool {
	return target == ErrStreamNotFound || target == ErrNotFound
}

// StreamExistsError reports that a stream to be created exists.
type StreamExistsError struct {
	Stream StreamID // that was to be created
}

// Error fulfils error.
func (e *StreamExistsError) Error() string { return fmt.Sprintf("stream %s exists", e.Stream) }

// Is matches [ErrStreamExists] and [ErrConflict].
func (e *StreamExistsError) Is(target error) bool {
	return target == ErrStreamExists || target == ErrConflict
}

// RevisionError reports that a stream's metadata was not at the expected revision.
type RevisionError struct {
	Stream           StreamID // whose metadata was to be set
	Expected, Actual Revision // what the caller asked for, and what the journal found
}

// Error fulfils error.
func (e *RevisionError) Error() string {
	return fmt.Sprintf("metadata of %s: expected revision %d, found %d", e.Stream, e.Expected, e.Actual)
}

// Is matches [ErrRevision] and [ErrConflict].
func (e *RevisionError) Is(target error) bool { return target == ErrRevision || target == ErrConflict }

// TruncatedError reports that the events asked for cannot be read any more.
type TruncatedError struct {
	// Stream is the one that was read.
	Stream StreamID
	// First is the lowest version that can be read.
	First Version
}

// Error fulfils error.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("stream %s begins at version %d: what was before is truncated", e.Stream, e.First)
}

// Is matches [ErrTruncated] and [ErrNotFound].
func (e *TruncatedError) Is(target error) bool {
	return target == ErrTruncated || target == ErrNotFound
}

// LostTailError reports that the journal does not have the event that was known at a
// place.
type LostTailError struct {
	// Position is the place that was known.
	Position Position
	// Reason says what is wrong there, for people.
	Reason string
}

// Error fulfils error.
func (e *LostTailError) Error() string {
	return fmt.Sprintf("lost tail at position %s: %s", e.Position, e.Reason)
}

// Is matches [ErrLostTail] and [ErrCorrupt].
func (e *LostTailError) Is(target error) bool { return target == ErrLostTail || target == ErrCorrupt }

// EventIDReusedError reports an event id that the stream holds already with
// other content, or only for a part of the append.
type EventIDReusedError struct {
	Stream StreamID // that holds the id
	ID     EventID  // as the caller chose it
}

// Error fulfils error.
func (e *EventIDReusedError) Error() string {
	return fmt.Sprintf("event id %s is used in %s with other content", e.ID, e.Stream)
}

// Is matches [ErrEventIDReused].
func (e *EventIDReusedError) Is(target error) bool { return target == ErrEventIDReused }

// InvalidError names the field of an input that breaks a rule. It never holds the input
// itself, which may be personal data.
type InvalidError struct {
	// Field is the field that is wrong, in the words of the documentation: "stream",
	// "payload".
	Field string
	// Reason continues the sentence that Field begins.
	Reason string
	// Size and Limit are set when the rule is a limit.
	Size, Limit int
}

// Error fulfils error.
func (e *InvalidError) Error() string {
	if e.Limit > 0 {
		return fmt.Sprintf("invalid: %s %s: %d, at most %d", e.Field, e.Reason, e.Size, e.Limit)
	}
	return fmt.Sprintf("invalid: %s %s", e.Field, e.Reason)
}

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// UnavailableError reports that nothing was done because a part is away.
type UnavailableError struct {
	// Reason says which part, in a few words for people: "journal closed".
	Reason string
	// RetryAfter is a hint how long to wait before asking again; 0 is no advice.
	RetryAfter time.Duration
	// Overloaded says that a bounded queue was full.
	Overloaded bool
	// Err is the cause, if there is one.
	Err error
}

// Error fulfils error.
func (e *UnavailableError) Error() string { return withCause("unavailable: "+e.Reason, e.Err) }

// Unwrap returns the cause as [Cause] shows it, nil when there is none.
func (e *UnavailableError) Unwrap() error { return Cause(ErrUnavailable, e.Err) }

// Is matches [ErrUnavailable], and [ErrOverloaded] when a queue was full.
func (e *UnavailableError) Is(target error) bool {
	return target == ErrUnavailable && !e.Overloaded || target == ErrOverloaded && e.Overloaded
}

// ReplacedError reports that the files or tables of a journal are not those that it was
// opened with. Nothing was done.
type ReplacedError struct {
	// Reason says what was found, and what to do.
	Reason string
	// Err is the cause, if there is one.
	Err error
}

// Error fulfils error.
func (e *ReplacedError) Error() string { return withCause("journal replaced: "+e.Reason, e.Err) }

// Unwrap returns the cause as [Cause] shows it, nil when there is none.
func (e *ReplacedError) Unwrap() error { return Cause(ErrUnavailable, e.Err) }

// Is matches [ErrReplaced] and [ErrUnavailable].
func (e *ReplacedError) Is(target error) bool {
	return target == ErrReplaced || target == ErrUnavailable
}

// UnknownOutcomeError reports an append that may have been stored.
type UnknownOutcomeError struct {
	Stream   StreamID // of the append
	Expected Expected // of the append
	// IDs are the event ids that tell: an event of the stream with one of them
	// means that all were stored.
	IDs []EventID
	// Err is the cause that interrupted the append.
	Err error
}

// Error fulfils error.
func (e *UnknownOutcomeError) Error() string {
	return withCause(fmt.Sprintf("unknown outcome of an append to %s", e.Stream), e.Err)
}

// Unwrap returns the cause as [Cause] shows it: what may have been done is not also
// unavailable, and must not be taken for it.
func (e *UnknownOutcomeError) Unwrap() error { return Cause(ErrUnknownOutcome, e.Err) }

// Is matches [ErrUnknownOutcome].
func (e *UnknownOutcomeError) Is(target error) bool { return target == ErrUnknownOutcome }

// CorruptError reports stored data that cannot be used. It never holds the data.
type CorruptError struct {
	// Stream and Version say where, as far as that is known.
	Stream  StreamID
	Version Version // 0 is not known
	// Reason says what is wrong: "version 7 follows version 5".
	Reason string
	// Err is the cause, if there is one.
	Err error
}

// Error fulfils error.
func (e *CorruptError) Error() string {
	var where strings.Builder
	if e.Stream != "" {
		fmt.Fprintf(&where, " %s", e.Stream)
	}
	if e.Version > 0 {
		fmt.Fprintf(&where, " at version %d", e.Version)
	}
	return withCause(fmt.Sprintf("corrupt%s: %s", where.String(), e.Reason), e.Err)
}

// Unwrap returns the cause as [Cause] shows it, nil when there is none.
func (e *CorruptError) Unwrap() error { return Cause(ErrCorrupt, e.Err) }

// Is matches [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// TablesError reports a journal whose tables are missing, of another release, or
// not as their release makes them.
type TablesError struct {
	// Have is the last migration that was run, 0 when there is none, and Want the one
	// that this program needs.
	Have, Want int64
	// Fix is the command to run.
	Fix string
	// Differences name what is not as the migrations make it, when the release is
	// right: somebody has changed it by hand.
	Differences []string
}

// Error fulfils error.
func (e *TablesError) Error() string {
	if e.Have == 0 {
		return fmt.Sprintf("the journal has no tables: run %q", e.Fix)
	}
	if len(e.Differences) > 0 {
		return "the journal's tables were changed by hand: " + strings.Join(e.Differences, ", ")
	}
	return fmt.Sprintf("the journal's tables are at migration %d, this program needs %d: run %q", e.Have, e.Want, e.Fix)
}

// Is matches [ErrTables] and [ErrUnavailable].
func (e *TablesError) Is(target error) bool { return target == ErrTables || target == ErrUnavailable }

func withCause(text string, err error) string {
	if err == nil {
		return text
	}
	return text + ": " + err.Error()
}

// CommandID identifies a command for ever. A caller that repeats a command after an
// unknown outcome uses the same id.
type CommandID [16]byte

// String prints the id in the usual form of a UUID.
func (id CommandID) String() string { return EventID(id).String() }

// Error is the error that callers of the runtime get. It wraps its cause once, where the
// call returns to the caller. Its text never holds payloads, keys or connection strings.
type Error struct {
	// Kind says what a caller can do; see the constants of [ErrorKind].
	Kind ErrorKind
	// Op is the action that failed, in the infinitive: "withdraw from account-ann".
	Op string
	// Stream is the stream of the action, if it has one.
	Stream StreamID
	// Command is the id of the command, zero outside commands.
	Command CommandID
	// RetryAfter is a hint how long to wait before asking again; 0 is no advice.
	RetryAfter time.Duration
	// Reason is a stable word for programs, finer than Kind: "mailbox-full", "quarantined".
	// The words of commands are constants of package actors: actors.ReasonMailboxFull.
	Reason string
	// Err is the cause, if there is one.
	Err error
}

// Error fulfils error.
func (e *Error) Error() string {
	var parts []string
	if e.Op != "" {
		parts = append(parts, e.Op)
	}
	if e.Err == nil || !strings.HasPrefix(e.Err.Error(), string(e.Kind)) { // the journals' errors say their kind
		parts = append(parts, string(e.Kind))
	}
	text := strings.Join(parts, ": ")
	if e.Reason != "" {
		text = strings.TrimSpace(text + " (" + e.Reason + ")")
	}
	if text == "" {
		return e.Err.Error()
	}
	return withCause(text, e.Err)
}

// Unwrap returns the cause as [Cause] shows it, nil when there is none.
func (e *Error) Unwrap() error { return Cause(e.Kind, e.Err) }

// Is matches the error's kind.
func (e *Error) Is(target error) bool { return target == e.Kind || e.Kind.Is(target) }
