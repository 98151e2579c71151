package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/stele-es/stele/persistence"
)

// ErrNotFound is the [persistence.ErrNotFound] of projections.
var ErrNotFound = persistence.NewErrorKind("projection not found", persistence.ErrNotFound)

// ErrBehind is the [persistence.ErrUnavailable] of a projection that did not reach a
// position in time.
var ErrBehind = persistence.NewErrorKind("projection behind", persistence.ErrUnavailable)

// ErrDiverged is the [persistence.ErrCorrupt] of a checkpoint that does not belong to
// the journal.
var ErrDiverged = persistence.NewErrorKind("projection diverged", persistence.ErrCorrupt)

// NotFoundError reports a projection that nobody here defines, or that was deleted.
type NotFoundError struct {
	Projection string // its name
}

// Error fulfils error.
func (e *NotFoundError) Error() string { return fmt.Sprintf("projection %s not found", e.Projection) }

// Is matches [ErrNotFound] and [persistence.ErrNotFound].
func (e *NotFoundError) Is(target error) bool {
	return target == ErrNotFound || target == persistence.ErrNotFound
}

// BehindError reports that a wait for a projection ended too early; the caller may wait
// again. The events that the caller waited for are stored all the same.
type BehindError struct {
	// Projection is its name.
	Projection string
	// Want is the position that the caller waited for, Have the position of the
	// projection in that partition.
	Want, Have persistence.Position
	// Status is the status of the projection, such as [Failed] or [CatchingUp].
	Status Status
	// Err is the reason why the wait ended.
	Err error
}

// Error fulfils error.
func (e *BehindError) Error() string {
	return fmt.Sprintf("projection %s is behind by %d events, at position %s of %s, %s: %v",
		e.Projection, e.Want.Offset-e.Have.Offset, e.Have, e.Want, e.Status, e.Err)
}

// Unwrap returns why the waiting ended, as [persistence.Cause] shows it.
func (e *BehindError) Unwrap() error { return persistence.Cause(e.kind(), e.Err) }

// Is matches [ErrBehind] and [persistence.ErrUnavailable]; or [persistence.ErrCorrupt]
// when the projection stands where no waiting helps: it has diverged, or has met an
// event that cannot be read.
func (e *BehindError) Is(target error) bool { return target == ErrBehind || target == e.kind() }

func (e *BehindError) kind() persistence.ErrorKind {
	if e.Err != nil && persistence.ErrorKindOf(e.Err) == persistence.ErrCorrupt {
		return persistence.ErrCorrupt
	}
	return persistence.ErrUnavailable
}

// DivergedError reports that the checkpoint of a projection is at a place that the
// journal does not have: it is another journal, or it has lost its newest events. The
// projection then applies nothing.
type DivergedError struct {
	// Projection is its name.
	Projection string
	// Err is a [*persistence.LostTailError].
	Err error
}

// Error fulfils error.
func (e *DivergedError) Error() string {
	return fmt.Sprintf("projection %s: %v: start the program again with the journal that the projection was made from, and reset it when that has lost events, or Seek a place for it when it cannot be reset, as one of reactions", e.Projection, e.Err)
}

// Unwrap returns the cause.
func (e *DivergedError) Unwrap() error { return e.Err }

// Is matches [ErrDiverged] and [persistence.ErrCorrupt].
func (e *DivergedError) Is(target error) bool {
	return target == ErrDiverged || target == persistence.ErrCorrupt
}

// EventError reports the event at which a projection has failed.
type EventError struct {
	Projection string               // its name
	Stream     persistence.StreamID // that the event stands in
	Position   persistence.Position // of the event
	Type       string               // of the event, as stored
	// Err is the error of the handler, the codec or an upcaster.
	Err error

	index   int  // among the events that were applied together
	handled bool // by a handler, and not by a reactor, whose errors say what is away
}

// isLate reports a handler that has taken too long, by its limit or by one of its own.
func (e *EventError) isLate() bool {
	_, slow := errors.AsType[*slowError](e.Err)
	return slow || e.handled && errors.Is(e.Err, context.DeadlineExceeded)
}

// Error fulfils error.
func (e *EventError) Error() string {
	return fmt.Sprintf("projection %s at position %s, %s in %s: %v", e.Projection, e.Position, e.Type, e.Stream, e.Err)
}

// Unwrap returns the cause.
func (e *EventError) Unwrap() error { return e.Err }

// fenced is the error of a worker that is no longer the owner of its part.
func fenced() error {
	return &persistence.Error{Kind: persistence.ErrFenced, Op: "save a checkpoint", Reason: "another worker has taken over"}
}
