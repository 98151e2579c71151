package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Receipt tells the outcome of a command beside its reply. See [ReceiptTo].
type Receipt struct {
	// Command is the id under which the command was asked, also when it failed.
	Command persistence.CommandID
	// Version is the version of the aggregate after the command: the reply shows it.
	Version persistence.Version
	// Events is the number of events that the command raised; the last is at Version. It
	// counts the event that holds sent commands, if there is one. For a repeated command
	// the number is not known, and 0.
	Events int
	// Position is the position of the newest event of the aggregate at this version, zero
	// when it has none. A projection that has passed it shows what the reply says.
	Position persistence.Position
	// Repeated says that the command was done before, and that this is its first outcome.
	Repeated bool
}

// ReceiptTo fills the receipt when Ask returns.
func ReceiptTo(receipt *Receipt) AskOption { return func(r *Request) { r.receipt = receipt } }

// Awaitable is a projection that [Await] can wait for, wherever it runs.
type Awaitable interface {
	// Name is the projection's, for errors.
	Name() string
	// Check returns an error when waiting is impossible, for example because there is no
	// projection of this name. It is called before the command is asked, and does no I/O.
	Check() error
	// WaitFor returns when all events up to and at the position have been applied and can
	// be read. When ctx ends first, or the projection does not run, the error says how far
	// behind it is. The zero position is always reached.
	WaitFor(ctx context.Context, position persistence.Position) error
}

// Await lets Ask return only when the projections show what the reply says: callers read
// their own writes. When a projection does not get there before ctx ends, or within ten
// seconds if ctx has no deadline, Ask returns the reply together with a [*BehindError]: the
// command itself has succeeded. A projection that does not exist is an error of Ask, and
// then the command is not asked.
func Await(projections ...Awaitable) AskOption {
	return func(r *Request) { r.await = append(r.await, projections...) }
}

// ErrBehind is the [persistence.ErrDone] of a command that has succeeded, but that a
// projection does not show yet.
var ErrBehind = persistence.NewErrorKind("the projection is behind", persistence.ErrDone)

// BehindError is the [ErrBehind] of one projection.
type BehindError struct {
	// Projection is the name of the projection.
	Projection string
	// Want is the position that the projection has not reached.
	Want persistence.Position
	// Err is the error of the projection, which says how far behind it is.
	Err error
}

// Error fulfils error.
func (e *BehindError) Error() string {
	return fmt.Sprintf("the command is done, but projection %s has not reached position %s: %v", e.Projection, e.Want, e.Err)
}

// Unwrap returns the cause as [persistence.Cause] shows it: the kind of the projection's
// error says nothing of the command.
func (e *BehindError) Unwrap() error { return persistence.Cause(persistence.ErrDone, e.Err) }

// Is matches [ErrBehind] and [persistence.ErrDone].
func (e *BehindError) Is(target error) bool {
	return target == ErrBehind || target == persistence.ErrDone
}

// check finds what cannot be waited for.
func check(projections []Awaitable) error {
	for _, p := range projections {
		if p == nil {
			return &persistence.InvalidError{Field: "projection", Reason: "to await is nil: take what Runner.Await returns"}
		}
		if err := p.Check(); err != nil {
			return err
		}
	}
	return nil
}

// awaitTimeout bounds [Await] for callers without a deadline.
const awaitTimeout = 10 * time.Second

// wait waits until the projections have reached a position.
func wait(ctx context.Context, projections []Awaitable, position persistence.Position) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, awaitTimeout)
		defer cancel()
	}
	for _, p := range projections {
		if err := p.WaitFor(ctx, position); err != nil {
			return &BehindError{Projection: p.Name(), Want: position, Err: err}
		}
	}
	return nil
}
