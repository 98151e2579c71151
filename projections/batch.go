package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

const (
	// pageRows and pageBytes bound what is applied in one transaction. A page that was
	// read for all is one.
	pageRows  = persistence.DefaultPageRows
	pageBytes = 8 << 20
	// pageTime is when a transaction is committed though more lies before it.
	pageTime = 100 * time.Millisecond
	// maxCause bounds the text of a cause that is kept.
	maxCause = 1 << 10
)

// batch is a run of stored events that are applied and saved together. A target
// that repeats its transaction rewinds it.
type batch struct {
	*worker
	events []persistence.Recorded // as they are stored
	// end is where the projection stands when all are applied: behind the events, and
	// behind what was not chosen after them.
	end tail.Checkpoint
	// verdict says what happens to the only event in place of being handled.
	verdict *verdict
	// again is the only event as it was set aside.
	again *Parked

	begun  time.Time
	done   int
	sub    int // applied of what came of the event at done
	parked []Parked
	halt   bool        // a handler has asked to stop behind its event
	inside bool        // of what handles the event at done
	failed *EventError // what deal returned last
	watch  *watch
	saved  Worker
	kept   bool // saved is durable although the batch has failed
}

// verdict sets an event aside, in the one way or the other.
type verdict struct {
	cause    string
	attempts int
}

// rewind begins anew.
func (b *batch) rewind() {
	b.begun, b.done, b.parked, b.halt, b.inside, b.failed = time.Now(), 0, nil, false, false, nil
	b.sub = 0
	if len(b.events) > 0 && b.row.Sub > 0 && b.events[0].ID == b.row.SubOf {
		b.sub = b.row.Sub
	}
	if b.again != nil {
		b.sub = b.again.Sub
	}
}

// next reports whether there is an event to deal with. A wish is obeyed between
// two events, and a transaction does not stay open for long.
func (b *batch) next() bool {
	if b.done == len(b.events) || b.halt || b.leaving() {
		return false
	}
	elapsed := time.Since(b.begun)
	return (b.done == 0 || elapsed < pageTime) && b.watch.goOn(elapsed)
}

// deals handles event after event until one fails or the batch is to end. Handlers
// get a context that ends when one takes too long; the target's own goes on, so that
// what has succeeded can be saved.
func (b *batch) deals(ctx context.Context, handle func(context.Context, *persistence.Recorded) error) (err error) {
	ctx, cancel := context.WithCancelCause(b.known(ctx))
	defer cancel(nil)
	b.watch = watched(b.spec.timeout, cancel)
	defer b.watch.stop()
	for err == nil && b.next() {
		err = b.deal(ctx, handle)
	}
	return err
}

// survive calls what runs the definition's code, and blames the event in hand, or the
// definition, when that does not return.
func (b *batch) survive(f func() error) error {
	err := usercode.Call(f)
	ended, ok := err.(*usercode.EndedError) //nolint:errorlint // not what a handler has wrapped
	switch {
	case !ok:
		return err
	case !b.inside:
		return &definitionError{ended}
	}
	b.inside = false
	b.failed = b.eventError(fmt.Errorf("the handler %w", ended))
	return b.failed
}

// blamed returns the failure of an event that the target has taken for one of its own:
// drivers give a connection up whose caller has left.
func (b *batch) blamed(ctx context.Context, err error) error {
	if b.failed == nil || err == nil || ctx.Err() != nil || errors.Is(err, persistence.ErrFenced) {
		return err
	}
	if b.failed.isLate() {
		return b.failed
	}
	return err
}

func (b *batch) eventError(err error) *EventError {
	stored := &b.events[b.done]
	return &EventError{Projection: b.spec.name, Stream: stored.Stream, Position: stored.Position, Type: stored.Type, Err: err, index: b.done, handled: true}
}

// definitionError reports what a definition gives beside its handlers, such as
// [LaneBy], when it did not return.
type definitionError struct{ ended *usercode.EndedError }

func (e *definitionError) Error() string { return "the definition " + e.ended.Error() }

// slowError reports a handler that has taken longer than [Timeout] allows.
type slowError struct{ limit time.Duration }

func (e *slowError) Error() string {
	return fmt.Sprintf("the handler took more than %s: make it faster, or give the definition a longer Timeout", e.limit)
}

// watch ends the context of a handler that takes too long. It costs a handler that does
// not next to nothing: one timer for a batch, which looks when the last handler has
// begun.
type watch struct {
	limit  time.Duration
	start  time.Time
	begun  atomic.Int64 // of the handler at work, since start
	slow   atomic.Bool
	cancel context.CancelCauseFunc

	mu    sync.Mutex // protects timer
	timer *time.Timer
}

func watched(limit time.Duration, cancel context.CancelCauseFunc) *watch {
	w := &watch{limit: limit, start: time.Now(), cancel: cancel}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(limit, w.expire)
	return w
}

func (w *watch) expire() {
	if left := w.limit - time.Since(w.start) + time.Duration(w.begun.Load()); left > 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer.Reset(left)
		return
	}
	w.slow.Store(true)
	w.cancel(&slowError{w.limit})
}

// goOn notes that a handler begins. It reports false when one took too long, whose
// context is that of all.
func (w *watch) goOn(elapsed time.Duration) bool {
	w.begun.Store(int64(elapsed))
	return !w.slow.Load()
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
}

// deal applies the next event with handle, or sets it aside. When it returns an error,
// sub counts the applied events among several that upcasters made of one.
func (b *batch) deal(ctx context.Context, handle func(context.Context, *persistence.Recorded) error) error {
	stored := &b.events[b.done]
	lane := b.spec.laneOf(stored)
	switch {
	case b.verdict != nil:
		b.set(stored, lane, b.verdict.cause, b.verdict.attempts)
	case b.again == nil && b.lanes.holds(lane):
		b.set(stored, lane, "", 0)
	default:
		b.inside = true
		err := b.apply(ctx, stored, handle)
		b.inside = false
		if err != nil {
			if b.watch.slow.Load() {
				err = &slowError{b.watch.limit}
			}
			b.failed = b.eventError(err)
			return b.failed
		}
	}
	b.done++
	b.sub = 0
	return nil
}

func (b *batch) set(stored *persistence.Recorded, lane, cause string, attempts int) {
	b.parked = append(b.parked, Parked{
		Name: b.spec.name, Version: b.spec.version, Position: stored.Position, Stream: stored.Stream, EventID: stored.ID,
		Sub: b.sub, Lane: lane, Cause: cause, Attempts: attempts, At: time.Now(),
	})
}

// apply hands over what a stored event is today.
func (b *batch) apply(ctx context.Context, stored *persistence.Recorded, handle func(context.Context, *persistence.Recorded) error) error {
	if !b.host.config.Upcasters.Touches(stored.Type) {
		return b.guard(ctx, stored, handle)
	}
	today, err := b.host.config.Upcasters.Upcast(nil, stored)
	if err != nil {
		return err
	}
	for ; b.sub < len(today); b.sub++ {
		if err := b.guard(ctx, &today[b.sub], handle); err != nil {
			return err
		}
	}
	return nil
}

// guard makes a panic of the user's code an error.
func (b *batch) guard(ctx context.Context, recorded *persistence.Recorded, handle func(context.Context, *persistence.Recorded) error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("the handler %w", usercode.Panicked(reason))
		}
	}()
	return handle(ctx, recorded)
}

// batchKey finds the batch in the context of a handler.
type batchKey struct{}

// known gives handlers a context that knows the batch.
func (b *batch) known(ctx context.Context) context.Context {
	return within(context.WithValue(ctx, batchKey{}, b), b.spec.name)
}

// withinKey finds the name of the projection in the context of its functions.
type withinKey struct{}

// within marks the context that functions of a projection are given.
func within(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, withinKey{}, name)
}

// outside refuses who asks from inside of a handler for what would wait for that
// handler to end.
func (h *hosted) outside(ctx context.Context) error {
	store, ok := storeOf(h.store).(Sequential)
	switch {
	case ctx.Value(withinKey{}) == h.spec.name:
		return &persistence.InvalidError{
			Field: "context", Reason: "is that of a handler of the same projection, which would wait for itself: call Halt to stop it behind the event, and ask for anything else from outside of the handler",
		}
	case ok && store.Holds(ctx):
		return &persistence.InvalidError{
			Field: "context", Reason: "is that of a handler whose transaction holds up all projections in its store: ask from outside of the handler",
		}
	}
	return nil
}

// Halt stops the projection after the event that is being handled, which counts as
// applied. The projection stays stopped until it is started. The context must be that of
// a handler; otherwise nothing happens.
func Halt(ctx context.Context) {
	if b, ok := ctx.Value(batchKey{}).(*batch); ok {
		b.halt = true
	}
}

// EpochOf returns the epoch of the worker that runs a handler (a fencing token). Pass it
// to a system that can refuse callers with a lower one. It is 0 for other contexts.
func EpochOf(ctx context.Context) int64 {
	if b, ok := ctx.Value(batchKey{}).(*batch); ok {
		return b.row.Epoch
	}
	return 0
}

// save writes what the batch has come to into the book, fenced by the epoch.
func (b *batch) save(ctx context.Context, book Book, state []byte) error {
	for _, parked := range b.parked {
		if err := book.Park(ctx, parked); err != nil {
			return err
		}
	}
	b.saved = b.row
	b.saved.State, b.saved.Moved = state, time.Now()
	switch {
	case b.again != nil:
		if err := b.saveAgain(ctx, book); err != nil {
			return err
		}
	case b.done == len(b.events):
		b.saved.Checkpoint = b.end
	case b.done > 0:
		b.saved.Checkpoint = b.row.Checkpoint.With(&b.events[b.done-1])
	}
	if b.again == nil && len(b.events) > 0 {
		b.saved.Sub, b.saved.SubOf = 0, persistence.EventID{}
		if b.sub > 0 {
			b.saved.Sub, b.saved.SubOf = b.sub, b.events[b.done].ID
		}
	}
	if b.halt {
		if err := setStopped(ctx, book, b.spec.name, b.spec.version, true); err != nil {
			return err
		}
	}
	return book.Save(ctx, b.key, b.row.Epoch, b.row.Checkpoint, b.saved)
}

// saveAgain removes the event from what is set aside, or notes how far it came.
func (b *batch) saveAgain(ctx context.Context, book Book) error {
	if b.done == 1 {
		return book.Unpark(ctx, b.spec.name, b.spec.version, b.again.Position)
	}
	b.again.Sub = b.sub
	return book.Park(ctx, *b.again)
}

// blame is the event that an error is about.
func blame(err error) (*EventError, bool) { return errors.AsType[*EventError](err) }

// away reports errors that say nothing about an event: a part is away, and the
// same may succeed when it is back.
func away(err error) bool {
	class, known := persistence.Classify(err)
	return known && class.Retry || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// hopeless reports errors that come again however often an event is tried.
func hopeless(err error) bool { return persistence.ErrorKindOf(err) == persistence.ErrCorrupt }

// causeOf is the text of an error as it is kept.
func causeOf(err error) string {
	text := err.Error()
	if len(text) > maxCause {
		text = text[:maxCause]
	}
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), string(utf8.RuneError))
	return text
}

// lanes are those that something is set aside in, with how much.
type lanes struct {
	rows  map[string]int
	total int
}

// The number of events that a worker sets aside at most before it fails.
const (
	maxLanes  = 1000
	maxParked = 100_000
)

func (l *lanes) holds(lane string) bool { return l.rows[lane] > 0 }

func (l *lanes) add(parked Parked, by int) {
	if parked.Attempts == Skipped {
		return
	}
	if l.rows == nil {
		l.rows = map[string]int{}
	}
	l.total += by
	if l.rows[parked.Lane] += by; l.rows[parked.Lane] <= 0 {
		delete(l.rows, parked.Lane)
	}
}

func (l *lanes) full() bool { return len(l.rows) > maxLanes || l.total > maxParked }
