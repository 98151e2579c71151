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
// Order: a stream has at most one append in flight, and one more in the next batch
// when that continues its chain and the committer allows it. Those that wait
// behind keep their order; consecutive ones of a [persistence.Chain] become one. A
// chain that leads into another stream waits there until what stands before is
// settled. For the rest it is first come, first served between streams.
//
// The package knows nothing of any store: what a commit is and what its errors
// mean is the business of the journal that owns the queue.
package appender

import (
	"context"
	"log/slog"
	"sync"

	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
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
	// Underway is the number of batches that the committer works on at a time, 1 by default. Then
	// a batch leaves the others their share of what there is, unless it is little: who
	// stores a batch and who forms the next work side by side.
	Underway int
	// QueuedAppends and QueuedBytes bound what waits and is in flight. The defaults
	// are 65536 appends and 64 MiB; beyond them Submit refuses as overloaded.
	QueuedAppends, QueuedBytes int
	// Logger hears of callbacks that did not return. The default is slog.Default().
	Logger *slog.Logger
}

// Queue collects appends. Use [New]. It is safe for concurrent use.
type Queue struct {
	config Config

	// mu protects all below. changed tells that ready or closed has changed, or that
	// appends has become 0.
	mu      sync.Mutex
	changed sync.Cond
	closed  bool
	lanes   map[persistence.StreamID]*lane
	ready   fifo.Queue[*lane]
	turns   map[*persistence.Chain]turns
	spare   []*lane

	appends, bytes int // waiting and in flight
}

// lane holds the appends of one stream in order. It exists while it is ready,
// held, or has an append in flight.
type lane struct {
	stream  persistence.StreamID
	waiting fifo.Queue[entry]
	ready   bool // stands in the queue's list, for the next batch
	held    bool // its oldest append belongs to a chain whose turn is elsewhere
	flying  int  // appends in batches that are not settled
	// tail is the batch of the newest append in flight when the next one may build on
	// it; chain is that append's, and next what one that builds on it expects.
	tail  *Batch
	chain *persistence.Chain
	next  persistence.Expected
}

// follows reports whether the oldest append that waits may go into the batch behind
// the one that is in flight.
func (l *lane) follows() bool {
	if l.tail == nil || l.waiting.Len() == 0 {
		return false
	}
	first := l.waiting.At(0)
	return first.chain == l.chain && !first.named && len(first.append.Events) > 0 && first.append.Expected == l.next
}

type entry struct {
	append persistence.Append
	named  bool
	chain  *persistence.Chain
	done   func(persistence.Outcome)
	size   int
	caller *wait // who waits for it in Append, or nil
}

// New returns a queue that takes appends at once and commits them as soon as
// [Queue.Run] is called.
func New(config Config) *Queue {
	setDefault(&config.BatchEvents, 1000)
	setDefault(&config.BatchBytes, 8<<20)
	setDefault(&config.Underway, 1)
	setDefault(&config.QueuedAppends, 65536)
	setDefault(&config.QueuedBytes, 64<<20)
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	q := &Queue{config: config, lanes: map[persistence.StreamID]*lane{}, turns: map[*persistence.Chain]turns{}}
	q.changed.L = &q.mu
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
	e := newEntry(a)
	e.chain, e.done = chain, done
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.enqueue(e)
}

func newEntry(a persistence.Append) entry {
	return entry{append: a, named: journalkit.GiveIDs(&a), size: a.Size()}
}

func (q *Queue) enqueue(e entry) error {
	switch {
	case q.closed:
		return journalkit.Closed()
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
		q.makeReady(l)
	}
	l.waiting.Push(e)
	q.queueTurn(e.chain, l)
	if l.flying > 0 && l.waiting.Len() == 1 && l.follows() {
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

// makeReady puts a lane into the list unless it stands there.
func (q *Queue) makeReady(l *lane) {
	if l.ready {
		return
	}
	l.ready = true
	q.ready.Push(l)
	if q.ready.Len() == 1 {
		q.changed.Broadcast()
	}
}

// discard forgets a lane that has become empty.
func (q *Queue) discard(l *lane) {
	delete(q.lanes, l.stream)
	if len(q.spare) < 1024 {
		l.stream, l.tail, l.chain = "", nil, nil
		q.spare = append(q.spare, l)
	}
}

// Append fulfils [persistence.Appender]. It copies the events, because a caller
// that leaves early has them back while they are under way.
func (q *Queue) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if ctx.Err() != nil {
		return nil, journalkit.CallerLeft(ctx)
	}
	for i := range appends {
		if err := appends[i].Check(); err != nil {
			return nil, err
		}
	}
	w := newWait(appends)
	if err := q.enqueueAll(w); err != nil {
		return nil, err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		q.withdraw(w, journalkit.CallerLeft(ctx))
	}
	return w.outcomes(ctx), nil
}

// enqueueAll returns an error when nothing was taken.
func (q *Queue) enqueueAll(w *wait) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return journalkit.Closed()
	}
	var refused []int
	var err error
	for i := range w.entries {
		if err = q.enqueue(w.entries[i]); err != nil {
			refused = append(refused, i)
		}
	}
	if len(refused) > 0 && len(refused) == len(w.entries) {
		return err
	}
	for _, i := range refused {
		w.settle(i, persistence.Outcome{Err: err})
	}
	return nil
}

// withdraw takes back what a caller of Append has in no batch yet.
func (q *Queue) withdraw(w *wait, err error) {
	q.mu.Lock()
	var left []entry
	for i := range w.entries {
		if l := q.lanes[w.entries[i].append.Stream]; l != nil {
			left = append(left, l.remove(func(e *entry) bool { return e.caller == w })...)
		}
	}
	q.mu.Unlock()
	q.answer(left, err)
}

// remove takes out the entries that match. A lane that becomes empty by that
// stays ready until a batch would take from it.
func (l *lane) remove(match func(*entry) bool) []entry {
	var removed []entry
	for range l.waiting.Len() {
		if e := l.waiting.Pop(); match(&e) {
			removed = append(removed, e)
		} else {
			l.waiting.Push(e)
		}
	}
	return removed
}

// answer settles entries that no batch has taken.
func (q *Queue) answer(entries []entry, err error) {
	defer func() { // also when a callback ends the goroutine
		q.mu.Lock()
		defer q.mu.Unlock()
		q.giveBack(entries)
	}()
	q.tell(entries, func(int) persistence.Outcome { return persistence.Outcome{Err: err} }, 0)
}

// Run commits batches until the queue is closed and empty. It must be called
// once, by a goroutine of the queue's owner. When a callback has ended this goroutine,
// the goroutine ends no sooner than otherwise, but runs nothing behind Run that is not
// deferred.
func (q *Queue) Run() { Again(q.run) }

func (q *Queue) run() {
	for {
		batch := q.take()
		if batch == nil {
			return
		}
		q.config.Commit(batch)
	}
}

// Close refuses further appends and waits until all that were taken are settled.
// When ctx is done, those not in a batch yet are answered as unavailable; those
// in one are the committer's, and still waited for. It may be called more than
// once.
func (q *Queue) Close(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.changed.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
	for q.appends > 0 {
		if left := q.giveUp(ctx); len(left) > 0 {
			q.mu.Unlock()
			_ = usercode.Call(func() error { // whose goroutine a callback may end
				q.answer(left, journalkit.Closed())
				return nil
			})
			q.mu.Lock()
			continue
		}
		q.changed.Wait()
	}
}

// giveUp takes everything out that waits, once ctx is done.
func (q *Queue) giveUp(ctx context.Context) []entry {
	if ctx.Err() == nil {
		return nil
	}
	var left []entry
	for _, l := range q.lanes {
		left = append(left, l.waiting.Clear()...)
		q.letGo(l)
	}
	for i := range left {
		left[i].chain.Fail(journalkit.Closed())
	}
	clear(q.turns)
	return left
}

// Idle reports whether nothing waits and nothing is in flight: a moment for the
// committer to tidy up.
func (q *Queue) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.appends == 0
}

// giveBack returns the room of settled entries. The caller holds mu.
func (q *Queue) giveBack(entries []entry) {
	for i := range entries {
		q.appends--
		q.bytes -= entries[i].size
	}
	if q.appends == 0 {
		q.changed.Broadcast()
	}
}
