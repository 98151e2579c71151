package actors

import (
	"fmt"
	"reflect"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Result says what becomes of the outcome of a command that aggregates of this kind
// send: the method gets the reply, or the error. It is called once for each command
// that was sent, however often that takes: what it raises and sends is stored together
// with the fact that the outcome was handled.
//
// The error is a [*RejectedError], as the aggregate that was asked has stored it at the
// version that it was decided on; or
// it is [ErrUndelivered] after [Config.GiveUpAfter]. The method returns an error when
// it cannot handle the outcome now; it is called again later, and so it is after a
// panic: ten times, then the command is [Parked].
func Result[S, C, R any](contract Command[C, R], then func(state *S, tx *Tx, reply R, err error) error) Part[S] {
	return func(a *Aggregate[S]) {
		command, err := codec.Of[C]()
		if err != nil {
			a.d.problem("result of %s: %w", reflect.TypeFor[C](), err)
			return
		}
		reply, err := codec.Of[R]()
		switch {
		case err != nil:
			a.d.problem("reply to %s: %w", command.Name(), err)
		case then == nil:
			a.d.problem("result of %s has a nil method", command.Name())
		case a.d.results[command.Name()] != nil:
			a.d.problem("the result of %s is handled twice: remove one Result", command.Name())
		}
		a.d.process = true
		a.d.sendsTo = append(a.d.sendsTo, contract.kind)
		a.d.results[command.Name()] = &handler{command: command, reply: reply, decide: func(state any, tx *Tx, message any) (any, error) {
			got := message.(*outcome)
			typed, _ := got.reply.(R)
			return nil, then(state.(*S), tx, typed, got.err)
		}}
	}
}

// Sends says that aggregates of this kind send commands whose outcome they need not
// hear: timers for one. A kind with a [Result] need not say it.
func Sends[S any]() Part[S] { return func(a *Aggregate[S]) { a.d.process = true } }

// outcome is what became of a sent command, on its way to the sender.
type outcome struct {
	reply any
	err   error
}

// ErrUndelivered is the [persistence.ErrUnknownOutcome] of a sent command that has had
// no outcome in the time for it.
var ErrUndelivered = persistence.NewErrorKind("the command could not be delivered", persistence.ErrUnknownOutcome)

// UndeliveredError is the [ErrUndelivered] of one command.
type UndeliveredError struct {
	// Kind, ID and Command say what could not be delivered to whom.
	Kind, ID, Command string
	// After is for how long it was tried.
	After time.Duration
	// Err is what the last attempt came to.
	Err error
}

// Error fulfils error.
func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("%s to %s-%s not delivered within %s, last: %v", e.Command, e.Kind, e.ID, e.After, e.Err)
}

// Unwrap returns the cause as [persistence.Cause] shows it: that the last attempt did
// nothing says nothing of those before.
func (e *UndeliveredError) Unwrap() error {
	return persistence.Cause(persistence.ErrUnknownOutcome, e.Err)
}

// Is matches [ErrUndelivered] and [persistence.ErrUnknownOutcome].
func (e *UndeliveredError) Is(target error) bool {
	return target == ErrUndelivered || target == persistence.ErrUnknownOutcome
}

// unheard handles the outcome of a command without a Result: it is done, and no more.
func unheard(of *handler) *handler {
	return &handler{command: of.command, reply: of.reply, decide: func(any, *Tx, any) (any, error) { return nil, nil }}
}

// waking handles a call that only wants an aggregate to be in memory and to go on
// with what it has open.
var waking = &handler{}

// inner is a call of the runtime's own, whose answer nobody stands and waits for.
func (s *System) inner(of key, h *handler, message any, id persistence.CommandID, o *origin) *call {
	c := s.calls.Get().(*call) //nolint:forcetypeassert // the pool holds nothing else
	c.key, c.handler, c.message, c.left, c.origin, c.ifVersion = of, h, message, s.deliverer.ctx.Done(), o, persistence.Any
	c.id, c.deadline, c.asked = id, time.Now().Add(s.config.AskTimeout), s.confirmations.now()
	return c
}
