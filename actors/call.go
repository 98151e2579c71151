package actors

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/persistence"
)

// call is one command on its way. It is the envelope that travels through the mailbox, the
// command's place in the pipeline, and the place where the caller waits. Its three parts
// are written by different parties.
//
// A call is reused after its answer was received, but not when its caller has left: a late
// answer can never reach another caller.
type call struct {
	question
	waiter
	progress
}

// waiter is the part of a call that tells who waits for the answer, and the answer.
type waiter struct {
	stage    atomic.Int32  // queued, decided or abandoned
	answered chan struct{} // holds one answer; cap 1, so answering never blocks
	lane     *lane         // of the deliverer, which gets the answer instead of the channel
	timer    *time.Timer   // kept for callers without a deadline of their own
	timed    bool          // it runs
	reply    any
	err      error
	receipt  Receipt
}

// progress is the part of a call that its activation writes.
type progress struct {
	attempt
	owner  *activation
	now    time.Time                 // when the call was first decided
	rounds int                       // attempts lost to conflicts
	reread bool                      // the state was read again for it, see readAgain
	absent *persistence.Chain        // of a state on which the command was searched for, and is not in the journal
	astray bool                      // answered while the journal or a lookup still has it: never reused
	done   func(persistence.Outcome) // is appended, bound once
}

// attempt is the last decision on a call; every decision begins a new one.
type attempt struct {
	events   int                 // number that its append stores
	raised   int                 // number that the receipt tells: with the event of what it sends
	bytes    int                 // of the events
	sends    []*sending          // opened with its append
	ended    []*sending          // with its append
	last     persistence.Version // of the aggregate after it
	repeats  persistence.Version // of the event with the outcome, when the command was done before
	snapshot *taken              // to be written when the call is durable
	settled  bool                // the outcome is known
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

// late reports that the caller has left or its time is over, so that the command need not
// be decided again.
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

// unavailable and overloaded make errors of the runtime itself: nothing was done.
func unavailable(reason string, err error) *persistence.Error {
	return &persistence.Error{Kind: persistence.ErrUnavailable, Reason: reason, Err: err}
}

func overloaded(reason string) *persistence.Error {
	return &persistence.Error{Kind: persistence.ErrOverloaded, Reason: reason}
}

// appended receives the journal's outcome, on the journal's goroutine. An error without a
// kind leaves the outcome unknown.
func (c *call) appended(o persistence.Outcome) {
	if o.Err != nil {
		if _, known := persistence.Classify(o.Err); !known {
			o.Err = &persistence.UnknownOutcomeError{Stream: c.stream(), Err: o.Err}
		}
	}
	c.outcome = o
	events := c.events
	if c.owner.crashed.Load() { // no state has them
		events = 0
	}
	c.owner.system.confirmations.note(o, events)
	c.owner.mailbox.post((*settled)(c))
}

// settled is the message that the append of a call has an outcome.
type settled call

// reset makes the call ready for the next Ask.
func (c *call) reset() {
	if c.timed {
		c.timer.Stop()
	}
	*c = call{waiter: waiter{answered: c.answered, timer: c.timer}, progress: progress{done: c.done}}
}

// firstAsked returns when the command was first asked, zero when that is not known. A time
// in the future comes from a wrong clock.
func (c *call) firstAsked() time.Time {
	if c.born.After(c.now.Add(dedupe.ClockSkew)) {
		return time.Time{}
	}
	return c.born
}

// question is the part of a call that was asked. It does not change until the answer.
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
	reacts    *persistence.Recorded // the event that is reacted to, instead of a command
	answers   persistence.CommandID // the sent command whose outcome is handled, instead of a command
	verdict   error                 // a rejection that was decided already, to be remembered
	asked     moment
	fresh     bool // the state must be proven current, see Fresh
	deadline  time.Time
}

// isPlain reports a command that only needs a decision on the state: it cannot have been
// done before, and names no version, no event and no outcome.
func (q *question) isPlain() bool {
	return q.class == generated && q.handler != waking && q.reacts == nil && q.verdict == nil &&
		q.answers == persistence.CommandID{} && q.ifVersion == persistence.Any
}

// mustBeCurrent reports that an answer without events has consequences, so that the state
// must be proven current: a reaction is not delivered again, a sender hears of an outcome,
// and a caller who repeats a command or names a version relies on the answer.
func (q *question) mustBeCurrent() bool {
	return q.fresh || q.class != generated || q.reacts != nil || q.ifVersion != persistence.Any || q.answers != persistence.CommandID{}
}

// lasting reports that the outcome of an accepted command is stored even when it raises
// nothing.
func (q *question) lasting() bool {
	return q.class == named || q.class == sent || q.class == again && q.born.IsZero()
}

// own reports that the aggregate of a stream has sent the command to itself.
func (q *question) own(stream persistence.StreamID) bool { return q.class == sent && q.from == stream }

// op names the command and the aggregate, for errors.
func (q *question) op() string {
	if q.handler == waking {
		return "wake " + string(q.stream())
	}
	return q.handler.command.Name() + " on " + string(q.stream())
}

// wrap gives an error of the runtime the form that callers see. An error that has the form
// already, such as that of [unavailable], gets the fields that it lacks. Others are wrapped,
// and nothing but their kind is taken from them.
func (q *question) wrap(err error) error {
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
