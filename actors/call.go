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
	asked     moment
	fresh     bool // it was asked for a state that is proven current
	deadline  time.Time
	now       time.Time // when it was first decided

	claim    atomic.Int32
	answered chan struct{} // holds one answer; cap 1, so answering never blocks
	timer    *time.Timer   // kept for callers without a deadline of their own
	timed    bool          // it runs
	reply    any
	err      error
	receipt  Receipt
	lane     *lane // gets the answer instead of the channel; of what the deliverer asks

	// The rest belongs to the activation.
	owner   *activation
	events  int
	sends   []*sending            // that its append stores
	ended   []*sending            // with its append
	answers persistence.CommandID // of the sent command whose outcome it brings
	raised  int                   // of the events, with that of what it sends
	bytes   int
	last    persistence.Version // of the aggregate after it
	rounds  int                 // decisions lost to conflicts
	reread  bool                // the state was read again for it, see readAgain
	verdict error               // a rejection that is to be remembered, decided already
	repeats persistence.Version // of the event with the outcome, when it was done before
	absent  *persistence.Chain  // of the state below which the journal does not have it
	settled bool
	// snapshot is to be written when the command is durable.
	snapshot *taken
	astray   bool // answered although the journal has it still: never to be reused
	outcome  persistence.Outcome
	done     func(persistence.Outcome) // outcome, bound once
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

// release lets the caller of a decided call leave again in the knowledge that nothing
// was done: it has no events, and waits.
func (c *call) release() { c.claim.CompareAndSwap(decided, queued) }

// retake claims a call again that was released, if it was.
func (c *call) retake() bool { return c.claim.Load() == decided || c.take() }

// late reports that the caller is gone or its time is over: whoever decides the
// command again after a failed append need not.
func (c *call) late(now time.Time) bool {
	return now.After(c.deadline) || c.ctx.Err() != nil
}

// answer hands reply and error to the caller. It is called once; the call must
// not be touched afterwards.
func (c *call) answer() {
	if c.lane != nil {
		c.lane.answer(c)
		return
	}
	c.answered <- struct{}{}
}

// op says what the call is about, for errors.
func (c *call) op() string {
	if c.handler == waking {
		return "wake " + string(c.stream())
	}
	return c.handler.command.Name() + " on " + string(c.stream())
}

// border gives an error of the runtime the form that callers see. An error that
// has the form already, as those of [unavailable] and [overloaded], gets what it
// lacks; those of others are wrapped, and never searched for more than their kind.
func (c *call) border(err error) error {
	var seen persistence.Error
	if own, ok := err.(*persistence.Error); ok { //nolint:errorlint // one further down is somebody else's
		seen = *own
	} else {
		seen = persistence.Error{Kind: persistence.ErrorKindOf(err), Err: err}
		if away, ok := errors.AsType[*persistence.UnavailableError](err); ok {
			seen.RetryAfter = away.RetryAfter
		}
	}
	seen.Op, seen.Stream, seen.Command = c.op(), c.stream(), c.id
	return &seen
}

func (c *call) stream() persistence.StreamID { return c.key.stream() }

// unavailable and overloaded are errors of the runtime itself: nothing was done.
func unavailable(reason string, err error) *persistence.Error {
	return &persistence.Error{Kind: persistence.ErrUnavailable, Reason: reason, Err: err}
}

func overloaded(reason string) *persistence.Error {
	return &persistence.Error{Kind: persistence.ErrOverloaded, Reason: reason}
}

// appended receives the journal's outcome, on the journal's goroutine. Of an error that
// has no kind nothing may be assumed.
func (c *call) appended(o persistence.Outcome) {
	if o.Err != nil {
		if _, known := persistence.Classify(o.Err); !known {
			o.Err = &persistence.UnknownOutcomeError{Stream: c.stream(), Err: o.Err}
		}
	}
	c.outcome = o
	events := c.events
	if c.owner.crashed.Load() { // nobody takes them into a state
		events = 0
	}
	c.owner.system.confirmations.note(o, events)
	c.owner.mailbox.post((*settled)(c))
}

// settled is a call whose append has an outcome, as a message.
type settled call

// reset makes the call ready for the next Ask.
func (c *call) reset() {
	if c.timed {
		c.timer.Stop()
	}
	*c = call{answered: c.answered, done: c.done, timer: c.timer}
}
