package projections

import (
	"context"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// divide gives the slices to n workers that all stand where one stood.
func divide(n int, one Worker) []Worker {
	workers := make([]Worker, n)
	for i := range workers {
		workers[i] = one
		workers[i].Low, workers[i].High = i*Slices/n, (i+1)*Slices/n
	}
	return workers
}

// divideAnew gives the slices of some workers to n others. It reports false when
// two of them that one of the others would follow do not stand at the same place.
func divideAnew(n int, workers []Worker) ([]Worker, bool) {
	anew := divide(n, Worker{})
	for i := range anew {
		found := false
		for _, w := range workers {
			if w.High <= anew[i].Low || anew[i].High <= w.Low {
				continue
			}
			low, high := anew[i].Low, anew[i].High
			if found && (anew[i].Checkpoint.String() != w.Checkpoint.String() || anew[i].Sub != w.Sub) {
				return nil, false
			}
			anew[i], found = w, true
			anew[i].Low, anew[i].High, anew[i].Cause = low, high, ""
		}
		if !found {
			return nil, false
		}
	}
	return anew, true
}

// farthest is the place that the first of some workers has come to in every partition.
func farthest(workers []Worker) tail.Checkpoint {
	var place tail.Checkpoint
	for _, w := range workers {
		place.Journal = w.Checkpoint.Journal
		for _, mark := range w.Checkpoint.Marks {
			if place.Positions().Of(mark.Position.Part).Offset < mark.Position.Offset {
				place = place.With(&persistence.Recorded{Event: persistence.Event{ID: mark.EventID}, Position: mark.Position})
			}
		}
	}
	return place
}

// at reports whether all workers stand at a place.
func at(workers []Worker, place tail.Checkpoint) bool {
	return !slices.ContainsFunc(workers, func(w Worker) bool { return !coversAll(w.Checkpoint.Positions(), place.Positions()) })
}

// due reports whether there is something to carry out before the workers go on. While
// another runner has a part, it is as that one's definition says: two that differ would
// divide anew for ever.
func (h *hosted) due(registration Registration, workers []Worker, beats map[string]int64) bool {
	switch {
	case registration.Stopped || len(workers) == 0:
		return false
	case limited(registration):
		return at(workers, registration.Until)
	}
	return len(workers) != h.spec.workers && h.hasAll(workers, beats)
}

// hasAll reports whether no other runner has any of the parts.
func (h *hosted) hasAll(workers []Worker, beats map[string]int64) bool {
	for _, w := range workers {
		if _, alive := beats[w.Node]; alive && w.Node != h.config.instance {
			return false
		}
	}
	return true
}

// limited reports whether the workers have a place to stop at. That of a switch may
// be the beginning.
func limited(registration Registration) bool {
	return registration.Switching || len(registration.Until.Marks) > 0
}

// advance carries out what is due: the workers are divided anew, or this version
// takes over from another one.
func (h *hosted) advance(ctx context.Context) error {
	registration, err := h.locked(ctx, func(ctx context.Context, book Book, registration Registration) error {
		workers, err := book.Workers(ctx, h.spec.name, h.spec.version)
		if err != nil || registration.Switching {
			return err
		}
		beats, err := book.Beats(ctx)
		if err != nil || !h.due(registration, workers, beats) {
			return err
		}
		return h.redivide(ctx, book, registration, workers)
	})
	if err != nil || !registration.Switching || registration.Successor > 0 {
		return err // a version that is replaced leaves it to the one that replaces it
	}
	return h.takeRole(ctx)
}

// locked runs body with the registration of the version, which it returns.
func (h *hosted) locked(ctx context.Context, body func(context.Context, Book, Registration) error) (registration Registration, err error) {
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
			return nil
		}
		return body(ctx, book, registration)
	})
	return registration, err
}

// redivide gives the slices to as many workers as the definition says. When two
// workers are to become one, all first go to where the farthest stands.
func (h *hosted) redivide(ctx context.Context, book Book, registration Registration, workers []Worker) error {
	anew, ok := divideAnew(h.spec.workers, workers)
	registration.Changes++
	registration.Until = tail.Checkpoint{}
	if !ok {
		registration.Until = farthest(workers)
		if err := book.Register(ctx, registration); err != nil {
			return err
		}
		return book.Fence(ctx, h.spec.name, h.spec.version)
	}
	now := time.Now()
	for i := range anew {
		anew[i].Moved = now
	}
	if err := book.Register(ctx, registration); err != nil {
		return err
	}
	return book.Divide(ctx, h.spec.name, h.spec.version, anew)
}
