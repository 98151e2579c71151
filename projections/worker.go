package projections

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// worker applies the events of one part of a projection, one after the other, for
// as long as it is the owner. Its goroutine is that of [worker.run].
type worker struct {
	host *hosted
	spec *spec
	key  PartKey
	high int
	unit unit

	// These belong to the goroutine.
	wake    chan struct{} // somebody may take the part over
	lanes   lanes
	effects bool
	limited bool
	until   tail.Checkpoint
	arrived bool        // at until, in this life
	idle    *time.Timer // ends the waiting for pages to save the place
	// stopping is closed when the worker is to leave, for which it looks between two events.
	stopping <-chan struct{}

	mu sync.Mutex // protects what others look at
	// row is what is saved, and at how far the worker has come: further, by what was
	// not chosen.
	row      Worker
	at       tail.Checkpoint
	proven   bool       // the journal has this place, as it was asked in this session
	held     *heldError // the runner that has the part, which this one waits for
	passed   int        // events since row that were not chosen, by their positions
	status   Status
	cause    error
	since    time.Time // of the status
	moved    time.Time // when at last changed
	applied  int64
	pages    int64
	failures int64
	begun    time.Time // of this life, at from
	from     tail.Checkpoint

	emitted, diverged atomic.Int64
}

// Reasons for a session to end that are no failures.
var (
	errFinished      = errors.New("the worker has come to where it was to stop")
	errHalted        = errors.New("a handler has stopped the projection")
	errFailed        = errors.New("the worker has failed")
	errTooManyParked = errors.New("too many events are set aside: apply or discard them, and start the projection")
	errPassed        = errors.New("it is time to save the place")
)

func (w *worker) leaving() bool {
	select {
	case <-w.stopping:
		return true
	default:
		return false
	}
}

// run works until reading ends: then the event in hand is finished, and what was
// applied is saved.
func (w *worker) run(reading context.Context) error {
	w.stopping = reading.Done()
	// Handlers that are at work when the projection has to stop get the grace to finish.
	working, cancel := context.WithCancelCause(context.WithoutCancel(reading))
	defer cancel(nil)
	grace := w.host.config.Grace
	stop := context.AfterFunc(reading, func() {
		timer := time.AfterFunc(grace, func() { cancel(errGrace) })
		context.AfterFunc(working, func() { timer.Stop() })
	})
	defer stop()

	var waits waiting
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		before := w.place()
		err := w.guarded(reading, working)
		held, isHeld := errors.AsType[*heldError](err)
		switch {
		case reading.Err() != nil:
			w.become(Stopping, nil)
			return nil
		case isHeld:
			w.standBy(reading, held)
			pause = firstPause
			continue
		case errors.Is(err, persistence.ErrFenced), errors.Is(err, ErrNotFound), errors.Is(err, errFinished), errors.Is(err, errHalted):
			w.ended(err)
			<-reading.Done() // the one who looks decides what comes next
			return nil
		case errors.Is(err, errFailed):
			w.sleepUntilRoused(reading) // by one that has taken over
			continue
		}
		w.become(Waiting, err)
		if distance(before, w.place()) > 0 {
			pause, waits = firstPause, waiting{}
		}
		if waits.lasts() {
			w.host.log("projection waits", w, err)
		}
		sleep(reading.Done(), jitter(pause))
	}
}

// waiting is a time without progress. An operator hears of it once, when it lasts: what
// it waits for may be about to stop, or to be back.
type waiting struct {
	since time.Time
	told  bool
}

// waitingTold is the time that a projection waits before this is logged.
const waitingTold = 2 * time.Second

// lasts reports, once, that it is time to tell somebody.
func (w *waiting) lasts() bool {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	tell := !w.told && time.Since(w.since) >= waitingTold
	w.told = w.told || tell
	return tell
}

// ended tells those who see to what comes next.
func (w *worker) ended(err error) {
	if !errors.Is(err, errFinished) {
		w.host.recheck()
		return
	}
	w.become(Paused, nil)
	if w.arrived { // otherwise it was there before, and was seen
		w.host.recheck()
	}
}

var errGrace = errors.New("the projection was told to stop and did not finish its event in time")

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// jitter spreads a pause by a fifth.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

func sleep(ended <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

// guarded makes a failure of the worker of what does not return in the definition's
// code beside its handlers, such as [LaneBy] or a filter, or in the store.
func (w *worker) guarded(reading, working context.Context) error {
	err := usercode.Call(func() error { return w.session(reading, working) })
	ended, ok := err.(*usercode.EndedError) //nolint:errorlint // not what somebody has wrapped
	if !ok {
		return err
	}
	return usercode.Call(func() error { return w.fail(working, &definitionError{ended}) })
}

// isDefinition reports what is no event's fault.
func isDefinition(err error) bool {
	_, ok := errors.AsType[*definitionError](err)
	return ok
}

// session takes the part over and works until something ends that.
func (w *worker) session(reading, working context.Context) error {
	w.proves(false)
	if err := w.takeOver(working); err != nil {
		return err
	}
	// Nothing is done with places, not even with what was set aside, before the journal
	// is known to be the one in which they were taken.
	subscription, err := w.open(reading)
	if err != nil {
		return err
	}
	w.proves(true)
	w.host.advanced() // it may stand further than was known, by a commit of unknown outcome
	if err := w.redrive(working); err != nil {
		return err
	}
	if w.limited && coversAll(w.row.Checkpoint.Positions(), w.until.Positions()) {
		return errFinished
	}
	w.become(CatchingUp, nil)
	for {
		if err := w.follow(reading, working, subscription); err != nil {
			return err
		}
		if err := w.flush(working); err != nil || reading.Err() != nil {
			return err
		}
		if subscription, err = w.open(reading); err != nil {
			return err
		}
	}
}

// follow applies page after page until reading ends, or until it is time to save a
// place behind which nothing was chosen and nothing comes.
func (w *worker) follow(reading, working context.Context, subscription *tail.Subscription) error {
	paging, cancel := context.WithCancelCause(reading)
	defer cancel(nil)
	w.idle = time.AfterFunc(passTime, func() { cancel(errPassed) })
	defer w.idle.Stop()
	w.idle.Stop() // until there is something to save
	for page, err := range subscription.Pages(paging) {
		switch {
		case paging.Err() != nil, w.leaving():
			// Reading may have ended a moment before paging, and what was left of the last
			// page then must not be passed over by this one.
			return nil
		case errors.Is(err, persistence.ErrLostTail):
			return w.fail(working, &DivergedError{w.spec.name, err})
		case errors.Is(err, persistence.ErrCorrupt), errors.Is(err, persistence.ErrInvalid):
			return w.fail(working, err)
		case err != nil:
			return err
		}
		if err := w.page(working, subscription, page); err != nil {
			return err
		}
	}
	return nil
}

// open follows the journal from where the part stands. The journal must be the one
// it was left with.
func (w *worker) open(reading context.Context) (*tail.Subscription, error) {
	chosen, system := w.spec.chooses(w.host.config, w.key.Low, w.high)
	subscription, err := w.host.tailer.Open(reading, tail.Options{
		Checkpoint: w.row.Checkpoint, Filter: chosen, System: system,
		PageRows: pageRows, PageBytes: pageBytes, ReadAhead: true,
	})
	if errors.Is(err, persistence.ErrLostTail) {
		return nil, w.fail(reading, &DivergedError{w.spec.name, err})
	}
	return subscription, err
}

// takeOver makes the part this worker's, unless another runner has it.
func (w *worker) takeOver(ctx context.Context) error {
	err := w.host.store.Update(ctx, func(ctx context.Context, book Book) error {
		// Of several that find the part free one takes it.
		if err := book.Lock(ctx, w.spec.name); err != nil {
			return err
		}
		registrations, err := book.Registrations(ctx, w.spec.name)
		if err != nil {
			return err
		}
		registration, found := versionOf(registrations, w.spec.version)
		if !found || registration.Stopped {
			return &NotFoundError{w.spec.name}
		}
		if err := w.free(ctx, book, &registration); err != nil {
			return err
		}
		if err := book.Beat(ctx, w.host.config.instance, w.host.heartbeat.next()); err != nil {
			return err
		}
		row, err := book.TakeOver(ctx, w.key, w.host.config.instance)
		if err != nil {
			return err
		}
		w.lanes = lanes{}
		for after := (persistence.Position{}); ; {
			parked, err := book.Parked(ctx, w.spec.name, w.spec.version, after, maxParked)
			if err != nil {
				return err
			}
			for _, p := range parked {
				if w.owns(p.Lane) {
					w.lanes.add(p, 1)
				}
				after = p.Position
			}
			if len(parked) < maxParked {
				break
			}
		}
		w.effects, w.limited, w.until = registration.Effects, limited(registration), registration.Until
		w.mu.Lock()
		defer w.mu.Unlock()
		w.row, w.at, w.passed = row, row.Checkpoint, 0
		w.moved = row.Moved
		return nil
	})
	if err == nil {
		w.host.own(w.key.Low, w.row.Epoch)
		w.mu.Lock()
		w.held = nil
		w.mu.Unlock()
	}
	return err
}

// free reports that another runner has the part, and is to keep it.
func (w *worker) free(ctx context.Context, book Book, registration *Registration) error {
	rows, err := book.Workers(ctx, w.spec.name, w.spec.version)
	if err != nil {
		return err
	}
	beats, err := book.Beats(ctx)
	if err != nil {
		return err
	}
	if len(rows) != w.spec.workers && !limited(*registration) && w.host.hasAll(rows, beats) {
		return fenced() // they can be divided anew
	}
	for i := range rows {
		switch row := &rows[i]; {
		case row.Low != w.key.Low:
		case row.High != w.high:
			return fenced() // they are divided anew
		case !w.takes(row, beats, registration.Changes):
			return &heldError{row.Node, w.host.heartbeat.limit}
		default:
			return nil
		}
	}
	return &NotFoundError{w.spec.name}
}

func (w *worker) owns(lane string) bool {
	slice := SliceOf(lane)
	return w.key.Low <= slice && slice < w.high
}

// page applies a page and remembers its place.
func (w *worker) page(ctx context.Context, subscription *tail.Subscription, page persistence.Page) error {
	events, next := page.Events, page.Next
	limit := w.until.Positions()
	if len(limit) > 0 && !coversAll(limit, next) {
		next = lower(limit, next)
		for len(events) > 0 && !limit.Covers(events[len(events)-1].Position) {
			events = events[:len(events)-1]
		}
	}
	end, err := subscription.Checkpoint(ctx, next)
	if err != nil {
		return err
	}
	if len(events) > 0 {
		err = w.apply(ctx, events, end)
	} else {
		err = w.pass(ctx, end)
	}
	switch {
	case err != nil:
		return err
	case w.lanes.full():
		return w.fail(ctx, errTooManyParked)
	case w.leaving():
		return nil // what is left of the page comes again
	case len(limit) > 0 && coversAll(next, limit):
		if err := w.flush(ctx); err != nil {
			return err
		}
		w.arrived = true
		return errFinished
	case page.AtHead:
		w.become(Live, nil)
	default:
		w.become(CatchingUp, nil)
	}
	return nil
}

// apply applies events. When one of them fails, those before it are applied
// without it, and it is tried alone.
func (w *worker) apply(ctx context.Context, events []persistence.Recorded, end tail.Checkpoint) error {
	var trouble trouble
	for len(events) > 0 && !w.leaving() {
		n := trouble.size(len(events))
		b := &batch{worker: w, events: events[:n], end: end, verdict: trouble.verdict}
		if n < len(events) {
			b.end = w.row.Checkpoint.With(&events[n-1])
		}
		err := w.unit.apply(ctx, b)
		if err == nil || b.kept {
			events = events[w.applyDone(b):]
		}
		if err == nil && b.halt {
			return errHalted
		}
		if err == nil {
			trouble.passed(b.done)
			continue
		}
		if err := w.judge(ctx, &trouble, b, err); err != nil {
			return err
		}
	}
	return nil
}

// applyDone notes what a batch has saved, and returns how many events it were.
func (w *worker) applyDone(b *batch) int {
	for _, parked := range b.parked {
		w.lanes.add(parked, 1)
	}
	w.mu.Lock()
	w.row, w.at, w.passed = b.saved, b.saved.Checkpoint, 0
	w.moved = b.saved.Moved
	w.applied += int64(b.done)
	w.pages++
	w.mu.Unlock()
	w.host.advanced()
	return b.done
}

// targetTime is the time that a target may take for its work beside the handlers.
const targetTime = 30 * time.Second

var errTarget = errors.New("the target took more than 30 s")

// trouble is the knowledge from the failures of a page.
type trouble struct {
	alone    int // events to be tried one by one
	prefix   int // events that did not fail, in front of one that did
	attempts int // of the first event
	verdict  *verdict
}

func (t *trouble) size(n int) int {
	switch {
	case t.verdict != nil || t.alone > 0:
		return 1
	case t.prefix > 0:
		return min(n, t.prefix)
	}
	return n
}

func (t *trouble) passed(n int) {
	t.alone, t.prefix = max(0, t.alone-n), 0
	t.attempts, t.verdict = 0, nil
}

// judge decides what to do about an error; nil is to go on as trouble says.
func (w *worker) judge(ctx context.Context, t *trouble, b *batch, err error) error {
	failed, known := blame(err)
	late := known && failed.isLate() // and not a target that is away
	switch {
	case errors.Is(err, persistence.ErrFenced), ctx.Err() != nil, !late && away(err):
		return err
	case isDefinition(err):
		return w.fail(ctx, err)
	case !known && len(b.events) > 1:
		t.alone = len(b.events) // one of them is to blame, or their sum
		return nil
	case !known:
		e := &b.events[0]
		failed = &EventError{Projection: w.spec.name, Stream: e.Stream, Position: e.Position, Type: e.Type, Err: err}
	}
	index := failed.index
	if b.kept {
		index -= b.done
	}
	if index > 0 {
		t.prefix = index
		return nil
	}
	t.alone = max(t.alone, 1)
	t.attempts++
	w.mu.Lock()
	w.failures++
	w.mu.Unlock()
	if t.attempts <= w.spec.retries && !hopeless(failed.Err) {
		w.become(Retrying, failed)
		pause := min(w.spec.backoff<<min(t.attempts-1, 20), 30*time.Second)
		sleep(w.stopping, jitter(pause))
		return nil
	}
	w.host.log("projection failed at an event", w, failed)
	switch {
	case w.spec.policy == Stop:
		return w.fail(ctx, failed)
	case w.spec.policy == Skip:
		t.verdict = &verdict{cause: causeOf(failed.Err), attempts: Skipped}
	case w.lanes.full():
		return w.fail(ctx, fmt.Errorf("%w: %w", errTooManyParked, failed))
	default:
		t.verdict = &verdict{cause: causeOf(failed.Err), attempts: t.attempts}
	}
	return nil
}

// fail ends the worker until an operator or a new start has another try.
func (w *worker) fail(ctx context.Context, cause error) error {
	select {
	case <-w.wake: // of before
	default:
	}
	w.become(Failed, cause)
	w.host.tries(&w.row)
	saved := w.row
	saved.Cause = causeOf(cause)
	err := w.host.store.Update(ctx, func(ctx context.Context, book Book) error {
		return book.Save(ctx, w.key, w.row.Epoch, w.row.Checkpoint, saved)
	})
	if errors.Is(err, persistence.ErrFenced) {
		return err
	}
	w.host.log("projection has failed", w, cause)
	w.host.advanced() // those who wait for it need not any longer
	return errFailed
}

const (
	// passRows and passTime are when a place is saved at the latest behind which
	// nothing was chosen. To lose it costs passing over the events again.
	passRows = 10_000
	passTime = 5 * time.Second
)

// pass moves on over events that were not chosen.
func (w *worker) pass(ctx context.Context, end tail.Checkpoint) error {
	w.mu.Lock()
	passed := distance(w.at.Positions(), end.Positions())
	if passed > 0 {
		w.at, w.moved = end, time.Now()
		w.passed += passed
	}
	if passed == w.passed && passed > 0 {
		w.idle.Reset(passTime)
	}
	due := w.passed >= passRows || w.passed > 0 && time.Since(w.row.Moved) > passTime
	w.mu.Unlock()
	if passed > 0 {
		w.host.advanced()
	}
	if !due {
		return nil
	}
	return w.flush(ctx)
}

// flush saves how far the worker has come. It is called by its own goroutine alone.
func (w *worker) flush(ctx context.Context) error {
	if w.row.Checkpoint.String() == w.at.String() {
		return nil
	}
	b := &batch{worker: w, end: w.at}
	b.rewind()
	err := w.host.store.Update(ctx, func(ctx context.Context, book Book) error {
		return b.save(ctx, book, w.row.State)
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.row, w.passed = b.saved, 0
	return nil
}

// redrive applies events again that were set aside, where that is wished: lane by
// lane and in order, until one fails.
func (w *worker) redrive(ctx context.Context) error {
	var wished []Parked
	err := w.host.store.Update(ctx, func(ctx context.Context, book Book) error {
		all, err := book.Parked(ctx, w.spec.name, w.spec.version, persistence.Position{}, maxParked)
		if err != nil {
			return err
		}
		wished = wished[:0]
		for _, parked := range all {
			if parked.Retry && w.owns(parked.Lane) {
				wished = append(wished, parked)
			}
		}
		return nil
	})
	failed := map[string]bool{}
	for i := range wished {
		if err != nil || w.leaving() {
			break
		}
		if parked := &wished[i]; failed[parked.Lane] {
			parked.Retry = false
			err = w.host.store.Update(ctx, func(ctx context.Context, book Book) error { return book.Park(ctx, *parked) })
		} else {
			failed[parked.Lane], err = w.redriveOne(ctx, *parked)
		}
	}
	return err
}

func (w *worker) redriveOne(ctx context.Context, parked Parked) (failed bool, err error) {
	stored, err := eventAt(ctx, w.host.config.Journal, parked.Position)
	if err == nil && !parked.isOf(&stored) {
		err = &DivergedError{w.spec.name, &persistence.LostTailError{Position: parked.Position, Reason: "the journal has another event there than the one that was set aside"}}
	}
	if err == nil {
		b := &batch{worker: w, events: []persistence.Recorded{stored}, again: &parked}
		err = w.unit.apply(ctx, b)
		if err == nil {
			w.lanes.add(parked, -1)
			w.applyDone(b)
			return false, nil
		}
	}
	blamed, known := blame(err)
	late := known && blamed.isLate()
	if errors.Is(err, persistence.ErrFenced) || ctx.Err() != nil || !late && away(err) {
		return false, err
	}
	if known {
		err = blamed.Err
	}
	parked.Retry, parked.Cause = false, causeOf(err)
	parked.Attempts = max(0, parked.Attempts) + 1
	return true, w.host.store.Update(ctx, func(ctx context.Context, book Book) error { return book.Park(ctx, parked) })
}

// become changes the status.
func (w *worker) become(status Status, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status != status {
		w.status, w.since = status, time.Now()
	}
	w.cause = cause
}

// place is where the worker stands.
func (w *worker) place() persistence.Positions {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at.Positions()
}

// provenPlace is where the worker stands, and whether the journal has the place.
func (w *worker) provenPlace() (persistence.Positions, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at.Positions(), w.proven
}

// proves notes whether the journal is known to have the worker's place.
func (w *worker) proves(proven bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proven = proven
}

// diverges is why the worker has failed, if the journal does not have its place.
func (w *worker) diverges() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if diverged, ok := errors.AsType[*DivergedError](w.cause); ok && w.status == Failed {
		return diverged
	}
	return nil
}

func coversAll(p, q persistence.Positions) bool {
	for part := range q {
		if !p.Covers(q.Of(uint16(part))) { //nolint:gosec // partitions are numbered by it
			return false
		}
	}
	return true
}

// lower is the smaller place in every partition.
func lower(p, q persistence.Positions) persistence.Positions {
	low := make(persistence.Positions, max(len(p), len(q)))
	for part := range low {
		low[part] = min(p.Of(uint16(part)).Offset, q.Of(uint16(part)).Offset) //nolint:gosec // partitions are numbered by it
	}
	return low
}

// distance is the number of events between two places.
func distance(from, to persistence.Positions) int {
	n := int64(0)
	for part := range to {
		n += max(0, to.Of(uint16(part)).Offset-from.Of(uint16(part)).Offset) //nolint:gosec // partitions are numbered by it
	}
	return int(n)
}
