package appending

import "github.com/stele-es/stele/persistence/postgres/internal/wire"

// The short way to append: one event that expects an exact version, in a flight of its own.
// A caller that waits for each command sends such appends, so the server does no more for
// them than an index lookup for each condition.

// single reports whether the flight is one such event that follows nothing under way.
func (f *flight) single() bool {
	if len(f.calls) != 1 || f.calls[0].op != opLean || len(f.calls[0].works) != 1 {
		return false
	}
	item := f.calls[0].works[0].item
	return len(item.Events) == 1 && item.Follows == nil
}

// settleSingle settles the append of one event. When the short function has refused it, the
// exact function is next.
func (f *flight) settleSingle(c *Committer, works []*work, rows [][][]byte) (next []call) {
	if len(rows) != 1 || len(rows[0]) != 1 {
		works[0].corrupt("the append function contradicts itself")
		return nil
	}
	refused := rows[0][0] == nil
	c.noteLean(refused)
	if refused {
		c.skipSingle.Store(true)
		return []call{{opExact, works}}
	}
	position, ok := wire.ReadInt8(rows[0][0])
	if !ok || position < 1 {
		works[0].corrupt("the append function contradicts itself")
		return nil
	}
	if c.knowsBehind(position) {
		c.Forget()
	}
	f.storedAll(c, works, position-1)
	return nil
}
