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

// Tx is what a handler may do: raise events. It is valid until the handler
// returns, and only on the handler's goroutine.
type Tx struct {
	// ID is the aggregate's id, without its kind.
	ID string
	// Version is that of the aggregate before this command.
	Version persistence.Version
	// CommandID identifies the command; a second decision of it sees the same.
	CommandID persistence.CommandID

	state   any
	on      *definition
	raised  []raised
	now     time.Time
	made    uint32 // ids made by NewID
	problem error  // why the command fails whatever the handler returns
}

type raised struct {
	event *codec.Type
	value any
}

// Raise records events and applies them at once, so that what follows in the
// handler sees the new state. They are stored together, and with them the reply
// becomes valid. An event without an On, or a nil one, fails the command with
// [persistence.ErrInvalid]. The events must not be changed afterwards.
func (tx *Tx) Raise(events ...any) {
	for _, event := range events {
		on := tx.on.appliers[reflect.TypeOf(event)]
		switch {
		case tx.problem != nil:
			return
		case on == nil:
			tx.problem = &persistence.InvalidError{Field: "event", Reason: fmt.Sprintf("%T has no On in kind %s: add one", event, tx.on.kind)}
			return
		case on.event.IsNil(event):
			tx.problem = &persistence.InvalidError{Field: "event", Reason: fmt.Sprintf("%T is nil", event)}
			return
		}
		tx.raised = append(tx.raised, raised{on.event, event})
		on.apply(tx.state, event)
	}
}

// Now is the time of the command, the same whenever it is decided again. Put it
// into an event when the state needs to know it.
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

// encode turns what was raised into events to append.
func (tx *Tx) encode(headers []byte, metadata persistence.Metadata) ([]persistence.Event, error) {
	events := make([]persistence.Event, len(tx.raised))
	for i, r := range tx.raised {
		payload, err := r.event.Encode(r.value)
		if err != nil {
			return nil, &persistence.Error{Kind: persistence.ErrInvalid, Op: "encode " + r.event.Name(), Err: err}
		}
		events[i] = persistence.Event{Type: r.event.Name(), Payload: payload, Headers: headers, Metadata: metadata}
	}
	return events, nil
}
