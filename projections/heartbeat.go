package projections

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/stele-es/stele/internal/usercode"
)

// beatsPerTakeOver is the number of signs of life that a runner gives in the time after
// which others take over from a silent one.
const beatsPerTakeOver = 5

// heartbeat says in one store that a runner is alive, and sees whether those are alive that
// have what is waited for here. Ownership needs neither to be right: an epoch decides
// who can save. It only decides when a waiter takes over.
//
// No clock of another machine counts. A runner that waits counts how long it has seen
// the same number, by its own monotonic clock, and between two looks no more than two
// intervals: so the time in which it could not look, because the store was away or
// the process halted, is not held against the owner.
type heartbeat struct {
	store  Store
	node   string
	limit  time.Duration
	hosted []*hosted
	now    chan struct{} // somebody has begun to wait

	mu   sync.Mutex // protects beat
	beat int64

	// These belong to the goroutine.
	looked time.Time // when the store was seen last
	silent map[string]silence
}

// silence is the time since the last sign of life of a runner.
type silence struct {
	beat int64
	time time.Duration
}

// next is the number of the next sign of life.
func (b *heartbeat) next() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beat++
	return b.beat
}

// last is the number of the last sign of life.
func (b *heartbeat) last() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.beat
}

// hurry makes the next look come at once.
func (b *heartbeat) hurry() {
	select {
	case b.now <- struct{}{}:
	default:
	}
}

// run gives signs of life until ctx is done. It outlives the workers.
func (b *heartbeat) run(ctx context.Context) error {
	defer b.announce()()
	for ctx.Err() == nil {
		_ = usercode.Call(func() error { // whoever needs the store says that it is away
			b.beatOnce(ctx)
			return nil
		})
		timer := time.NewTimer(b.limit / beatsPerTakeOver)
		select {
		case <-ctx.Done():
		case <-b.now:
		case <-timer.C:
		}
		timer.Stop()
	}
	if beat := b.last(); beat > 0 {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.limit/beatsPerTakeOver)
		defer cancel()
		_ = usercode.Call(func() error { // others find out by themselves
			return b.store.Update(bounded, func(ctx context.Context, book Book) error { return book.Forget(ctx, b.node, beat) })
		})
	}
	return nil
}

// announce has the store see this process, if it can, until the returned function is called.
// Without that the others wait for signs of life.
func (b *heartbeat) announce() (end func()) {
	mortal, ok := storeOf(b.store).(Mortal)
	if !ok {
		return func() {}
	}
	var release func() error
	warn := func(err error) {
		if err != nil {
			b.hosted[0].config.Logger.Warn("others see only after a time when this process ends", slog.Any("err", err))
		}
	}
	warn(usercode.Call(func() (err error) {
		release, err = mortal.Live(b.node)
		return err
	}))
	return func() {
		if release != nil {
			warn(usercode.Call(release))
		}
	}
}

// isDead reports that the store has seen a runner's process end.
func (b *heartbeat) isDead(node string) (dead bool) {
	if mortal, ok := storeOf(b.store).(Mortal); ok {
		_ = usercode.Call(func() error { // else its signs of life tell
			dead = mortal.Dead(node)
			return nil
		})
	}
	return dead
}

// beatOnce gives a sign of life if anything is owned here, and lets those take over who
// wait for what nobody has any more.
func (b *heartbeat) beatOnce(ctx context.Context) {
	owns, waiting := b.holdings()
	if !owns && len(waiting) == 0 {
		b.silent = nil
		return
	}
	bounded, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	rows, beats, err := b.exchange(bounded, owns, waiting)
	if err != nil || len(waiting) == 0 {
		return // whoever needs the store says that it is away
	}
	if !b.forgetDead(bounded, beats) {
		return
	}
	for h, workers := range waiting {
		for _, w := range workers {
			w.seen(rows[h], beats, h.changes())
		}
	}
}

// holdings reports whether anything is owned here, and returns the workers that wait for
// what others own.
func (b *heartbeat) holdings() (owns bool, waiting map[*hosted][]*worker) {
	waiting = map[*hosted][]*worker{}
	for _, h := range b.hosted {
		owner, waiters := h.holdings()
		if owns = owns || owner; len(waiters) > 0 {
			waiting[h] = waiters
		}
	}
	return owns, waiting
}

// exchange stores a sign of life of a runner that owns something, and returns what those
// that wait must know: the parts of their projections and the signs of life of all.
func (b *heartbeat) exchange(ctx context.Context, owns bool, waiting map[*hosted][]*worker) (rows map[*hosted][]Worker, beats map[string]int64, err error) {
	rows = map[*hosted][]Worker{}
	err = b.store.Update(ctx, func(ctx context.Context, book Book) (err error) {
		if owns {
			if err := book.Beat(ctx, b.node, b.next()); err != nil {
				return err
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		for h := range waiting {
			if rows[h], err = book.Workers(ctx, h.spec.name, h.spec.version); err != nil {
				return err
			}
		}
		beats, err = book.Beats(ctx)
		return err
	})
	return rows, beats, err
}

// forgetDead removes runners that have ended, or have given no sign of life for too long.
func (b *heartbeat) forgetDead(ctx context.Context, beats map[string]int64) bool {
	gap := min(time.Since(b.looked), 2*b.limit/beatsPerTakeOver)
	b.looked = time.Now()
	still, dead := map[string]silence{}, map[string]int64{}
	for node, beat := range beats {
		before, known := b.silent[node]
		switch {
		case node == b.node:
			continue
		case b.isDead(node):
			dead[node] = beat
		case !known || before.beat != beat:
			still[node] = silence{beat: beat}
		case before.time+gap >= b.limit:
			dead[node] = beat
			still[node] = silence{beat, before.time + gap}
		default:
			still[node] = silence{beat, before.time + gap}
		}
	}
	b.silent = still
	if len(dead) == 0 {
		return true
	}
	err := b.store.Update(ctx, func(ctx context.Context, book Book) error {
		for node, beat := range dead {
			if err := book.Forget(ctx, node, beat); err != nil {
				return err
			}
		}
		now, err := book.Beats(ctx)
		clear(beats)
		maps.Copy(beats, now) // one that has come back to life stays
		return err
	})
	return err == nil
}

// heldError reports a part that another runner has.
type heldError struct {
	node  string
	limit time.Duration
}

// Error fulfils error.
func (e *heldError) Error() string {
	return fmt.Sprintf("runs on %s: this runner waits, and takes over when that one ends, fails, or gives no sign of life for %s", e.node, e.limit)
}

// holdings reports whether parts of the version are owned here, and returns the workers
// here that wait for others to leave theirs.
func (h *hosted) holdings() (owner bool, waiting []*worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.workers {
		if w.isWaiting() {
			waiting = append(waiting, w)
		}
	}
	return len(h.owned) > 0, waiting
}

// own notes a part that belongs here from now on.
func (h *hosted) own(low int, epoch int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owned[low] = epoch
}

// leave gives up parts that belong here, but for some that go on.
func (h *hosted) leave(ctx context.Context, stay []Worker) error {
	h.mu.Lock()
	left := maps.Clone(h.owned)
	h.mu.Unlock()
	for _, w := range stay {
		delete(left, w.Low)
	}
	if len(left) == 0 {
		return nil
	}
	err := h.store.Update(ctx, func(ctx context.Context, book Book) error {
		for low, epoch := range left {
			if err := book.Release(ctx, PartKey{h.spec.name, h.spec.version, low}, epoch); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		h.mu.Lock()
		for low := range left {
			delete(h.owned, low)
		}
		h.mu.Unlock()
	}
	return err
}

// takes decides whether this runner takes a part over that is as the row says: from
// nobody, from itself, from a runner that is not alive, or from one that has failed
// where this one has not tried yet.
func (w *worker) takes(row *Worker, beats map[string]int64, changes int64) bool {
	_, alive := beats[row.Node]
	return row.Node == "" || row.Node == w.host.config.instance || !alive || row.Cause != "" && !w.host.hasTried(row, changes)
}

// tried is a place at which a part has failed here.
type tried struct {
	place   string
	changes int64
}

// tries notes that a part has failed here.
func (h *hosted) tries(row *Worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed[row.Low] = tried{row.Checkpoint.String(), h.known.Changes}
}

// hasTried reports whether a part has failed here at its place, and nobody has wished
// anything since.
func (h *hosted) hasTried(row *Worker, changes int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed[row.Low] == tried{row.Checkpoint.String(), changes}
}

// isWaiting reports whether the worker waits until another one leaves its part, or has
// failed and may have lost it.
func (w *worker) isWaiting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held != nil || w.status == Failed
}

// heldBy says which other runner has the part, if that is so.
func (w *worker) heldBy() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		return nil
	}
	return w.held
}

// seen looks at the rows of the workers, and rouses one whose part can be taken over, or
// is no longer its own.
func (w *worker) seen(rows []Worker, beats map[string]int64, changes int64) {
	w.mu.Lock()
	held, epoch := w.held != nil, w.row.Epoch
	w.mu.Unlock()
	for i := range rows {
		row := &rows[i]
		if row.Low == w.key.Low && (held && w.takes(row, beats, changes) || !held && row.Epoch != epoch) {
			w.rouse()
			return
		}
	}
}

func (w *worker) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// standBy waits until the part may be taken over.
func (w *worker) standBy(reading context.Context, held *heldError) {
	w.mu.Lock()
	anew := w.held == nil || w.held.node != held.node
	w.held = held
	w.mu.Unlock()
	w.become(Elsewhere, held)
	w.host.release() // who waits here asks the store
	if anew {
		w.host.log("projection runs on another node, and this one waits for it to end", w, held)
		w.host.heartbeat.hurry()
	}
	w.sleepUntilRoused(reading)
}

// sleepUntilRoused waits for a change of the part's owner.
func (w *worker) sleepUntilRoused(reading context.Context) {
	select {
	case <-reading.Done():
	case <-w.wake:
	}
}
