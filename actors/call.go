package actors

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// call is one Ask on its way: the envelope that travels through the mailbox,
// the command's place in the pipeline, and the caller's waiting point.
//
// It is reused after its answer was received. One whose caller left is not, so
// that a late answer can never reach another caller.
type call struct {
	key     key
	handler *handler
	message any
	// ctx is the caller's; it is kept for its deadline and its values only, because
	// the command has to take them along.
	ctx       context.Context
	origin    *origin
	ifVersion persistence.Expected
	id        persistence.CommandID
	deadline  time.Time

	claim    atomic.Int32
	answered chan struct{} // holds one answer; cap 1, so answering never blocks
	timer    *time.Timer   // kept for callers without a deadline of their own
	timed    bool          // it runs
	reply    any
	err      error

	// The rest belongs to the activation.
	owner   *activation
	tx      Tx
	events  int
	bytes   int
	rounds  int // decisions lost to conflicts
	settled bool
	outcome persistence.Outcome
	done    func(persistence.Outcome) // outcome, bound once
}

const (
	queued int32 = iota
	decided
	abandoned
)

func newCall() *call {
	c := &call{answered: make(chan struct{}, 1)}
	c.done = c.appended
	return c
}

// bound gives the call its caller's deadline, or one of its own.
func (c *call) bound(ctx context.Context, timeout time.Duration) {
	if deadline, ok := ctx.Deadline(); ok {
		c.deadline = deadline
		return
	}
	c.deadline, c.timed = time.Now().Add(timeout), true
	if c.timer == nil {
		c.timer = time.NewTimer(timeout)
		return
	}
	c.timer.Reset(timeout)
}

// timeout fires at a deadline that is the call's own.
func (c *call) timeout() <-chan time.Time {
	if c.timed {
		return c.timer.C
	}
	return nil
}

// take claims the call for deciding. False means that the caller has left
// before, so surely nothing was and will be done.
func (c *call) take() bool {
	return c.claim.CompareAndSwap(queued, decided)
}

// late reports that the caller is gone or its time is over: whoever decides the
// command again after a failed append need not.
func (c *call) late(now time.Time) bool {
	return now.After(c.deadline) || c.ctx.Err() != nil
}

// answer hands reply and error to the caller. It is called once; the call must
// not be touched afterwards.
func (c *call) answer() { c.answered <- struct{}{} }

// op says what the call is about, for errors.
func (c *call) op() string {
	return c.handler.command.Name() + " on " + c.key.kind.kind + "-" + c.key.id
}

// border gives an error of the runtime the form that callers see. It wraps once.
func (c *call) border(err error, reason string) error {
	if _, done := errors.AsType[*persistence.Error](err); done {
		return err
	}
	wrapped := &persistence.Error{
		Kind: persistence.KindOf(err), Op: c.op(), Stream: persistence.StreamID(c.key.kind.kind + "-" + c.key.id),
		Command: c.id, Reason: reason, Err: err,
	}
	if away, ok := errors.AsType[*persistence.UnavailableError](err); ok {
		wrapped.RetryAfter = away.RetryAfter
	}
	return wrapped
}

// appended receives the journal's outcome, on the journal's goroutine.
func (c *call) appended(o persistence.Outcome) {
	c.outcome = o
	c.owner.mailbox.post((*settled)(c))
}

// settled is a call whose append has an outcome, as a message.
type settled call

// reset makes the call ready for the next Ask.
func (c *call) reset() {
	if c.timed {
		c.timer.Stop()
	}
	tx := c.tx.raised[:0]
	clear(tx[:cap(tx)])
	*c = call{answered: c.answered, done: c.done, timer: c.timer}
	c.tx.raised = tx
}
