package actors

import (
	"errors"
	"slices"
	"time"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/persistence"
)

// history holds commands further back in the stream than the memory of the aggregate
// reaches. It is given up when nobody has asked for a while.
type history struct {
	*dedupe.History
	reading bool // a part of the stream is being read for it
	used    time.Time
}

// find returns where a command stands. A nil history has none.
func (h *history) find(id persistence.CommandID) (persistence.Version, bool) {
	if h == nil {
		return 0, false
	}
	return h.Find(id)
}

const (
	// maxHistories is the number of commands that all histories of a system hold.
	maxHistories = 1 << 20
	// keepHistory is for how long an unused history is kept.
	keepHistory = time.Minute
)

// repeated reports that a command needs no decision now: it was done before, or the stream
// is searched for it.
func (a *activation) repeated(c *call) bool {
	version, found := a.memory.Find(c.id)
	for i := 0; i < a.pending.Len() && !found && c.class == again; i++ {
		if earlier := *a.pending.At(i); earlier.id == c.id && earlier.events > 0 {
			version, found = earlier.last, true
		}
	}
	if !found && c.class != named {
		version, found = a.history.find(c.id)
	}
	switch {
	case found:
		a.repeat(c, version)
		return true
	case c.class == named, a.memory.Complete(c.firstAsked(), c.after) && (c.class == sent || c.born.IsZero()), a.ownOpen(c), a.absent(c):
		return false
	}
	a.search(c)
	return true
}

// ownOpen reports a command that the aggregate has sent to itself, and for which it has no
// Result: it was done exactly if it is not open any more.
func (a *activation) ownOpen(c *call) bool {
	return c.own(a.stream) && a.key.kind.results[c.handler.command.Name()] == nil
}

// repeat answers a command with the outcome that is stored at a version.
func (a *activation) repeat(c *call, version persistence.Version) {
	a.answerLater(c, nil, nil)
	c.repeats = version
}

// lookUp has the outcome of a command read. The aggregate goes on meanwhile.
func (a *activation) lookUp(c *call) {
	a.current = nil
	if err := a.system.lookups.outcome(&lookedUp{of: a, call: c, chain: a.chain, at: c.repeats}); err != nil {
		a.refuse(c, err)
		return
	}
	a.looking = append(a.looking, c)
}

// lookedUp takes the outcome that was read, or why it was not.
func (a *activation) lookedUp(l *lookedUp) {
	c := l.call
	at := slices.Index(a.looking, c)
	if at < 0 {
		return
	}
	a.looking = slices.Delete(a.looking, at, at+1)
	switch {
	case l.gone:
		a.forgetHistory()
		a.readAgain(c, l.chain, l.err)
		return
	case !l.found:
		a.refuse(c, l.err)
		return
	}
	a.current = nil
	c.reply, c.err, c.receipt = l.reply, l.err, l.receipt
	if _, domain := l.err.(*RejectedError); l.err != nil && !domain { //nolint:errorlint // the outermost counts
		c.err = c.wrap(l.err)
	}
	a.finish(c)
	c.answer()
}

// readAgain has the state read again before a command is decided, because the journal
// contradicts the state of this chain: the stream was deleted. It does so once for each
// command, so that a journal that contradicts itself is an error and no loop. Many
// commands on one state have it read once.
func (a *activation) readAgain(c *call, chain *persistence.Chain, err error) {
	if c.reread {
		a.refuse(c, err)
		return
	}
	c.reread = true
	a.dirty = a.dirty || a.phase == live && a.chain == chain
	a.resume(c)
}

// resume decides a command that has waited apart, in whatever phase the activation is.
func (a *activation) resume(c *call) {
	now := time.Now()
	switch a.phase {
	case failed, quarantined:
		if now.Before(a.retryAt) {
			a.refuse(c, a.blocked(now))
			return
		}
		fallthrough
	case lost:
		a.redo.Push(c)
		a.recover()
	default: // advance goes on with it
		a.redo.Push(c)
	}
}

// durable returns the version up to which events are surely stored.
func (a *activation) durable() persistence.Version {
	return a.version - persistence.Version(a.depth.events) //nolint:gosec // what is under way is above it
}

// absent reports that a command was surely not done, although the memory does not reach far
// enough back.
func (a *activation) absent(c *call) bool {
	switch h := a.history; {
	case a.durable() == 0 || c.absent != nil && c.absent == a.chain:
		return true
	case h == nil:
		return false
	default:
		h.used = c.now
		return h.To() == a.durable() && h.Covers(dedupe.Asked{ID: c.id, First: c.firstAsked(), After: c.after})
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

// readOn has the next part of the stream read, unless one is being read: events behind the
// history, or those before it.
func (a *activation) readOn() {
	h, durable := a.history, a.durable()
	switch {
	case h != nil && h.reading:
		return
	case h == nil, h.To() > durable, !slices.ContainsFunc(a.searching, func(c *call) bool { return h.Holds(c.id) }):
		a.forgetHistory()
		h = &history{History: dedupe.NewHistory(durable), used: time.Now()}
		a.history = h
	}
	s := &stretch{of: a, in: h, Part: h.Next(durable, recoveryPage)}
	h.reading = true
	if err := a.system.lookups.read(s); err != nil {
		h.reading = false
		a.giveUp(err)
	}
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
	before := s.in.Len()
	fits := s.in.Add(&s.Part)
	if a.system.histories.Add(int64(s.in.Len()-before)) > maxHistories && !s.in.Narrowed() {
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
	ids := make([]persistence.CommandID, len(a.searching))
	for i, c := range a.searching {
		ids[i] = c.id
	}
	before := a.history.Len()
	a.history.Narrow(ids)
	a.system.histories.Add(int64(a.history.Len() - before))
}

// settleSearch goes on with the commands that were found, or surely were not done, and
// reads on for the others.
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

// outOfReach reports that whether a command was done cannot be found out.
func (a *activation) outOfReach(c *call) bool {
	return a.history != nil && a.history.To() == a.durable() && a.history.OutOfReach(c.id, c.class == again)
}

// changed handles a part of the stream that does not fit to the history: the stream was
// deleted, and written again.
func (a *activation) changed(err error) {
	a.forgetHistory()
	chain := a.chain
	for _, c := range a.takeSearching() {
		a.readAgain(c, chain, unavailable(ReasonStreamChanged, err))
	}
}

// giveUp refuses the commands that are searched for.
func (a *activation) giveUp(err error) {
	for _, c := range a.takeSearching() {
		a.refuse(c, err)
	}
}

// note adds a stored command to the history, and gives up a history that is not used.
func (a *activation) note(c *call) {
	h := a.history
	if c.now.Sub(h.used) > keepHistory && !h.reading {
		a.forgetHistory()
		return
	}
	before := h.Len()
	h.Note(c.id, c.last, c.events)
	a.system.histories.Add(int64(h.Len() - before))
}

// forgetHistory gives the history up, with the part that is being read for it.
func (a *activation) forgetHistory() {
	if a.history != nil {
		a.system.histories.Add(-int64(a.history.Len()))
		a.history = nil
	}
}
