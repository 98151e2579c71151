package actors

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Fresh has the command decided on a state that is proven current: it shows everything
// that was durable when the command was asked, whichever process has written it. Without
// it a command that raises nothing is answered from memory, see [Command.Ask].
//
// A command that raises events is always decided on such a state, because the journal
// stores them at no other version. For the others the proof is one question to the
// journal, which all share that wait for one at that moment. When the journal does not
// answer in time the error is of kind [persistence.ErrUnavailable], and nothing was
// done.
func Fresh() AskOption { return func(r *Request) { r.fresh = true } }

// moment orders what happens in a system: when a command was asked, and when a look
// into the journal began.
type moment uint64

// confirmations prove that the states of aggregates are current: that nobody else has
// written their streams since they were read. All that wait for a proof at the same
// moment share it.
//
// The head of the journal is enough when all up to there, from where a state was
// current, was written by this system: then nobody else has written anything. Otherwise
// the streams themselves are looked at, all in one read.
type confirmations struct {
	reader persistence.Reader
	pages  persistence.PageReader // nil when the journal cannot
	life   lifetime               // the system's: the worker outlives every call

	moments atomic.Uint64
	handed  atomic.Uint64 // appends that the journal was given
	settled chan struct{} // receives when one of them has an outcome and somebody waits for that

	mu       sync.Mutex // protects the rest
	queue    []*confirmation
	working  bool
	closed   bool
	own      spans // what this system has written
	outcomes uint64
	waiting  bool
	seen     int64 // some position that is surely visible to whoever reads now
	// since is the last look that found that the journal has lost its tail, 0 for none.
	// What was known before it of positions counts no more: others may use them again.
	since   moment
	crowded int // rounds in which the head is not asked for, since others write
	done    sync.WaitGroup
}

// confirmation is a question whether the state of an aggregate is current, and its
// answer. Nothing of the aggregate's is on its way to the journal when it is asked.
type confirmation struct {
	of       *activation
	version  persistence.Version
	position persistence.Position // of the event at the version
	known    int64                // the state shows its stream up to this position
	read     moment               // of the look which has shown that

	began moment // of the look that answers it
	seen  int64  // the state shows its stream up to there, unless it has moved
	moved bool   // somebody else has written the stream
	// stands is the id of the event at the version when the stream has moved and holds that
	// event still: what is behind it is all that the state lacks.
	stands persistence.EventID
	err    error // why it is not known
}

// Bounds of confirming.
const (
	confirmBatch = 256                   // streams in one read
	confirmWait  = 10 * time.Millisecond // for the outcome of own appends
	crowdedFor   = 16                    // rounds
	maxSpans     = 16
)

func newConfirmations(journal persistence.Journal) *confirmations {
	f := &confirmations{reader: journal, life: newLifetime(), settled: make(chan struct{}, 1)}
	f.pages, _ = persistence.As[persistence.PageReader](journal)
	return f
}

// now is the moment at which a command is asked.
func (f *confirmations) now() moment { return moment(f.moments.Load()) }

// begin is the moment at which a look into the journal begins, and a position up to
// which it surely sees everything.
func (f *confirmations) begin() (moment, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return moment(f.moments.Add(1)), f.seen
}

// hand notes that the journal is given an append. Each has an outcome later.
func (f *confirmations) hand() { f.handed.Add(1) }

// note notes the outcome of an append. Its events count as written by this system when
// the aggregate that has written them knows of them; others are none.
func (f *confirmations) note(o persistence.Outcome, events int) {
	f.mu.Lock()
	f.outcomes++
	if o.Err == nil && !o.Duplicate && events > 0 && o.Position.Part == 0 {
		f.own.add(span{o.Position.Offset, o.Position.Offset + int64(events) - 1})
		f.seen = max(f.seen, f.own.last())
	}
	waiting := f.waiting
	f.mu.Unlock()
	if waiting {
		f.wake()
	}
}

// append stores what is no aggregate's, through the plain contract of the journal.
func (f *confirmations) append(ctx context.Context, to persistence.Appender, appends ...persistence.Append) ([]persistence.Outcome, error) {
	f.handed.Add(uint64(len(appends)))
	outcomes, err := to.Append(ctx, appends...)
	for i := range appends {
		outcome := persistence.Outcome{Err: err}
		if err == nil {
			outcome = outcomes[i]
		}
		f.note(outcome, len(appends[i].Events))
	}
	return outcomes, err
}

func (f *confirmations) wake() {
	select {
	case f.settled <- struct{}{}:
	default:
	}
}

// confirm asks whether a state is current; the answer is the question as a message.
func (f *confirmations) confirm(c *confirmation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		c.err = unavailable(ReasonStopping, nil)
		c.of.mailbox.post(c)
		return
	}
	f.queue = append(f.queue, c)
	if !f.working {
		f.working = true
		f.done.Go(f.work) // owned by the system, see Close
	}
}

func (f *confirmations) work() {
	for {
		runtime.Gosched() // so that what comes at the same time is asked together
		batch := f.nextBatch()
		if len(batch) == 0 {
			return
		}
		f.answer(batch)
		for _, c := range batch {
			c.of.mailbox.post(c)
		}
	}
}

func (f *confirmations) nextBatch() (batch []*confirmation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	batch, f.queue = f.queue, nil
	f.working = len(batch) > 0
	return batch
}

// answer answers a batch.
func (f *confirmations) answer(batch []*confirmation) {
	ctx, cancel := f.life.attempt()
	defer cancel()
	if f.crowded--; f.pages == nil || f.crowded < 0 {
		began, seen := f.begin()
		heads, err := f.reader.Head(ctx)
		if err != nil {
			fail(batch, err)
			return
		}
		if batch = f.byHead(ctx, batch, began, seen, heads); len(batch) == 0 {
			return
		}
		f.crowded = crowdedFor
	}
	for part := range slices.Chunk(batch, confirmBatch) {
		f.byStreams(ctx, part)
	}
}

func fail(batch []*confirmation, err error) {
	for _, c := range batch {
		c.err = err
	}
}

// byHead answers those of a batch whose streams nobody else can have written, and
// returns the others. A journal that ends before what was seen when the look began has
// lost its tail.
func (f *confirmations) byHead(ctx context.Context, batch []*confirmation, began moment, seen int64, heads persistence.Positions) []*confirmation {
	head, handed := heads.Of(0).Offset, f.handed.Load()
	timer := time.NewTimer(confirmWait)
	defer timer.Stop()
	alone := func(c *confirmation) bool { // and answers it then
		if len(heads) > 1 || c.read < f.since || !f.own.cover(c.known, head) {
			return false
		}
		c.began, c.seen = began, head
		return true
	}
	if head < seen {
		f.mu.Lock()
		f.own, f.seen, f.since = nil, head, began
		f.mu.Unlock()
	}
	for {
		f.mu.Lock()
		f.seen = max(f.seen, head)
		batch = slices.DeleteFunc(slices.Clone(batch), alone)
		// What stands before the head may be ours, and its outcome on the way to us.
		f.waiting = len(batch) > 0 && f.outcomes < handed
		wait := f.waiting
		f.mu.Unlock()
		if !wait {
			return batch
		}
		select {
		case <-f.settled:
			continue
		case <-timer.C: // it takes longer than a look at the streams
		case <-ctx.Done():
		}
		f.mu.Lock()
		f.waiting = false
		f.mu.Unlock()
		return batch
	}
}

// byStreams answers a batch by what its streams say.
func (f *confirmations) byStreams(ctx context.Context, batch []*confirmation) {
	requests := make([]persistence.PageRequest, len(batch))
	for i, c := range batch {
		// From the event at the version, which is not there any more when the stream was
		// deleted, and is another one when it was written again.
		requests[i] = persistence.PageRequest{Stream: c.of.stream, From: max(c.version, 1), Limit: 2}
	}
	began, seen := f.begin()
	pages, err := f.read(ctx, requests)
	if err != nil {
		fail(batch, err)
		return
	}
	f.mu.Lock()
	since := f.since
	f.mu.Unlock()
	for i, c := range batch {
		c.began, c.seen = began, seen
		events := pages[i].Events
		switch err := pages[i].Err; {
		case errors.Is(err, persistence.ErrTruncated):
			c.moved = true
		case err != nil:
			c.err = err
		default:
			c.moved = !c.endsWith(events)
			if c.moved && c.read >= since && len(events) > 0 && c.isAt(&events[0]) {
				c.stands = events[0].ID
			}
		}
	}
}

// endsWith reports that a stream whose events from the version on are these ends with
// the event at the version.
func (c *confirmation) endsWith(events []persistence.Recorded) bool {
	for i := range events {
		if !c.isAt(&events[i]) {
			return false
		}
	}
	return len(events) > 0 == (c.version > 0)
}

// isAt reports that an event is the one at the version.
func (c *confirmation) isAt(event *persistence.Recorded) bool {
	return event.Version == c.version && event.Position == c.position
}

func (f *confirmations) read(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	if f.pages != nil {
		return f.pages.ReadPages(ctx, requests)
	}
	pages := make([]persistence.StreamPage, len(requests))
	for i, r := range requests {
		for recorded, err := range f.reader.Read(ctx, r.Stream, persistence.ReadOptions{From: r.From, Limit: r.Limit}) {
			switch {
			case err == nil:
				pages[i].Events = append(pages[i].Events, recorded)
			case !errors.Is(err, persistence.ErrStreamNotFound):
				pages[i].Err = err
			}
		}
	}
	return pages, nil
}

// stop ends what is under way and takes nothing more. The worker is gone when done says
// so.
func (f *confirmations) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.life.end(errSystemClosed)
}

// span is a run of positions, both ends included.
type span struct{ first, last int64 }

// spans are runs of positions in order, with gaps between them. Of many the oldest are
// forgotten.
type spans []span

func (s spans) last() int64 { return s[len(s)-1].last }

// add adds a run, which mostly follows the last one.
func (s *spans) add(next span) {
	at := len(*s)
	for at > 0 && (*s)[at-1].first > next.first {
		at--
	}
	if at > 0 && (*s)[at-1].last+1 >= next.first {
		at--
		(*s)[at].last = max((*s)[at].last, next.last)
	} else {
		*s = slices.Insert(*s, at, next)
	}
	for at+1 < len(*s) && (*s)[at].last+1 >= (*s)[at+1].first {
		(*s)[at].last = max((*s)[at].last, (*s)[at+1].last)
		*s = slices.Delete(*s, at+1, at+2)
	}
	if len(*s) > maxSpans {
		*s = slices.Delete(*s, 0, 1)
	}
}

// cover reports that all positions behind one, up to another, are in one run, or that
// there are none. It does not when the other lies before the one: a journal that ends
// there has lost its tail.
func (s spans) cover(after, upTo int64) bool {
	if after >= upTo {
		return after == upTo
	}
	for _, run := range slices.Backward(s) {
		if run.first <= after+1 && upTo <= run.last {
			return true
		}
	}
	return false
}
