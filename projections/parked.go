package projections

import (
	"cmp"
	"context"
	"fmt"

	"github.com/stele-es/stele/persistence"
)

// Parked returns events that a projection has set aside, by position: at most limit
// behind after; 0 is 100, negative is invalid. "name@2" names a version; without, it is the
// active one.
func (r *Runner) Parked(ctx context.Context, name string, after persistence.Position, limit int) (parked []Parked, err error) {
	h, err := r.active(name)
	if err != nil {
		return nil, err
	}
	if limit < 0 {
		return nil, &persistence.InvalidError{Field: "limit", Reason: "is negative"}
	}
	limit = cmp.Or(limit, 100)
	err = view(ctx, h.store, func(ctx context.Context, book Book) error {
		parked, err = book.Parked(ctx, h.spec.name, h.spec.version, after, limit)
		return err
	})
	return parked, err
}

// Redrive applies the parked events of a lane again, oldest first, with the upcasters and
// handlers of now; those of all lanes when lane is empty. The first event that fails
// stays parked, with all behind it. Redrive returns when the worker has got the request.
// New events of the lane wait meanwhile, so that the order is kept.
func (r *Runner) Redrive(ctx context.Context, name, lane string) error {
	return r.eachParked(ctx, "redrive", name, func(ctx context.Context, book Book, parked Parked) error {
		if lane != "" && parked.Lane != lane || parked.Attempts == Skipped && lane == "" {
			return nil
		}
		parked.Retry = true
		return book.Park(ctx, parked)
	})
}

// Discard drops one parked event, and applies the events that wait behind it in its lane.
// An event that is not parked is [persistence.ErrNotFound].
func (r *Runner) Discard(ctx context.Context, name string, position persistence.Position) error {
	lane, found := "", false
	err := r.eachParked(ctx, "discard", name, func(ctx context.Context, book Book, parked Parked) error {
		switch {
		case parked.Position == position:
			lane, found = parked.Lane, true
			return book.Unpark(ctx, parked.Name, parked.Version, position)
		case found && parked.Lane == lane && parked.Attempts != Skipped:
			parked.Retry = true
			return book.Park(ctx, parked)
		}
		return nil
	})
	if err == nil && !found {
		return &persistence.Error{Kind: persistence.ErrNotFound, Op: "discard from projection " + name, Reason: "not set aside"}
	}
	return err
}

// eachParked changes what is set aside, fences the workers, and wakes them.
func (r *Runner) eachParked(ctx context.Context, what, name string, change func(context.Context, Book, Parked) error) error {
	h, err := r.active(name)
	if err != nil {
		return err
	}
	return r.wish(ctx, what, fmt.Sprintf("%s@%d", h.spec.name, h.spec.version), func(ctx context.Context, book Book, h *hosted) error {
		if err := book.Lock(ctx, h.spec.name); err != nil {
			return err
		}
		all, err := book.Parked(ctx, h.spec.name, h.spec.version, persistence.Position{}, maxParked)
		if err != nil || len(all) == 0 {
			return err
		}
		for _, parked := range all {
			if err := change(ctx, book, parked); err != nil {
				return err
			}
		}
		if err := edit(ctx, book, h.spec.name, h.spec.version, func(r *Registration) { r.Changes++ }); err != nil {
			return err
		}
		return book.Fence(ctx, h.spec.name, h.spec.version)
	})
}
