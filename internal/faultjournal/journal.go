package faultjournal

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Config says what goes wrong. Only Journal is required.
type Config struct {
	// Journal stores what is to be stored. It is closed by [Journal.Close].
	Journal persistence.Journal
	// Append says what happens to the n-th append to a stream, counted from 1. It is
	// called from several goroutines, in order for each stream.
	Append func(a *persistence.Append, n int) Fault
	// Read says what happens to the n-th time that a stream is read, likewise.
	Read func(stream persistence.StreamID, n int) ReadFault
}

// Fault is the harm done to one append. The zero Fault is none.
type Fault struct {
	// Until and Delay come first: the append waits for the channel, if there is one,
	// and then for the time.
	Until <-chan struct{}
	Delay time.Duration
	// Before is the outcome, and nothing is stored. It should be an error that says
	// so, such as [*persistence.UnavailableError].
	Before error
	// Foreign are events that another writer stores just before.
	Foreign []persistence.Event
	// Lost stores the append, and the outcome is [*persistence.UnknownOutcomeError].
	Lost bool
	// Zombie, when positive, makes the outcome unknown too, and the append is
	// executed so much later.
	Zombie time.Duration
	// Twice, when positive, executes what was stored a second time so much later, as a
	// network does that delivers a message twice. Nobody hears of the outcome.
	Twice time.Duration
}

// ReadFault is the harm done to one reading of a stream.
type ReadFault struct {
	// Until and Delay come first, unless the context ends before.
	Until <-chan struct{}
	Delay time.Duration
	// Err ends the reading after so many events. Nil is no fault.
	Err    error
	Events int
}

// Journal is the journal with faults. Use [New].
type Journal struct {
	persistence.Journal
	config  Config
	busy    sync.WaitGroup
	zombies sync.WaitGroup
	ended   chan struct{} // closed by Close, so that zombies rise at once

	mu     sync.Mutex // protects the rest
	closed bool
	lanes  map[persistence.StreamID]*lane
	last   map[*persistence.Chain]*entry // the latest of each chain, while it is under way
	reads  map[persistence.StreamID]int
}

// lane holds the appends of a stream that are under way, in order. Somebody
// works on it exactly while there are any.
type lane struct {
	waiting fifo.Queue[*entry]
	working bool
	count   int
}

type entry struct {
	append  persistence.Append
	chain   *persistence.Chain
	done    func(persistence.Outcome)
	n       int
	before  *entry        // of the chain, in another stream; waited for
	settled chan struct{} // closed when the outcome is known
}

var (
	_ persistence.Journal    = (*Journal)(nil)
	_ persistence.Submitter  = (*Journal)(nil)
	_ persistence.PageReader = (*Journal)(nil)
)

// New returns a journal with faults.
func New(config Config) *Journal {
	if config.Append == nil {
		config.Append = func(*persistence.Append, int) Fault { return Fault{} }
	}
	if config.Read == nil {
		config.Read = func(persistence.StreamID, int) ReadFault { return ReadFault{} }
	}
	return &Journal{
		Journal: config.Journal, config: config, ended: make(chan struct{}),
		lanes: map[persistence.StreamID]*lane{}, last: map[*persistence.Chain]*entry{}, reads: map[persistence.StreamID]int{},
	}
}

// Submit fulfils [persistence.Submitter].
func (j *Journal) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if err := a.Check(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return journalkit.Closed()
	case chain.Err() != nil:
		return chain.Err()
	}
	l := j.lanes[a.Stream]
	if l == nil {
		l = &lane{}
		j.lanes[a.Stream] = l
	}
	l.count++
	e := &entry{append: a, chain: chain, done: done, n: l.count, settled: make(chan struct{})}
	if chain != nil {
		if before := j.last[chain]; before != nil && before.append.Stream != a.Stream {
			e.before = before
		}
		j.last[chain] = e
	}
	l.waiting.Push(e)
	if !l.working {
		l.working = true
		j.busy.Go(func() { j.work(l) }) // ends when the lane is empty; Close waits for it
	}
	return nil
}

// work executes what waits in a lane, until there is nothing.
func (j *Journal) work(l *lane) {
	for e := j.next(l); e != nil; e = j.next(l) {
		if e.before != nil {
			<-e.before.settled
		}
		outcome := persistence.Outcome{Err: e.chain.Err()}
		if outcome.Err == nil {
			outcome = j.execute(e)
		}
		j.settle(e, outcome.Err)
		_ = usercode.Call(func() error { // the others of the lane are told all the same
			e.done(outcome)
			return nil
		})
	}
}

func (j *Journal) next(l *lane) *entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	if l.working = l.waiting.Len() > 0; !l.working {
		return nil
	}
	return l.waiting.Pop()
}

// settle breaks the chain of a failed append, so that what rests on it fails
// when its turn comes.
func (j *Journal) settle(e *entry, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		e.chain.Fail(err)
	}
	if j.last[e.chain] == e {
		delete(j.last, e.chain)
	}
	close(e.settled)
}

func (j *Journal) execute(e *entry) persistence.Outcome {
	fault := j.config.Append(&e.append, e.n)
	if fault.Until != nil {
		<-fault.Until
	}
	if fault.Delay > 0 {
		<-time.After(fault.Delay)
	}
	if fault.Before != nil {
		return persistence.Outcome{Err: fault.Before}
	}
	if len(fault.Foreign) > 0 {
		if o := j.store(&persistence.Append{Stream: e.append.Stream, Expected: persistence.Any, Events: fault.Foreign}); o.Err != nil {
			return o
		}
	}
	if fault.Zombie > 0 {
		j.later(fault.Zombie, &e.append)
		return unknown(&e.append)
	}
	outcome := j.store(&e.append)
	if fault.Twice > 0 {
		j.later(fault.Twice, &e.append)
	}
	if fault.Lost && outcome.Err == nil {
		return unknown(&e.append)
	}
	return outcome
}

// later executes an append after a time, or when the journal is closed.
func (j *Journal) later(wait time.Duration, a *persistence.Append) {
	j.zombies.Go(func() { // ends with its time or with Close, which waits for it
		select {
		case <-time.After(wait):
		case <-j.ended:
		}
		j.store(a)
	})
}

func unknown(a *persistence.Append) persistence.Outcome {
	lost := &persistence.UnknownOutcomeError{Stream: a.Stream, Expected: a.Expected}
	for i := range a.Events {
		lost.IDs = append(lost.IDs, a.Events[i].ID)
	}
	return persistence.Outcome{Err: lost}
}

func (j *Journal) store(a *persistence.Append) persistence.Outcome {
	// The caller may have left: a commit is not called back.
	outcomes, err := j.Journal.Append(context.Background(), *a) //nolint:forbidigo // the root of every commit
	if err != nil {
		return persistence.Outcome{Err: err}
	}
	return outcomes[0]
}

// Append fulfils [persistence.Appender].
func (j *Journal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if ctx.Err() != nil {
		return nil, &persistence.UnavailableError{Reason: "the caller left", Err: ctx.Err()}
	}
	for i := range appends {
		if err := appends[i].Check(); err != nil {
			return nil, err
		}
	}
	if j.isClosed() {
		return nil, journalkit.Closed()
	}
	type settled struct {
		i int
		persistence.Outcome
	}
	results := make(chan settled, len(appends))
	outcomes := make([]persistence.Outcome, len(appends))
	open := 0
	for i, a := range appends {
		outcomes[i] = unknown(&a)
		err := j.Submit(a, nil, func(o persistence.Outcome) { results <- settled{i, o} })
		switch {
		case err != nil && i == 0:
			return nil, err
		case err != nil:
			outcomes[i] = persistence.Outcome{Err: err}
		default:
			open++
		}
	}
	for ; open > 0; open-- {
		select {
		case r := <-results:
			outcomes[r.i] = r.Outcome
		case <-ctx.Done():
			return outcomes, nil
		}
	}
	return outcomes, nil
}

func (j *Journal) isClosed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closed
}

// Read fulfils [persistence.Reader].
func (j *Journal) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		fault, err := j.beforeRead(ctx, stream)
		if err == nil && fault.Err != nil && fault.Events == 0 {
			err = fault.Err
		}
		if err != nil {
			yield(persistence.Recorded{}, err)
			return
		}
		n := 0
		for recorded, err := range j.Journal.Read(ctx, stream, options) {
			if !yield(recorded, err) {
				return
			}
			if n++; fault.Err != nil && n == fault.Events {
				yield(persistence.Recorded{}, fault.Err)
				return
			}
		}
	}
}

func (j *Journal) beforeRead(ctx context.Context, stream persistence.StreamID) (ReadFault, error) {
	j.mu.Lock()
	j.reads[stream]++
	n := j.reads[stream]
	j.mu.Unlock()
	fault := j.config.Read(stream, n)
	if fault.Until != nil {
		select {
		case <-fault.Until:
		case <-ctx.Done():
			return fault, journalkit.CallerLeft(ctx)
		}
	}
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-ctx.Done():
			return fault, journalkit.CallerLeft(ctx)
		}
	}
	return fault, nil
}

// ReadPages fulfils [persistence.PageReader] through Read, so that the faults of
// reading apply to each page.
func (j *Journal) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	if j.isClosed() {
		return nil, journalkit.Closed()
	}
	if ctx.Err() != nil {
		return nil, journalkit.CallerLeft(ctx)
	}
	pages := make([]persistence.StreamPage, len(requests))
	for i, request := range requests {
		pages[i] = j.page(ctx, request)
	}
	return pages, nil
}

func (j *Journal) page(ctx context.Context, request persistence.PageRequest) (page persistence.StreamPage) {
	if request.Limit == 0 {
		return persistence.StreamPage{Err: &persistence.InvalidError{Field: "limit", Reason: "must be positive"}}
	}
	for recorded, err := range j.Read(ctx, request.Stream, persistence.ReadOptions{From: request.From, Limit: request.Limit}) {
		if _, missing := err.(*persistence.StreamNotFoundError); missing { //nolint:errorlint // as the journal gave it
			return persistence.StreamPage{}
		}
		if err != nil {
			return persistence.StreamPage{Err: err}
		}
		page.Events = append(page.Events, recorded)
	}
	return page
}

// Close refuses further appends, waits for those under way and closes the
// journal inside. An append that waits for a channel is waited for.
func (j *Journal) Close() error {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		close(j.ended)
	}
	j.mu.Unlock()
	j.busy.Wait()
	j.zombies.Wait()
	return j.Journal.Close()
}
