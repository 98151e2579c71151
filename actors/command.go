package actors

import (
	"context"
	"reflect"
	"sync"

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
