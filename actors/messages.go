package actors

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/stele-es/stele/persistence/codec"
)

// storedType is a type that is stored for a kind, with what it is for people.
type storedType struct {
	as string
	of *codec.Type
}

const asState = "state"

// messages are the types that are stored for a kind, each once for what it is.
func (d *definition) messages() []storedType {
	all := map[storedType]bool{}
	handles := func(handlers map[reflect.Type]*handler) {
		for _, h := range handlers {
			all[storedType{"command", h.command}] = true
			if h.reply != nil {
				all[storedType{"reply", h.reply}] = true
			}
		}
	}
	handles(d.handlers)
	for _, h := range d.results {
		all[storedType{"sent command", h.command}] = true
		if h.reply != nil {
			all[storedType{"reply", h.reply}] = true
		}
	}
	for _, on := range d.appliers {
		all[storedType{"event", on.event}] = true
	}
	for _, on := range d.reactions {
		all[storedType{"event", on.command}] = true
	}
	if d.snapshots != nil && d.snapshots.codec != nil {
		all[storedType{asState, d.snapshots.codec}] = true
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b storedType) int {
		return cmp.Or(cmp.Compare(a.as, b.as), cmp.Compare(a.of.Name(), b.of.Name()))
	})
}

// prove returns what would not come back of the types that are stored.
func (d *definition) prove() (problems []error) {
	for _, m := range d.messages() {
		if err := m.of.Prove(); err != nil {
			problems = append(problems, fmt.Errorf("aggregate %s: %s %s: %w", d.kind, m.as, m.of.Name(), err))
		}
	}
	return problems
}

// Names returns the names under which the messages of definitions are stored, and an
// error for each name that two Go types have: [Open] refuses such definitions. Package
// stele compares the names with those that projections read.
func Names(definitions ...Definition) (*codec.Names, error) {
	names, problems := &codec.Names{}, []error(nil)
	for _, d := range definitions {
		if d == nil || d.definition() == nil {
			continue
		}
		for _, m := range d.definition().messages() {
			if m.as != asState { // which is kept for its stream, whatever its name
				problems = append(problems, names.Add(m.as+" of kind "+d.Kind(), m.of))
			}
		}
	}
	return names, errors.Join(problems...)
}

// proveMessages has every message that is encoded decoded again, see [Config.ProveMessages].
func (d *definition) proveMessages() {
	strict := func(h handler) handler {
		h.command, h.reply = h.command.Strict(), h.reply.Strict()
		return h
	}
	d.proving = true
	own := *d
	d.handlers, d.results, d.reactions = maps.Clone(d.handlers), maps.Clone(d.results), maps.Clone(d.reactions)
	for command, h := range own.handlers {
		one := strict(*h)
		d.handlers[command] = &one
	}
	for command, h := range own.results {
		one := strict(*h)
		d.results[command] = &one
	}
	for event, on := range own.reactions {
		d.reactions[event] = &reaction{strict(on.handler), on.key}
	}
	for _, on := range d.appliers { // the system's own
		on.event = on.event.Strict()
	}
	if d.snapshots != nil {
		snapshots := *d.snapshots
		snapshots.codec = snapshots.codec.Strict()
		d.snapshots = &snapshots
	}
}
