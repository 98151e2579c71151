package projections

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// A wish is one transaction that fences the workers it is about: what they have not
// committed by then is never committed, wherever they run. So it has its effect
// although the owner may be dead, and whoever asks need not be the owner.
//
// Names are those of projections, and mean all their versions; "name@2" means one.
//
// A handler cannot wish anything of its own projection, which would wait for the
// handler: with the handler's context that is [persistence.ErrInvalid] at once, and
// [Halt] is the way to stop.

// Stop stops a projection at its place until it is started: also when another process
// runs it, and across restarts. Stopping twice has no effect. A projection that has never
// run can be stopped, and then waits to be started.
func (r *Runner) Stop(ctx context.Context, name string) error {
	return r.wish(ctx, "stop", name, func(ctx context.Context, book Book, h *hosted) error {
		if err := h.enterFirst(ctx, book); err != nil {
			return err
		}
		if err := setStopped(ctx, book, h.spec.name, h.spec.version, true); err != nil {
			return err
		}
		return book.Fence(ctx, h.spec.name, h.spec.version)
	})
}

// Start continues a projection that was stopped or has failed, and begins a deleted one
// anew. Starting a projection that runs has no effect.
func (r *Runner) Start(ctx context.Context, name string) error {
	return r.wish(ctx, "start", name, func(ctx context.Context, book Book, h *hosted) error {
		err := setStopped(ctx, book, h.spec.name, h.spec.version, false)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		all, err := book.Registrations(ctx, h.spec.name)
		if err == nil {
			_, err = h.enter(ctx, book, all)
		}
		return err
	})
}

// setStopped writes a wish down.
func setStopped(ctx context.Context, book Book, name string, version int, stopped bool) error {
	if err := book.Lock(ctx, name); err != nil {
		return err
	}
	return edit(ctx, book, name, version, func(r *Registration) {
		r.Stopped = stopped
		r.Changes++
	})
}

// Reset puts a projection back to the beginning: in one transaction its read model is
// emptied by [Truncate], its checkpoint goes back, and its parked events are dropped.
// Readers see an empty model that fills; [Runner.Switch] avoids that. Emitted events
// stay, and are not emitted again. A projection that cannot be reset, because it has no
// Truncate or reacts, is put to a place by [Runner.Seek].
func (r *Runner) Reset(ctx context.Context, name string) error {
	return r.change(ctx, "reset", name, func(ctx context.Context, h *hosted) error {
		if !h.has(atTruncate) {
			return &persistence.InvalidError{Field: "projection", Reason: "cannot be reset: its definition has no Truncate, or it reacts: put it to another place with Seek"}
		}
		if known, err := h.isRegistered(ctx); err != nil || !known {
			return err // there is nothing yet
		}
		return h.once(ctx, atTruncate, func(ctx context.Context, book Book) error {
			if err := book.Lock(ctx, h.spec.name); err != nil {
				return err
			}
			if err := edit(ctx, book, h.spec.name, h.spec.version, h.moved); err != nil {
				return err
			}
			if err := book.UnparkAll(ctx, h.spec.name, h.spec.version); err != nil {
				return err
			}
			begin := Worker{Checkpoint: tail.Checkpoint{Journal: h.config.Journal.Identity()}, Moved: time.Now()}
			return book.Divide(ctx, h.spec.name, h.spec.version, divide(h.spec.workers, begin))
		})
	})
}

// moved is the change when the workers of a version are put to another place: they are
// divided as the definition says, and need not meet at a place to become so. From there
// they choose what the definition says.
func (h *hosted) moved(r *Registration) {
	r.Fingerprint = h.spec.fingerprint()
	if r.Changes++; !r.Switching {
		r.Until = tail.Checkpoint{}
	}
}

// DeleteOptions say what is deleted together with a projection.
type DeleteOptions struct {
	// Emitted deletes the stream to which the projection has emitted. All versions share
	// it, so it is deleted only with all of them.
	Emitted bool
}

// Delete removes a projection: in one transaction its read model, by [Drop], its
// checkpoint and its parked events. It begins anew when it is started, or when a program
// that defines it starts.
func (r *Runner) Delete(ctx context.Context, name string, options DeleteOptions) error {
	if options.Emitted && strings.Contains(name, "@") {
		return &persistence.InvalidError{Field: "projection", Reason: "names one version, and what was emitted belongs to all"}
	}
	err := r.change(ctx, "delete", name, func(ctx context.Context, h *hosted) error {
		known, err := h.isRegistered(ctx)
		if err != nil || !known {
			return err
		}
		err = h.once(ctx, atDrop, func(ctx context.Context, book Book) error {
			if err := book.Lock(ctx, h.spec.name); err != nil {
				return err
			}
			return book.Unregister(ctx, h.spec.name, h.spec.version)
		})
		if err == nil {
			h.mu.Lock()
			h.deleted = true
			h.mu.Unlock()
		}
		return err
	})
	if err != nil || !options.Emitted {
		return err
	}
	_, err = r.config.Journal.Delete(ctx, EmitStream(name), persistence.Any)
	if err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
		return fmt.Errorf("delete what projection %s has emitted: %w", name, err)
	}
	return nil
}

// wish is a change that needs no function of the definition.
func (r *Runner) wish(ctx context.Context, what, name string, do func(context.Context, Book, *hosted) error) error {
	return r.change(ctx, what, name, func(ctx context.Context, h *hosted) error {
		return h.store.Update(ctx, func(ctx context.Context, book Book) error { return do(ctx, book, h) })
	})
}

// change does something to the versions that a name means, and returns when those
// that run here have seen it.
func (r *Runner) change(ctx context.Context, what, name string, do func(context.Context, *hosted) error) error {
	versions, err := r.versions(name)
	for _, h := range versions {
		if err = h.outside(ctx); err != nil {
			break
		}
		if err = r.resting(ctx, func() error { return do(ctx, h) }, h); err != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s projection %s: %w", what, name, err)
	}
	return nil
}

// resting does something while the workers that run here rest, each behind a whole
// event that it has saved: so that even a target without transactions is told
// nothing twice. It returns when they have seen what was done.
func (r *Runner) resting(ctx context.Context, do func() error, versions ...*hosted) (err error) {
	ask := func() error {
		for _, h := range versions {
			if err := h.ask(ctx, r.ended); err != nil {
				return err
			}
		}
		return nil
	}
	if !r.isRunning() {
		if err := do(); err != nil || !r.isRunning() {
			return err
		}
		return ask() // a runner that has begun meanwhile may have seen what was before
	}
	hold := func(by int) {
		for _, h := range versions {
			h.mu.Lock()
			h.held += by
			h.mu.Unlock()
		}
	}
	hold(1)
	if err = ask(); err == nil {
		err = do()
	}
	hold(-1)
	for _, h := range versions {
		h.recheck()
	}
	if err != nil {
		return err
	}
	return ask()
}

func (r *Runner) isRunning() bool {
	select {
	case <-r.ended:
		return false
	default:
		return r.running.Load()
	}
}

// versions are those that a name means.
func (r *Runner) versions(name string) ([]*hosted, error) {
	plain, number, one := strings.Cut(name, "@")
	found, err := r.find(plain)
	if err != nil || !one {
		return found, err
	}
	for _, h := range found {
		if strconv.Itoa(h.spec.version) == number {
			return []*hosted{h}, nil
		}
	}
	return nil, &NotFoundError{name}
}

// ask has the host look at what is wished, and returns when the host has done so and
// the workers of before are gone.
func (h *hosted) ask(ctx context.Context, ended <-chan struct{}) error {
	h.mu.Lock()
	h.asked++
	mine := h.asked
	h.mu.Unlock()
	h.recheck()
	for {
		h.mu.Lock()
		answered, seen := h.answered, h.seen
		h.mu.Unlock()
		if answered >= mine {
			return nil
		}
		select {
		case <-seen:
		case <-ended:
			return nil
		case <-ctx.Done():
			return &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
		}
	}
}

// answer says that all that was asked until then has been seen.
func (h *hosted) answer(asked int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answered = max(h.answered, asked)
	close(h.seen)
	h.seen = make(chan struct{})
}

// until returns when what is known of the version fulfils a condition, which is
// asked under the lock.
func (h *hosted) until(ctx context.Context, holds func(Registration) bool) error {
	for {
		h.mu.Lock()
		holding, seen := holds(h.known), h.seen
		h.mu.Unlock()
		if holding {
			return nil
		}
		select {
		case <-seen:
		case <-ctx.Done():
			return &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
		}
	}
}

// changes is the number of wishes that were seen.
func (h *hosted) changes() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known.Changes
}
