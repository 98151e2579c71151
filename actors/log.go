package actors

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// Logging says what the log of commands holds. See [LogCommands].
type Logging uint8

const (
	// Outcomes holds the name of each command, its caller and its outcome.
	Outcomes Logging = 1 + iota
	// Contents are the commands too. They are stored as they are, so a command with
	// personal data should not be among them.
	Contents
)

// LogCommands keeps a log of the commands of this kind in the journal: every one,
// with its id, type, aggregate, what its caller said of itself, outcome and events;
// also those that were rejected, refused by what stands around, or could not be
// done. [System.Commands] reads it.
//
// The log is written behind the answers, in batches, so that it costs them nothing. After
// a crash the entries of the last tenth of a second may be missing. Entries that the
// journal does not take in time are dropped and counted in [Stats]. That a command was
// accepted is never lost: its events name it.
func LogCommands[S any](what Logging) Part[S] {
	return func(a *Aggregate[S]) {
		if what != Outcomes && what != Contents {
			a.d.problem("LogCommands(%d) is neither Outcomes nor Contents", what)
		}
		a.d.logging = what
	}
}

// LoggedCommand is a command in the log.
type LoggedCommand struct {
	// ID is the aggregate's, Command the stored name of the command's type.
	ID, Command string
	// CommandID is the id of the command.
	CommandID persistence.CommandID
	// Actor, Causation, Correlation and Metadata are those of the caller.
	Actor       string               // see [WithActor]
	Causation   [16]byte             // see [WithCausation]
	Correlation [16]byte             // see [WithCorrelation]
	Metadata    persistence.Metadata // see [WithMetadata]
	// Outcome is [Accepted], [Repeated], or the kind of the error.
	Outcome string
	// Code is that of a rejection, or the reason in another error.
	Code string
	// Text is that of a rejection.
	Text string
	// First and Last are the versions of the events it raised; 0 when there are none.
	First, Last persistence.Version
	// At is when it was asked, by the clock of the node.
	At time.Time
	// Duration is the time until the answer.
	Duration time.Duration
	// Content is the command, when the kind logs contents: the whole of it, as
	// [Config.Upcasters] make it today.
	Content any
	// ContentErr says why there is no Content although one is stored. It matches
	// [codec.ErrNotWhole] when the type of today has no place for a part of it, and
	// [persistence.ErrCorrupt] whenever the stored form cannot be read. It is another
	// error when this program does not host the kind, has no Handle for the type, or
	// drops it.
	ContentErr error
}

// Outcomes of a [LoggedCommand] beside the kinds of errors.
const (
	Accepted = "accepted"
	Repeated = "repeated"
)

const (
	commandsCategory = "$commands"
	logDelay         = 100 * time.Millisecond
	logRetry         = time.Second
	maxLogQueue      = 10_000
	maxLogBatch      = 200
	maxLogContent    = 16 << 10 // of one command; larger ones are left out
)

// logged is a command that is being asked and will be logged.
type logged struct {
	asked   Asked
	origin  *origin // once the command has passed what stands around
	receipt *Receipt
	began   time.Time
	content []byte
	err     error
	took    time.Duration
}

// commandLog writes the log behind everybody's back, by one worker that exists only
// while there is something to write.
type commandLog struct {
	system *System
	stop   chan struct{}
	life   lifetime // the system's: the worker outlives every call

	mu      sync.Mutex // protects the rest
	queue   fifo.Queue[persistence.Append]
	working bool
	closed  bool
	done    sync.WaitGroup
}

func newCommandLog(s *System) *commandLog {
	return &commandLog{system: s, stop: make(chan struct{}), life: newLifetime()}
}

// logBegin notes a command that is asked, if its kind is logged.
func (s *System) logBegin(r *Request, h *handler, asked Asked) *logged {
	logging := s.definitions[r.kind].logging
	if logging == 0 {
		return nil
	}
	if r.receipt == nil {
		r.receipt = &Receipt{Command: r.id}
	}
	l := &logged{asked: asked, receipt: r.receipt, began: time.Now()}
	if logging == Contents {
		if content, err := h.command.Encode(r.message); err == nil && len(content) <= maxLogContent {
			l.content = append([]byte{}, content...)
		}
	}
	return l
}

// logEnd logs a command, if it is logged, with its outcome. A command that was
// refused before it reached its aggregate is logged with the caller that the innermost
// context names.
func (s *System) logEnd(innermost context.Context, c *logged, err error) {
	if c == nil {
		return
	}
	if c.origin == nil {
		c.origin = s.originOf(innermost).storable()
	}
	s.log.end(c, err)
}

// end logs a command with its outcome.
func (l *commandLog) end(c *logged, err error) {
	c.err, c.took = err, time.Since(c.began)
	event, err := c.event()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || l.closed || l.queue.Len() >= maxLogQueue {
		l.system.stats.unlogged.Add(1)
		return
	}
	l.queue.Push(persistence.Append{Stream: logStream(c.asked.Kind), Expected: persistence.Any, Events: []persistence.Event{event}})
	if !l.working {
		l.working = true
		l.done.Go(l.work) // owned by the system, see Close
	}
}

func logStream(kind string) persistence.StreamID {
	return persistence.StreamID(commandsCategory + "-" + kind)
}

// event is the command as the journal keeps it. Its id is chosen here, so that
// storing it again after an unknown outcome stores it once.
func (c *logged) event() (persistence.Event, error) {
	entry := &stored.LogEntry{
		Id: c.asked.ID, Outcome: Accepted, AskedAt: c.began.UnixMicro(), Duration: c.took.Microseconds(), Content: c.content,
	}
	rejected, isRejection := errors.AsType[*RejectedError](c.err)
	failed, isFailure := c.err.(*persistence.Error) //nolint:errorlint // only the outermost is the runtime's
	switch {
	case isFailure:
		entry.Outcome, entry.Code = string(failed.Kind), failed.Reason
	case c.err != nil:
		entry.Outcome, entry.Code, entry.Text = string(persistence.ErrRejected), Unregistered, stored.Text(c.err.Error())
		if isRejection {
			entry.Code = stored.Text(rejected.Code)
		}
	case c.receipt.Repeated:
		entry.Outcome = Repeated
	case c.receipt.Events > 0:
		entry.Last = uint64(c.receipt.Version)
		entry.First = entry.Last - uint64(c.receipt.Events) + 1 //nolint:gosec // a count
	}
	payload, err := stored.EncodeLogEntry(entry)
	return persistence.Event{
		ID: persistence.NewEventID(), Type: stored.TypeCommand, Payload: payload,
		Headers: c.origin.headers(c.asked.CommandID, c.asked.Command, 0), Metadata: c.origin.meta(),
	}, err
}

func (l *commandLog) work() {
	for pause := logDelay; ; {
		select {
		case <-time.After(pause):
		case <-l.stop:
		}
		batch := l.nextBatch()
		if len(batch) == 0 {
			return
		}
		pause = logDelay
		if err := l.write(batch); err != nil {
			l.system.config.Logger.Warn("commands not logged yet", slog.Any("err", err))
			pause = logRetry
			if l.putBack(batch); l.isClosed() { // with the journal away nobody waits for it
				l.drop()
				return
			}
		}
	}
}

// nextBatch returns the next entries of one kind as one append each, or ends the work.
func (l *commandLog) nextBatch() []persistence.Append {
	l.mu.Lock()
	defer l.mu.Unlock()
	var batch []persistence.Append
	streams := map[persistence.StreamID]int{}
	for n := 0; n < maxLogBatch && l.queue.Len() > 0; n++ {
		next := l.queue.Pop()
		at, known := streams[next.Stream]
		if !known {
			at = len(batch)
			streams[next.Stream] = at
			batch = append(batch, persistence.Append{Stream: next.Stream, Expected: next.Expected})
		}
		batch[at].Events = append(batch[at].Events, next.Events...)
	}
	l.working = len(batch) > 0
	return batch
}

func (l *commandLog) write(batch []persistence.Append) error {
	ctx, cancel := l.life.attempt()
	defer cancel()
	outcomes, err := l.system.confirmations.append(ctx, l.system.config.Journal, batch...)
	for _, outcome := range outcomes {
		err = errors.Join(err, outcome.Err)
	}
	return err
}

// putBack keeps entries to be written again. Entries that were stored already are
// recognised by the ids of their events.
func (l *commandLog) putBack(batch []persistence.Append) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.queue.Clear()
	for _, a := range batch {
		for _, event := range a.Events {
			l.queue.Push(persistence.Append{Stream: a.Stream, Expected: a.Expected, Events: []persistence.Event{event}})
		}
	}
	for _, a := range waiting {
		l.queue.Push(a)
	}
}

func (l *commandLog) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *commandLog) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.system.stats.unlogged.Add(uint64(len(l.queue.Clear())))
	l.working = false
}

// close writes what there is, as far as ctx allows, and takes nothing more.
func (l *commandLog) close(ctx context.Context) {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.stop)
	}
	l.mu.Unlock()
	stopped := context.AfterFunc(ctx, func() { l.life.end(errSystemClosed) })
	defer stopped()
	l.done.Wait()
	l.life.end(errSystemClosed)
}

// Commands reads the log of a kind that has [LogCommands]. The options choose among
// the entries: Backward for the newest first, a filter for what callers said in
// metadata. A kind of which nothing was logged yields nothing.
func (s *System) Commands(ctx context.Context, kind string, options persistence.ReadOptions) iter.Seq2[LoggedCommand, error] {
	return func(yield func(LoggedCommand, error) bool) {
		for recorded, err := range s.config.Journal.Read(ctx, logStream(kind), options) {
			if errors.Is(err, persistence.ErrStreamNotFound) {
				return
			}
			var command LoggedCommand
			if err == nil {
				command, err = s.loggedCommand(kind, &recorded)
			}
			if !yield(command, err) || err != nil {
				return
			}
		}
	}
}

func (s *System) loggedCommand(kind string, recorded *persistence.Recorded) (c LoggedCommand, err error) {
	entry, err := stored.ReadLogEntry(recorded.Payload)
	about, unread := stored.ReadHeaders(recorded.Headers)
	if err := errors.Join(err, unread); err != nil {
		return c, corrupt(recorded, "the log of commands cannot be decoded", err)
	}
	c = LoggedCommand{
		ID: entry.GetId(), Command: about.GetCommand(), Actor: about.GetActor(), Metadata: recorded.Metadata,
		Outcome: entry.GetOutcome(), Code: entry.GetCode(), Text: entry.GetText(),
		First: persistence.Version(entry.GetFirst()), Last: persistence.Version(entry.GetLast()),
		At: time.UnixMicro(entry.GetAskedAt()).UTC(), Duration: time.Duration(entry.GetDuration()) * time.Microsecond,
	}
	copy(c.CommandID[:], about.GetCommandId())
	copy(c.Causation[:], about.GetCausationId())
	copy(c.Correlation[:], about.GetCorrelationId())
	if entry.Content == nil {
		return c, nil
	}
	c.Content, c.ContentErr = s.loggedContent(kind, c.Command, entry.GetContent(), recorded)
	return c, nil
}

// loggedContent reads the content of an entry as commands that were sent are read. Code of
// the user's takes part: it costs this content at most.
func (s *System) loggedContent(kind, command string, kept []byte, recorded *persistence.Recorded) (content any, err error) {
	var h *handler
	err = usercode.Call(func() (err error) {
		h, content, err = s.readCommand(kind, command, kept, recorded, (*definition).byLoggedName)
		return err
	})
	switch {
	case err == nil:
		return content, nil
	case h == nil:
		return nil, fmt.Errorf("the content of %s cannot be read: %w", command, err)
	}
	return nil, corrupt(recorded, fmt.Sprintf("the content of %s cannot be decoded", command), err)
}
