package actors

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// What a command has its aggregate send, and which of its earlier sends are done, is
// stored in the append of its events, so that no crash parts the events of the domain
// from what follows of them: in the headers of the last event, since an event more is
// what costs. Where there is none, or where it is much, it has an event of its own.
const maxSendsBeside = 8 << 10 // bytes in headers

// Bounds of what an aggregate may send.
const (
	maxSends = 100  // by one command
	maxOpen  = 1000 // that are not done
)

// SendOption changes how one command is sent.
type SendOption func(*sending)

// Key names what is sent, for the aggregate that sends it: sending again under the
// same key replaces what has not been delivered, and [Tx.Cancel] takes it back.
func Key(key string) SendOption { return func(s *sending) { s.Key = key } }

// Send has the aggregate send a command to another one, or to itself. It is stored
// in the same append as the events raised, with an id of its own, and delivered when
// that is durable: again and again, over crashes and restarts, until it has an
// outcome, and with one effect however often that is. The outcome comes back to the
// method that [Result] names. Commands from one aggregate to another arrive in the
// order in which they were sent.
//
// A command is stored as its type is now, and read by the program that delivers it,
// through the upcasters if they touch its name. One that the program has no handler
// for, or of which it would not see all, is set aside: see [Parked].
//
// The kind that sends must say so, by [Result] or [Sends].
func (c Command[C, R]) Send(tx *Tx, id string, command C, options ...SendOption) {
	c.SendAfter(tx, 0, id, command, options...)
}

// SendAfter is Send with a delay that begins at [Tx.Now]: a timer that survives
// restarts. One that comes due while no system runs is delivered by the next that
// starts; [Tx.Late] says how late. Times are those of the clocks of the processes: one
// that is set back by an hour makes what is pending an hour late, one that is ahead makes
// it early by as much, and neither loses it. A timer that the aggregate sends to itself and
// cancels is never delivered afterwards. A negative delay fails the command with
// [persistence.ErrInvalid]: for a time that may have passed take max(delay, 0).
func (c Command[C, R]) SendAfter(tx *Tx, delay time.Duration, id string, command C, options ...SendOption) {
	if tx.state == nil {
		panic("actors: Send on a Tx whose handler has returned") //nolint:forbidigo // the program is wrong
	}
	if tx.problem != nil {
		return
	}
	s := &sending{Sent: &stored.Sent{Kind: c.kind, Id: id}}
	for _, option := range options {
		option(s)
	}
	err := c.problem
	if err == nil {
		err = tx.send(s, c.of, command, delay)
	}
	if err != nil {
		tx.problem = &persistence.Error{Kind: persistence.ErrInvalid, Op: "send", Err: err}
	}
}

// Cancel takes back what the aggregate has sent under a key and what is not done. A
// command that another aggregate has already accepted stays accepted, and its outcome is
// no longer reported.
func (tx *Tx) Cancel(key string) {
	tx.sends = slices.DeleteFunc(tx.sends, func(s *sending) bool { return s.GetKey() == key })
	tx.cancelled = append(tx.cancelled, key)
}

// Late returns how late a sent command is decided, counted from the time at which it was
// due.
func (tx *Tx) Late() time.Duration { return tx.late }

// sending is a command that an aggregate sends, until it is done.
type sending struct {
	*stored.Sent

	id      persistence.CommandID
	headers []byte // of the command that led to it
	stored  bool   // surely; it is not to be delivered before
	// position is that of the event that says so, once it is stored.
	position persistence.Position
	message  any // for the test kit; of a wake-up, what the search has found

	cause *origin  // what the headers say, for whoever delivers it
	next  *sending // in the lane of the deliverer that has taken it
	// roused is when its sender was woken for it, while that counts.
	roused time.Time
}

// due is when it is to be delivered, and not before.
func (s *sending) due() time.Time { return time.UnixMicro(s.GetDue()) }

func (tx *Tx) send(s *sending, of *codec.Type, message any, delay time.Duration) error {
	switch {
	case of == nil:
		return &persistence.InvalidError{Field: "command", Reason: fmt.Sprintf("%T is sent by a contract that was not made by NewCommand", message)}
	case !tx.on.process:
		return &persistence.InvalidError{Field: "kind", Reason: tx.on.kind + " sends without saying so: add a Result or Sends"}
	case of.IsNil(message):
		return &persistence.InvalidError{Field: "command", Reason: of.Name() + " is nil"}
	case delay < 0:
		return &persistence.InvalidError{Field: "delay", Reason: "is negative: for a time that may have passed take max(delay, 0)"}
	case len(tx.sends) == maxSends:
		return &persistence.InvalidError{Field: "sends", Reason: "are too many for one command", Size: maxSends + 1, Limit: maxSends}
	}
	if err := persistence.CheckKind(s.GetKind()); err != nil {
		return err
	}
	if err := persistence.CheckID(s.GetId()); err != nil {
		return err
	}
	if err := of.Prove(); err != nil { // once; the kind may be hosted by another program
		return err
	}
	if tx.on.proving {
		of = of.Strict()
	}
	payload, err := of.Encode(message)
	if err != nil {
		return fmt.Errorf("encode %s: %w", of.Name(), err)
	}
	if s.GetKey() != "" {
		tx.Cancel(s.GetKey())
	}
	s.Command, s.Payload, s.message = of.Name(), payload, message
	s.Due = tx.now.Add(delay).UnixMicro()
	tx.sends = append(tx.sends, s)
	tx.on.notes.sends(tx, s.GetKind(), of)
	return nil
}

// sentID is the id of a command that stands at a place of an event.
func sentID(stream persistence.StreamID, version persistence.Version, at int) persistence.CommandID {
	seed := binary.BigEndian.AppendUint64([]byte(stream+"\x00"), uint64(version))
	return digestID(sha256.Sum256(binary.BigEndian.AppendUint64(seed, uint64(at)))) //nolint:gosec // an index
}

// resultID is the id under which the outcome of a sent command is handled.
func resultID(sent persistence.CommandID) persistence.CommandID {
	return digestID(sha256.Sum256(append([]byte("result\x00"), sent[:]...)))
}

// encodeSends encodes the sends that a command has opened and ended, and counts those
// that are open after it.
func encodeSends(opened, ended, open []*sending) []byte {
	room := len(ended)*stored.DoneRoom + stored.OpenRoom
	for _, s := range opened {
		room += stored.SentRoom + len(s.GetPayload())
	}
	out := make([]byte, 0, room)
	for _, s := range opened {
		out = stored.AppendSent(out, s.Sent)
	}
	for _, s := range ended {
		out = stored.AppendDone(out, s.id)
	}
	if len(open) == 0 {
		return out
	}
	next := open[0].GetDue()
	for _, s := range open[1:] {
		next = min(next, s.GetDue())
	}
	return stored.AppendOpen(out, len(open), next)
}

// opens returns the sends that are open after some were opened and some have ended. The
// order is that of sending, and the list is not shared with the one before.
func opens(open, opened, ended []*sending) []*sending {
	next := make([]*sending, 0, len(open)+len(opened))
	for _, s := range open {
		if !slices.Contains(ended, s) {
			next = append(next, s)
		}
	}
	return append(next, opened...)
}

func isOpen(open []*sending, id persistence.CommandID) bool { return sendOf(open, id) != nil }

// sendOf is the command with an id among those that are open, or nil.
func sendOf(open []*sending, id persistence.CommandID) *sending {
	for _, s := range open {
		if s.id == id {
			return s
		}
	}
	return nil
}

// refoldSent returns the sends that are open after a stored event.
func refoldSent(open []*sending, recorded *persistence.Recorded, about *stored.About) ([]*sending, error) {
	sends, err := stored.ReadSends(about.Sends)
	if err != nil {
		return nil, corrupt(recorded, "what was sent cannot be decoded", err)
	}
	opened := make([]*sending, len(sends.GetSent()))
	for i, s := range sends.GetSent() {
		opened[i] = &sending{Sent: s, id: sentID(recorded.Stream, recorded.Version, i), headers: about.Origin, stored: true, position: recorded.Position}
	}
	var ended []*sending
	for _, id := range sends.GetDone() {
		if len(id) == len(persistence.CommandID{}) {
			ended = append(ended, sendOf(open, persistence.CommandID(id)))
		}
	}
	return opens(open, opened, ended), nil
}

// keptSends returns the open sends as a snapshot holds them.
func keptSends(open []*sending) []*stored.Sent {
	kept := make([]*stored.Sent, len(open))
	for i, s := range open {
		kept[i] = stored.Keep(s.Sent, s.id, s.headers, s.position)
	}
	return kept
}

// sendsOf is the reverse of keptSends.
func sendsOf(kept []*stored.Sent) ([]*sending, error) {
	var open []*sending
	for _, s := range kept {
		id, headers, position, err := stored.Kept(s)
		if err != nil {
			return nil, err
		}
		open = append(open, &sending{Sent: s, id: id, headers: headers, stored: true, position: position})
	}
	return open, nil
}

// Result binds a method to the outcome of a command that aggregates of this kind send. The
// method gets the reply, or the error. It takes effect once for each sent command: the
// events that it raises, and the commands that it sends, are stored together with the fact
// that the outcome was handled.
//
// The error is a [*RejectedError], as the aggregate that was asked has stored it, or
// [ErrUndelivered] after [Config.GiveUpAfter]. When the method cannot handle the outcome
// now, it returns an error. It is called again later, as after a panic: ten times, then the
// command is [Parked].
func Result[S, C, R any](contract Command[C, R], then func(state *S, tx *Tx, reply R, err error) error) Part[S] {
	return func(a *Aggregate[S]) {
		command, err := codec.Of[C]()
		if err != nil {
			a.d.problem("result of %s: %w", reflect.TypeFor[C](), err)
			return
		}
		reply, err := codec.Of[R]()
		switch {
		case err != nil:
			a.d.problem("reply to %s: %w", command.Name(), err)
		case then == nil:
			a.d.problem("result of %s has a nil method", command.Name())
		case a.d.results[command.Name()] != nil:
			a.d.problem("the result of %s is handled twice: remove one Result", command.Name())
		}
		a.d.process = true
		a.d.sendsTo = append(a.d.sendsTo, contract.kind)
		a.d.results[command.Name()] = &handler{command: command, reply: reply, decide: func(state any, tx *Tx, message any) (any, error) {
			got := message.(*outcome)
			typed, _ := got.reply.(R)
			return nil, then(state.(*S), tx, typed, got.err)
		}}
	}
}

// Sends says that aggregates of this kind send commands whose outcome they need not hear,
// such as timers. A kind with a [Result] need not say it.
func Sends[S any]() Part[S] { return func(a *Aggregate[S]) { a.d.process = true } }

// outcome is the outcome of a sent command, on its way to the sender.
type outcome struct {
	reply any
	err   error
}

// ErrUndelivered is the [persistence.ErrUnknownOutcome] of a sent command that had no outcome
// within [Config.GiveUpAfter].
var ErrUndelivered = persistence.NewErrorKind("the command could not be delivered", persistence.ErrUnknownOutcome)

// UndeliveredError is the [ErrUndelivered] of one command.
type UndeliveredError struct {
	// Kind and ID name the aggregate, Command the stored name of the command's type.
	Kind, ID, Command string
	// After is for how long it was tried.
	After time.Duration
	// Err is the error of the last attempt.
	Err error
}

// Error fulfils error.
func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("%s to %s-%s not delivered within %s, last: %v", e.Command, e.Kind, e.ID, e.After, e.Err)
}

// Unwrap returns the cause as [persistence.Cause] shows it: the last attempt may have done
// nothing, but that says nothing of those before.
func (e *UndeliveredError) Unwrap() error {
	return persistence.Cause(persistence.ErrUnknownOutcome, e.Err)
}

// Is matches [ErrUndelivered] and [persistence.ErrUnknownOutcome].
func (e *UndeliveredError) Is(target error) bool {
	return target == ErrUndelivered || target == persistence.ErrUnknownOutcome
}

// unheard returns a handler for outcomes without a Result, which only ends the command.
func unheard(of *handler) *handler {
	return &handler{command: of.command, reply: of.reply, decide: func(any, *Tx, any) (any, error) { return nil, nil }}
}

// waking is the handler of a call that only brings an aggregate into memory, so that it
// delivers what it has open.
var waking = &handler{}

// inner returns a call of the runtime itself, for whose answer no goroutine waits.
func (s *System) inner(of key, h *handler, message any, id persistence.CommandID, o *origin) *call {
	c := s.calls.Get().(*call) //nolint:forcetypeassert // the pool holds nothing else
	c.key, c.handler, c.message, c.left, c.origin, c.ifVersion = of, h, message, s.deliverer.ctx.Done(), o, persistence.Any
	c.id, c.deadline, c.asked = id, time.Now().Add(s.config.AskTimeout), s.confirmations.now()
	return c
}
