package projections

import (
	"context"
	"fmt"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// Switch lets another version of a projection take over from the active one, and
// returns when it has. Both go to the place where the farther of the two stands;
// there, in one transaction, the readers' version changes, [Activate] is run, and
// the effects go over: events are emitted, and targets that are not read models
// called, for what lies before the place by the old version, behind it by the new.
//
// The old version stops and is kept, until it is deleted or switched back to in the
// same way. Both versions must be defined here, and run somewhere. When ctx ends
// first the switch goes on.
func (r *Runner) Switch(ctx context.Context, name string, version int) error {
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
	err = r.resting(ctx, func() error {
		return to.store.Update(ctx, func(ctx context.Context, book Book) error { return beginSwitch(ctx, book, name, version, versions) })
	}, versions...)
	if err != nil {
		return fmt.Errorf("switch projection %s to version %d: %w", name, version, err)
	}
	return to.until(ctx, func(registration Registration) bool { return registration.Active && !registration.Switching })
}

func beginSwitch(ctx context.Context, book Book, name string, version int, hosted []*hosted) error {
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
	if to.Active || to.Switching {
		return nil // done, or under way
	}
	from, place, err := activeOf(ctx, book, all, to)
	if err != nil {
		return err
	}
	to.Switching, to.Stopped, to.Until, to.Successor = true, false, place, 0
	to.Changes++
	if err := book.Register(ctx, to); err != nil {
		return err
	}
	if from.Version > 0 {
		if !hosts(hosted, from.Version) {
			return &persistence.InvalidError{Field: "projection", Reason: "has an active version that is not defined here: define it too, so that it can go to the common place"}
		}
		from.Switching, from.Stopped, from.Until, from.Successor = true, false, place, version
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

// activeOf returns the active version, and the farthest place of its workers and
// those of the one to come.
func activeOf(ctx context.Context, book Book, all []Registration, to Registration) (from Registration, place tail.Checkpoint, err error) {
	workers, err := book.Workers(ctx, to.Name, to.Version)
	if err != nil {
		return from, place, err
	}
	for _, registration := range all {
		if registration.Active {
			from = registration
			others, err := book.Workers(ctx, from.Name, from.Version)
			if err != nil {
				return from, place, err
			}
			workers = append(workers, others...)
		}
	}
	return from, farthest(workers), nil
}

func hosts(all []*hosted, version int) bool {
	for _, h := range all {
		if h.spec.version == version {
			return true
		}
	}
	return false
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
		for _, registration := range all {
			if !registration.Switching {
				continue
			}
			workers, err := book.Workers(ctx, registration.Name, registration.Version)
			if err != nil {
				return err
			}
			if !at(workers, registration.Until) {
				return errNotDue
			}
		}
		for _, registration := range all {
			if !registration.Switching {
				continue
			}
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
				sibling.look()
			}
		}
	}
	return err
}

// errNotDue rolls back what was begun too early.
var errNotDue = &persistence.UnavailableError{Reason: "the other version has not come so far"}
