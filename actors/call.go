package actors

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/persistence"
)

// call is one command on its way: the envelope that travels through the mailbox, the
// command's place in the pipeline, and the caller's waiting point. It has three parts, by
// who writes them.
//
// It is reused after its answer was received. One whose caller left is not, so
// that a late answer can never reach another caller.
type call struct {
	question
	waiter
	progress
}

// waiter is who waits for the answer to a call, and the answer.
type waiter struct {
	stage    atomic.Int32  // queued, decided or abandoned
	answered chan struct{} // holds one answer; cap 1, so answering never blocks
	lane     *lane         // gets the answer instead of the channel; of what the deliverer asks
	timer    *time.Timer   // kept for callers without a deadline of their own
	timed    bool          // it runs
	reply    any
	err      error
	receipt  Receipt
}

// progress is how far the activation has come with a call.
type progress struct {
	attempt
	owner  *activation
	now    time.Time                 // when the call was first decided
	rounds int                       // attempts lost to conflicts
	reread bool                      // the state was read again for it, see readAgain
	absent *persistence.Chain        // of the state below which the journal does not have it
	astray bool                      // answered although the journal has it still: never to be reused
	done   func(persistence.Outcome) // is appended, bound once
}

// attempt is what was decided last; every decision begins a new one.
type attempt struct {
	events   int                 // that its append stores
	raised   int                 // of the events, with that of what it sends
	bytes    int                 // of the events
	sends    []*sending          // that its append stores
	ended    []*sending          // with its append
	last     persistence.Version // of the aggregate after it
	repeats  persistence.Version // of the event with the outcome, when the call was done before
	snapshot *taken              // to be written when the call is durable
	settled  bool                // there is an outcome
	outcome  persistence.Outcome // of its append
}

const (
	queued int32 = iota
	decided
	abandoned
)

func newCall() *call {
	c := &call{waiter: waiter{answered: make(chan struct{}, 1)}}
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

// claim takes the call to be decided. False means that the caller has left
// before, so that surely nothing was or will be done.
func (c *call) claim() bool {
	return c.stage.CompareAndSwap(queued, decided)
}

// release lets the caller of a decided call leave again in the knowledge that nothing
// was done: it has no events, and waits.
func (c *call) release() { c.stage.CompareAndSwap(decided, queued) }

// reclaim claims a call again that may have been released.
func (c *call) reclaim() bool { return c.stage.Load() == decided || c.claim() }

// late reports that the caller is gone or its time is over: whoever decides the
// command again after a failed append need not.
func (c *call) late(now time.Time) bool {
	select {
	case <-c.left:
		return true
	default:
		return now.After(c.deadline)
	}
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
	*c = call{waiter: waiter{answered: c.answered, timer: c.timer}, progress: progress{done: c.done}}
}

// firstAsked is the time that tells whether a command would be found further back, zero
// when nothing does. A time of birth that is not over yet was told by a wrong clock.
func (c *call) firstAsked() time.Time {
	if c.born.After(c.now.Add(dedupe.ClockSkew)) {
		return time.Time{}
	}
	return c.born
}

// question is what was asked by a call. It stays as it is until the answer.
type question struct {
	identity
	key     key
	handler *handler
	message any
	size    int // of the message, in bytes
	// left is closed when the caller has left, so that nobody decides again for it.
	left      <-chan struct{}
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
