package actors

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/schema"
)

// Events returns the types of the events that aggregates have an On for, by kind:
// what package schema checks a journal against. Definitions that [Open] would
// refuse may lack some.
func Events(definitions ...Definition) map[string][]*codec.Type {
	events := make(map[string][]*codec.Type, len(definitions))
	for _, d := range definitions {
		if d == nil || d.definition() == nil {
			continue
		}
		for _, on := range d.definition().inOrder() {
			events[d.Kind()] = append(events[d.Kind()], on.event)
		}
	}
	return events
}

// inOrder are the appliers by the stored name of their event.
func (d *definition) inOrder() []*applier {
	return slices.SortedFunc(maps.Values(d.stored), func(a, b *applier) int { return cmp.Compare(a.event.Name(), b.event.Name()) })
}

// describe registers all events with the journal, once: what it knows them by is
// kept where each event passes anyway.
func (s *System) describe(ctx context.Context) error {
	var all []*applier
	for _, kind := range slices.Sorted(maps.Keys(s.definitions)) {
		all = append(all, s.definitions[kind].inOrder()...)
	}
	types := make([]*codec.Type, len(all))
	for i, on := range all {
		types[i] = on.event
	}
	ids, err := schema.Register(ctx, s.config.Journal, types...)
	if err != nil {
		return err
	}
	_, keeps := persistence.As[persistence.Schemas](s.config.Journal)
	for i, id := range ids {
		if all[i].schema = id; id == 0 && keeps {
			s.config.Logger.Warn("description too large for the journal", slog.Any("err", fmt.Errorf("events %s are readable by this program only", types[i].Name())))
		}
	}
	return nil
}
