package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// hosted is one version of a projection on a runner: it sees what is wished of it,
// and keeps the workers running that belong here. One goroutine does that, and each
// worker has one of its own.
type hosted struct {
	bound
	spec      *spec
	store     Store
	config    *Config
	tailer    *tail.Tailer
	wake      chan struct{} // something may be wished
	heartbeat *heartbeat    // of the runner, in the store

	mu      sync.Mutex // protects the rest
	workers map[int]*worker
	parts   int // of the version, here and elsewhere
	known   Registration
	status  Status // when no worker says
	cause   error
	since   time.Time
	begun   chan struct{} // closed when the runner runs for the first time
	deleted bool          // by a wish, and not begun again since
	others  bool          // it suffers from otherEvents, as was logged
	owned   map[int]int64 // parts that belong here, with their epochs
	failed  map[int]tried // where parts have failed here
	waiters []*waiter
	// asked counts the wishes that were made here, answered those that were seen, and
	// seen is closed when that changes.
	asked, answered int
	held            int // callers who need the workers to rest
	seen            chan struct{}
	siblings        []*hosted // all hosted versions of the projection, itself included
}

func newHosted(b bound, config *Config, tailer *tail.Tailer) *hosted {
	return &hosted{
		bound: b, spec: b.spec(), store: b.store(), config: config, tailer: tailer,
		wake: make(chan struct{}, 1), workers: map[int]*worker{}, status: Stopped, since: time.Now(),
		seen: make(chan struct{}), begun: make(chan struct{}), owned: map[int]int64{}, failed: map[int]tried{},
	}
}

// recheck has run look again at what is asked of the projection.
func (h *hosted) recheck() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run keeps the version running until ctx is done.
func (h *hosted) run(ctx context.Context) error {
	h.begin()
	for pause := firstPause; ctx.Err() == nil; {
		var moved <-chan struct{}
		var parts []Worker
		err := usercode.Call(func() (err error) { // a placement's, or a store's
			moved, parts, err = h.prepare(ctx)
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				h.log("projection cannot be prepared", nil, err)
				status := Waiting
				if !away(err) && !errors.Is(err, persistence.ErrConflict) {
					status = Failed // an operator has to look; the operator's wish is seen below
				}
				h.become(status, err)
				h.wait(ctx, jitter(pause), nil)
				pause = min(2*pause, lastPause)
			}
			continue
		}
		pause = firstPause
		h.serve(ctx, parts, moved)
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.heartbeat.limit)
	defer cancel()
	_ = usercode.Call(func() error { return h.leave(bounded, nil) }) // others find out by themselves
	return nil
}

// serve runs the workers that belong here until something is wished, or another
// owner or placement turns up.
func (h *hosted) serve(ctx context.Context, parts []Worker, moved <-chan struct{}) {
	var components []lifecycle.Component
	workers := map[int]*worker{}
	for _, part := range parts {
		w := &worker{host: h, spec: h.spec, key: PartKey{h.spec.name, h.spec.version, part.Low}, high: part.High, row: part, at: part.Checkpoint, wake: make(chan struct{}, 1)}
		w.unit = h.unit(w)
		w.status, w.since, w.moved, w.begun, w.from = Starting, time.Now(), part.Moved, time.Now(), part.Checkpoint
		workers[part.Low] = w
		components = append(components, lifecycle.Component{Name: w.key.String(), Run: w.run})
	}
	h.mu.Lock()
	h.workers = workers
	h.mu.Unlock()
	h.release()

	group := lifecycle.Start(ctx, components...)
	h.wait(ctx, 0, moved)
	_ = group.Stop(context.WithoutCancel(ctx)) // workers end by themselves, and fail in their status
	h.mu.Lock()
	h.workers = map[int]*worker{}
	h.mu.Unlock()
}

// wait returns when there may be something to do.
func (h *hosted) wait(ctx context.Context, limit time.Duration, moved <-chan struct{}) {
	var late <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-ctx.Done():
	case <-h.wake:
	case <-moved:
	case <-late:
	}
}

// prepare registers the version if it is new, sets its read model up, carries out
// what is due, and returns the workers to run here.
func (h *hosted) prepare(ctx context.Context) (moved <-chan struct{}, mine []Worker, err error) {
	h.mu.Lock()
	asked, held := h.asked, h.held > 0
	h.mu.Unlock()
	defer h.answer(asked)
	registration, workers, err := h.registered(ctx, held)
	if err != nil {
		return nil, nil, err
	}
	if registration.Successor > 0 && limited(registration) && at(workers, registration.Until) {
		h.wakeSuccessor(registration.Successor)
	}
	h.mu.Lock()
	h.known, h.parts = registration, len(workers)
	h.mu.Unlock()
	if registration.Stopped || len(workers) == 0 || held {
		h.become(restingAs(registration, len(workers), held), nil)
		h.release()
		if !held {
			err = h.leave(ctx, nil)
		}
		return nil, nil, err
	}
	if !registration.Ready {
		if err := h.setUp(ctx); err != nil {
			return nil, nil, err
		}
	}
	return h.choose(ctx, workers)
}

// registered returns what the store holds of the projection, after a step that is due.
func (h *hosted) registered(ctx context.Context, held bool) (Registration, []Worker, error) {
	registration, workers, beats, err := h.register(ctx)
	if err == nil && !held && h.due(registration, workers, beats) {
		if err = h.advance(ctx); err == nil {
			registration, workers, _, err = h.register(ctx)
		}
	}
	return registration, workers, err
}

// restingAs is the status of a projection of which nothing runs.
func restingAs(registration Registration, parts int, held bool) Status {
	switch {
	case held:
		return Paused
	case parts == 0:
		return Deleted
	case registration.Successor > 0:
		return Retired
	}
	return Stopped
}

// choose returns the parts that belong to this host, and what tells that they have moved.
func (h *hosted) choose(ctx context.Context, workers []Worker) (moved <-chan struct{}, mine []Worker, err error) {
	for _, w := range workers {
		owned, again := h.config.Placement.Owns(PartKey{h.spec.name, h.spec.version, w.Low}.String())
		if moved = again; owned {
			mine = append(mine, w)
		}
	}
	if err := h.leave(ctx, mine); err != nil {
		return nil, nil, err
	}
	if len(mine) > 0 {
		h.become(Starting, nil)
	} else {
		h.become(Elsewhere, nil)
		h.release()
	}
	return moved, mine, nil
}

// wakeSuccessor lets the version that is to take over see whether it can.
func (h *hosted) wakeSuccessor(version int) {
	for _, sibling := range h.siblings {
		if sibling.spec.version == version {
			sibling.recheck()
		}
	}
}

// register returns what the book says of the version, after adding it.
func (h *hosted) register(ctx context.Context) (registration Registration, workers []Worker, beats map[string]int64, err error) {
	err = h.store.Update(ctx, func(ctx context.Context, book Book) error {
		if err := book.Lock(ctx, h.spec.name); err != nil {
			return err
		}
		all, err := book.Registrations(ctx, h.spec.name)
		if err != nil {
			return err
		}
		var found bool
		if registration, found = versionOf(all, h.spec.version); !found {
			if h.isDeleted() {
				return nil // also by another process, after it was seen here
			}
			if registration, err = h.enter(ctx, book, all); err != nil {
				return err
			}
		}
		if workers, err = book.Workers(ctx, h.spec.name, h.spec.version); err != nil {
			return err
		}
		beats, err = book.Beats(ctx)
		return err
	})
	if err == nil && registration.Version > 0 {
		h.mu.Lock()
		h.deleted = false // somebody has begun it again
		said := h.others
		h.others = registration.Fingerprint != h.spec.fingerprint()
		say := h.others && !said
		h.mu.Unlock()
		if say {
			h.log("projection "+otherEvents, nil, nil)
		}
	}
	return registration, workers, beats, err
}

// otherEvents is the trouble of a version that was registered with another choice of
// events: what it has passed by is missing. The registration keeps that choice until the
// workers are put to a place.
const otherEvents = "chooses other events than under the same version before: raise the version or reset it"

// isRegistered reports whether the version is known to the store: it has run or was
// stopped. One that was deleted is [ErrNotFound].
func (h *hosted) isRegistered(ctx context.Context) (known bool, err error) {
	err = view(ctx, h.store, func(ctx context.Context, book Book) error {
		all, err := book.Registrations(ctx, h.spec.name)
		_, known = versionOf(all, h.spec.version)
		return err
	})
	if err == nil && !known && h.isDeleted() {
		err = &NotFoundError{h.spec.name}
	}
	return known, err
}

// enterFirst registers a version that has never run.
func (h *hosted) enterFirst(ctx context.Context, book Book) error {
	if err := book.Lock(ctx, h.spec.name); err != nil {
		return err
	}
	all, err := book.Registrations(ctx, h.spec.name)
	if err != nil {
		return err
	}
	if _, known := versionOf(all, h.spec.version); !known && !h.isDeleted() {
		_, err = h.enter(ctx, book, all)
	}
	return err
}

// enter registers the version, at the beginning of the journal.
func (h *hosted) enter(ctx context.Context, book Book, others []Registration) (Registration, error) {
	registration := h.firstRegistration(others)
	if err := book.Register(ctx, registration); err != nil {
		return registration, err
	}
	begin := Worker{Checkpoint: tail.Checkpoint{Journal: h.config.Journal.Identity()}, Moved: time.Now()}
	return registration, book.Divide(ctx, h.spec.name, h.spec.version, divide(h.spec.workers, begin))
}

// firstRegistration is that of a version that nobody has run before. Readers use the
// first version of a projection; later ones are built beside it.
func (h *hosted) firstRegistration(others []Registration) Registration {
	active := true
	for _, other := range others {
		active = active && !other.Active
	}
	for _, sibling := range h.siblings { // the older one is, whichever comes here first
		active = active && sibling.spec.version >= h.spec.version
	}
	return Registration{
		Name: h.spec.name, Version: h.spec.version, Active: active, Effects: active, Fingerprint: h.spec.fingerprint(),
		Changes: 1, Created: time.Now(),
	}
}

// setUp runs Setup once for the version.
func (h *hosted) setUp(ctx context.Context) error {
	err := h.once(ctx, atSetup, func(ctx context.Context, book Book) error {
		if err := book.Lock(ctx, h.spec.name); err != nil {
			return err
		}
		return edit(ctx, book, h.spec.name, h.spec.version, func(r *Registration) { r.Ready = true })
	})
	if err != nil {
		return fmt.Errorf("set up projection %s: %w", h.spec.name, err)
	}
	return nil
}

// isDeleted reports whether a version that is not registered was deleted: here, or
// by others after it was seen here.
func (h *hosted) isDeleted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deleted = h.deleted || h.known.Changes > 0
	return h.deleted
}

// begin says that the runner runs.
func (h *hosted) begin() {
	h.become(Starting, nil)
	close(h.begun)
	h.release()
}

// hasBegun reports whether the runner runs or has run; otherwise it may do so at any
// moment.
func (h *hosted) hasBegun() bool {
	select {
	case <-h.begun:
		return true
	default:
		return false
	}
}

func (h *hosted) become(status Status, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status != status {
		h.status, h.since = status, time.Now()
	}
	h.cause = cause
}

func (h *hosted) log(message string, w *worker, err error) {
	attributes := []slog.Attr{slog.String("projection", h.spec.name), slog.Int("version", h.spec.version)}
	if w != nil {
		attributes = append(attributes, slog.Int("partition", w.key.Low))
	}
	if err != nil {
		attributes = append(attributes, slog.String("err", causeOf(err)))
	}
	h.config.Logger.LogAttrs(context.Background(), slog.LevelWarn, message, attributes...) //nolint:forbidigo,sloglint // a log line has no caller to follow, and the messages are constants
}

// versionOf finds a version among registrations.
func versionOf(all []Registration, version int) (Registration, bool) {
	for _, registration := range all {
		if registration.Version == version {
			return registration, true
		}
	}
	return Registration{}, false
}

// edit changes a registration that is locked.
func edit(ctx context.Context, book Book, name string, version int, change func(*Registration)) error {
	all, err := book.Registrations(ctx, name)
	if err != nil {
		return err
	}
	registration, found := versionOf(all, version)
	if !found {
		return &NotFoundError{name}
	}
	change(&registration)
	return book.Register(ctx, registration)
}
