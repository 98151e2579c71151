package actors

import (
	"errors"
	"runtime"
	"sync"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/persistence"
)

// Sizes of recovery. A page bounds the memory of one recovery, whatever the
// length of its stream.
const (
	maxRecoveryQueue  = 10_000
	recoveryPage      = 1000
	recoveryBatch     = 32  // first pages read in one round trip
	recoveryFirstPage = 200 // events, when many are read at once
)

// recoveries reads streams for activations, off their goroutines, by a bounded
// number of workers that exist only while there is work.
type recoveries struct {
	reader persistence.Reader
	pages  persistence.PageReader // nil when the journal cannot
	max    int
	keep   dedupe.Retention
	keeper persistence.Snapshots // nil when the journal keeps none
	life   lifetime              // the system's: workers outlive every call

	mu      sync.Mutex // protects the rest
	queue   fifo.Queue[recovery]
	urgent  fifo.Queue[recovery] // rebuilds, which come before the queue
	workers int
	closed  bool
	done    sync.WaitGroup
}

// recovery is a stream to read: from its beginning, or from where the first page has ended
// that was read together with others.
type recovery struct {
	of *activation
	fold
	// wanted says that a command waits which is not in the mailbox.
	wanted bool
	// again says that the aggregate was live and has lost its state.
	again bool
	// alone says that user code did not return when the stream was read with others.
	alone bool
}

// recovered is the message that a recovery ends with.
type recovered struct {
	folded
	err error
}

var errNobodyWaits = errors.New("nobody waits for the aggregate any more")

func newRecoveries(journal persistence.Journal, limit int, keep dedupe.Retention) *recoveries {
	r := &recoveries{reader: journal, max: limit, keep: keep, life: newLifetime()}
	r.pages, _ = persistence.As[persistence.PageReader](journal)
	r.keeper, _ = persistence.As[persistence.Snapshots](journal)
	return r
}

// enqueue has the state of an activation read. The answer is a recovered message.
func (r *recoveries) enqueue(a *activation, wanted bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return unavailable(ReasonStopping, nil)
	case r.line(a.chain != nil).Len() >= maxRecoveryQueue:
		return overloaded(ReasonRecoveriesFull)
	}
	what := r.begin(recovery{of: a, wanted: wanted, again: a.chain != nil})
	if a.stands != (persistence.EventID{}) {
		// The event at the version is read again, to see that it is the one.
		what.folded, what.resumed, what.from = a.folded, true, &persistence.Snapshot{Version: a.version, EventID: a.stands}
		what.version--
	}
	r.push(what)
	return nil
}

// begin returns a recovery for the same reasons that has read nothing.
func (r *recoveries) begin(what recovery) recovery {
	what.fold = fold{kind: what.of.key.kind, stream: what.of.stream, keep: r.keep}
	return what
}

// line returns the queue for a recovery: an aggregate that has lost its state in the middle
// of its work comes before those that begin. The lock is held.
func (r *recoveries) line(again bool) *fifo.Queue[recovery] {
	if again {
		return &r.urgent
	}
	return &r.queue
}

// push queues a recovery, and starts a worker if one more is allowed. The lock is held.
func (r *recoveries) push(what recovery) {
	r.line(what.again).Push(what)
	r.hire()
}

func (r *recoveries) hire() {
	if r.workers < r.max {
		r.workers++
		r.done.Go(r.work) // owned by the system, see Close
	}
}

func (r *recoveries) work() {
	var batch []recovery // not answered yet
	returned := false
	defer func() {
		if !returned {
			r.survive(batch, recover())
		}
	}()
	for {
		runtime.Gosched() // so that what comes at the same time is read together
		if batch = r.nextBatch(); len(batch) == 0 {
			returned = true
			return
		}
		r.recover(&batch)
	}
}

// survive handles user code that did not return while streams were read: an On, an
// upcaster, the decoding of an event. Each stream is then read alone, so that only the
// aggregate at fault fails.
func (r *recoveries) survive(batch []recovery, reason any) {
	r.mu.Lock()
	r.workers--
	r.mu.Unlock()
	for _, a := range batch {
		if a.alone {
			a.of.mailbox.post(&recovered{err: &persistence.CorruptError{
				Stream: a.of.stream, Version: a.version, Reason: "user code did not return", Err: a.of.system.ended(reason),
			}})
			continue
		}
		r.mu.Lock()
		a.alone = true
		r.push(r.begin(a))
		r.mu.Unlock()
	}
}

// nextBatch returns what to read next: several streams from their beginning, or the
// rest of one.
func (r *recoveries) nextBatch() []recovery {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.urgent.Len() + r.queue.Len()
	n := 1
	if r.pages != nil {
		n = recoveryBatch
	}
	batch := make([]recovery, 0, min(n, waiting))
	for ; waiting > 0 && len(batch) < n; waiting-- {
		line := r.line(r.urgent.Len() > 0)
		begun := line.At(0).state != nil && !line.At(0).resumed || line.At(0).alone
		if begun && len(batch) > 0 {
			break
		}
		batch = append(batch, line.Pop())
		if begun {
			break
		}
	}
	if len(batch) == 0 {
		r.workers--
	}
	return batch
}

// recover reads a batch of aggregates and tells each of them.
func (r *recoveries) recover(batch *[]recovery) {
	wanted := (*batch)[:0]
	for _, a := range *batch {
		if !a.wanted && a.of.mailbox.abandoned() {
			a.of.mailbox.post(&recovered{err: errNobodyWaits})
			continue
		}
		wanted = append(wanted, a)
	}
	if *batch = wanted; r.pages != nil && len(wanted) > 1 {
		r.together(batch)
		return
	}
	for len(*batch) > 0 {
		a := &(*batch)[0]
		err := r.alone(a)
		a.of.mailbox.post(&recovered{a.folded, err})
		*batch = (*batch)[1:]
	}
}

// together reads the first pages of many aggregates in one round trip. A longer
// stream goes back to the queue, so that none of the others waits for it.
func (r *recoveries) together(all *[]recovery) {
	batch := *all
	ctx, cancel := r.life.attempt()
	defer cancel()
	requests := make([]persistence.PageRequest, len(batch))
	for i := range batch {
		r.load(ctx, &batch[i])
		requests[i] = persistence.PageRequest{Stream: batch[i].of.stream, From: batch[i].version + 1, Limit: recoveryFirstPage}
	}
	read, known := batch[0].of.system.confirmations.begin()
	pages, err := r.pages.ReadPages(ctx, requests)
	for i, a := range batch {
		a.read, a.known = read, known
		switch {
		case err != nil:
			a.of.mailbox.post(&recovered{err: err})
		case errors.Is(pages[i].Err, persistence.ErrTruncated), a.from != nil && errors.Is(pages[i].Err, persistence.ErrNotFound):
			r.first(a, nil, true) // read alone, it shows where the stream begins
		case pages[i].Err != nil:
			a.of.mailbox.post(&recovered{err: pages[i].Err})
		default:
			r.first(a, pages[i].Events, len(pages[i].Events) == recoveryFirstPage)
		}
		*all = batch[i+1:]
	}
}

// first folds the first page of a stream.
func (r *recoveries) first(a recovery, events []persistence.Recorded, more bool) {
	if a.state == nil {
		a.state = a.of.key.kind.newState()
	}
	for i := range events {
		err := a.next(&events[i])
		if err == errOtherStream { //nolint:errorlint // ours, never wrapped
			break
		}
		if err != nil {
			a.of.mailbox.post(&recovered{err: err})
			return
		}
	}
	if !more && a.from == nil {
		a.of.mailbox.post(&recovered{folded: a.folded})
		return
	}
	if a.resumed {
		a = r.begin(a)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.push(a)
}

// alone reads a stream from its snapshot, its beginning, or where it was left.
func (r *recoveries) alone(a *recovery) error {
	ctx, cancel := r.life.attempt()
	r.load(ctx, a)
	cancel()
	if a.state == nil {
		a.state = a.of.key.kind.newState()
	}
	for {
		n, err := r.page(a)
		switch {
		case a.resumed && a.useless(err): // the event that the state stands on is not there
			*a = r.begin(*a)
			return r.alone(a)
		case a.useless(err):
			r.ignore(a, errOtherStream)
		case errors.Is(err, persistence.ErrStreamNotFound) && a.version == 0:
			return nil
		case errors.Is(err, persistence.ErrTruncated) && a.version == 0:
			if a.version, err = r.reborn(a.of, err); err != nil {
				return err
			}
		case err != nil:
			return err
		case n < recoveryPage:
			return nil
		}
	}
}

// reborn returns the version before the first event of a stream that was deleted and
// written again. A truncated stream is an error, because a state without the events that
// it lacks would be wrong.
func (r *recoveries) reborn(a *activation, truncated error) (persistence.Version, error) {
	ctx, cancel := r.life.attempt()
	defer cancel()
	info, err := r.reader.Stream(ctx, a.stream)
	switch {
	case err != nil:
		return 0, err
	case info.First != info.Begin || info.First < 2:
		return 0, &persistence.CorruptError{Stream: a.stream, Version: info.First, Reason: "events that the state needs are truncated", Err: truncated}
	}
	return info.First - 1, nil
}

// page reads and folds the next page of one stream.
func (r *recoveries) page(a *recovery) (n int, err error) {
	ctx, cancel := r.life.attempt()
	defer cancel()
	a.read, a.known = a.of.system.confirmations.begin()
	return a.page(ctx, r.reader)
}

// stop ends what is under way and takes nothing more. Wait for the workers with done.
func (r *recoveries) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.life.end(errSystemClosed)
}
