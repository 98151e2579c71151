package actors

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Command is the contract of a command: aggregates of one kind may be asked C, and answer
// R. It is a pure value without a handler inside, so that contracts never form
// initialisation cycles. The zero Command names no kind, and every Ask refuses it.
type Command[C, R any] struct {
	kind    string
	of      *codec.Type // of C; nil when C cannot be stored
	problem error       // why C cannot be stored
}

// NewCommand makes the contract of a command. Mistakes in kind, C or R are found
// when the aggregate that handles it is started.
func NewCommand[C, R any](kind string) Command[C, R] {
	of, err := codec.Of[C]() // a start reports the error, and so does each send
	return Command[C, R]{kind, of, err}
}

// Asker takes commands to aggregates: a [System], or a node that hosts one.
type Asker interface {
	// Ask delivers one command and returns its reply. Use [Command.Ask], which knows
	// the types.
	Ask(ctx context.Context, request Request) (reply any, err error)
}

// Request is a command on its way. Only [Command.Ask] makes one.
type Request struct {
	identity
	kind, aggregate string // aggregate is its id
	command         reflect.Type
	reply           reflect.Type
	message         any
	ifVersion       persistence.Expected // Any unless the caller named a version
	key             string               // of Once, when keyed
	keyed           bool
	receipt         *Receipt
	logged          *logged
	refused         error // by Config.Around, of a command that was sent
	fresh           bool
	await           []Awaitable
	reacts          *persistence.Recorded // the event that is reacted to, instead of a command
}

// AskOption changes how one command is asked. It must not keep the request.
type AskOption func(*Request)

// requests are reused: options write into a request on the heap, and not every command
// should pay for a new one.
var requests = sync.Pool{New: func() any { return new(Request) }}

// IfVersion refuses the command with [persistence.ErrConflict] unless the aggregate is at
// this version when the command is decided (optimistic concurrency). The command takes
// effect at this version or not at all: after a conflict with another writer it is not
// decided again. The version is the one that is stored, whichever process has written it:
// see [Fresh].
func IfVersion(version persistence.Version) AskOption {
	return func(r *Request) { r.ifVersion = persistence.Exact(version) }
}

// Ask sends a command to the aggregate of this id, waits until its events are durable, and
// returns the reply. An aggregate exists as soon as it is asked; the handler decides what
// that means.
//
// A command that raises events is decided on all stored events of its aggregate,
// whichever process has stored them. A command that raises nothing, a read or a rejection,
// is answered from memory: the answer shows all events that this system has stored, and
// may lack events that another process on the journal has stored since the aggregate was
// read here. Ask with [Fresh] where that matters; with [Once], [Again] or [IfVersion] it is
// so already.
//
// An error of the handler comes back unchanged, with two exceptions, which come as a
// [*RejectedError]: when the command is repeated, and when the error would say anything but
// that this command was refused, such as the failure of another command. Every other error
// is a [*persistence.Error], or the [*BehindError] of [Await]. Only the kind
// [persistence.ErrUnknownOutcome] leaves open whether the command was done, and [Again]
// resolves it. [persistence.Classify] tells what an error of Ask means.
//
// When ctx ends, Ask returns at once: unavailable if the command was not decided yet,
// unknown outcome if it was. A ctx without deadline gets that of [Config.AskTimeout].
//
// The command must not be changed before Ask returns; nor afterwards, if it is a plain
// struct with pointers and ctx has ended.
func (c Command[C, R]) Ask(ctx context.Context, to Asker, id string, command C, options ...AskOption) (R, error) {
	request := requests.Get().(*Request) //nolint:forcetypeassert // the pool holds nothing else
	*request = Request{
		kind: c.kind, aggregate: id, message: command, ifVersion: persistence.Any,
		command: reflect.TypeFor[C](), reply: reflect.TypeFor[R](),
	}
	for _, option := range options {
		option(request)
	}
	if len(request.await) > 0 {
		if err := check(request.await); err != nil {
			var none R
			return none, &persistence.Error{Kind: persistence.ErrorKindOf(err), Op: "ask " + request.kind, Err: err}
		}
		if request.receipt == nil {
			request.receipt = &Receipt{}
		}
	}
	reply, err := to.Ask(ctx, *request)
	typed, _ := reply.(R) // a handler of this contract returns no other type
	if err == nil && len(request.await) > 0 {
		err = wait(ctx, request.await, request.receipt.Position)
	}
	*request = Request{}
	requests.Put(request)
	return typed, err
}

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
