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
	ctx    context.Context //nolint:containedctx // ends with the system; workers outlive every call
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	queue   fifo.Queue[*activation]
	workers int
	done    sync.WaitGroup
}

// recovered is the message that a recovery ends with.
type recovered struct {
	state   any
	version persistence.Version
	err     error
	// abandoned: nobody waits for the aggregate any more, so it was not read.
	abandoned bool
}

var errNobodyWaits = errors.New("nobody waits for the aggregate any more")

func newRecoveries(journal persistence.Journal, limit int) *recoveries {
	r := &recoveries{reader: journal, max: limit}
	r.pages, _ = journal.(persistence.PageReader)
	r.ctx, r.cancel = context.WithCancelCause(context.Background()) // ended by close
	return r
}

// enqueue asks for an activation's state; the answer is a recovered message.
func (r *recoveries) enqueue(a *activation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queue.Len() >= maxRecoveryQueue {
		return &persistence.UnavailableError{Reason: "too many aggregates wait to be recovered", Overloaded: true}
	}
	r.queue.Push(a)
	if r.workers < r.max {
		r.workers++
		r.done.Go(r.work) // owned by close
	}
	return nil
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

func (r *recoveries) take() []*activation {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 1
	if r.pages != nil {
		n = recoveryBatch
	}
	batch := make([]*activation, 0, min(n, r.queue.Len()))
	for r.queue.Len() > 0 && len(batch) < n {
		batch = append(batch, r.queue.Pop())
	}
	if len(batch) == 0 {
		r.workers--
	}
	return batch
}

// recover reads a batch of aggregates and tells each of them.
func (r *recoveries) recover(batch []*activation) {
	wanted := batch[:0]
	for _, a := range batch {
		if a.mailbox.abandoned() {
			a.mailbox.post(&recovered{err: &persistence.UnavailableError{Reason: "recovery skipped", Err: errNobodyWaits}, abandoned: true})
			continue
		}
		wanted = append(wanted, a)
	}
	if r.pages != nil && len(wanted) > 1 {
		r.together(wanted)
		return
	}
	for _, a := range wanted {
		a.mailbox.post(r.rest(a, a.key.kind.newState(), 0))
	}
}

// together reads the first pages of many aggregates in one round trip; long
// streams go on alone.
func (r *recoveries) together(batch []*activation) {
	requests := make([]persistence.PageRequest, len(batch))
	for i, a := range batch {
		requests[i] = persistence.PageRequest{Stream: a.stream, From: 1, Limit: recoveryFirstPage}
	}
	ctx, cancel := context.WithTimeoutCause(r.ctx, recoveryNoProgress, errNoProgress)
	defer cancel()
	pages, err := r.pages.ReadPages(ctx, requests)
	for i, a := range batch {
		switch {
		case err != nil:
			a.mailbox.post(&recovered{err: err})
		case pages[i].Err != nil:
			a.mailbox.post(&recovered{err: pages[i].Err})
		default:
			a.mailbox.post(r.first(a, pages[i].Events))
		}
	}
}

var errNoProgress = fmt.Errorf("no page of events within %s", recoveryNoProgress)

func (r *recoveries) first(a *activation, events []persistence.Recorded) *recovered {
	state, version := a.key.kind.newState(), persistence.Version(0)
	for i := range events {
		if err := next(a.key.kind, state, &version, &events[i]); err != nil {
			return &recovered{err: err}
		}
	}
	if len(events) < recoveryFirstPage {
		return &recovered{state: state, version: version}
	}
	return r.rest(a, state, version)
}

// rest reads what follows a version, page by page.
func (r *recoveries) rest(a *activation, state any, version persistence.Version) *recovered {
	for {
		n, err := r.page(a, state, &version)
		switch {
		case errors.Is(err, persistence.ErrStreamNotFound) && version == 0:
			return &recovered{state: state}
		case err != nil:
			return &recovered{err: err}
		case n < recoveryPage:
			return &recovered{state: state, version: version}
		}
	}
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
		return &persistence.CorruptError{Stream: recorded.Stream, Version: recorded.Version,
			Reason: fmt.Sprintf("follows version %d", *version)}
	}
	*version = recorded.Version
	return d.fold(state, recorded)
}

// close ends what is under way and waits for the workers.
func (r *recoveries) close() {
	r.cancel(errSystemClosed)
	r.done.Wait()
}
