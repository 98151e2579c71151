package actors

import (
	"slices"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// accept hands a decided command's events to the journal, with its reply, and what it
// sends if that goes there, in the headers of the last.
func (a *activation) accept(c *call, reply any, events []persistence.Event, sends []byte) {
	last := c.origin.headers(c.id, c.handler.command.Name(), stored.OutcomeRoom+len(sends))
	about := slices.Clip(last) // which the outcome does not change
	if len(c.sends) > 0 {
		cause := c.origin.causing(c.id)
		for _, s := range c.sends {
			s.headers, s.cause = about, cause
		}
	}
	for i := range events[:len(events)-1] {
		events[i].Headers = about
	}
	last, err := a.outcomeHeaders(c, last, reply, nil)
	if err != nil {
		a.dirty = true
		a.answerLater(c, nil, c.border(err))
		return
	}
	if sends != nil {
		last = stored.AppendSends(last, sends)
	}
	events[len(events)-1].Headers = last
	c.reply, c.err, c.raised = reply, nil, len(events)
	a.submit(c, events)
}

// remember stores the outcome of a command that has no event of its own.
func (a *activation) remember(c *call, reply any, refusal error) {
	last, err := a.outcomeHeaders(c, c.origin.headers(c.id, c.handler.command.Name(), stored.OutcomeRoom), reply, refusal)
	if err != nil {
		a.answerLater(c, nil, c.border(err))
		return
	}
	c.reply, c.err = reply, refusal
	event := persistence.Event{Type: stored.TypeReceipt, Headers: last}
	if c.ended = a.ends(c); len(c.ended) > 0 {
		a.open = opens(a.open, nil, c.ended)
		event.Type, event.Payload = stored.TypeSent, encodeSends(nil, c.ended, a.open)
	}
	a.submit(c, []persistence.Event{event})
}

// repeated reports that a command needs no decision here and now: it was done
// before, or the journal has to be asked whether it was.
func (a *activation) repeated(c *call) bool {
	version, found := a.memory.find(c.id)
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
	case c.class == named, a.memory.complete(c.firstAsked(), c.after) && (c.class == sent || c.born.IsZero()), a.ownOpen(c), a.absent(c):
		return false
	}
	a.search(c)
	return true
}

// ownOpen reports that what the aggregate has open says of a command whether it was
// done: of one that it has sent to itself, and whose outcome it does not hear.
func (a *activation) ownOpen(c *call) bool {
	return c.own(a.stream) && a.key.kind.results[c.handler.command.Name()] == nil
}

// repeat gives a command the outcome that stands at a version.
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

// lookedUp takes what the journal said about a command.
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
		c.err = c.border(l.err)
	}
	a.finish(c)
	c.answer()
}

// readAgain decides a command on a state that is read again, since the journal does not
// have what the state on this chain says about the command: the stream was deleted. It
// does so once for each command, so that a journal that contradicts itself is an error
// and no loop. Many commands on one state have it read once.
func (a *activation) readAgain(c *call, chain *persistence.Chain, err error) {
	if c.reread {
		a.refuse(c, err)
		return
	}
	c.reread = true
	a.dirty = a.dirty || a.phase == live && a.chain == chain
	a.resume(c)
}

// resume decides a command for which the activation did not wait, in whatever phase
// it is by now.
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
