package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
)

// maxWaiters bounds those who wait for one version of a projection.
const maxWaiters = 10_000

// waiter waits for a version to come to a place.
type waiter struct {
	want persistence.Position
	done chan error // has room for the answer
}

var errMoved = errors.New("the projection has moved")

// WaitFor returns when the active version of a projection has applied everything
// up to a position: who reads the read model then sees what happened there. It asks
// the workers here, and the store for those elsewhere. A projection that does not
// run is [*BehindError] at once, one that does not come so far before ctx ends is
// too; neither says that what was waited for has not happened. The zero position is
// always reached.
func (r *Runner) WaitFor(ctx context.Context, name string, position persistence.Position) error {
	for {
		h, err := r.active(name)
		if err != nil || position.Offset == 0 {
			return err
		}
		if err = h.outside(ctx); err != nil {
			return fmt.Errorf("wait for projection %s: %w", name, err)
		}
		if err = h.waitFor(ctx, position); !errors.Is(err, errMoved) {
			return err
		}
	}
}

// Awaited is a projection that can be waited for by those who do not know this
// package.
type Awaited struct {
	runner *Runner
	name   string
}

// Await returns something to wait for a projection by. The name is checked when it
// is used.
func (r *Runner) Await(name string) Awaited { return Awaited{r, name} }

// Name is the projection's name.
func (a Awaited) Name() string { return a.name }

// WaitFor is that of the runner.
func (a Awaited) WaitFor(ctx context.Context, position persistence.Position) error {
	return a.runner.WaitFor(ctx, a.name, position)
}

// CatchUp returns when all projections that run have come to where the journal ends
// now. One that does not run, or fails on the way, is a [*BehindError].
func (r *Runner) CatchUp(ctx context.Context) error {
	head, err := r.config.Journal.Head(ctx)
	if err != nil {
		return err
	}
	for _, h := range r.hosted {
		if err := h.outside(ctx); err != nil {
			return fmt.Errorf("catch up: %w", err)
		}
		if err := h.until(ctx, h.divided); err != nil {
			return err
		}
		for part := range head {
			for {
				err := h.waitFor(ctx, head.Of(uint16(part))) //nolint:gosec // partitions are numbered by it
				if errors.Is(err, errMoved) {
					continue
				}
				if status, _ := h.state(); err != nil && (status == Retired || status == Deleted || status == Stopped) {
					break // is not to run
				}
				if err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// divided reports that the workers are as many as the definition says.
func (h *hosted) divided(known Registration) bool {
	status, _ := h.stateLocked()
	return status.ended() || status == Elsewhere || h.parts == h.spec.workers && !limited(known)
}

// active returns the version that a name means.
func (r *Runner) active(name string) (*hosted, error) {
	versions, err := r.versions(name)
	if err != nil {
		return nil, err
	}
	for _, h := range versions {
		h.mu.Lock()
		active := h.known.Active
		h.mu.Unlock()
		if active {
			return h, nil
		}
	}
	if strings.Contains(name, "@") || len(versions) == 1 {
		return versions[0], nil
	}
	return versions[len(versions)-1], nil // none is known to be, so the newest may become it
}

func (h *hosted) waitFor(ctx context.Context, want persistence.Position) error {
	w := &waiter{want: want, done: make(chan error, 1)}
	here, err := h.enlist(w)
	switch {
	case err != nil:
		return err
	case !here:
		return h.watch(ctx, want)
	}
	select {
	case err = <-w.done:
	case <-ctx.Done():
		h.dismiss(w)
		err = h.behind(want, context.Cause(ctx))
	}
	return err
}

// enlist adds a waiter. It reports false when not all workers are here.
func (h *hosted) enlist(w *waiter) (here bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	place, here := h.place()
	status, cause := h.stateLocked()
	switch {
	case here && place.Covers(w.want):
		w.done <- nil
	case status.ended():
		return true, h.behindLocked(w.want, cause)
	case !here && status == Elsewhere:
		return false, nil
	case len(h.waiters) >= maxWaiters:
		return true, &persistence.UnavailableError{Reason: "too many wait for projection " + h.spec.name, Overloaded: true}
	default:
		h.waiters = append(h.waiters, w)
	}
	return true, nil
}

func (h *hosted) dismiss(w *waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.waiters {
		if h.waiters[i] == w {
			last := len(h.waiters) - 1
			h.waiters[i], h.waiters[last] = h.waiters[last], nil
			h.waiters = h.waiters[:last]
			return
		}
	}
}

// place is where the slowest worker stands, when all are here. The lock is held.
func (h *hosted) place() (place persistence.Positions, all bool) {
	first := true
	for _, w := range h.workers {
		if at := w.place(); first {
			place, first = at, false
		} else {
			place = lower(place, at)
		}
	}
	return place, h.parts > 0 && len(h.workers) == h.parts
}

// advanced answers those who have waited for what a worker has done, or that it
// will not do.
func (h *hosted) advanced() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiters) == 0 {
		return
	}
	place, here := h.place()
	status, cause := h.stateLocked()
	left := h.waiters[:0]
	for _, w := range h.waiters {
		switch {
		case here && place.Covers(w.want):
			w.done <- nil
		case status.ended():
			w.done <- h.behindLocked(w.want, cause)
		default:
			left = append(left, w)
		}
	}
	clear(h.waiters[len(left):])
	h.waiters = left
}

// release lets all who wait look again, after the workers have changed.
func (h *hosted) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.waiters {
		w.done <- errMoved
	}
	h.waiters = nil
}

// watch asks the store again and again for a place that workers elsewhere come to.
func (h *hosted) watch(ctx context.Context, want persistence.Position) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		var workers []Worker
		err := view(ctx, h.store, func(ctx context.Context, book Book) (err error) {
			workers, err = book.Workers(ctx, h.spec.name, h.spec.version)
			return err
		})
		covered := err == nil && len(workers) > 0
		for _, w := range workers {
			covered = covered && w.Checkpoint.Positions().Covers(want)
			if w.Cause != "" {
				return h.behind(want, errors.New(w.Cause))
			}
		}
		if covered {
			return nil
		}
		sleep(ctx, pause)
		if ctx.Err() != nil {
			return h.behind(want, context.Cause(ctx))
		}
		if status, _ := h.state(); status != Elsewhere {
			return errMoved
		}
	}
}

func (h *hosted) behind(want persistence.Position, cause error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.behindLocked(want, cause)
}

func (h *hosted) behindLocked(want persistence.Position, cause error) error {
	place, _ := h.place()
	status, why := h.stateLocked()
	if cause == nil {
		cause = why
	}
	if cause == nil {
		cause = errors.New("it does not run")
	}
	return &BehindError{Projection: h.spec.name, Want: want, Have: place.Of(want.Part), Status: status, Err: cause}
}
