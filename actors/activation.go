package actors

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/persistence"
)

// phase is the stage of an activation. It handles commands in the last four phases; in the
// first two the mailbox holds them back.
type phase uint8

const (
	recovering phase = iota // reads the state
	draining                // waits for the outcome of appends, which decides what comes next
	live
	lost        // the state is gone; the next command has it read again
	failed      // the stream could not be read; commands get the error until retryAt
	quarantined // handlers panicked too often; commands get an error until retryAt
)

// activation is one stay of an aggregate in memory: an actor. Only its own goroutine
// touches its state.
type activation struct {
	system  *System
	key     key
	stream  persistence.StreamID
	mailbox mailbox
	slot    slot

	phase    phase
	folded                       // optimistic, with events on their way to the journal, except the position
	chain    *persistence.Chain  // of the appends decided on this state
	dirty    bool                // the state shows what will not be stored, or lacks what is stored
	stands   persistence.EventID // the event at the version, when the state only lacks what follows it; else zero
	alone    bool                // commands are decided one by one, to find the one that the journal refuses
	current  *call               // the one that is decided; neither pending nor answered yet
	handling *Tx                 // that of the handler while it runs
	copying  bool                // user code copies the state for a snapshot

	// pending are the decided commands in order; their answers wait for durability.
	// depth counts those on their way to the journal.
	pending fifo.Queue[*call]
	depth   depth
	// redo are commands to decide again after a recovery, before those of the mailbox.
	redo fifo.Queue[*call]
	// looking are repeated commands whose outcome is read from the journal. searching are
	// commands that may have been done: the history tells.
	looking   []*call
	searching []*call
	history   *history // nil while nobody searches
	// proving are decided commands without events that wait for a proof that the state is
	// current. proof is the question for it, nil when it was not asked.
	proving []*call
	proof   *confirmation

	held     bool // the mailbox keeps commands back
	stopping bool
	crashed  atomic.Bool // it takes no outcome of what is under way

	failure    error // what commands get in the last two phases, until retryAt
	retryAt    time.Time
	backoff    time.Duration // of recoveries
	quarantine time.Duration // the last one
	panics     []time.Time   // of the last panicWindow
}

// depth counts what an aggregate has decided ahead of the journal.
type depth struct{ calls, events, bytes int }

// Limits of deciding ahead.
const (
	maxDepthCalls  = 256
	maxDepthEvents = 1000
	maxDepthBytes  = 1 << 20
)

func (d *depth) add(c *call, sign int) {
	d.calls += sign
	d.events += sign * c.events
	d.bytes += sign * c.bytes
}

// Receive fulfils actor.Actor. A panic in our own code or in the journal's ends this
// activation and no other.
func (a *activation) Receive(ctx actor.Context) {
	returned := false
	defer func() {
		if !returned {
			a.notReturned(ctx, recover())
		}
	}()
	goesOn := true
	switch message := ctx.Message().(type) {
	case *call:
		if a.ready(message) {
			a.decide(message)
		}
	default:
		goesOn = a.act(message)
	}
	if goesOn {
		a.advance()
		if a.stopping {
			a.stopWhenIdle(ctx)
		}
	}
	returned = true
}

// goOn is the message that lets an activation go on after user code has ended its
// goroutine.
type goOn struct{}

// notReturned handles code that has panicked, or has ended the goroutine: then the reason
// is nil. A panic in user code is recovered closer to it. When user code ends the
// goroutine, the activation goes on with another one.
func (a *activation) notReturned(ctx actor.Context, reason any) {
	switch {
	case reason == nil && a.handling != nil:
		c, tx := a.current, a.handling
		a.submit(c, a.conclude(c, tx, nil, a.broken(c, tx, nil)))
		a.mailbox.post(&goOn{})
	case reason == nil && a.copying:
		a.system.snapshots.lost(a, a.system.ended(nil))
		a.mailbox.post(&goOn{})
	default:
		a.crash(ctx, reason)
	}
}

// act does what a message of the runtime asks for, and reports whether the activation may
// have to go on.
func (a *activation) act(message any) bool {
	switch message := message.(type) {
	case *settled:
		message.settled = true
	case *recovered:
		a.recovered(message)
	case *lookedUp:
		a.lookedUp(message)
	case *stretch:
		a.learn(message)
	case *confirmation:
		a.confirmed(message)
	case *goOn:
	case *stop:
		a.stopping = true
	case *retry:
		a.retry()
	case *actor.Started:
		a.recover()
	case *actor.Stopped:
		a.forgetHistory()
		a.system.gone(a)
		return false
	default:
		return false
	}
	return true
}

// retry ends the wait after failures early.
func (a *activation) retry() {
	if a.phase != failed && a.phase != quarantined {
		return
	}
	if a.phase == quarantined {
		a.system.troubles.clear(a.key)
	}
	a.phase, a.backoff, a.quarantine = lost, 0, 0
	a.slot.pinned.Store(0)
}

// advance does all that the activation can do without waiting. While it has to wait, the
// mailbox holds commands back.
func (a *activation) advance() {
	for {
		a.answer()
		switch {
		case a.phase == live && a.dirty:
			a.phase = draining
		case a.phase == draining && a.resolved():
			a.rebuild()
		case a.phase == live && a.redo.Len() > 0 && !a.full():
			a.again(a.redo.Pop())
		default:
			a.holdMailbox()
			a.confirm()
			return
		}
	}
}

// holdMailbox tells the mailbox whether to hold back the next commands.
func (a *activation) holdMailbox() {
	hold := a.phase == recovering || a.phase == draining || a.redo.Len() > 0 || a.phase == live && a.full()
	a.alone = a.alone && (hold || a.pending.Len() > 0)
	if hold != a.held {
		a.held = hold
		a.mailbox.hold(hold)
	}
}

// full reports that no more may be decided ahead of the journal.
func (a *activation) full() bool {
	if a.key.kind.strict || a.alone {
		return a.depth.calls > 0
	}
	return a.depth.calls >= maxDepthCalls || a.depth.events >= maxDepthEvents || a.depth.bytes >= maxDepthBytes
}

// again decides a command once more, unless its time is over.
func (a *activation) again(c *call) {
	switch {
	case c.late(time.Now()):
		a.refuse(c, unavailable(ReasonDeadline, context.DeadlineExceeded))
	case !c.reclaim():
		a.finish(c)
	default:
		a.decide(c)
	}
}

// resolved reports that the outcome of all appends is known. When none has failed, the
// proofs must be known too; after a failed append the commands are decided again anyway.
func (a *activation) resolved() bool {
	if a.pending.Len() == 0 {
		return len(a.proving) == 0
	}
	for i := range a.pending.Len() {
		if !(*a.pending.At(i)).settled {
			return false
		}
	}
	return true
}

// rebuild reads the state again after a failed append, or when it is dirty. Commands that
// were decided on it are answered, or decided again on what is stored.
func (a *activation) rebuild() {
	a.system.stats.rebuilds.Add(1)
	calls := a.pending.Clear()
	again := true
	if len(calls) > 0 {
		calls, again = a.failedAppend(calls)
	}
	for _, c := range slices.Concat(a.proving, calls, a.redo.Clear()) {
		a.redo.Push(c)
	}
	a.proving, a.proof = nil, nil
	if a.stands == (persistence.EventID{}) {
		a.folded = folded{}
	}
	a.dirty, a.depth, a.phase = false, depth{}, lost
	switch {
	case len(a.panics) >= maxPanics:
		a.isolate()
	case again || a.redo.Len() > 0:
		a.recover()
	}
	a.folded, a.stands = folded{}, persistence.EventID{}
	a.settleSearch()
}

// failedAppend answers the calls that cannot be decided again, and returns the others. The
// append of the first call has failed, and those behind it were decided on its events. It
// also reports whether the state should be read at once.
func (a *activation) failedAppend(calls []*call) ([]*call, bool) {
	first := calls[0]
	err := first.outcome.Err
	a.system.notStored(err)
	switch persistence.ErrorKindOf(err) {
	case persistence.ErrConflict:
		a.system.stats.conflicts.Add(1)
		if first.rounds++; first.rounds <= maxRounds && first.ifVersion == persistence.Any {
			return calls, true
		}
		a.refuse(first, err)
		return calls[1:], true
	case persistence.ErrInvalid, persistence.ErrRejected:
		// A journal may store several appends as one; perhaps only one of them is at fault.
		if a.alone = a.alone || len(calls) > 1; len(calls) > 1 {
			return calls, true
		}
		a.refuse(first, err)
		return nil, true
	case persistence.ErrCorrupt:
		a.system.config.Logger.Error("stream is not what this node wrote", slog.String("stream", string(a.stream)), slog.Any("err", err))
	}
	for _, c := range calls {
		switch {
		case c.outcome.Err == nil && c.repeats == 0: // it raised nothing
			a.refuse(c, unavailable(ReasonAppend, nil))
			continue
		case c.outcome.Err == nil: // what it repeats failed
			a.refuse(c, err)
			continue
		case persistence.ErrorKindOf(c.outcome.Err) == persistence.ErrUnknownOutcome:
			a.system.stats.unknown.Add(1)
		}
		a.refuse(c, c.outcome.Err)
	}
	return nil, false
}

// isolate quarantines an aggregate whose handlers panic, so that it does not use up the
// processor.
func (a *activation) isolate() {
	if time.Since(a.retryAt) > longestQuarantine {
		a.quarantine = 0
	}
	a.quarantine = min(max(2*a.quarantine, shortestQuarantine), longestQuarantine)
	a.block(quarantined, a.quarantine, unavailable(ReasonQuarantined, nil))
	a.panics = nil
	a.slot.pinned.Store(a.retryAt.Unix() + 1)
	a.system.config.Logger.Error("aggregate quarantined", slog.String("stream", string(a.stream)), slog.Duration("duration", a.quarantine))
}

// block answers every command with an error for a time.
func (a *activation) block(p phase, d time.Duration, err error) {
	now := time.Now()
	a.phase, a.failure, a.retryAt = p, err, now.Add(d)
	a.system.troubles.note(a.key, p, a.retryAt, err)
	for a.redo.Len() > 0 {
		a.refuse(a.redo.Pop(), a.blocked(now))
	}
}

// blocked is the error of an aggregate that answers no command until retryAt.
func (a *activation) blocked(now time.Time) error {
	blocked := persistence.Error{Kind: persistence.ErrorKindOf(a.failure), Err: a.failure}
	if own, ok := a.failure.(*persistence.Error); ok { //nolint:errorlint // one further down is somebody else's
		blocked = *own
	}
	if blocked.Kind != persistence.ErrCorrupt { // which no waiting mends
		blocked.RetryAfter = a.retryAt.Sub(now)
	}
	return &blocked
}

// Bounds of the failure policy.
const (
	maxRounds          = 2 // further decisions after conflicts
	maxPanics          = 5 // in a panicWindow
	panicWindow        = time.Minute
	shortestQuarantine = time.Minute
	longestQuarantine  = 30 * time.Minute
	shortestBackoff    = 200 * time.Millisecond
	longestBackoff     = 30 * time.Second // while the stream is corrupt
	longestAway        = 5 * time.Second  // while the journal is away
)

// recover has the state read. Until then the mailbox holds commands back.
func (a *activation) recover() {
	a.phase = recovering
	if err := a.system.recoveries.enqueue(a, a.redo.Len() > 0); err != nil {
		a.recovered(&recovered{err: err})
	}
}

// recovered takes the state that was read, or the reason why there is none.
func (a *activation) recovered(r *recovered) {
	switch {
	case r.err == nil:
		a.system.stats.recoveries.Add(1)
		a.system.troubles.clear(a.key)
		a.phase, a.folded = live, r.folded
		a.known = max(a.known, a.position.Offset)
		a.chain, a.failure, a.backoff = &persistence.Chain{}, nil, 0
		a.offerOpen()
	case errors.Is(r.err, errNobodyWaits):
		a.phase = lost
	default:
		err, longest := unread(r.err), longestAway
		if persistence.ErrorKindOf(err) == persistence.ErrCorrupt {
			longest = longestBackoff
		}
		a.backoff = min(max(2*a.backoff, shortestBackoff), longest)
		a.block(failed, spread(a.backoff, a.key), err)
	}
	a.settleSearch()
}

// unread returns the error for callers when a stream could not be read. Nothing was done,
// whatever the journal said; only a corrupt stream is worse than unavailable.
func unread(err error) error {
	switch persistence.ErrorKindOf(err) {
	case persistence.ErrCorrupt, persistence.ErrUnavailable, persistence.ErrOverloaded:
		return err
	}
	return unavailable(ReasonRecovery, err)
}

// stopWhenIdle ends the activation when every command has its answer.
func (a *activation) stopWhenIdle(ctx actor.Context) {
	if a.pending.Len() > 0 || a.redo.Len() > 0 || len(a.looking)+len(a.searching)+len(a.proving) > 0 || a.phase == recovering || a.phase == draining || a.mailbox.waiting() > 0 {
		return
	}
	a.system.park(a, a.mailbox.close())
	ctx.Stop(ctx.Self())
}

// crash answers all callers after a panic in our own code, and stops the activation.
func (a *activation) crash(ctx actor.Context, reason any) {
	a.system.config.Logger.Error("activation crashed", slog.String("stream", string(a.stream)), slog.Any("err", a.system.traced(reason)))
	a.crashed.Store(true)
	a.system.markStopping(a)
	calls := slices.Concat(a.proving, a.pending.Clear(), a.redo.Clear())
	a.proving = nil
	for _, c := range a.looking {
		c.astray = true // the lookup has it still
		calls = append(calls, c)
	}
	a.looking = nil
	calls = append(calls, a.takeSearching()...)
	a.forgetHistory()
	if a.current != nil {
		calls = append(calls, a.current)
	}
	for _, c := range append(calls, a.mailbox.close()...) {
		switch {
		case c.owner != nil && !c.settled:
			c.astray = true
			a.system.stats.unknown.Add(1)
			a.refuse(c, &persistence.Error{Kind: persistence.ErrUnknownOutcome, Reason: ReasonCrash})
		case c.events > 0 && c.outcome.Err == nil: // durable
			a.finish(c)
			c.answer()
		default:
			a.refuse(c, unavailable(ReasonCrash, nil))
		}
	}
	ctx.Stop(ctx.Self())
}
