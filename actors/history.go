package actors

import (
	"errors"
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

// durable is the version up to which the events of the aggregate are stored for sure.
func (a *activation) durable() persistence.Version {
	return a.version - persistence.Version(a.depth.events) //nolint:gosec // what is under way is above it
}

// absent reports that a command, which neither the memory nor what is under way has,
// was not done.
func (a *activation) absent(c *call) bool {
	switch h := a.history; {
	case a.durable() == 0 || c.absent != nil && c.absent == a.chain:
		return true
	case h == nil:
		return false
	default:
		h.used = c.now
		return h.to == a.durable() && h.covers(c)
	}
}

// search has a command looked for. The aggregate goes on meanwhile.
func (a *activation) search(c *call) {
	a.current = nil
	if len(a.searching) >= maxLookups {
		a.refuse(c, overloaded(ReasonLookupsFull))
		return
	}
	a.searching = append(a.searching, c)
	a.readOn()
}

// readOn has the next part of the stream read unless one is being read: what others
// have stored behind the history, or what stands before it.
func (a *activation) readOn() {
	h, durable := a.history, a.durable()
	switch {
	case h != nil && h.reading:
		return
	case h == nil, h.to > durable, !h.serves(a.searching):
		a.forgetHistory()
		h = &history{commands: map[persistence.CommandID]persistence.Version{}, from: durable + 1, to: durable, used: time.Now()}
		a.history = h
	}
	s := &stretch{of: a, in: h, from: h.from - 1, limit: recoveryPage}
	if h.to < durable {
		s.from, s.forward, s.limit = h.to+1, true, int(min(recoveryPage, durable-h.to)) //nolint:gosec // a page
	}
	h.reading = true
	if err := a.system.lookups.read(s); err != nil {
		h.reading = false
		a.giveUp(err)
	}
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

// learn takes a part of the stream that was read.
func (a *activation) learn(s *stretch) {
	s.in.reading = false
	if s.in != a.history { // it was given up meanwhile
		a.settleSearch()
		return
	}
	if errors.Is(s.err, persistence.ErrTruncated) { // forward: a later life begins further on
		a.changed(s.err)
		return
	}
	if s.err != nil {
		a.giveUp(unread(s.err))
		return
	}
	added, fits := s.in.take(s)
	if a.system.histories.Add(int64(added)) > maxHistories && s.in.only == nil {
		a.narrow()
	}
	if !fits {
		a.changed(nil)
		return
	}
	a.settleSearch()
}

// narrow keeps in the history only what is looked for.
func (a *activation) narrow() {
	h := a.history
	h.only = make(map[persistence.CommandID]bool, len(a.searching))
	for _, c := range a.searching {
		h.only[c.id] = true
	}
	before := len(h.commands)
	kept := map[persistence.CommandID]persistence.Version{}
	for id := range h.only {
		if version, found := h.commands[id]; found {
			kept[id] = version
		}
	}
	h.commands = kept
	a.system.histories.Add(int64(len(kept) - before))
}

// settleSearch goes on with the commands of which it is known by now whether they were
// done, and reads on for the others.
func (a *activation) settleSearch() {
	switch {
	case len(a.searching) == 0 || a.phase == recovering || a.phase == draining || a.phase == live && a.dirty:
		return // or when the state is there
	case a.phase != live:
		for _, c := range a.takeSearching() {
			a.resume(c)
		}
		return
	}
	now, searching := time.Now(), a.takeSearching()
	for _, c := range searching {
		version, found := a.history.find(c.id)
		switch {
		case c.late(now):
			a.refuse(c, unavailable(ReasonDeadline, nil))
		case found:
			a.repeat(c, version)
		case a.absent(c):
			c.absent = a.chain
			a.redo.Push(c)
		case a.outOfReach(c):
			a.refuse(c, &persistence.Error{Kind: persistence.ErrUnknownOutcome, Reason: ReasonTooFarBack})
		default:
			a.searching = append(a.searching, c)
		}
	}
	if len(a.searching) > 0 {
		a.readOn()
	}
}

func (a *activation) takeSearching() []*call {
	searching := a.searching
	a.searching = nil
	return searching
}

// outOfReach reports that whether a command was done cannot be found out: what had to be
// read is truncated, or it is too much for a caller.
func (a *activation) outOfReach(c *call) bool {
	h := a.history
	if h == nil || h.to != a.durable() || h.only != nil && !h.only[c.id] {
		return false
	}
	return h.end == truncated || c.class == again && h.to-h.from+1 >= maxSearch
}

// changed follows a part of the stream that does not belong to what was read before.
func (a *activation) changed(err error) {
	a.forgetHistory()
	chain := a.chain
	for _, c := range a.takeSearching() {
		a.readAgain(c, chain, unavailable(ReasonStreamChanged, err))
	}
}

// giveUp tells those that search that nothing can be found out now.
func (a *activation) giveUp(err error) {
	for _, c := range a.takeSearching() {
		a.refuse(c, err)
	}
}

// note adds a command that is durable to the history, if there is one that is used.
func (a *activation) note(c *call) {
	h := a.history
	switch {
	case c.now.Sub(h.used) > keepHistory && !h.reading:
		a.forgetHistory()
	case h.to != c.last-persistence.Version(c.events): //nolint:gosec // of what was stored
	case h.only != nil && !h.only[c.id]:
		h.to = c.last
	default:
		before := len(h.commands)
		h.commands[c.id], h.to = c.last, c.last
		a.system.histories.Add(int64(len(h.commands) - before))
	}
}

// forgetHistory gives the history up. A part of it that is being read is of no use then.
func (a *activation) forgetHistory() {
	if a.history != nil {
		a.system.histories.Add(-int64(len(a.history.commands)))
		a.history = nil
	}
}
