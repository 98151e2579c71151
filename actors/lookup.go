package actors

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// lookup is a command whose outcome may be in the journal: at a version, or
// anywhere at and below the version of the state that its aggregate has.
type lookup struct {
	of    *activation
	call  *call
	at    persistence.Version // 0 is to be searched for
	below persistence.Version
	chain *persistence.Chain // of that state
}

// lookedUp is the message that a lookup ends with.
type lookedUp struct {
	lookup
	found   bool
	reply   any
	err     error // the outcome when found, else why that is not known
	receipt Receipt
}

// maxSearch is how many events are searched for one command of a caller's.
const maxSearch = 10_000

// look asks for a lookup, which ends with a lookedUp message.
func (r *recoveries) look(l lookup) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return unavailable("stopping", nil)
	case r.lookups.Len() >= maxRecoveryQueue:
		return overloaded("recoveries-full")
	}
	r.lookups.Push(l)
	r.hire()
	return nil
}

func (r *recoveries) lookUp(l lookup) {
	ctx, cancel := context.WithTimeoutCause(r.ctx, recoveryNoProgress, errNoProgress)
	defer cancel()
	result := &lookedUp{lookup: l}
	if l.at > 0 {
		r.outcomeAt(ctx, result)
	} else {
		r.search(ctx, result)
	}
	l.of.mailbox.post(result)
}

// outcomeAt reads the outcome of a command that is known to stand at a version.
func (r *recoveries) outcomeAt(ctx context.Context, l *lookedUp) {
	for recorded, err := range r.reader.Read(ctx, l.of.stream, persistence.ReadOptions{From: l.at, Limit: 1}) {
		switch {
		case errors.Is(err, persistence.ErrTruncated):
			l.found, l.err = true, replyNotKept(err)
		case err != nil:
			l.err = unread(err)
		default:
			l.take(&recorded)
		}
	}
	if !l.found && l.err == nil { // the stream was deleted meanwhile
		l.err = unavailable("stream-changed", nil)
	}
}

// search looks for a command in the events that were stored since it was asked.
// Nothing found without an error means that it is not there.
func (r *recoveries) search(ctx context.Context, l *lookedUp) {
	seen, limit := 0, maxSearch
	if l.call.class == sent {
		limit = 0 // the runtime would ask for ever
	}
	for recorded, err := range r.reader.Read(ctx, l.of.stream, persistence.ReadOptions{From: l.below, Backward: true, Limit: limit}) {
		if err != nil {
			if !errors.Is(err, persistence.ErrStreamNotFound) {
				l.err = unread(err)
			}
			return
		}
		before := recorded.Position.Part == l.call.after.Part && recorded.Position.Offset < l.call.after.Offset
		if before || !l.call.born.IsZero() && recorded.At.Before(l.call.born.Add(-clockSkew)) {
			return
		}
		if l.take(&recorded); l.found || l.err != nil {
			return
		}
		seen++
	}
	if limit > 0 && seen == limit {
		l.err = &persistence.Error{Kind: persistence.ErrUnknownOutcome, Reason: reasonTooFarBack}
	}
}

// take reads the outcome in the headers of an event, if it is that of the command.
func (l *lookedUp) take(recorded *persistence.Recorded) {
	var headers stelev1.Headers
	if err := proto.Unmarshal(recorded.Headers, &headers); err != nil {
		l.err = corrupt(recorded, "the headers cannot be decoded", err)
		return
	}
	c := l.call
	if string(headers.GetCommandId()) != string(c.id[:]) {
		return
	}
	l.found = true
	l.receipt = Receipt{Command: c.id, Version: recorded.Version, Position: recorded.Position, Repeated: true}
	switch {
	case c.class != sent && (headers.GetCommand() != c.handler.command.Name() || c.digest.contradicts(headers.GetDigest())):
		// The id of a sent command is its place in a stream, which holds no other; its name
		// and its form may have changed since it was done.
		l.err = &persistence.Error{Kind: persistence.ErrEventIDReused, Reason: "other-command"}
	case headers.GetRejection() != nil:
		l.err = c.key.kind.decodeRejection(headers.GetRejection())
	case headers.GetReplyLeftOut():
		l.err = replyNotKept(nil)
	case headers.Reply == nil: // the handler gave none
	default:
		reply, err := c.handler.reply.Decode(headers.GetReply())
		if err != nil {
			l.err = corrupt(recorded, "the reply cannot be decoded", err)
			return
		}
		l.reply = reply
	}
}

const reasonTooFarBack = "too-far-back"

const reasonNotKept = "reply-not-kept"

// replyNotKept is the outcome of a command that was done and whose reply is not
// there any more.
func replyNotKept(err error) error {
	return &persistence.Error{Kind: persistence.ErrNotFound, Reason: reasonNotKept, Err: err}
}
