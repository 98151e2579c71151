package appending

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/breaker"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// UnderWay is the number of batches that are under way at a time: the server works on
// one while the next is formed and sent. A third gains nothing.
const UnderWay = 2

// Committer stores batches. Two goroutines share it. The queue's goroutine calls Commit,
// which sends a batch. The journal's own is in Run, which receives the answers and settles
// the appends; after a lost connection it finds out which of them were stored.
type Committer struct {
	config  Config
	host    Host
	breaker *breaker.Breaker

	// slots bounds the batches under way. Commit takes the slot of the next batch before
	// that batch is formed, so that the batch has all appends that arrive until then.
	slots   chan struct{}
	hasSlot bool // used by Commit only
	batches int  // so far; used by Commit only

	// sending orders what is written to the link as inFlight is ordered.
	sending  sync.Mutex
	requests wire.Requests // reused, under sending

	// early says that writers release the order lock early. The log is then flushed behind
	// every flight.
	early atomic.Bool
	// skipSingle says that the short function has refused an event. The next batch goes out
	// by the lean function, whose answer tells whether writers release the lock early.
	skipSingle atomic.Bool

	mu         sync.Mutex
	arrived    sync.Cond // inFlight has become non-empty, or closed true
	inFlight   []*flight // in the order in which they are sent and answered
	link       *link     // nil while there is none; flights then wait for Run to connect
	closed     bool      // no more flights come
	newest     proof     // the newest event that the link has stored
	fallback   fallback
	contention contention

	// Used by Run only: the backends of lost links whose end is not certain, and the reason
	// why the last link was lost.
	lost  []backend
	cause error
}

// New returns a committer for a journal. Nothing is stored until [Committer.Run] runs.
func New(config Config, host Host) *Committer {
	c := &Committer{config: config, host: host, breaker: breaker.New(), slots: make(chan struct{}, UnderWay)}
	c.arrived.L = &c.mu
	c.requests.Unnamed = !config.Prepared
	c.slots <- struct{}{}
	c.hasSlot = true
	return c
}

// Refuse returns [*persistence.UnavailableError] while the server is away.
func (c *Committer) Refuse() error { return c.breaker.Refuse() }

// Away reports whether the server was away when it was asked last.
func (c *Committer) Away() bool { return c.breaker.IsOpen() }

// Answered says that the server answers again, so the next append may try.
func (c *Committer) Answered() { c.breaker.Answered() }

// Commit sends a batch and returns when there is room for the next one.
func (c *Committer) Commit(b *appender.Batch) {
	if err := c.breaker.Refuse(); err != nil {
		settleAll(b, err)
		return
	}
	if !c.hasSlot {
		select {
		case c.slots <- struct{}{}:
		default: // the flights that hold the slots are asking for the server already
			settleAll(b, &persistence.UnavailableError{Reason: "the server is away"})
			return
		}
	}
	c.hasSlot = true
	f, err := c.prepare(b)
	if err != nil {
		settleAll(b, c.unsentError("the streams cannot be looked up", err))
		return
	}
	if len(f.calls) == 0 {
		return
	}
	c.hasSlot = false
	c.launch(f)
	select {
	case c.slots <- struct{}{}:
		c.hasSlot = true
		// The callers of the appends that were just settled are ready to run, but behind
		// this goroutine. The next batch should have what they append.
		runtime.Gosched()
	case <-c.breaker.Opened(): // callers that wait are to be answered, not kept
	}
}

// unsentError translates an error from before anything was sent, and counts it as a failure
// of the server. A server that does not have the journal is not away.
func (c *Committer) unsentError(reason string, err error) error {
	if lasting := c.host.Missing(err); lasting != nil {
		return lasting
	}
	c.breaker.Failed(Public(err))
	return Unavailable(reason, err)
}

func settleAll(b *appender.Batch, err error) {
	appender.Again(func() {
		for i := range b.Items {
			b.Settle(i, persistence.Outcome{Err: err})
		}
	})
}

// launch puts a flight behind all others, but before those of later batches that wait for
// it. It sends the flight if there is a link.
func (c *Committer) launch(f *flight) {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.mu.Lock()
	link := c.link
	if f.epoch != c.config.Streams.Epoch() {
		link = nil // run has to look up its streams again
	}
	at := slices.IndexFunc(c.inFlight, func(other *flight) bool { return other.link == nil && other.follows && other.order > f.order })
	if at < 0 {
		at = len(c.inFlight)
	}
	var last *flight
	if at > 0 {
		last = c.inFlight[at-1]
	}
	if last != nil && last.link == nil {
		link = nil // nothing overtakes
	}
	if f.follows && !f.buildOn(last) {
		link = nil // what it builds on is to be settled first, which run waits for
	}
	c.assign(f, link)
	c.inFlight = slices.Insert(c.inFlight, at, f)
	c.arrived.Signal()
	c.mu.Unlock()
	if link == nil {
		return
	}
	if f.whole() {
		f.batch.LetFollow()
	}
	c.write(f)
}

// assign says on which link a flight goes out, nil for none yet. The caller holds mu.
func (c *Committer) assign(f *flight, l *link) {
	f.link = l
	f.flush = c.early.Load() || f.mayBeStored() // an earlier attempt may have stored it and not flushed it
	f.early = f.flush && !c.config.KeepLock
}

// write sends a flight on its link. After a failure it closes the link, so that run, which
// reads from it, notices the failure at once. The caller holds sending.
func (c *Committer) write(f *flight) {
	c.mu.Lock()
	newest := c.newest
	c.mu.Unlock()
	c.requests.Reset(4 << 20)
	f.encode(&c.requests, &c.config, newest)
	if err := f.link.Send(c.requests.Bytes()); err != nil {
		f.link.Close(false)
	}
}

// Run receives answers until the journal is closed and nothing is under way. When ctx
// ends, flights without an answer are settled without one.
func (c *Committer) Run(ctx context.Context) { appender.Again(func() { c.receive(ctx) }) }

func (c *Committer) receive(ctx context.Context) {
	stop := context.AfterFunc(ctx, c.closeLink)
	defer stop()
	for {
		f := c.waitForFirst()
		if f == nil {
			return
		}
		if f.link == nil {
			c.resume(ctx)
			continue
		}
		answer, err := f.link.receive(len(f.calls), f.flush)
		if err == nil && (answer.Warned || answer.Err != nil && !pgsession.Definite(answer.Err.Code)) {
			err = ErrUnproven
		}
		if err != nil {
			c.loseLink(f.link, err, nil)
			continue
		}
		spent := answer.Err != nil && (pgsession.Spent(answer.Err.Code) || answer.Err.Code == OtherStream)
		if spent && !f.retried {
			// Nothing of the flight was stored, and another session may store it.
			f.retried = true
			c.loseLink(f.link, answer.Err, f)
			continue
		}
		if !spent {
			c.breaker.Worked()
		}
		link := f.link
		c.settle(f, answer)
		if spent {
			c.loseLink(link, answer.Err, nil)
		}
	}
}

// waitForFirst waits for the flight whose answer comes next. It returns nil once the
// journal is closed.
func (c *Committer) waitForFirst() *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.inFlight) == 0 {
		if c.closed {
			return nil
		}
		c.arrived.Wait()
	}
	return c.inFlight[0]
}

// settle ends a flight whose answer has arrived, and launches the flights that it leads to.
func (c *Committer) settle(f *flight, a wire.Answer) {
	appender.Again(func() { c.settleOnce(f, a) })
}

func (c *Committer) settleOnce(f *flight, a wire.Answer) {
	next := f.settle(c, a)
	c.host.Durable(f.newest)
	c.mu.Lock()
	c.inFlight[0], c.inFlight = nil, c.inFlight[1:]
	c.mu.Unlock()
	for _, flight := range next {
		c.launch(flight)
	}
	c.release(f)
}

func (c *Committer) release(f *flight) {
	if f.slot {
		<-c.slots
	}
}

// loseLink gives a link up. Everything that was sent on it may have been done, except for a
// flight that was refused.
func (c *Committer) loseLink(l *link, err error, refused *flight) {
	l.Close(false)        // ends a write that is under way and holds sending
	if !c.config.Pooler { // whose backends have other numbers than it tells
		c.lost = append(c.lost, l.backend)
	}
	c.cause = err
	c.breaker.Failed(Public(err))
	c.config.Logger.Warn("journal connection lost", "err", Public(err), "events", c.takeBack(l, refused))
}

// takeBack lets the flights that were sent on a link wait again, and returns the number of
// events that may have been stored.
func (c *Committer) takeBack(l *link, refused *flight) (events int) {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.link = nil
	}
	for _, f := range c.inFlight {
		switch {
		case f.link != l:
		case f == refused:
			f.unsend()
		default:
			events += f.noteUnanswered(c.config.ResolveTimeout)
		}
	}
	return events
}

// resume connects, if there is no link, and sends the flights that wait. It returns when
// they are sent or settled.
func (c *Committer) resume(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 10*time.Millisecond, time.Second
	for c.expire(ctx) {
		err := c.tryResume(ctx)
		if err == nil {
			return
		}
		c.cause = err
		cause := c.unsentError("the server is away", err)
		if !c.expire(ctx) || c.host.Missing(err) != nil && !c.refuseUnsent(cause) {
			return
		}
		timer := time.NewTimer(pause.NextBackOff())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

func (c *Committer) tryResume(ctx context.Context) error {
	c.mu.Lock()
	link := c.link
	c.mu.Unlock()
	if link == nil {
		var err error
		if link, c.lost, err = c.connect(ctx, c.lost); err != nil {
			return err
		}
		// The server may have lost its newest data. Ids then mean other streams.
		c.Forget()
		c.early.Store(link.early)
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	unsent := c.unsent()
	bound, cancel := context.WithTimeout(ctx, c.config.StatementTimeout)
	defer cancel()
	for _, f := range unsent {
		if err := f.resolve(bound, c); err != nil {
			c.setLink(link)
			return err
		}
	}
	c.setLink(link)
	for _, f := range unsent {
		c.mu.Lock()
		c.assign(f, link)
		c.mu.Unlock()
		f.fenced = len(c.lost) == 0 && !c.config.Pooler
		c.write(f)
	}
	return nil
}

// unsent returns the flights that can be sent. A flight that builds on others waits until
// it is the first, and then is sent for itself.
func (c *Committer) unsent() (all []*flight) {
	c.mu.Lock()
	first := c.inFlight[0]
	c.mu.Unlock()
	if first.link == nil && first.follows {
		appender.Again(first.stopFollowing)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(first.calls) == 0 {
		c.inFlight[0], c.inFlight = nil, c.inFlight[1:]
		c.release(first)
	}
	for _, f := range c.inFlight {
		if f.link != nil {
			continue
		}
		if f.follows {
			break
		}
		all = append(all, f)
	}
	return all
}

func (c *Committer) setLink(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
}

// expire settles the flights that have waited too long. A flight that may have been stored
// waits until its deadline, any other until the breaker is open. expire reports whether
// flights are left.
func (c *Committer) expire(ctx context.Context) (left bool) {
	refused := c.breaker.Refuse()
	now := time.Now()
	c.mu.Lock()
	var kept, expired []*flight
	for _, f := range c.inFlight {
		if ctx.Err() != nil || f.mayBeStored() && now.After(f.deadline) || !f.mayBeStored() && refused != nil {
			expired = append(expired, f)
		} else {
			kept = append(kept, f)
		}
	}
	c.inFlight = kept
	c.mu.Unlock()
	appender.Again(func() {
		for ; len(expired) > 0; expired = expired[1:] {
			expired[0].fail(c.cause)
			c.release(expired[0])
		}
	})
	return len(kept) > 0
}

// refuseUnsent settles the flights that have certainly not been stored, with the reason why
// they cannot be. It reports whether flights are left.
func (c *Committer) refuseUnsent(reason error) (left bool) {
	c.mu.Lock()
	var given []*flight
	c.inFlight = slices.DeleteFunc(c.inFlight, func(f *flight) bool {
		if f.mayBeStored() {
			return false
		}
		given = append(given, f)
		return true
	})
	left = len(c.inFlight) > 0
	c.mu.Unlock()
	appender.Again(func() {
		for ; len(given) > 0; given = given[1:] {
			for i := range given[0].calls {
				for _, w := range given[0].calls[i].works {
					w.fail(reason)
				}
			}
			c.release(given[0])
		}
	})
	return left
}

// closeLink ends the wait for an answer.
func (c *Committer) closeLink() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		c.link.Close(false)
	}
}

// Close ends Run once nothing is under way any more.
func (c *Committer) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.arrived.Broadcast()
	if c.link != nil {
		c.link.Close(len(c.inFlight) == 0)
		c.link = nil
	}
}

// ReleaseAdvice reports whether writers should release the order lock early, and whether that
// differs from what they do. It gives each advice once.
func (c *Committer) ReleaseAdvice() (early, differs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.contention.change(c.early.Load())
}
