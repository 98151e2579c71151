package actors

import (
	"cmp"
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Bounds of delivery.
const (
	maxDeliveries       = 1024 // at the same time
	maxDeliveryQueue    = 50_000
	shortestRedelivery  = 50 * time.Millisecond
	longestRedelivery   = 30 * time.Second
	shortestHandleAgain = 5 * time.Second // a Result that failed
)

// deliverer takes what aggregates have sent to whom it is for, and the outcome back.
// It holds nothing that matters: what is sent stands in the streams of the senders,
// and whoever wakes a sender has it offer again what is open. So one that could not
// be delivered is forgotten here, but for the time at which its sender is woken.
type deliverer struct {
	system *System
	ctx    context.Context //nolint:containedctx // ends with the system: workers outlive every call
	cancel context.CancelCauseFunc
	alarm  chan struct{} // receives when the next wake-up has changed

	mu       sync.Mutex // protects the rest
	taken    map[persistence.CommandID]bool
	lanes    map[laneKey]*lane
	ready    fifo.Queue[*lane]
	queued   int
	workers  int
	failures map[key]int // deliveries in a row without outcome, by sender
	wakes    wakes
	waking   map[key]*wake
	closed   bool
	done     sync.WaitGroup
}

// laneKey is who sends to whom. In a lane one thing happens after the other.
type laneKey struct {
	from     key
	kind, to string
}

type lane struct {
	laneKey
	waiting fifo.Queue[*sending] // nil is a wake-up
}

// wake is a time at which an aggregate is woken to go on with what it has open.
type wake struct {
	at time.Time
	of key
	i  int
}

type wakes []*wake

func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(i, j int) bool { return w[i].at.Before(w[j].at) }
func (w wakes) Swap(i, j int)      { w[i], w[j] = w[j], w[i]; w[i].i, w[j].i = i, j }
func (w *wakes) Push(x any) {
	next := x.(*wake) //nolint:forcetypeassert // ours
	next.i = len(*w)
	*w = append(*w, next)
}

func (w *wakes) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

func newDeliverer(s *System) *deliverer {
	d := &deliverer{
		system: s, alarm: make(chan struct{}, 1), taken: map[persistence.CommandID]bool{}, lanes: map[laneKey]*lane{},
		failures: map[key]int{}, waking: map[key]*wake{},
	}
	d.ctx, d.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // a root, ended by stop
	return d
}

// offer takes what is open of an aggregate: what is due to be delivered now, the
// rest to be woken for.
func (d *deliverer) offer(of key, open []*sending) {
	now := time.Now()
	inTime := slices.SortedStableFunc(slices.Values(open), func(a, b *sending) int { return cmp.Compare(a.GetDue(), b.GetDue()) })
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range inTime {
		switch {
		case !s.stored: // it is offered when it is
		case s.due.After(now):
			d.wakeAt(of, s.due)
			return
		case d.taken[s.id]:
		case d.queued >= maxDeliveryQueue:
			d.wakeAt(of, now.Add(shortestRedelivery))
			return
		default:
			d.taken[s.id] = true
			d.push(laneKey{of, s.GetKind(), s.GetId()}, s)
		}
	}
}

// push puts something into a lane. The lock is held.
func (d *deliverer) push(to laneKey, s *sending) {
	if d.closed {
		return
	}
	l := d.lanes[to]
	if l == nil {
		l = &lane{laneKey: to}
		d.lanes[to] = l
		d.ready.Push(l)
	}
	l.waiting.Push(s)
	if d.queued++; d.workers < maxDeliveries {
		d.workers++
		d.done.Go(d.work) // owned by the system, see Close
	}
}

// wakeAt has an aggregate woken at a time, if it is not woken before. The lock is
// held.
func (d *deliverer) wakeAt(of key, at time.Time) {
	w := d.waking[of]
	switch {
	case w == nil:
		w = &wake{at: at, of: of}
		d.waking[of] = w
		heap.Push(&d.wakes, w)
	case at.Before(w.at):
		w.at = at
		heap.Fix(&d.wakes, w.i)
	}
	if w.i == 0 {
		select {
		case d.alarm <- struct{}{}:
		default:
		}
	}
}

// keepTime wakes aggregates when it is time.
func (d *deliverer) keepTime(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(d.ring(time.Now()))
		select {
		case <-timer.C:
		case <-d.alarm:
		case <-ctx.Done():
			return nil
		}
	}
}

// ring wakes those whose time has come, the earliest first, and returns how long it
// is to the next.
func (d *deliverer) ring(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.wakes) > 0 && !d.wakes[0].at.After(now) {
		if d.queued >= maxDeliveryQueue {
			return shortestRedelivery
		}
		w := heap.Pop(&d.wakes).(*wake) //nolint:forcetypeassert // ours
		delete(d.waking, w.of)
		d.push(laneKey{from: w.of}, nil)
	}
	if len(d.wakes) == 0 {
		return time.Hour
	}
	return d.wakes[0].at.Sub(now)
}

// work serves lanes until there is nothing to do.
func (d *deliverer) work() {
	for l, s := d.next(nil, nil); l != nil; l, s = d.next(l, d.serve(l.from, s)) {
	}
}

// serve does what waits in a lane.
func (d *deliverer) serve(from key, s *sending) error {
	if s == nil {
		return d.wake(from)
	}
	return d.deliver(from, s)
}

// next ends what was done in a lane and returns the lane to serve now, or ends the
// worker, and what comes first in it. What follows a failure in a lane waits with it for its sender to be woken.
func (d *deliverer) next(l *lane, err error) (*lane, *sending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l != nil {
		d.end(l, err)
	}
	if d.ready.Len() == 0 || d.closed {
		d.workers--
		return nil, nil
	}
	l = d.ready.Pop()
	return l, *l.waiting.At(0)
}

func (d *deliverer) end(l *lane, err error) {
	ended := 1
	if err == nil {
		delete(d.failures, l.from)
	} else {
		ended = l.waiting.Len()
		d.failures[l.from]++
		d.wakeAt(l.from, time.Now().Add(d.pause(l.from, err)))
	}
	for range ended {
		d.queued--
		if s := l.waiting.Pop(); s != nil {
			delete(d.taken, s.id)
		}
	}
	if l.waiting.Len() == 0 {
		delete(d.lanes, l.laneKey)
		return
	}
	d.ready.Push(l)
}

// pause is how long a sender rests after a failure.
func (d *deliverer) pause(of key, err error) time.Duration {
	least := shortestRedelivery
	if _, unhandled := err.(*unhandledError); unhandled { //nolint:errorlint // ours, never wrapped
		least = shortestHandleAgain
	}
	pause := min(least<<min(d.failures[of]-1, 10), longestRedelivery)
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64()))
}

// wake has an aggregate in memory, and go on.
func (d *deliverer) wake(of key) error {
	return d.system.askInner(d.system.inner(of, waking, nil, persistence.CommandID{}, nil))
}

// unhandledError is an outcome that the sender could not handle.
type unhandledError struct{ err error }

func (e *unhandledError) Error() string { return "handle the outcome: " + e.err.Error() }

// deliver asks for whom a command is and tells its sender the outcome. Either may
// happen more than once for one command: who is asked knows it again, and the sender
// knows what is open.
func (d *deliverer) deliver(from key, s *sending) error {
	of := d.system.definitions[s.GetKind()]
	h := of.byName(s.GetCommand())
	var got outcome
	if h == nil {
		got.err = &persistence.UnavailableError{Reason: "kind " + s.GetKind() + " with a Handle for " + s.GetCommand() + " is not hosted here"}
	} else if message, err := h.command.Decode(s.GetPayload()); err != nil {
		got.err = &persistence.CorruptError{Stream: from.stream(), Reason: "a command that was sent cannot be decoded", Err: err}
	} else {
		got.reply, got.err = d.system.Ask(s.context(d.ctx), Request{
			identity: identity{id: s.id, class: sent, born: s.due, from: from.stream()},
			kind:     s.GetKind(), aggregate: s.GetId(), message: message, ifVersion: persistence.Any,
			command: h.command.GoType(), reply: h.reply.GoType(),
		})
	}
	if failed, ok := got.err.(*persistence.Error); ok && failed.Reason != reasonNotKept || h == nil || got.err != nil && !ok && notAnswer(got.err) { //nolint:errorlint // the outermost is the runtime's
		after := time.Since(s.due)
		if after < d.system.config.GiveUpAfter {
			d.system.config.Logger.Debug("command not delivered yet", slog.String("stream", string(from.stream())),
				slog.String("command", s.GetCommand()), slog.Any("err", got.err))
			return got.err
		}
		got = outcome{err: &UndeliveredError{Kind: s.GetKind(), ID: s.GetId(), Command: s.GetCommand(), After: after, Err: got.err}}
	} else if got.err != nil && !ok {
		got.err = of.rejection(got.err)
	}
	return d.report(from, s, h, got)
}

// notAnswer tells failures of the deliverer's own from what an aggregate said.
func notAnswer(err error) bool {
	_, corrupt := err.(*persistence.CorruptError) //nolint:errorlint // as deliver made it
	return corrupt
}

// report has the sender handle an outcome.
func (d *deliverer) report(from key, s *sending, h *handler, got outcome) error {
	result := from.kind.results[s.GetCommand()]
	switch {
	case result == nil && h == nil:
		result = unheard(d.system.anyHandler(from.kind))
	case result == nil && from.stream() == persistence.StreamID(s.GetKind()+"-"+s.GetId()) && got.err == nil:
		return nil // its own append has ended it
	case result == nil:
		result = unheard(h)
	}
	c := d.system.inner(from, result, &got, resultID(s.id), s.origin())
	c.answers = s.id
	if err := d.system.askInner(c); err != nil {
		d.system.config.Logger.Warn("outcome not handled yet", slog.String("stream", string(from.stream())),
			slog.String("command", s.GetCommand()), slog.Any("err", err))
		return &unhandledError{err}
	}
	return nil
}

// anyHandler stands for a command that is unknown here.
func (s *System) anyHandler(d *definition) *handler {
	for _, h := range d.handlers {
		return h
	}
	return nil
}

// origin is what the aggregate that gets the command, or its outcome, is told of
// where it comes from.
func (s *sending) origin() *origin {
	var about stelev1.Headers
	if proto.Unmarshal(s.headers, &about) != nil {
		return nil
	}
	o := &origin{actor: about.GetActor(), traceparent: about.GetTraceparent()}
	copy(o.causation[:], about.GetCommandId())
	copy(o.correlation[:], about.GetCorrelationId())
	return o
}

func (s *sending) context(ctx context.Context) context.Context {
	if o := s.origin(); o != nil {
		return withOrigin(ctx, func(next *origin) { *next = *o })
	}
	return ctx
}

// shut takes nothing more. What is under way ends with the system.
func (d *deliverer) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// stop ends what is under way.
func (d *deliverer) stop() {
	d.cancel(errSystemClosed)
	d.done.Wait()
}
