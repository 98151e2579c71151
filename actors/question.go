package actors

import (
	"context"
	"errors"
	"time"

	"github.com/stele-es/stele/persistence"
)

// question is what was asked by a call. It stays as it is until the answer.
type question struct {
	identity
	key     key
	handler *handler
	message any
	size    int // of the message, in bytes
	// ctx is the caller's, so that nobody decides again for a caller who has left.
	ctx       context.Context //nolint:containedctx // it travels with the command
	origin    *origin
	ifVersion persistence.Expected
	digest    digest                // of commands whose id is not generated
	reacts    *persistence.Recorded // the event that takes the place of a command
	answers   persistence.CommandID // of the sent command whose outcome takes that place
	verdict   error                 // a rejection that is to be remembered, decided already
	asked     moment
	fresh     bool // for a state that is proven current
	deadline  time.Time
}

// isPlain reports that nothing but a decision on the state is asked for: no command that
// may have been done before, no outcome, no event, no version.
func (q *question) isPlain() bool {
	return q.class == generated && q.handler != waking && q.reacts == nil && q.verdict == nil &&
		q.answers == persistence.CommandID{} && q.ifVersion == persistence.Any
}

// mustBeCurrent reports that an answer without events has consequences that no append
// vouches for: a reaction is not delivered again, a sender hears of an outcome, a caller
// who repeats a command or names a version relies on what it is told.
func (q *question) mustBeCurrent() bool {
	return q.fresh || q.class != generated || q.reacts != nil || q.ifVersion != persistence.Any || q.answers != persistence.CommandID{}
}

// lasting reports that a command which is accepted leaves a trace even when it
// raises nothing.
func (q *question) lasting() bool {
	return q.class == named || q.class == sent || q.class == again && q.born.IsZero()
}

// own reports that the aggregate of a stream has sent the command to itself.
func (q *question) own(stream persistence.StreamID) bool { return q.class == sent && q.from == stream }

// op says what a question is about, for errors.
func (q *question) op() string {
	if q.handler == waking {
		return "wake " + string(q.stream())
	}
	return q.handler.command.Name() + " on " + string(q.stream())
}

// border gives an error of the runtime the form that callers see. An error that
// has the form already, as those of [unavailable] and [overloaded], gets what it
// lacks; those of others are wrapped, and never searched for more than their kind.
func (q *question) border(err error) error {
	var seen persistence.Error
	if own, ok := err.(*persistence.Error); ok { //nolint:errorlint // one further down is somebody else's
		seen = *own
	} else {
		seen = persistence.Error{Kind: persistence.ErrorKindOf(err), Err: err}
		if away, ok := errors.AsType[*persistence.UnavailableError](err); ok {
			seen.RetryAfter = away.RetryAfter
		}
	}
	seen.Op, seen.Stream, seen.Command = q.op(), q.stream(), q.id
	return &seen
}

func (q *question) stream() persistence.StreamID { return q.key.stream() }
