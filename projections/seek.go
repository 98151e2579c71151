package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// Sought is the result of [Runner.Seek].
type Sought struct {
	// From is the place that all workers had reached, and To the one from which they
	// continue.
	From, To persistence.Positions
	// Diverged says that the journal does not have From, so that the events between the
	// two are not known.
	Diverged bool
	// Skipped is the number of events between From and To, which never come. Repeated is
	// the number of events between To and the place of the farthest worker, which come
	// again. Both are 0 when Diverged.
	Skipped, Repeated int
	// Forgotten is the number of events that are no longer parked: those behind To come
	// again, and the others are no longer in the journal.
	Forgotten int
}

// Seek puts a projection to a place of the journal, from which it continues; nil is the
// beginning. It is for a projection whose place the journal no longer has ([ErrDiverged])
// and that [Runner.Reset] cannot build again: one that reacts, or whose target is another
// system. Its earlier effects stay. Events before the place that were not applied are
// never applied. A place that the journal does not have is [persistence.ErrInvalid].
// "name@2" names a version; without, it is the active one.
//
// After the journal was restored from a backup, put reactions to a place that they had
// passed when the backup was made; the beginning is such a place. Aggregates know from
// their own restored streams to which events they have reacted, and do not react twice.
// Reactions whose outcome is lost happen again, and those that had nothing to do are
// decided again.
func (r *Runner) Seek(ctx context.Context, name string, to persistence.Positions) (sought Sought, err error) {
	h, err := r.active(name)
	if err != nil {
		return sought, err
	}
	place, err := h.placeAt(ctx, to)
	if err != nil {
		return sought, fmt.Errorf("seek a place for projection %s: %w", name, err)
	}
	err = r.wish(ctx, "seek a place for", fmt.Sprintf("%s@%d", h.spec.name, h.spec.version), func(ctx context.Context, book Book, h *hosted) (err error) {
		sought, err = h.seek(ctx, book, place)
		return err
	})
	if err != nil {
		return Sought{}, err
	}
	h.config.Logger.LogAttrs(ctx, slog.LevelWarn, "projection was put to another place", slog.String("projection", h.spec.name), slog.Int("version", h.spec.version),
		slog.Any("position", sought.To), slog.Int("events", sought.Skipped))
	return sought, nil
}

// placeAt is a place of the journal in the form that can be proven.
func (h *hosted) placeAt(ctx context.Context, to persistence.Positions) (tail.Checkpoint, error) {
	journal := h.config.Journal
	subscription, err := tail.Open(ctx, journal, tail.Options{After: to, System: true})
	if errors.Is(err, persistence.ErrLostTail) {
		return tail.Checkpoint{}, &persistence.InvalidError{Field: "position", Reason: "is one that the journal has not come to"}
	}
	if err != nil {
		return tail.Checkpoint{}, err
	}
	return subscription.Checkpoint(ctx, to)
}

func (h *hosted) seek(ctx context.Context, book Book, to tail.Checkpoint) (sought Sought, err error) {
	if err := h.enterFirst(ctx, book); err != nil {
		return sought, err
	}
	workers, err := book.Workers(ctx, h.spec.name, h.spec.version)
	if err != nil {
		return sought, err
	}
	if err := edit(ctx, book, h.spec.name, h.spec.version, h.moved); err != nil {
		return sought, err
	}
	sought.To = to.Positions()
	sought.From, err = h.stand(ctx, workers, map[int]string{})
	if sought.Diverged = errors.Is(err, ErrDiverged); sought.Diverged {
		for i, w := range workers {
			if at := w.Checkpoint.Positions(); i == 0 {
				sought.From = at
			} else {
				sought.From = lower(sought.From, at)
			}
		}
	} else if err != nil {
		return sought, err
	} else {
		sought.Skipped = distance(sought.From, sought.To)
		sought.Repeated = distance(sought.To, farthest(workers).Positions())
	}
	if sought.Forgotten, err = h.forget(ctx, book, sought); err != nil {
		return sought, err
	}
	next := Worker{Checkpoint: to, Moved: time.Now()}
	if len(workers) > 0 {
		next.State = workers[0].State // of the only one, if there is any
	}
	return sought, book.Divide(ctx, h.spec.name, h.spec.version, divide(h.spec.workers, next))
}

// forget drops what is set aside and comes again, or is not in the journal any more.
func (h *hosted) forget(ctx context.Context, book Book, sought Sought) (forgotten int, err error) {
	all, err := book.Parked(ctx, h.spec.name, h.spec.version, persistence.Position{}, maxParked)
	for i := range all {
		parked := &all[i]
		there := sought.To.Covers(parked.Position)
		if there && sought.Diverged {
			stored, err := eventAt(ctx, h.config.Journal, parked.Position)
			if err != nil && !errors.Is(err, persistence.ErrNotFound) {
				return forgotten, err
			}
			there = err == nil && parked.isOf(&stored)
		}
		if !there {
			forgotten++
			if err := book.Unpark(ctx, h.spec.name, h.spec.version, parked.Position); err != nil {
				return forgotten, err
			}
		}
	}
	return forgotten, err
}
