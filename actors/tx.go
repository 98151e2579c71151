package actors

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Tx gives a handler its means: raise events. It is valid until the handler returns, and
// only on the handler's goroutine; [Tx.Raise] panics afterwards.
type Tx struct {
	// ID is the aggregate's id, without its kind.
	ID string
	// Version is that of the aggregate before this command.
	Version persistence.Version
	// CommandID identifies the command; a second decision of it sees the same.
	CommandID persistence.CommandID

	state     any // nil once the handler has returned
	on        *definition
	events    []persistence.Event
	now       time.Time
	made      uint32 // ids made by NewID
	late      time.Duration
	reacts    *persistence.Recorded // the event of another that is reacted to
	sends     []*sending
	cancelled []string                           // keys
	panicked  bool                               // the handler did
	problem   error                              // why the command fails whatever the handler returns
	unnoted   []unnoted                          // types that the journal must be told of first
	observe   func(event *codec.Type, value any) // what the test kit wants to see, or nil
}

// Raise records events and applies them at once, so that what follows in the handler sees
// the new state. They are stored together, and with them the reply becomes valid. The
// event is stored as it is now; changes of it afterwards are not stored. An event without
// an On, one that cannot be encoded, one that is too large or nil fails the command with
// [persistence.ErrInvalid].
func (tx *Tx) Raise(events ...any) {
	if tx.state == nil {
		panic("actors: Raise on a Tx whose handler has returned") //nolint:forbidigo // the program is wrong
	}
	for _, event := range events {
		if tx.problem == nil {
			tx.problem = tx.raise(event)
		}
	}
}

// errHalfApplied remains when an On panics and the handler hides it.
var errHalfApplied error = &persistence.InvalidError{Field: "event", Reason: "made its On panic"}

func (tx *Tx) raise(event any) error {
	on := tx.on.appliers[reflect.TypeOf(event)]
	switch {
	case event == nil, on != nil && on.event.IsNil(event):
		return &persistence.InvalidError{Field: "event", Reason: fmt.Sprintf("%T is nil", event)}
	case on == nil:
		return &persistence.InvalidError{Field: "event", Reason: tx.on.withoutOn(event)}
	case len(tx.events) == persistence.MaxAppendEvents:
		return &persistence.InvalidError{Field: "events", Reason: "are too many for one command", Size: len(tx.events) + 1, Limit: persistence.MaxAppendEvents}
	}
	payload, err := on.event.Encode(event)
	switch {
	case err != nil:
		return &persistence.Error{Kind: persistence.ErrInvalid, Err: fmt.Errorf("encode %s: %w", on.event.Name(), err)}
	case len(payload) > persistence.MaxPayload:
		return &persistence.InvalidError{Field: "event " + on.event.Name(), Reason: "is too large", Size: len(payload), Limit: persistence.MaxPayload}
	}
	if tx.observe != nil {
		tx.observe(on.event, event)
	}
	tx.on.notes.raises(tx, on)
	tx.problem = errHalfApplied
	on.apply(tx.state, event)
	tx.events = append(tx.events, persistence.Event{Type: on.event.Name(), Schema: on.schema, Payload: payload})
	return nil
}

// dirty reports that the state shows events: unless they are stored it must go.
func (tx *Tx) dirty() bool { return len(tx.events) > 0 || tx.problem == errHalfApplied } //nolint:errorlint // never wrapped

// Now is the time of the command in UTC, the same whenever it is decided again.
// Put it into an event when the state needs to know it.
func (tx *Tx) Now() time.Time { return tx.now }

// NewID returns an id that is new for every call inside a command, and the same
// for the same call when the command is decided again.
func (tx *Tx) NewID() string {
	tx.made++
	var seed [20]byte
	copy(seed[:], tx.CommandID[:])
	binary.BigEndian.PutUint32(seed[16:], tx.made)
	sum := sha256.Sum256(seed[:])
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8: made of a digest (RFC 9562)
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}
