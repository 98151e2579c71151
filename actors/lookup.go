package actors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// Sizes of looking things up.
const (
	lookupWorkers = 4
	maxLookups    = 10_000 // of one aggregate, and of outcomes that wait to be read
	outcomeBatch  = 32     // outcomes read in one round trip
)

// lookups reads for activations what the journal says about commands, off their
// goroutines. It has workers of its own, which exist only while there is work, so that
// no recovery waits for it.
type lookups struct {
	reader persistence.Reader
	pages  persistence.PageReader // nil when the journal cannot
	life   lifetime               // the system's: workers outlive every call

	mu        sync.Mutex // protects the rest
	outcomes  fifo.Queue[*lookedUp]
	stretches fifo.Queue[*stretch]
	turn      bool // outcomes come before a stretch
	workers   int
	closed    bool
	done      sync.WaitGroup
}

// lookedUp is a command whose outcome stands at a version of its aggregate's stream, and
// what that outcome is: the message that the lookup ends with.
type lookedUp struct {
	of      *activation
	call    *call
	chain   *persistence.Chain // of the state that names the version
	at      persistence.Version
	found   bool
	gone    bool // the version does not hold it: the state is not that of the stream
	reply   any
	err     error // the outcome when found, else why that is not known
	receipt Receipt
}

func newLookups(journal persistence.Journal) *lookups {
	l := &lookups{reader: journal, life: newLifetime()}
	l.pages, _ = persistence.As[persistence.PageReader](journal)
	return l
}

// outcome has an outcome read.
func (l *lookups) outcome(of *lookedUp) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return unavailable(ReasonStopping, nil)
	case l.outcomes.Len() >= maxLookups:
		return overloaded(ReasonLookupsFull)
	}
	l.outcomes.Push(of)
	l.hire()
	return nil
}

// read has a part of a stream read. Each activation has one at a time.
func (l *lookups) read(s *stretch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return unavailable(ReasonStopping, nil)
	}
	l.stretches.Push(s)
	l.hire()
	return nil
}

// hire sees to it that somebody works. The lock is held.
func (l *lookups) hire() {
	if l.workers < lookupWorkers {
		l.workers++
		l.done.Go(l.work) // owned by the system, see Close
	}
}

func (l *lookups) work() {
	for {
		runtime.Gosched() // so that what comes at the same time is read together
		outcomes, part := l.nextRead()
		switch {
		case part != nil:
			l.readPart(part)
			part.of.mailbox.post(part)
		case len(outcomes) > 0:
			l.readOutcomes(outcomes)
			for _, o := range outcomes {
				o.of.mailbox.post(o)
			}
		default:
			return
		}
	}
}

// nextRead returns what to read next: outcomes, or a part of a stream, in turn.
func (l *lookups) nextRead() (outcomes []*lookedUp, part *stretch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn = !l.turn || l.stretches.Len() == 0; l.turn || l.stretches.Len() == 0 {
		for l.outcomes.Len() > 0 && len(outcomes) < outcomeBatch {
			outcomes = append(outcomes, l.outcomes.Pop())
		}
	}
	switch {
	case len(outcomes) > 0:
	case l.stretches.Len() > 0:
		part = l.stretches.Pop()
	default:
		l.workers--
	}
	return outcomes, part
}

// readOutcomes reads outcomes that are known to stand at their versions.
func (l *lookups) readOutcomes(outcomes []*lookedUp) {
	ctx, cancel := l.life.attempt()
	defer cancel()
	if l.pages == nil || len(outcomes) == 1 {
		for _, o := range outcomes {
			for recorded, err := range l.reader.Read(ctx, o.of.stream, persistence.ReadOptions{From: o.at, Limit: 1}) {
				o.read(&recorded, err)
			}
			l.missed(ctx, o)
		}
		return
	}
	requests := make([]persistence.PageRequest, len(outcomes))
	for i, o := range outcomes {
		requests[i] = persistence.PageRequest{Stream: o.of.stream, From: o.at, Limit: 1}
	}
	pages, err := l.pages.ReadPages(ctx, requests)
	for i, o := range outcomes {
		switch {
		case err != nil:
			o.read(nil, err)
		case pages[i].Err != nil:
			o.read(nil, pages[i].Err)
		case len(pages[i].Events) > 0:
			o.read(&pages[i].Events[0], nil)
		}
		l.missed(ctx, o)
	}
}

// read takes the event at the version, or why there is none.
func (o *lookedUp) read(recorded *persistence.Recorded, err error) {
	switch {
	case errors.Is(err, persistence.ErrNotFound): // it was deleted or truncated meanwhile
		o.gone, o.err = true, err
	case err != nil:
		o.err = unread(err)
	default:
		o.apply(recorded)
	}
}

// missed says why the outcome does not stand at the version. What was truncated in the
// life that the stream has now was done. What stood there in another life was deleted,
// and so was the command.
func (l *lookups) missed(ctx context.Context, o *lookedUp) {
	if o.found || o.err != nil && !o.gone {
		return
	}
	why := o.err
	o.gone, o.err = true, unavailable(ReasonStreamChanged, why)
	if !errors.Is(why, persistence.ErrTruncated) {
		return
	}
	info, err := l.reader.Stream(ctx, o.of.stream)
	switch {
	case errors.Is(err, persistence.ErrStreamNotFound):
	case err != nil:
		o.gone, o.err = false, unread(err)
	case o.at >= info.Begin:
		o.gone, o.found = false, true
		o.err = replyNotKept(persistence.ErrUnknownOutcome, why) // it may have been refused
	}
}

// apply reads the outcome in the headers of an event, if it is that of the command.
func (o *lookedUp) apply(recorded *persistence.Recorded) {
	headers, err := stored.ReadHeaders(recorded.Headers)
	if err != nil {
		o.err = corrupt(recorded, "the headers cannot be decoded", err)
		return
	}
	c := o.call
	if string(headers.GetCommandId()) != string(c.id[:]) {
		return
	}
	o.found = true
	o.receipt = Receipt{Command: c.id, Version: recorded.Version, Position: recorded.Position, Repeated: true}
	switch {
	case c.class != sent && c.isStrange(headers.GetCommand()):
		o.err = &persistence.Error{
			Kind: persistence.ErrUnknownOutcome, Reason: ReasonUnknownCommand,
			Err: fmt.Errorf("what was done under the key is command %s, which this program does not know: ask one that does, with the same key", headers.GetCommand()),
		}
	case c.class != sent && c.contradicts(headers):
		// The id of a sent command is its place in a stream, which holds no other; its name
		// and its form may have changed since it was done.
		o.err = &persistence.Error{Kind: persistence.ErrEventIDReused, Reason: ReasonOtherCommand}
	case headers.GetRejection() != nil:
		o.err = c.key.kind.decodeRejection(headers.GetRejection())
	case headers.GetReplyLeftOut():
		o.err = replyNotKept(persistence.ErrDone, nil)
	case headers.Reply == nil: // the handler gave none
	default:
		o.err = usercode.Call(func() (err error) {
			o.reply, err = c.readReply(recorded, headers.GetReply())
			return err
		})
		if o.err != nil {
			o.err = &persistence.Error{Kind: persistence.ErrDone, Reason: ReasonReplyCorrupt, Err: corrupt(recorded, "the reply cannot be decoded", o.err)}
		}
	}
}

// isStrange reports that no command of the kind has, or is known to have had, a stored name:
// it may be that of this command in another program.
func (c *call) isStrange(name string) bool {
	return c.key.kind.byLoggedName(name) == nil && !c.key.kind.upcasters.Touches(name)
}

// contradicts reports that what stands in headers is surely the outcome of another command
// than this one: of another type, as its name is read today, or with other content. The
// digests of two names are of different forms, so they say nothing of the content.
func (c *call) contradicts(headers *stored.Headers) bool {
	today := c.handler.command.Name()
	if headers.GetCommand() == today {
		return c.digest.contradicts(headers.GetDigest())
	}
	return !slices.Contains(c.key.kind.upcasters.Ends(headers.GetCommand()), today)
}

// readReply turns a stored reply into what the handler answers today. It was stored
// without its name, so only upcasters that keep the name can read it. One that is not read
// whole would be taken for what it was not.
func (c *call) readReply(recorded *persistence.Recorded, kept []byte) (any, error) {
	of, upcasters := c.handler.reply, c.key.kind.upcasters
	if !upcasters.Touches(of.Name()) {
		return of.DecodeWhole(kept)
	}
	event := persistence.Event{Type: of.Name(), Payload: kept}
	forms, err := upcasters.Upcast(nil, &persistence.Recorded{Event: event, Stream: recorded.Stream, Version: recorded.Version})
	switch {
	case err != nil:
		return nil, err
	case len(forms) != 1 || forms[0].Type != of.Name():
		return nil, fmt.Errorf("upcasters do not make one %s of it", of.Name())
	}
	return of.DecodeWhole(forms[0].Payload)
}

// stop ends what is under way and takes nothing more. The workers are gone when done
// says so.
func (l *lookups) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.life.end(errSystemClosed)
}

// replyNotKept is the outcome of a command that has one which is not there any more.
func replyNotKept(kind persistence.ErrorKind, err error) error {
	return &persistence.Error{Kind: kind, Reason: ReasonReplyNotKept, Err: err}
}

// stretch is a part of a stream that is read for the commands in it: a message, once it
// was read.
type stretch struct {
	dedupe.Part
	of  *activation
	in  *history // that asked for it
	err error
}

// readPart reads a part of a stream.
func (l *lookups) readPart(s *stretch) {
	ctx, cancel := l.life.attempt()
	defer cancel()
	s.err = s.Read(ctx, l.reader, s.of.stream)
}
