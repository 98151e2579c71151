package actors

import (
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// inFlight counts the commands that a system has taken and not answered: how many
// commands, and how many bytes those have. Their events are bounded by the queue of the
// journal.
type inFlight struct{ commands, bytes atomic.Int64 }

// add counts a call in and returns what there was before it.
func (f *inFlight) add(c *call) (commands, bytes int64) {
	size := int64(c.size)
	return f.commands.Add(1) - 1, f.bytes.Add(size) - size
}

func (f *inFlight) remove(c *call) {
	f.commands.Add(-1)
	f.bytes.Add(-int64(c.size))
}

// room refuses a command when there is too much already, before anything is done for
// it: refusing must cost little when it matters.
func (s *System) room(r *Request, h *handler) error {
	reason := s.tooMuch(s.inFlight.commands.Load(), s.inFlight.bytes.Load())
	if reason == "" {
		return nil
	}
	stream := persistence.StreamID(r.kind + "-" + r.aggregate)
	return &persistence.Error{Kind: persistence.ErrOverloaded, Reason: reason, Op: h.command.Name() + " on " + string(stream), Stream: stream, Command: r.id}
}

// admit counts a command in, and refuses it when there was too much before.
func (s *System) admit(c *call) error {
	if reason := s.tooMuch(s.inFlight.add(c)); reason != "" {
		return overloaded(reason)
	}
	return nil
}

// tooMuch names the limit that is reached. One command that is larger than all that
// may be in flight passes, since waiting would not make it smaller.
func (s *System) tooMuch(commands, bytes int64) (reason string) {
	switch {
	case commands >= int64(s.config.MaxInFlight):
		return ReasonTooManyInFlight
	case bytes >= int64(s.config.MaxInFlightBytes):
		return ReasonTooManyBytesInFlight
	}
	return ""
}

// pace is how fast an aggregate answers while commands queue for it, so that one
// which would wait beyond its deadline is refused before it is decided: as overloaded
// at once when it comes, or when its turn has come and its events would be stored too
// late.
//
// It is measured from when there is a crowd until nobody waits: only then do answers
// follow each other without a pause, and what has been in the way of one crowd, such
// as a journal that stood still, need not be in that of the next.
type pace struct {
	// each is the time that one answer takes, in nanoseconds: in the faster one of the
	// last two windows, so that nobody is refused for a single pause. 0 is not known.
	// Callers read it.
	each atomic.Int64
	// The rest belongs to the activation: when the window began, how many answers there
	// were in it, and how long each took in the one before.
	since       time.Time
	count, last int64
}

const (
	crowd       = 16 // commands that wait for one aggregate
	paceWindow  = 50 * time.Millisecond
	paceAnswers = 8 // in a window, at least
)

// forget follows when nobody waits.
func (p *pace) forget() {
	if p.count > 0 {
		p.count, p.last = 0, 0
		p.each.Store(0)
	}
}

// answers notes an answer that took its time, unlike a refusal; so many commands wait.
// Answers come in bursts, as commits bring them, so a window ends with the first one
// of a burst, which belongs to the next.
func (p *pace) answers(waiting int64) {
	if p.count == 0 && waiting < crowd {
		return
	}
	now := time.Now()
	if p.count == 0 {
		p.since = now
	} else if length := now.Sub(p.since); length >= paceWindow && p.count >= paceAnswers {
		each := max(int64(length)/p.count, 1)
		if p.last > 0 {
			p.each.Store(min(each, p.last))
		}
		p.since, p.count, p.last = now, 0, each
	}
	p.count++
}

// wait returns the time that a command waits for its answer behind those ahead of it, as
// far as it is known.
func (p *pace) wait(ahead int64) time.Duration {
	return time.Duration(p.each.Load() * (ahead + 2)) // one for itself, and one for not being sure
}

// check refuses a command that would not be answered in time behind those ahead of it.
func (p *pace) check(ahead int64, c *call) error {
	wait := p.wait(ahead)
	if wait == 0 {
		return nil
	}
	left := time.Until(c.deadline)
	if wait <= left {
		return nil
	}
	refusal := overloaded(ReasonWouldBeLate)
	refusal.RetryAfter = wait - left
	return refusal
}
