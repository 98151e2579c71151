package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// maxWaiters bounds those who wait for one version of a projection.
const maxWaiters = 10_000

// waiter waits for a version to come to a place.
type waiter struct {
	want persistence.Position
	done chan error // has room for the answer
}

var errMoved = errors.New("the projection has moved")

// WaitFor returns when the active version of a projection has applied everything up to a
// position: a reader of the read model then sees what happened there. It asks the workers
// here, and the store for those elsewhere. A projection that does not run and has not
// reached the position is a [*BehindError] at once; so is one that does not reach it
// before ctx ends. A projection whose place the journal does not have is a
// [*DivergedError] at once, whatever the position is, because places of two histories
// cannot be compared. With all these errors the events at the position are stored all the
// same. The zero position is always reached. WaitFor may be called before [Runner.Run],
// and then waits for it.
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

// Awaited is a projection to wait for, for callers that do not know this package, such as
// Await of package actors.
type Awaited struct {
	runner *Runner
	name   string
}

// Await returns a projection to wait for, for Await of package actors. The name is
// checked when it is used, before the command is asked.
func (r *Runner) Await(name string) Awaited { return Awaited{r, name} }

// Name is the projection's name.
func (a Awaited) Name() string { return a.name }

// Check returns a [*NotFoundError] when the runner has no projection of the name.
func (a Awaited) Check() error {
	if a.runner == nil {
		return &persistence.InvalidError{Field: "projection", Reason: "to await is the zero value: take what Runner.Await returns"}
	}
	_, err := a.runner.versions(a.name)
	return err
}

// WaitFor is [Runner.WaitFor] for this projection.
func (a Awaited) WaitFor(ctx context.Context, position persistence.Position) error {
	return a.runner.WaitFor(ctx, a.name, position)
}

// CatchUp returns when all projections have reached the present end of the journal. A
// projection that is behind and does not run, or fails on the way, is a [*BehindError].
// Versions from which others have taken over are left out. CatchUp may be called before
// [Runner.Run], and then waits for it.
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
			return h.behind(head.Of(0), nil, err)
		}
		for part := 0; part < len(head); {
			switch err := h.waitFor(ctx, head.Of(uint16(part))); { //nolint:gosec // partitions are numbered by it
			case errors.Is(err, errMoved):
			case err == nil, h.isReplaced():
				part++
			default:
				return err
			}
		}
	}
	return nil
}

// divided reports that the runner has begun, and that the workers are as many as the
// definition says.
func (h *hosted) divided(known Registration) bool {
	status, _ := h.stateLocked()
	return h.hasBegun() && (status.ended() || status == Elsewhere || h.parts == h.spec.workers && !limited(known))
}

// isReplaced reports a version that does not run because another one is there.
func (h *hosted) isReplaced() bool {
	switch status, _ := h.state(); status {
	case Retired:
		return true
	case Deleted:
		return slices.ContainsFunc(h.siblings, func(other *hosted) bool {
			status, _ := other.state()
			return other != h && status != Deleted
		})
	}
	return false
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
		err = h.behind(want, nil, context.Cause(ctx))
	}
	return err
}

// enlist adds a waiter. It reports false when the store has to be asked, because no
// worker is here or not all are.
func (h *hosted) enlist(w *waiter) (here bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if settled, err := h.settled(w.want); settled {
		w.done <- nil
		return true, err
	}
	status, _ := h.stateLocked()
	switch {
	case status.ended(), h.isElsewhere():
		return false, nil
	case len(h.waiters) >= maxWaiters:
		return true, &persistence.UnavailableError{Reason: "too many wait for projection " + h.spec.name, Overloaded: true}
	}
	h.waiters = append(h.waiters, w)
	return true, nil
}

// settled reports whether the workers here tell what becomes of who waits for a
// position. The lock is held.
func (h *hosted) settled(want persistence.Position) (settled bool, err error) {
	for _, w := range h.workers {
		if diverged := w.diverges(); diverged != nil {
			return true, diverged
		}
	}
	place, here := h.place()
	status, cause := h.stateLocked()
	switch {
	case here && place.Covers(want):
		return true, nil
	case status == Failed:
		return true, h.behindLocked(want, place, cause)
	}
	return false, nil
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

// place is where the slowest worker stands, when all are here and have proven that
// the journal has their places. The lock is held.
func (h *hosted) place() (place persistence.Positions, all bool) {
	first, proven := true, true
	for _, w := range h.workers {
		at, known := w.provenPlace()
		proven = proven && known
		if first {
			place, first = at, false
		} else {
			place = lower(place, at)
		}
	}
	return place, proven && h.parts > 0 && len(h.workers) == h.parts
}

// isElsewhere reports that parts run on other nodes, as far as is known. The lock is
// held.
func (h *hosted) isElsewhere() bool {
	for _, w := range h.workers {
		if w.heldBy() != nil {
			return true
		}
	}
	return len(h.workers) == 0 && h.status == Elsewhere || len(h.workers) > 0 && len(h.workers) < h.parts
}

// advanced answers those who have waited for what a worker has done, or that it
// will not do.
func (h *hosted) advanced() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiters) == 0 {
		return
	}
	left := h.waiters[:0]
	for _, w := range h.waiters {
		if settled, err := h.settled(w.want); settled {
			w.done <- err
		} else {
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

// watch asks the store for a place: again and again when workers elsewhere may come
// to it, once when the projection does not run. A place counts only when the journal
// has it.
func (h *hosted) watch(ctx context.Context, want persistence.Position) error {
	proven := map[int]string{}
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		workers, err := h.rows(ctx)
		place := persistence.Positions(nil)
		if err == nil {
			place, err = h.stand(ctx, h.further(workers, proven), proven)
		}
		if errors.Is(err, ErrDiverged) || err == nil && len(workers) > 0 && h.allReach(ctx, workers, want) {
			return err
		}
		begun := h.begun
		if h.hasBegun() {
			switch moved, ended, cause := h.progressElsewhere(workers); {
			case ended:
				return h.behind(want, place, cmp.Or(cause, err))
			case moved:
				return errMoved
			}
			begun = nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-begun:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return h.behind(want, place, context.Cause(ctx))
		}
	}
}

// progressElsewhere reports whether the projection has moved here, and whether it has ended
// or, with the cause, stands still elsewhere.
func (h *hosted) progressElsewhere(workers []Worker) (moved, ended bool, cause error) {
	h.mu.Lock()
	status, _ := h.stateLocked()
	moved, ended = !h.isElsewhere(), status.ended()
	h.mu.Unlock()
	for _, w := range workers {
		if w.Cause != "" && !moved && !ended {
			return false, true, errors.New(w.Cause)
		}
	}
	return moved, ended, nil
}

// allReach reports that all workers have come to a position, or choose nothing before it:
// a worker elsewhere passes over what it does not choose and saves that only now and
// then, which nobody need wait for.
func (h *hosted) allReach(ctx context.Context, workers []Worker, want persistence.Position) bool {
	for i := range workers {
		w := &workers[i]
		if place := w.Checkpoint.Positions(); !place.Covers(want) && !h.passes(ctx, place, w, want) {
			return false
		}
	}
	return true
}

// passes reports that a worker chooses nothing between its place and a position.
func (h *hosted) passes(ctx context.Context, place persistence.Positions, w *Worker, want persistence.Position) bool {
	if want.Offset-place.Of(want.Part).Offset > passRows {
		return false // it has saved something by then
	}
	chosen, system := h.spec.chooses(h.config, w.Low, w.High)
	passed := false
	err := usercode.Call(func() error { // a filter's
		for page, err := range h.config.Journal.ReadAll(ctx, persistence.ReadAllOptions{After: place, Filter: chosen, System: system, PageRows: 1}) {
			if err != nil {
				return err
			}
			for i := range page.Events {
				if at := page.Events[i].Position; at.Part == want.Part && at.Offset <= want.Offset {
					return nil
				}
			}
			if passed = page.Next.Covers(want); passed {
				return nil
			}
		}
		return nil
	})
	return err == nil && passed
}

// rows are the workers as the store has them.
func (h *hosted) rows(ctx context.Context) (workers []Worker, err error) {
	err = view(ctx, h.store, func(ctx context.Context, book Book) (err error) {
		workers, err = book.Workers(ctx, h.spec.name, h.spec.version)
		return err
	})
	return workers, err
}

// further is the rows with what the workers here know better: they pass over what was
// not chosen before they save that.
func (h *hosted) further(workers []Worker, proven map[int]string) []Worker {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range workers {
		here := h.workers[workers[i].Low]
		if here == nil {
			continue
		}
		here.mu.Lock()
		if here.proven && here.held == nil {
			workers[i].Checkpoint = here.at
			proven[workers[i].Low] = here.at.String()
		}
		here.mu.Unlock()
	}
	return workers
}

// stand is the place that workers have come to, which the journal must have. The proof is
// remembered.
func (h *hosted) stand(ctx context.Context, workers []Worker, proven map[int]string) (place persistence.Positions, err error) {
	for i, w := range workers {
		if text := w.Checkpoint.String(); proven[w.Low] != text {
			if err := h.prove(ctx, w.Checkpoint); err != nil {
				return nil, err
			}
			proven[w.Low] = text
		}
		if at := w.Checkpoint.Positions(); i == 0 {
			place = at
		} else {
			place = lower(place, at)
		}
	}
	return place, nil
}

// prove reports a place that the journal does not have.
func (h *hosted) prove(ctx context.Context, checkpoint tail.Checkpoint) error {
	err := tail.Probe(ctx, h.config.Journal, checkpoint)
	if errors.Is(err, persistence.ErrLostTail) {
		return &DivergedError{h.spec.name, err}
	}
	return err
}

func (h *hosted) behind(want persistence.Position, place persistence.Positions, cause error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if place == nil {
		place, _ = h.place()
	}
	return h.behindLocked(want, place, cause)
}

func (h *hosted) behindLocked(want persistence.Position, place persistence.Positions, cause error) error {
	status, why := h.stateLocked()
	if cause == nil {
		cause = why
	}
	if cause == nil {
		cause = errors.New("it does not run")
	}
	return &BehindError{Projection: h.spec.name, Want: want, Have: place.Of(want.Part), Status: status, Err: cause}
}
