// Package appender is group commit: it collects the appends of many writers
// into batches, so that one round trip and one flush serve all of them.
//
//	queue := appender.New(appender.Config{Commit: journal.commit})
//	go queue.Run()
//	err := queue.Submit(append, chain, done)
//
// There is no timer. The committer takes what is there whenever it is free, so
// the batch in flight is the timer: batches grow with the load and an idle
// queue adds nothing but the hand-over.
//
// Order: a stream has at most one append in flight. Those that wait behind it
// keep their order; consecutive ones of a [persistence.Chain] become one. Between
// streams it is first come, first served.
//
// The package knows nothing of any store: what a commit is and what its errors
// mean is the business of the journal that owns the queue.
package appender

import (
	"context"
	"sync"

	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/persistence"
)

// Config bounds a [Queue].
type Config struct {
	// Commit stores a batch. It is called by one goroutine at a time and returns
	// when the next batch may be taken, which may be before this one is settled. It
	// must have every item settled at some time, by [Batch.Settle].
	Commit func(*Batch)
	// BatchEvents and BatchBytes bound a batch, which has at least one append. The
	// defaults are 1000 events and 8 MiB.
	BatchEvents, BatchBytes int
	// QueuedAppends and QueuedBytes bound what waits and is in flight. The defaults
	// are 65536 appends and 64 MiB; beyond them Submit refuses as overloaded.
	QueuedAppends, QueuedBytes int
}

// Queue collects appends. Use [New]. It is safe for concurrent use.
type Queue struct {
	config Config

	mu     sync.Mutex
	work   sync.Cond // ready has become non-empty, or closed has become true
	idle   sync.Cond // appends has become 0
	closed bool
	lanes  map[persistence.StreamID]*lane
	ready  fifo.Queue[*lane] // lanes that have entries and none in flight
	spare  []*lane

	appends, bytes int // waiting and in flight
}

// lane holds the appends of one stream in order.
type lane struct {
	stream   persistence.StreamID
	waiting  fifo.Queue[entry]
	inFlight bool
}

type entry struct {
	append persistence.Append
	named  bool
	chain  *persistence.Chain
	done   func(persistence.Outcome)
	size   int
}

// New returns a queue that takes appends at once and commits them as soon as
// [Queue.Run] is called.
func New(config Config) *Queue {
	setDefault(&config.BatchEvents, 1000)
	setDefault(&config.BatchBytes, 8<<20)
	setDefault(&config.QueuedAppends, 65536)
	setDefault(&config.QueuedBytes, 64<<20)
	q := &Queue{config: config, lanes: map[persistence.StreamID]*lane{}}
	q.work.L, q.idle.L = &q.mu, &q.mu
	return q
}

func setDefault(field *int, value int) {
	if *field <= 0 {
		*field = value
	}
}

// Submit fulfils [persistence.Submitter]. Events without an id get one here, so
// that whatever is sent twice can be recognised.
func (q *Queue) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if err := a.Check(); err != nil {
		return err
	}
	e := entry{append: a, named: a.Named(), chain: chain, done: done, size: a.Size()}
	if !e.named {
		for i := range a.Events {
			a.Events[i].ID = persistence.NewEventID()
		}
	}
	q.mu.Lock()
	err := q.enqueue(e)
	q.mu.Unlock()
	return err
}

func (q *Queue) enqueue(e entry) error {
	switch {
	case q.closed:
		return &persistence.UnavailableError{Reason: "the journal is closed"}
	case q.appends >= q.config.QueuedAppends || q.bytes+e.size > q.config.QueuedBytes && q.appends > 0:
		return &persistence.UnavailableError{Reason: "the append queue is full", Overloaded: true}
	case e.chain.Err() != nil:
		return e.chain.Err()
	}
	q.appends++
	q.bytes += e.size
	l := q.lanes[e.append.Stream]
	if l == nil {
		l = q.newLane(e.append.Stream)
	}
	l.waiting.Push(e)
	if !l.inFlight && l.waiting.Len() == 1 {
		q.makeReady(l)
	}
	return nil
}

func (q *Queue) newLane(stream persistence.StreamID) *lane {
	var l *lane
	if n := len(q.spare); n > 0 {
		l, q.spare = q.spare[n-1], q.spare[:n-1]
	} else {
		l = &lane{}
	}
	l.stream = stream
	q.lanes[stream] = l
	return l
}

func (q *Queue) makeReady(l *lane) {
	q.ready.Push(l)
	if q.ready.Len() == 1 {
		q.work.Signal()
	}
}

// Append fulfils [persistence.Appender].
func (q *Queue) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if ctx.Err() != nil {
		return nil, &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
	}
	for i := range appends {
		if err := appends[i].Check(); err != nil {
			return nil, err
		}
	}
	w := newWait(appends)
	for i := range appends {
		if err := q.Submit(clone(appends[i]), nil, func(o persistence.Outcome) { w.settle(i, o) }); err != nil {
			if i == 0 && len(appends) == 1 {
				return nil, err
			}
			w.settle(i, persistence.Outcome{Err: err})
		}
	}
	return w.outcomes(ctx)
}

// Run commits batches until the queue is closed and empty. It must be called
// once, by a goroutine of the queue's owner.
func (q *Queue) Run() {
	for {
		batch := q.take()
		if batch == nil {
			return
		}
		q.config.Commit(batch)
	}
}

// Close refuses further appends and waits until all that were taken are settled,
// or until ctx is done: then those not in a batch yet are answered as
// unavailable. It may be called more than once.
func (q *Queue) Close(ctx context.Context) {
	stop := context.AfterFunc(ctx, q.failWaiting)
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.work.Broadcast()
	for q.appends > 0 {
		q.idle.Wait()
	}
}

// Idle reports whether nothing waits and nothing is in flight: a moment for the
// committer to tidy up.
func (q *Queue) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.appends == 0
}

func (q *Queue) failWaiting() {
	q.mu.Lock()
	var dropped []entry
	for _, l := range q.lanes {
		for l.waiting.Len() > 0 {
			dropped = append(dropped, l.waiting.Pop())
		}
		if !l.inFlight {
			delete(q.lanes, l.stream)
		}
	}
	q.ready = fifo.Queue[*lane]{}
	err := &persistence.UnavailableError{Reason: "the journal is closed"}
	for _, e := range dropped {
		e.chain.Fail(err)
	}
	q.mu.Unlock()

	for _, e := range dropped {
		e.done(persistence.Outcome{Err: err})
	}
	q.release(dropped)
}

// release gives the room of settled entries back.
func (q *Queue) release(entries []entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range entries {
		q.appends--
		q.bytes -= entries[i].size
	}
	if q.appends == 0 {
		q.idle.Broadcast()
	}
}

func clone(a persistence.Append) persistence.Append {
	events := make([]persistence.Event, len(a.Events))
	copy(events, a.Events)
	a.Events = events
	return a
}
