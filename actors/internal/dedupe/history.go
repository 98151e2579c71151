package actors

import (
	"time"

	"github.com/stele-es/stele/persistence"
)

// history is which commands stand in a part of an aggregate's stream, further back than
// its memory reaches. It is made when somebody asks about such a command, and reads each
// event once however many ask: after a crash thousands of commands that were sent come
// again, and a search for each would read the stream as often. It is given up when
// nobody has asked for a while.
type history struct {
	commands map[persistence.CommandID]persistence.Version // of the last event of each
	// All commands of the events from..to are here; from is above to when there are none.
	from, to persistence.Version
	oldest   persistence.Position // of the event at from
	newest   time.Time            // of the events in the oldest stretch
	end      end                  // what stands before from
	// only is nil, or the commands that are looked for: when histories have become too
	// large, no others are kept.
	only    map[persistence.CommandID]bool
	reading bool
	used    time.Time
}

const (
	// maxHistories is how many commands all histories of a system hold. Each takes some
	// 50 bytes.
	maxHistories = 1 << 20
	// keepHistory is for how long a history is kept that nobody asks.
	keepHistory = time.Minute
	// maxSearch is how many events are searched for one command of a caller's.
	maxSearch = 10_000
)

// find returns where a command stands.
func (h *history) find(id persistence.CommandID) (persistence.Version, bool) {
	if h == nil {
		return 0, false
	}
	version, found := h.commands[id]
	return version, found
}

// covers reports that a command would be here if it stood at or before the version to.
// It stands behind the event that sent it. Without that only times tell, and no single
// one: the clock of the writer may have been wrong.
func (h *history) covers(c *call) bool {
	switch {
	case h.only != nil && !h.only[c.id]:
		return false
	case h.end == beginning:
		return true
	case h.oldest.Offset == 0: // nothing was read yet
		return false
	case c.after.Offset > 0 && c.after.Part == h.oldest.Part && h.oldest.Offset <= c.after.Offset:
		return true
	}
	asked := c.firstAsked()
	return !asked.IsZero() && h.newest.Before(asked.Add(-clockSkew))
}

// take adds what was read, and reports how many commands that brought. What does not
// fit to the rest shows that the stream is not the one that the aggregate was read from.
func (h *history) take(s *stretch) (added int, fits bool) {
	switch {
	case s.forward && s.first != h.to+1, !s.forward && s.last != 0 && s.last != h.from-1:
		return 0, false
	}
	before := len(h.commands)
	for _, c := range s.commands {
		if h.only == nil || h.only[c.id] {
			h.commands[c.id] = max(h.commands[c.id], c.version)
		}
	}
	if s.forward {
		h.to = s.last
	} else {
		h.end = s.end
	}
	if s.first > 0 && (!s.forward || h.oldest.Offset == 0) { // the first that is here, or the oldest
		h.from, h.oldest, h.newest = s.first, s.oldest, s.newest
	}
	return len(h.commands) - before, true
}

// serves reports that one of the commands is among those that are looked for.
func (h *history) serves(searching []*call) bool {
	if h.only == nil {
		return true
	}
	for _, c := range searching {
		if h.only[c.id] {
			return true
		}
	}
	return false
}
