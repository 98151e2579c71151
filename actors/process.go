package actors

import (
	"fmt"
	"reflect"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Result binds a method to the outcome of a command that aggregates of this kind send. The
// method gets the reply, or the error. It takes effect once for each sent command: the
// events that it raises, and the commands that it sends, are stored together with the fact
// that the outcome was handled.
//
// The error is a [*RejectedError], as the aggregate that was asked has stored it, or
// [ErrUndelivered] after [Config.GiveUpAfter]. When the method cannot handle the outcome
// now, it returns an error. It is called again later, as after a panic: ten times, then the
// command is [Parked].
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

// Sends says that aggregates of this kind send commands whose outcome they need not hear,
// such as timers. A kind with a [Result] need not say it.
func Sends[S any]() Part[S] { return func(a *Aggregate[S]) { a.d.process = true } }

// outcome is the outcome of a sent command, on its way to the sender.
type outcome struct {
	reply any
	err   error
}

// ErrUndelivered is the [persistence.ErrUnknownOutcome] of a sent command that had no outcome
// within [Config.GiveUpAfter].
var ErrUndelivered = persistence.NewErrorKind("the command could not be delivered", persistence.ErrUnknownOutcome)

// UndeliveredError is the [ErrUndelivered] of one command.
type UndeliveredError struct {
	// Kind and ID name the aggregate, Command the stored name of the command's type.
	Kind, ID, Command string
	// After is for how long it was tried.
	After time.Duration
	// Err is the error of the last attempt.
	Err error
}

// Error fulfils error.
func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("%s to %s-%s not delivered within %s, last: %v", e.Command, e.Kind, e.ID, e.After, e.Err)
}

// Unwrap returns the cause as [persistence.Cause] shows it: the last attempt may have done
// nothing, but that says nothing of those before.
func (e *UndeliveredError) Unwrap() error {
	return persistence.Cause(persistence.ErrUnknownOutcome, e.Err)
}

// Is matches [ErrUndelivered] and [persistence.ErrUnknownOutcome].
func (e *UndeliveredError) Is(target error) bool {
	return target == ErrUndelivered || target == persistence.ErrUnknownOutcome
}

// unheard returns a handler for outcomes without a Result, which only ends the command.
func unheard(of *handler) *handler {
	return &handler{command: of.command, reply: of.reply, decide: func(any, *Tx, any) (any, error) { return nil, nil }}
}

// waking is the handler of a call that only brings an aggregate into memory, so that it
// delivers what it has open.
var waking = &handler{}

// inner returns a call of the runtime itself, for whose answer no goroutine waits.
func (s *System) inner(of key, h *handler, message any, id persistence.CommandID, o *origin) *call {
	c := s.calls.Get().(*call) //nolint:forcetypeassert // the pool holds nothing else
	c.key, c.handler, c.message, c.left, c.origin, c.ifVersion = of, h, message, s.deliverer.ctx.Done(), o, persistence.Any
	c.id, c.deadline, c.asked = id, time.Now().Add(s.config.AskTimeout), s.confirmations.now()
	return c
}
