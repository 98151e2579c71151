package projections

import (
	"context"
	"fmt"
	"slices"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// Switch lets another version of a projection take over from the active one, and returns
// when it has. Both go to the place of the one that is farther. There, in one
// transaction, the readers' version changes, [Activate] runs, and the effects change
// over: before the place the old version emits events and calls other systems, behind it
// the new one.
//
// The old version stops and is kept, until it is deleted or becomes active again by
// another switch. The new version must be defined here, and both must run somewhere,
// unless the old one is [LeftBehind]. When ctx ends first, the switch goes on.
func (r *Runner) Switch(ctx context.Context, name string, version int, options ...SwitchOption) error {
	var s switching
	for _, option := range options {
		option(&s)
	}
	versions, err := r.find(name)
	if err != nil {
		return err
	}
	var to *hosted
	for _, h := range versions {
		if h.spec.version == version {
			to = h
		}
	}
	if to == nil {
		return &NotFoundError{fmt.Sprintf("%s@%d", name, version)}
	}
	if err = to.outside(ctx); err == nil {
		err = r.resting(ctx, func() error {
			return to.store.Update(ctx, func(ctx context.Context, book Book) error { return s.begin(ctx, book, to) })
		}, versions...)
	}
	if err == nil {
		err = to.until(ctx, func(registration Registration) bool { return registration.Active && !registration.Switching })
	}
	if err != nil {
		return fmt.Errorf("switch projection %s to version %d: %w", name, version, err)
	}
	return nil
}

// SwitchOption changes how another version takes over, see [Runner.Switch].
type SwitchOption func(*switching)

type switching struct{ leave bool }

// LeftBehind stops the old version at its place: for one that no program defines any
// more. When the projection emits events or calls other systems, the new version must not
// have passed that place, because the events between would have no effect. Then the error
// is [persistence.ErrInvalid]: stop and reset the new version first.
func LeftBehind() SwitchOption { return func(s *switching) { s.leave = true } }

// begin writes the wish down.
func (s switching) begin(ctx context.Context, book Book, h *hosted) error {
	name, version := h.spec.name, h.spec.version
	if err := book.Lock(ctx, name); err != nil {
		return err
	}
	all, err := book.Registrations(ctx, name)
	if err != nil {
		return err
	}
	to, found := versionOf(all, version)
	if !found {
		return &NotFoundError{fmt.Sprintf("%s@%d", name, version)}
	}
	if to.Active || to.Switching && !s.leave {
		return nil // done, or under way
	}
	from, place, err := s.place(ctx, book, all, h)
	if err != nil {
		return err
	}
	to.Switching, to.Stopped, to.Until, to.Successor = true, false, place, 0
	to.Changes++
	if err := book.Register(ctx, to); err != nil {
		return err
	}
	if from.Version > 0 {
		from.Switching, from.Stopped, from.Until, from.Successor = true, s.leave, place, version
		if s.leave {
			from.Until = tail.Checkpoint{} // it is there
		}
		from.Changes++
		if err := book.Register(ctx, from); err != nil {
			return err
		}
		if err := book.Fence(ctx, name, from.Version); err != nil {
			return err
		}
	}
	return book.Fence(ctx, name, version)
}

// place returns the active version, and where the other one takes over: the farthest
// place of the workers of both, or, when the old one is left behind and there are
// effects, where that one stands.
func (s switching) place(ctx context.Context, book Book, all []Registration, h *hosted) (from Registration, place tail.Checkpoint, err error) {
	mine, err := book.Workers(ctx, h.spec.name, h.spec.version)
	if err != nil {
		return from, place, err
	}
	var others []Worker
	for _, registration := range all {
		if registration.Active {
			from = registration
			if others, err = book.Workers(ctx, from.Name, from.Version); err != nil {
				return from, place, err
			}
		}
	}
	// Places of two histories say nothing of each other.
	proven := others
	if s.leave && !h.effectful() {
		proven = nil
	}
	for _, workers := range [][]Worker{mine, proven} {
		if _, err := h.stand(ctx, workers, map[int]string{}); err != nil {
			return from, place, err
		}
	}
	switch {
	case !s.leave || from.Version == 0:
		return from, farthest(append(mine, others...)), nil
	case !h.effectful():
		return from, farthest(mine), nil
	}
	if place = farthest(others); !at(others, place) || !coversAll(place.Positions(), farthest(mine).Positions()) {
		return from, place, &persistence.InvalidError{
			Field: "projection", Reason: "has effects that neither version would have: stop and reset the new version first, or let the old one run",
		}
	}
	return from, place, nil
}

// takeRole makes this version the active one when the version that it replaces has
// come to the common place too.
func (h *hosted) takeRole(ctx context.Context) error {
	done := false
	err := h.once(ctx, atActivate, func(ctx context.Context, book Book) error {
		if err := book.Lock(ctx, h.spec.name); err != nil {
			return err
		}
		all, err := book.Registrations(ctx, h.spec.name)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(r Registration) bool { return !r.Switching })
		if err := haveArrived(ctx, book, all); err != nil {
			return err
		}
		for _, registration := range all {
			mine := registration.Version == h.spec.version
			registration.Active, registration.Effects, registration.Stopped = mine, mine, !mine
			registration.Switching, registration.Until = false, tail.Checkpoint{}
			registration.Changes++
			if err := book.Register(ctx, registration); err != nil {
				return err
			}
			if err := book.Fence(ctx, registration.Name, registration.Version); err != nil {
				return err
			}
		}
		done = true
		return nil
	})
	if err == errNotDue { //nolint:errorlint // it comes back as it is
		return nil
	}
	if done && err == nil {
		for _, sibling := range h.siblings {
			if sibling != h {
				sibling.recheck()
			}
		}
	}
	return err
}

// haveArrived returns errNotDue unless all versions are where they are to be exchanged.
func haveArrived(ctx context.Context, book Book, all []Registration) error {
	for _, registration := range all {
		workers, err := book.Workers(ctx, registration.Name, registration.Version)
		if err != nil {
			return err
		}
		if !at(workers, registration.Until) {
			return errNotDue
		}
	}
	return nil
}

// errNotDue rolls back what was begun too early.
var errNotDue = &persistence.UnavailableError{Reason: "the other version has not come so far"}
