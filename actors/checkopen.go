package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/upcast"
)

// CheckOpen looks at the commands that aggregates of the definitions have sent and that
// are not done, timers included. It returns why the first one cannot be read that a
// system of these definitions would set aside, see [Parked], and nil when there is none.
// It takes as long as a system takes to find what is open, and as reading back to it in
// each stream that has something open: bound it by ctx.
func CheckOpen(ctx context.Context, journal persistence.Journal, upcasters *upcast.Chain, definitions ...Definition) (unreadable, err error) {
	s := &System{
		config:      Config{Journal: journal, Upcasters: upcasters, Aggregates: definitions, Delivering: true},
		definitions: map[string]*definition{},
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	known, err := schema.ReadCatalogue(ctx, journal)
	if err != nil {
		return nil, err
	}
	s.findSenders(known)
	kinds := s.processes()
	if len(kinds) == 0 {
		return nil, nil
	}
	w := newOpenSearch(s, kinds)
	if err := errors.Join(w.load(ctx), ctx.Err()); err != nil {
		return nil, err
	}
	if err := w.read(ctx); err != nil {
		return nil, err
	}
	for _, stream := range slices.Sorted(maps.Keys(w.open)) {
		if unreadable, err = s.checkOpen(ctx, stream, int(w.open[stream].Count)); unreadable != nil || err != nil {
			return unreadable, err
		}
	}
	return nil, nil
}

// checkOpen reads a stream backward until it has seen all that is open.
func (s *System) checkOpen(ctx context.Context, stream persistence.StreamID, open int) (unreadable, err error) {
	done := map[string]bool{}
	for recorded, err := range s.config.Journal.Read(ctx, stream, persistence.ReadOptions{Backward: true}) {
		switch {
		case errors.Is(err, persistence.ErrStreamNotFound), errors.Is(err, persistence.ErrTruncated):
			return nil, nil // it has ended meanwhile, or its aggregate cannot be read
		case err != nil:
			return nil, err
		}
		about, err := stored.ReadAbout(&recorded)
		sends, unread := stored.ReadSends(about.Sends)
		if err := errors.Join(err, unread); err != nil {
			return corrupt(&recorded, "what was sent cannot be decoded", err), nil
		}
		for _, id := range sends.GetDone() {
			done[string(id)] = true
		}
		for i, one := range sends.GetSent() {
			id := sentID(stream, recorded.Version, i)
			if done[string(id[:])] {
				continue
			}
			_, _, err := s.readSent(&sending{Sent: one}, stream)
			if err != nil && !errors.Is(err, errNotHosted) && !errors.Is(err, errDropped) {
				return fmt.Errorf("%s, which %s has sent to %s-%s: %w", one.GetCommand(), stream, one.GetKind(), one.GetId(), err), nil
			}
			open--
		}
		if open <= 0 {
			return nil, nil
		}
	}
	return nil, nil
}
