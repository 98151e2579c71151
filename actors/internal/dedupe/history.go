package dedupe

import (
	"time"

	"github.com/stele-es/stele/persistence"
)

// History is the commands in a part of an aggregate's stream, further back than its
// [Memory] reaches. It is made when somebody asks about such a command, and reads each
// event once however many ask: after a crash thousands of commands that were sent come
// again, and a search for each would read the stream as often.
type History struct {
	commands map[persistence.CommandID]persistence.Version // of the last event of each
	// All commands of the events from..to are here; from is above to when there are none.
	from, to persistence.Version
	oldest   persistence.Position // of the event at from
	newest   time.Time            // of the events in the oldest part
	end      end                  // what stands before from
	// only is nil, or the commands that are looked for: see Narrow.
	only map[persistence.CommandID]bool
}

// maxSearch is the number of events that are searched for one command of a caller.
const maxSearch = 10_000

// Asked is a command that is looked for, and what tells how far back it may stand.
type Asked struct {
	ID    persistence.CommandID
	First time.Time            // when it was first asked; zero is not known
	After persistence.Position // of the event that sent it; zero is none
}

// NewHistory returns the history of no event, which ends at a version.
func NewHistory(version persistence.Version) *History {
	return &History{commands: map[persistence.CommandID]persistence.Version{}, from: version + 1, to: version}
}

// Find returns the version of the event with the outcome of a command. A nil History has
// none.
func (h *History) Find(id persistence.CommandID) (persistence.Version, bool) {
	if h == nil {
		return 0, false
	}
	version, found := h.commands[id]
	return version, found
}

// To returns the version up to which the history reaches.
func (h *History) To() persistence.Version { return h.to }

// Len returns how many commands the history holds. Each takes some 50 bytes.
func (h *History) Len() int { return len(h.commands) }

// Covers reports that a command would be here if it stood at or before the version To.
// It stands behind the event that sent it. Without that only times tell, and no single
// one: the clock of the writer may have been wrong.
func (h *History) Covers(c Asked) bool {
	switch {
	case !h.Holds(c.ID):
		return false
	case h.end == beginning:
		return true
	case h.oldest.Offset == 0: // nothing was read yet
		return false
	case c.After.Offset > 0 && c.After.Part == h.oldest.Part && h.oldest.Offset <= c.After.Offset:
		return true
	}
	return !c.First.IsZero() && h.newest.Before(c.First.Add(-ClockSkew))
}

// OutOfReach reports that it cannot be found out whether a command was done: what had to
// be read is truncated, or, when the search is limited, it is too much.
func (h *History) OutOfReach(id persistence.CommandID, limited bool) bool {
	return h.Holds(id) && (h.end == truncated || limited && h.to-h.from+1 >= maxSearch)
}

// Next returns the part to read next, of so many events at most: those up to a version
// that the history does not reach, or those before it.
func (h *History) Next(to persistence.Version, limit int) Part {
	if h.to < to {
		return Part{from: h.to + 1, forward: true, limit: int(min(persistence.Version(limit), to-h.to))} //nolint:gosec // at most the limit
	}
	return Part{from: h.from - 1, limit: limit}
}

// Add adds a part that was read. One that does not fit to the rest shows that the stream
// is not the one that the history was begun for.
func (h *History) Add(p *Part) (fits bool) {
	if p.forward && p.first != h.to+1 || !p.forward && p.last != 0 && p.last != h.from-1 {
		return false
	}
	for _, c := range p.commands {
		if h.Holds(c.id) {
			h.commands[c.id] = max(h.commands[c.id], c.version)
		}
	}
	if p.forward {
		h.to = p.last
	} else {
		h.end = p.end
	}
	if p.first > 0 && (!p.forward || h.oldest.Offset == 0) { // the first that is here, or the oldest
		h.from, h.oldest, h.newest = p.first, p.oldest, p.newest
	}
	return true
}

// Note adds a command that was stored, up to a version, if its events follow the history.
func (h *History) Note(id persistence.CommandID, version persistence.Version, events int) {
	if h.to != version-persistence.Version(events) { //nolint:gosec // of what was stored
		return
	}
	if h.to = version; h.Holds(id) {
		h.commands[id] = version
	}
}

// Holds reports that a command is here if it stands in the part of the stream.
func (h *History) Holds(id persistence.CommandID) bool { return h.only == nil || h.only[id] }

// Narrowed reports that the history was narrowed.
func (h *History) Narrowed() bool { return h.only != nil }

// Narrow keeps only some commands, now and later: for a history that has become too large.
func (h *History) Narrow(ids []persistence.CommandID) {
	h.only = make(map[persistence.CommandID]bool, len(ids))
	kept := map[persistence.CommandID]persistence.Version{}
	for _, id := range ids {
		h.only[id] = true
		if version, found := h.commands[id]; found {
			kept[id] = version
		}
	}
	h.commands = kept
}
