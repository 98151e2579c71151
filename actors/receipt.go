package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Receipt says what became of a command beyond its reply. See [ReceiptTo].
type Receipt struct {
	// Command is the id under which the command was asked, also when it failed.
	Command persistence.CommandID
	// Version is that of the aggregate after the command: what the reply shows.
	Version persistence.Version
	// Events is how many events the command raised, which end at Version; what it
	// sends stands in one more of them. Of a
	// command that is repeated it is not known, and 0.
	Events int
	// Position is that of the newest event of the aggregate at this version, the zero
	// Position when it has none: a projection that has passed it knows what the reply
	// says.
	Position persistence.Position
	// Repeated says that the command had been done before and that this is the
	// outcome of then.
	Repeated bool
}

// ReceiptTo fills the receipt when Ask returns.
func ReceiptTo(receipt *Receipt) AskOption { return func(r *Request) { r.receipt = receipt } }

// Awaitable is what [Await] can wait for: a projection that runs somewhere.
type Awaitable interface {
	// Name is the projection's, for errors.
	Name() string
	// Check returns an error when there is nothing that could be waited for, such as a
	// projection of another name. It is asked before the command is, and does no I/O.
	Check() error
	// WaitFor returns when everything at and before the position has been applied and
	// can be read. When ctx ends first, or the projection does not run, the error says
	// how far behind it is. The zero position is always reached.
	WaitFor(ctx context.Context, position persistence.Position) error
}

// Await lets Ask return only when the projections show what the reply says, so
// that callers read what they have written. When one does not get there before
// ctx ends, or within ten seconds if ctx has no deadline, Ask returns the reply
// together with a [*BehindError]: the command itself has succeeded. A projection that
// does not exist is an error of Ask, and nothing is asked then.
func Await(projections ...Awaitable) AskOption {
	return func(r *Request) { r.await = append(r.await, projections...) }
}

// ErrBehind is the [persistence.ErrDone] of a command that has succeeded and that a
// projection does not show yet.
var ErrBehind = persistence.NewErrorKind("the projection is behind", persistence.ErrDone)

// BehindError is the [ErrBehind] of one projection.
type BehindError struct {
	// Projection is the name of the one that was waited for.
	Projection string
	// Want is the position that the projection has not reached.
	Want persistence.Position
	// Err is what the projection said, how far behind it is for one.
	Err error
}

// Error fulfils error.
func (e *BehindError) Error() string {
	return fmt.Sprintf("the command is done, but projection %s has not reached position %s: %v", e.Projection, e.Want, e.Err)
}

// Unwrap returns the cause as [persistence.Cause] shows it: what the projection could
// not do says nothing of the command.
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
