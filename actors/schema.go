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

// describe registers what is stored with the journal, once: all events, and the
// replies in their headers. What it knows the events by is kept where each event
// passes anyway.
func (s *System) describe(ctx context.Context) error {
	var all []*applier
	var types, replies []*codec.Type
	for _, kind := range slices.Sorted(maps.Keys(s.definitions)) {
		for _, on := range s.definitions[kind].inOrder() {
			all, types = append(all, on), append(types, on.event)
		}
		for _, h := range s.definitions[kind].handlers {
			replies = append(replies, h.reply)
		}
	}
	slices.SortFunc(replies, func(a, b *codec.Type) int { return cmp.Compare(a.Name(), b.Name()) })
	types = append(types, replies...)
	ids, err := schema.Register(ctx, s.config.Journal, types...)
	if err != nil {
		return err
	}
	_, keeps := persistence.As[persistence.Schemas](s.config.Journal)
	for i, on := range all {
		if on.schema = ids[i]; on.schema == 0 && keeps {
			s.config.Logger.Warn("description too large for the journal", slog.Any("err", fmt.Errorf("events %s are readable by this program only", on.event.Name())))
		}
	}
	return nil
}
