package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/persistence"
)

// Bounds of delivery.
const (
	maxDeliveries    = 1024 // lanes that wait for an answer at the same time
	maxDeliveryQueue = 50_000
	// maxRousing is the number of aggregates that are woken at the same time, with the
	// commands that they send then: what is late comes in order, but for about so many,
	// and a backlog of it leaves room for what is live.
	maxRousing         = 128
	slowRousing        = time.Second // one that takes longer makes room for others
	shortestRedelivery = 50 * time.Millisecond
	longestRedelivery  = 30 * time.Second
	// leastTried is for how long a system tries a command at least before it gives it up:
	// a clock that is wrong for a moment gives nothing up.
	leastTried = time.Minute
)

// deliverer is the outbox: it takes sent commands to their aggregates, and the outcomes
// back. It holds nothing that matters: what is sent stands in the streams of the senders,
// and whoever wakes a sender has it offer again what is open. So one that could not be
// delivered is forgotten here, but for the time at which its sender is woken.
type deliverer struct {
	system *System
	ctx    context.Context //nolint:containedctx // ends with the system: workers outlive every call
	cancel context.CancelCauseFunc
	alarm  chan struct{} // receives when the next wake-up has changed

	mu         sync.Mutex // protects the rest
	taken      map[persistence.CommandID]bool
	lanes      map[laneKey]*lane
	ready      fifo.Queue[*lane] // with something to do
	waiting    int               // lanes that wait for an answer, or have it
	queued     int
	workers    int
	backoffs   map[laneKey]*backoff
	backoffsOf map[key]int    // how many of them a sender has
	reported   map[aside]bool // of commands that were set aside
	wakes      wakes
	waking     map[key]*wake
	// rousing counts wake-ups, and the commands that they had delivered, until they have
	// an answer; roused holds them, the oldest first, with some that have ended.
	rousing int
	roused  fifo.Queue[*sending]
	// ahead is how long before its time something is held for waking; the rest the
	// sweep brings when it is near. 0 is however long.
	ahead   time.Duration
	closed  bool // takes nothing more
	stopped bool // and does nothing more
	done    sync.WaitGroup
}

// laneKey names a sender and a receiver. In a lane one thing happens after the other.
type laneKey struct {
	from     key
	kind, to string
	alone    persistence.CommandID // of a command that waits and holds up no other; see apart
}

// lane holds the commands from one aggregate to another: the command to deliver now, and
// those that come after it. Nobody waits for the answers that it needs: whoever answers
// goes on with the lane, which is to hand the next call over, so that it costs no
// goroutine.
type lane struct {
	laneKey
	deliverer   *deliverer
	first, last *sending // one without a command is a wake-up
	stage       stage
	handler     *handler // of what was asked, if it was
	got         outcome  // of what was asked
}

// stage says for which step a lane waits.
type stage uint8

const (
	idle      stage = iota
	asking          // the aggregate that the command is for
	reporting       // the sender, to handle the outcome or to wake up
)

func newDeliverer(s *System) *deliverer {
	d := &deliverer{
		system: s, alarm: make(chan struct{}, 1), taken: map[persistence.CommandID]bool{}, lanes: map[laneKey]*lane{},
		backoffs: map[laneKey]*backoff{}, backoffsOf: map[key]int{}, waking: map[key]*wake{}, reported: map[aside]bool{},
	}
	d.ctx, d.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // a root, ended by stop
	return d
}

// offer takes what is open of an aggregate: what is due is delivered, and for the others
// the aggregate is woken in time.
func (d *deliverer) offer(of key, open []*sending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sort(of, open, d.lanes[laneKey{from: of}] != nil)
}

// stored takes what the append of a command has opened. While lanes of the sender back off
// it looks at all that it has open, so that nothing overtakes what was sent before.
func (d *deliverer) stored(of key, c *call, open []*sending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.backoffsOf[of] == 0 {
		d.sort(of, c.sends, false)
		return
	}
	for _, s := range c.ended {
		to := s.lane(of)
		if d.backoffs[to].of(s) {
			d.clearBackoff(to)
		}
		d.clearBackoff(to.apart(s))
	}
	d.sort(of, open, false)
}

// sort puts what is due into lanes, in the order of time, of an aggregate that was woken
// or not. The lock is held.
func (d *deliverer) sort(of key, open []*sending, woken bool) {
	now := time.Now()
	inTime := open
	if !slices.IsSortedFunc(open, earlier) {
		inTime = slices.SortedStableFunc(slices.Values(open), earlier)
	}
	for _, s := range inTime {
		to := s.lane(of)
		if d.backoffs[to.apart(s)] != nil {
			to = to.apart(s)
		}
		switch {
		case !s.stored: // it is offered when it is
		case s.due().After(now):
			if d.ahead == 0 || s.due().Sub(now) <= d.ahead {
				d.wakeAt(of, s.due())
			}
			return
		case d.taken[s.id] || d.backsOff(to, open, now):
		case d.queued >= maxDeliveryQueue:
			if d.backoffs[to] == nil {
				d.setBackoff(to, &backoff{id: s.id, due: s.GetDue()})
			}
			d.backoffs[to].until = now.Add(shortestRedelivery)
			d.wakeAt(of, d.backoffs[to].until)
		default:
			d.taken[s.id] = true
			d.push(to, s, woken)
		}
	}
}

// lane is where a command waits for its turn.
func (s *sending) lane(from key) laneKey {
	return laneKey{from: from, kind: s.GetKind(), to: s.GetId()}
}

func earlier(a, b *sending) int { return cmp.Compare(a.GetDue(), b.GetDue()) }

// push puts something into a lane. The lock is held.
func (d *deliverer) push(to laneKey, s *sending, woken bool) {
	if d.closed {
		return
	}
	d.queued++
	if woken {
		d.rousing++
		s.roused = time.Now()
		d.roused.Push(s)
	}
	s.next = nil
	if l := d.lanes[to]; l != nil {
		l.last.next = s
		l.last = s
		return
	}
	l := &lane{laneKey: to, deliverer: d, first: s, last: s}
	d.lanes[to] = l
	d.ready.Push(l)
	d.hire()
}

// hire sees to it that somebody works. The lock is held.
func (d *deliverer) hire() {
	if !d.stopped && d.workers < runtime.GOMAXPROCS(0) {
		d.workers++
		d.done.Go(d.work) // owned by the system, see Close
	}
}

// work begins with what is ready until there is nothing to do but to wait.
func (d *deliverer) work() {
	for l := d.next(); l != nil; l = d.next() {
		d.serve(l)
	}
}

// next returns the lane to begin with now, or ends the worker.
func (d *deliverer) next() *lane {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ready.Len() == 0 || d.waiting >= maxDeliveries || d.closed {
		d.workers--
		return nil
	}
	d.waiting++
	return d.ready.Pop()
}

// serve does what comes next in a lane.
func (d *deliverer) serve(l *lane) {
	switch s := l.first; {
	case l.stage == asking:
		d.heard(l, s)
	case l.stage == reporting && l.got.err != nil && s.Sent != nil:
		err := unhandled(l.got.err)
		// A system that stops, or a journal that is away, says nothing about the outcome.
		if _, failed := err.(*unhandledError); failed { //nolint:errorlint // ours, never wrapped
			d.system.config.Logger.Warn("outcome not handled yet", slog.String("stream", string(l.from.stream())),
				slog.String("command", s.GetCommand()), slog.Any("err", l.got.err))
		}
		d.end(l, err)
	case l.stage == reporting:
		d.end(l, l.got.err)
	case s.Sent == nil:
		d.ask(l, reporting, d.system.inner(l.from, waking, s.message, persistence.CommandID{}, nil))
	default:
		d.deliver(l, s)
	}
}

// ask hands over a call. Its answer goes on with the lane.
func (d *deliverer) ask(l *lane, next stage, c *call) {
	l.stage, c.lane = next, l
	d.system.inFlight.add(c)
	if err := d.system.deliver(c); err != nil {
		d.system.inFlight.remove(c)
		c.err = c.wrap(err)
		l.answer(c)
	}
}

// fail is the answer when nobody could be asked.
func (l *lane) fail(err error) {
	l.stage = asking
	l.back(nil, err)
}

// answer takes the answer to what was asked in the lane.
func (l *lane) answer(c *call) { l.back(l.deliverer.system.received(c, nil)) }

func (l *lane) back(reply any, err error) {
	d := l.deliverer
	d.mu.Lock()
	stopped := d.stopped
	d.mu.Unlock()
	if l.got = (outcome{reply, err}); !stopped {
		d.serve(l)
	}
}

// end ends what was done in a lane. After a failure, what comes behind it in the lane
// waits with it.
func (d *deliverer) end(l *lane, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.clearBackoff(l.laneKey)
		d.drop(l)
	} else {
		d.backOff(l, err)
		for l.first != nil {
			d.drop(l)
		}
	}
	d.leave(l)
}

// leave goes on with the next of a lane, when it is its turn. The lock is held.
func (d *deliverer) leave(l *lane) {
	d.waiting--
	l.stage, l.handler, l.got = idle, nil, outcome{}
	if l.first == nil {
		delete(d.lanes, l.laneKey)
	} else {
		d.ready.Push(l)
	}
	if d.ready.Len() > 0 {
		d.hire()
	}
}

// drop forgets the first of a lane. The lock is held.
func (d *deliverer) drop(l *lane) {
	d.queued--
	if l.first.Sent != nil {
		delete(d.taken, l.first.id)
	}
	d.calm(l.first)
	l.first = l.first.next
}

// deliver asks the aggregate that a command is for. It may do so more than once for one
// command: who is asked knows it again.
func (d *deliverer) deliver(l *lane, s *sending) {
	of := d.system.definitions[s.GetKind()]
	h, message, content, err := d.system.readSentApart(s, l.from.stream())
	switch {
	case errors.Is(err, errNotHosted):
		l.fail(unavailable(ReasonNotHosted, fmt.Errorf("kind %s is not hosted here", s.GetKind())))
		return
	case errors.Is(err, errDropped):
		l.stage, l.got = asking, outcome{err: &UndeliveredError{Kind: s.GetKind(), ID: s.GetId(), Command: s.GetCommand(), After: max(0, time.Since(s.due())), Err: err}}
		d.report(l, s)
		return
	case err != nil:
		d.setAside(l, err)
		return
	}
	l.handler = h
	known := identity{id: s.id, class: sent, born: s.due(), from: l.from.stream(), after: s.position}
	if len(d.system.config.Around) > 0 || of.logging != 0 {
		l.stage = asking
		request := Request{
			identity: known, kind: s.GetKind(), aggregate: s.GetId(), message: message, ifVersion: persistence.Any,
			command: h.command.GoType(), reply: h.reply.GoType(),
		}
		ctx := withOrigin(d.ctx, func(next *origin) { *next = *s.origin() })
		d.done.Go(func() { // ended by stop; what stands around may take its time
			returned := false
			defer func() {
				if !returned {
					l.back(nil, d.system.refused(recover()))
				}
			}()
			reply, err := d.system.Ask(ctx, request)
			returned = true
			l.back(reply, err)
		})
		return
	}
	c := d.system.inner(key{of, s.GetId()}, h, message, s.id, s.origin())
	c.identity, c.digest, c.size = known, content, len(s.GetPayload())
	d.ask(l, asking, c)
}

// tried is for how long a command has failed here, by a clock that nobody sets.
func (d *deliverer) tried(to laneKey, s *sending) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.backoffs[to]; r.of(s) && !r.parked() {
		return time.Since(r.since)
	}
	return 0
}

// heard takes what came of a command: an outcome to report, or nothing yet.
func (d *deliverer) heard(l *lane, s *sending) {
	failed, ok := l.got.err.(*persistence.Error) //nolint:errorlint // the outermost is the runtime's
	switch {
	case ok && failed.Reason == ReasonReplyCorrupt && d.system.resultOf(l.from.kind, s.GetCommand()) != nil:
		d.setAside(l, failed)
		return
	case ok && failed.Reason == ReasonReplyCorrupt: // it is done, and nobody wants to hear more
		l.got = outcome{}
	case ok && failed.Reason != ReasonReplyNotKept:
		after := time.Since(s.due())
		if limit := d.system.config.GiveUpAfter; after < limit || d.tried(l.laneKey, s) < min(limit, leastTried) {
			d.system.config.Logger.Debug("command not delivered yet", slog.String("stream", string(l.from.stream())),
				slog.String("command", s.GetCommand()), slog.Any("err", failed))
			d.end(l, failed)
			return
		}
		l.got = outcome{err: &UndeliveredError{Kind: s.GetKind(), ID: s.GetId(), Command: s.GetCommand(), After: after, Err: failed}}
		d.mu.Lock()
		d.tell("sent command given up", l, causeOf(failed), failed)
		d.mu.Unlock()
	case l.got.err != nil && !ok:
		l.got.err = d.system.definitions[s.GetKind()].rejection(l.got.err)
	}
	d.report(l, s)
}

// report has the sender handle an outcome. It may do so more than once: the sender
// knows what is open.
func (d *deliverer) report(l *lane, s *sending) {
	result, h := d.system.resultOf(l.from.kind, s.GetCommand()), l.handler
	switch {
	case result != nil:
	case h == nil:
		result = unheard(d.system.anyHandler(l.from.kind))
	case l.got.err == nil && l.from.kind.kind == s.GetKind() && l.from.id == s.GetId():
		d.end(l, nil) // its own append has ended it
		return
	default:
		result = unheard(h)
	}
	got := l.got
	c := d.system.inner(l.from, result, &got, resultID(s.id), s.origin())
	c.answers = s.id
	d.ask(l, reporting, c)
}

// anyHandler stands for a command that is unknown here.
func (s *System) anyHandler(d *definition) *handler {
	for _, h := range d.handlers {
		return h
	}
	for _, on := range d.reactions {
		return &on.handler
	}
	return nil
}

// origin is what the aggregate that gets the command, or its outcome, is told of
// where it comes from.
func (s *sending) origin() *origin {
	if s.cause == nil {
		from, command := stored.ReadOrigin(s.headers)
		from.Causation = command
		s.cause = &origin{Origin: from, checked: checkedBefore}
	}
	return s.cause
}

// shut takes nothing more. Deliveries that are under way end with the system.
func (d *deliverer) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// stop ends what is under way. Answers that come later are of no use any more.
func (d *deliverer) stop() {
	d.cancel(errSystemClosed)
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.done.Wait()
}
