package actors

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// The way of a command through its aggregate: decide, raise, hand over to the journal. The
// reply waits for the commit; the next command does not.

// ready reports that a command can be decided at once. The others are refused, or wait
// until the state is there.
func (a *activation) ready(c *call) bool {
	now := time.Now()
	switch {
	case !c.claim():
		a.finish(c) // its caller left and was told that nothing had been done
	case now.After(c.deadline.Add(-a.slot.pace.wait(int64(a.depth.calls)))):
		a.refuse(c, unavailable(ReasonDeadline, context.DeadlineExceeded))
	case a.phase != live && a.phase != lost && now.Before(a.retryAt):
		a.refuse(c, a.blocked(now))
	default:
		if c.now = now; a.phase == live {
			return true
		}
		a.redo.Push(c)
		a.recover()
	}
	return false
}

// decide runs the handler on the live state and hands what it decided to the journal.
func (a *activation) decide(c *call) {
	a.current, c.attempt = c, attempt{}
	if !c.isPlain() && a.needsNoDecision(c) {
		return
	}
	// The round to UTC also drops the reading of the monotonic clock, which no event
	// brings back.
	tx := &Tx{ID: a.key.id, Version: a.version, CommandID: c.id, state: a.state, on: a.key.kind, now: c.now.UTC().Round(0), reacts: c.reacts}
	if c.class == sent && !c.born.IsZero() {
		tx.late = max(c.now.Sub(c.born), 0)
	}
	reply, err := a.invoke(c, tx)
	a.submit(c, a.conclude(c, tx, reply, err))
}

// needsNoDecision reports that a command was dealt with without its handler.
func (a *activation) needsNoDecision(c *call) bool {
	switch {
	case c.class != generated && a.repeated(c):
		return true // it gets the outcome of the first time
	case c.handler == waking, a.hasEnded(c):
		if overdue, ok := c.message.(stored.Open); ok && a.isBehind(overdue) {
			a.dirty = true // the state is read again, and what is open is offered then
		}
		a.offerOpen()
		a.answerLater(c, nil, nil)
		return true
	case c.verdict != nil:
		a.submit(c, a.remember(c, nil, c.verdict))
		return true
	case !c.ifVersion.Accepts(a.version):
		conflict := &persistence.ConflictError{Stream: a.stream, Expected: c.ifVersion, Actual: a.version}
		a.answerLater(c, nil, c.wrap(conflict))
		return true
	}
	return false
}

// conclude returns the events of a decision, as they are stored. A decision without events
// is answered in its turn.
func (a *activation) conclude(c *call, tx *Tx, reply any, err error) []persistence.Event {
	var sends []byte
	if err == nil {
		sends, err = a.complete(c, tx)
	}
	switch {
	case err != nil:
		a.dirty = a.dirty || tx.dirty()
		if c.class == sent && tx.problem == nil && !tx.panicked {
			return a.remember(c, nil, err) // at the version that it was decided on, or it is decided again
		}
		a.answerLater(c, nil, err)
		return nil
	case len(tx.events) > 0:
		return a.accept(c, reply, tx.events, sends)
	case c.lasting():
		return a.remember(c, reply, nil)
	}
	a.answerLater(c, reply, nil)
	return nil
}

// complete prepares an accepted decision to be stored: the journal gets to know its types,
// and the commands that it sends are put beside its events. An error here is one of the
// runtime, and fails the command.
func (a *activation) complete(c *call, tx *Tx) (beside []byte, err error) {
	if tx.problem == nil && len(tx.unnoted) > 0 {
		tx.problem = a.system.notes.store(a.key.kind.kind, c.deadline, tx.unnoted)
	}
	if tx.problem == nil {
		beside, tx.problem = a.dispatch(c, tx)
	}
	if tx.problem != nil {
		return nil, c.wrap(tx.problem)
	}
	return beside, nil
}

// invoke calls the handler. A panic in it becomes an error; when it ends the goroutine,
// notReturned goes on.
func (a *activation) invoke(c *call, tx *Tx) (reply any, err error) {
	a.handling = tx
	defer func() {
		if reason := recover(); reason != nil {
			reply, err = nil, a.broken(c, tx, reason)
		}
	}()
	if reply, err = c.handler.decide(a.state, tx, c.message); err != nil {
		err = a.key.kind.refusal(err)
	}
	a.handling, tx.state = nil, nil
	return reply, err
}

// broken returns the error for a handler that did not return.
func (a *activation) broken(c *call, tx *Tx, reason any) error {
	a.handling, tx.state = nil, nil
	tx.panicked = true
	a.panicked(c, reason)
	return c.wrap(a.system.refused(reason))
}

// panicked counts and logs a handler that did not return.
func (a *activation) panicked(c *call, reason any) {
	a.system.stats.panics.Add(1)
	a.system.config.Logger.Error("handler panicked", slog.String("stream", string(a.stream)),
		slog.String("command", c.handler.command.Name()), slog.Any("err", a.system.traced(reason)))
	a.dirty = true
	if c.answers != (persistence.CommandID{}) || c.reacts != nil {
		return // the outcome or the event is set aside, and the aggregate serves others
	}
	now := time.Now()
	a.panics = append(a.panics, now)
	for now.Sub(a.panics[0]) > panicWindow {
		a.panics = a.panics[1:]
	}
}

// accept adds headers to the events of a decided command. Those of the last event hold the
// reply, and the commands that it sends if there is room for them.
func (a *activation) accept(c *call, reply any, events []persistence.Event, sends []byte) []persistence.Event {
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
		a.answerLater(c, nil, c.wrap(err))
		return nil
	}
	if sends != nil {
		last = stored.AppendSends(last, sends)
	}
	events[len(events)-1].Headers = last
	c.reply, c.err, c.raised = reply, nil, len(events)
	return events
}

// remember returns an event that holds the outcome of a command that raised none.
func (a *activation) remember(c *call, reply any, refusal error) []persistence.Event {
	last, err := a.outcomeHeaders(c, c.origin.headers(c.id, c.handler.command.Name(), stored.OutcomeRoom), reply, refusal)
	if err != nil {
		a.answerLater(c, nil, c.wrap(err))
		return nil
	}
	c.reply, c.err = reply, refusal
	event := persistence.Event{Type: stored.TypeReceipt, Headers: last}
	if c.ended = a.endedBy(c); len(c.ended) > 0 {
		a.open = opens(a.open, nil, c.ended)
		event.Type, event.Payload = stored.TypeSent, encodeSends(nil, c.ended, a.open)
	}
	return []persistence.Event{event}
}

// outcomeHeaders adds the outcome of a command to the headers of its last event.
func (a *activation) outcomeHeaders(c *call, out []byte, reply any, refusal error) (whole []byte, err error) {
	defer func() { // the reply and the error may have methods of their own
		if reason := recover(); reason != nil {
			a.system.config.Logger.Error("reply panicked", slog.String("stream", string(a.stream)),
				slog.String("command", c.handler.command.Name()), slog.Any("err", a.system.traced(reason)))
			whole, err = nil, a.system.refused(reason)
		}
	}()
	if c.class != generated {
		out = stored.AppendDigest(out, c.digest[:])
	}
	if c.reacts != nil {
		out = stored.AppendReacted(out, placeOf(c.reacts))
	}
	switch {
	case refusal != nil:
		r := c.key.kind.rejection(refusal)
		return stored.AppendRejection(out, r.Kind, r.Code, r.Text), nil
	case c.handler.reply.IsNil(reply):
		return out, nil
	}
	whole = stored.BeginReply(out)
	start := len(whole)
	whole, err = c.handler.reply.Append(whole, reply)
	size, limit := len(whole)-start, maxReply
	if c.class == generated {
		limit = maxKeptReply
	}
	switch {
	case err == nil && size <= limit:
		return stored.EndReply(whole, size), nil
	case c.class == generated:
		return stored.AppendReplyLeftOut(out), nil
	case err != nil:
		return nil, &persistence.Error{Kind: persistence.ErrInvalid, Err: fmt.Errorf("encode %s: %w", c.handler.reply.Name(), err)}
	}
	return nil, &persistence.InvalidError{Field: "reply " + c.handler.reply.Name(), Reason: "is too large to be remembered", Size: size, Limit: limit}
}

// submit hands the events of a decided command to the journal, if there are any.
func (a *activation) submit(c *call, events []persistence.Event) {
	if len(events) == 0 {
		return
	}
	metadata := c.origin.meta()
	for i := range events {
		events[i].Metadata = metadata
	}
	appended := persistence.Append{Stream: a.stream, Expected: persistence.Exact(a.version), Events: events}
	c.owner, c.settled, c.events, c.bytes = a, false, len(events), appended.Size()
	a.version += persistence.Version(len(events))
	if c.class != generated {
		a.memory = a.memory.Add(dedupe.Command{ID: c.id, Version: a.version, At: c.now.Unix()}, a.system.recoveries.keep)
	}
	if c.reacts != nil {
		a.reacted = a.reacted.with(placeOf(c.reacts))
	}
	a.queue(c)
	a.system.confirmations.hand()
	if err := a.system.appender.Submit(appended, a.chain, c.done); err != nil {
		a.dirty = true // nothing is decided on it; what was decided before may be stored yet
		err = untaken(err)
		c.outcome, c.settled = persistence.Outcome{Err: err}, true
		a.system.confirmations.note(c.outcome, 0)
	}
}

// untaken translates the error of a journal that did not take an append: nothing was
// done, whatever kind the error has.
func untaken(err error) error {
	if class, _ := persistence.Classify(err); class.Effect != persistence.NotDone {
		return unavailable(ReasonJournal, err)
	}
	return err
}

// dispatch encodes the commands that a decision sends, and those that it ends, and changes
// what is open. When the events of the decision cannot hold them, it adds one.
func (a *activation) dispatch(c *call, tx *Tx) (beside []byte, err error) {
	ended := a.endedBy(c)
	for _, s := range a.open {
		if s.GetKey() != "" && slices.Contains(tx.cancelled, s.GetKey()) && !slices.Contains(ended, s) {
			ended = append(ended, s)
		}
	}
	more := len(tx.sends) - len(ended)
	switch {
	case len(tx.sends) == 0 && len(ended) == 0:
		return nil, nil
	case len(a.open)+len(tx.sends) > maxOpen:
		return nil, overloaded(ReasonTooManySends)
	case more > 0 && a.system.pending()+more > a.system.config.MaxPending:
		return nil, overloaded(ReasonTooManyPending)
	}
	open := opens(a.open, tx.sends, ended)
	payload := encodeSends(tx.sends, ended, open)
	if len(tx.events) == 0 || len(payload) > maxSendsBeside {
		switch {
		case len(tx.events) == persistence.MaxAppendEvents:
			return nil, &persistence.InvalidError{Field: "events", Reason: "are too many for a command that sends", Size: len(tx.events) + 1, Limit: persistence.MaxAppendEvents}
		case len(payload) > persistence.MaxPayload:
			return nil, &persistence.InvalidError{Field: "sends", Reason: "are too large", Size: len(payload), Limit: persistence.MaxPayload}
		}
		tx.events = append(tx.events, persistence.Event{Type: stored.TypeSent, Payload: payload})
		payload = nil
	}
	for i, s := range tx.sends {
		s.id = sentID(a.stream, a.version+persistence.Version(len(tx.events)), i)
	}
	a.open, c.sends, c.ended = open, tx.sends, ended
	return payload, nil
}

// endedBy returns the sent commands that a command ends: the one whose outcome it handles,
// or itself, when the aggregate sent it to itself and has no Result for it.
func (a *activation) endedBy(c *call) []*sending {
	id := c.answers
	if id == (persistence.CommandID{}) {
		if !c.own(a.stream) || a.key.kind.results[c.handler.command.Name()] != nil {
			return nil
		}
		id = c.id
	}
	if s := sendOf(a.open, id); s != nil {
		return []*sending{s}
	}
	return nil
}

// hasEnded reports that there is nothing to decide: the outcome was handled already, the
// aggregate has cancelled its own command, or it has reacted to the event.
func (a *activation) hasEnded(c *call) bool {
	switch {
	case c.answers != persistence.CommandID{}:
		return !isOpen(a.open, c.answers)
	case c.own(a.stream):
		return !isOpen(a.open, c.id)
	case c.reacts != nil && c.class == generated: // one that comes late was looked for
		return a.reacted.covers(placeOf(c.reacts))
	}
	return false
}

// isBehind reports that the state does not show what is open according to the journal.
// Then another system has written the stream, and is gone, so that no conflict would tell.
func (a *activation) isBehind(overdue stored.Open) bool {
	if overdue.Count == 0 || a.pending.Len() > 0 {
		return false
	}
	for _, s := range a.open {
		if s.GetDue() == overdue.Next {
			return len(a.open) != int(overdue.Count)
		}
	}
	return true
}
