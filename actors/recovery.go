package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/persistence"
)

// Sizes of recovery. A page bounds the memory of one recovery, whatever the
// length of its stream.
const (
	maxRecoveryQueue   = 10_000
	recoveryPage       = 1000
	recoveryBatch      = 32  // first pages read in one round trip
	recoveryFirstPage  = 200 // events, when many are read at once
	recoveryNoProgress = 30 * time.Second
)

// recoveries reads streams for activations, off their goroutines, by a bounded
// number of workers that exist only while there is work.
type recoveries struct {
	reader persistence.Reader
	pages  persistence.PageReader // nil when the journal cannot
	max    int
	ctx    context.Context //nolint:containedctx // ends with the system: workers outlive every call
	cancel context.CancelCauseFunc

	mu      sync.Mutex // protects the rest
	queue   fifo.Queue[recovery]
	workers int
	closed  bool
	done    sync.WaitGroup
}

// recovery is a stream to read: from its beginning, or from where reading it
// together with others has ended.
type recovery struct {
	of      *activation
	state   any // nil at the beginning
	version persistence.Version
	// wanted: somebody waits who is not in the mailbox.
	wanted bool
}

// recovered is the message that a recovery ends with.
type recovered struct {
	state   any
	version persistence.Version
	err     error
}

var errNobodyWaits = errors.New("nobody waits for the aggregate any more")

func newRecoveries(journal persistence.Journal, limit int) *recoveries {
	r := &recoveries{reader: journal, max: limit}
	r.pages, _ = persistence.As[persistence.PageReader](journal)
	r.ctx, r.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // a root, ended by stop
	return r
}

// enqueue asks for an activation's state; the answer is a recovered message.
func (r *recoveries) enqueue(a *activation, wanted bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return unavailable("stopping", nil)
	case r.queue.Len() >= maxRecoveryQueue:
		return overloaded("recoveries-full")
	}
	r.push(recovery{of: a, wanted: wanted})
	return nil
}

// push adds to the queue and sees to it that somebody works. The lock is held.
func (r *recoveries) push(what recovery) {
	r.queue.Push(what)
	if r.workers < r.max {
		r.workers++
		r.done.Go(r.work) // owned by the system, see Close
	}
}

func (r *recoveries) work() {
	for {
		batch := r.take()
		if len(batch) == 0 {
			return
		}
		r.recover(batch)
	}
}

// take returns what to read next: several streams from their beginning, or the
// rest of one.
func (r *recoveries) take() []recovery {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 1
	if r.pages != nil {
		n = recoveryBatch
	}
	batch := make([]recovery, 0, min(n, r.queue.Len()))
	for r.queue.Len() > 0 && len(batch) < n {
		rest := r.queue.At(0).state != nil
		if rest && len(batch) > 0 {
			break
		}
		batch = append(batch, r.queue.Pop())
		if rest {
			break
		}
	}
	if len(batch) == 0 {
		r.workers--
	}
	return batch
}

// recover reads a batch of aggregates and tells each of them.
func (r *recoveries) recover(batch []recovery) {
	wanted := batch[:0]
	for _, a := range batch {
		if !a.wanted && a.of.mailbox.abandoned() {
			a.of.mailbox.post(&recovered{err: errNobodyWaits})
			continue
		}
		wanted = append(wanted, a)
	}
	if r.pages != nil && len(wanted) > 1 {
		r.together(wanted)
		return
	}
	for _, a := range wanted {
		if a.state == nil {
			a.state = a.of.key.kind.newState()
		}
		a.of.mailbox.post(r.rest(a.of, a.state, a.version))
	}
}

// together reads the first pages of many aggregates in one round trip. A longer
// stream goes back to the queue, so that none of the others waits for it.
func (r *recoveries) together(batch []recovery) {
	requests := make([]persistence.PageRequest, len(batch))
	for i, a := range batch {
		requests[i] = persistence.PageRequest{Stream: a.of.stream, From: 1, Limit: recoveryFirstPage}
	}
	ctx, cancel := context.WithTimeoutCause(r.ctx, recoveryNoProgress, errNoProgress)
	defer cancel()
	pages, err := r.pages.ReadPages(ctx, requests)
	for i, a := range batch {
		switch {
		case err != nil:
			a.of.mailbox.post(&recovered{err: err})
		case errors.Is(pages[i].Err, persistence.ErrTruncated):
			r.first(a, nil, true) // alone it is found out where the stream begins
		case pages[i].Err != nil:
			a.of.mailbox.post(&recovered{err: pages[i].Err})
		default:
			r.first(a, pages[i].Events, len(pages[i].Events) == recoveryFirstPage)
		}
	}
}

// first folds the first page of a stream.
func (r *recoveries) first(a recovery, events []persistence.Recorded, more bool) {
	a.state = a.of.key.kind.newState()
	for i := range events {
		if err := next(a.of.key.kind, a.state, &a.version, &events[i]); err != nil {
			a.of.mailbox.post(&recovered{err: err})
			return
		}
	}
	if !more {
		a.of.mailbox.post(&recovered{state: a.state, version: a.version})
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.push(a)
}

var errNoProgress = fmt.Errorf("no page of events within %s", recoveryNoProgress)

// rest reads what follows a version, page by page.
func (r *recoveries) rest(a *activation, state any, version persistence.Version) *recovered {
	for {
		n, err := r.page(a, state, &version)
		switch {
		case errors.Is(err, persistence.ErrStreamNotFound) && version == 0:
			return &recovered{state: state}
		case errors.Is(err, persistence.ErrTruncated) && version == 0:
			if version, err = r.reborn(a, err); err != nil {
				return &recovered{err: err}
			}
		case err != nil:
			return &recovered{err: err}
		case n < recoveryPage:
			return &recovered{state: state, version: version}
		}
	}
}

// reborn returns the version that a stream begins behind which was deleted and
// written again. One that was truncated lacks events of its life, and a state
// without them would be wrong.
func (r *recoveries) reborn(a *activation, truncated error) (persistence.Version, error) {
	ctx, cancel := context.WithTimeoutCause(r.ctx, recoveryNoProgress, errNoProgress)
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

func (r *recoveries) page(a *activation, state any, version *persistence.Version) (n int, err error) {
	ctx, cancel := context.WithTimeoutCause(r.ctx, recoveryNoProgress, errNoProgress)
	defer cancel()
	options := persistence.ReadOptions{From: *version + 1, Limit: recoveryPage}
	for recorded, err := range r.reader.Read(ctx, a.stream, options) {
		if err != nil {
			return n, err
		}
		if err := next(a.key.kind, state, version, &recorded); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// next folds one event after checking that it is the one that must follow.
func next(d *definition, state any, version *persistence.Version, recorded *persistence.Recorded) error {
	if recorded.Version != *version+1 {
		return corrupt(recorded, fmt.Sprintf("follows version %d", *version), nil)
	}
	*version = recorded.Version
	return d.refold(state, recorded)
}

// stop ends what is under way and takes nothing more. The workers are gone when
// done says so.
func (r *recoveries) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.cancel(errSystemClosed)
}
