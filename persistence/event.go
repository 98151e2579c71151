package persistence

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// Limits of one event and one append, in bytes, except for the number of events. Journals
// refuse more with [*InvalidError] before anything is written.
const (
	MaxPayload      = 1 << 20
	MaxHeaders      = 64 << 10
	MaxAppendEvents = 1000
	MaxAppendBytes  = 8 << 20
)

// EventID identifies an event. The zero EventID asks the journal to make one.
type EventID [16]byte

// NewEventID makes a time-ordered id: UUID version 7 with a fraction of the millisecond
// (RFC 9562, method 3) and 62 random bits. An id must be unique and need not be secret.
// The random bits come from math/rand/v2, which takes no lock, because every event gets
// an id.
func NewEventID() (id EventID) {
	const perMilli = uint64(time.Millisecond)
	nanos := uint64(time.Now().UnixNano())
	fraction := nanos % perMilli << 12 / perMilli
	binary.BigEndian.PutUint64(id[:8], nanos/perMilli<<16|7<<12|fraction)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()>>2|1<<63)
	return id
}

// String prints the id in the usual form of a UUID.
func (id EventID) String() string { return uuid.UUID(id).String() }

// ParseEventID reads the form that String prints.
func ParseEventID(text string) (EventID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != len("00000000-0000-0000-0000-000000000000") { // uuid knows other forms too
		return EventID{}, &InvalidError{Field: "event id", Reason: "is not a UUID"}
	}
	return EventID(id), nil
}

// SchemaID refers to the description of a payload's type that the journal
// stores beside the events; 0 means that none was registered.
type SchemaID int32

// Event is a fact to append.
type Event struct {
	// ID may be left zero: the journal then makes one, which is the fast way. A
	// caller that sets it gets idempotence: see [Journal].
	ID EventID
	// Type names what happened: 1 to 255 bytes of UTF-8 without control
	// characters. Types that begin with "$" belong to the system, and [TypeDeleted]
	// and [TypeGone] to the journal, which refuses to append them.
	Type string
	// Schema refers to the description of the payload's type in the journal; 0 is none.
	Schema SchemaID
	// Payload is the encoded fact, at most [MaxPayload] bytes.
	Payload []byte
	// Headers belong to the runtime (command id, causation, stored reply …), at
	// most [MaxHeaders] bytes. Journals do not look into them.
	Headers []byte
	// Metadata belongs to the user and can be filtered by.
	Metadata Metadata
	// Tags are a set of labels to find events by across streams: at most [MaxTags],
	// each 1 to [MaxTag] bytes of UTF-8 without control characters, none twice.
	// Their order means nothing and need not survive.
	Tags []string
}

// Recorded is an event as stored. Its slices and metadata belong to the reader;
// journals keep no reference to them.
type Recorded struct {
	Event
	Stream   StreamID // that it stands in
	Version  Version  // its place there, from 1
	Position Position // its place in the global sequence
	// Sub and SubCount number the events that upcasters make of one stored event, see
	// package upcast. There are SubCount of them, with Sub 0, 1, 2…, and with the id,
	// version and position of the stored one. Both are 0 when one event is made of it, or
	// none of it changed.
	Sub, SubCount uint16
	// Named reports that the writer chose the id, so that a repetition is recognised.
	// Only a reading with [ReadAllOptions.Whole] sets it.
	Named bool
	// At is the time at which the journal stored the event, in UTC with microseconds. It
	// is for people; only versions and positions give an order.
	At time.Time
}

// Append is one all-or-nothing addition to one stream.
type Append struct {
	Stream   StreamID // need not exist before
	Expected Expected // where the stream must be, or nothing is stored
	Events   []Event  // in their order; without any, Expected alone is checked
}

// Named reports whether the caller chose the event ids, which makes the append
// idempotent. Either all ids of an append are set or none: see [Append.Check].
func (a *Append) Named() bool { return len(a.Events) > 0 && a.Events[0].ID != EventID{} }

// Size returns the bytes that the append counts against [MaxAppendBytes].
func (a *Append) Size() int {
	size := len(a.Stream)
	for i := range a.Events {
		e := &a.Events[i]
		size += len(e.Type) + len(e.Payload) + len(e.Headers) + e.Metadata.Size()
		for _, tag := range e.Tags {
			size += len(tag)
		}
	}
	return size
}

// Check returns an [*InvalidError] that names the field when the append breaks
// a limit or a rule of names. Every journal calls it first, so that all refuse
// the same. System streams and types are left to the runtime: they pass.
func (a *Append) Check() error {
	if err := a.Stream.CheckName(); err != nil {
		return err
	}
	if a.Expected < StreamExists {
		return &InvalidError{Field: "expected", Reason: "is out of range"}
	}
	if len(a.Events) > MaxAppendEvents {
		return &InvalidError{Field: "events", Reason: "are too many for one append", Size: len(a.Events), Limit: MaxAppendEvents}
	}
	if version, exact := a.Expected.Version(); exact && version > MaxVersion-Version(len(a.Events)) {
		return &InvalidError{Field: "expected", Reason: "leaves no room for the events"}
	}
	for i := range a.Events {
		if err := a.Events[i].check(); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		if (a.Events[i].ID != EventID{}) != a.Named() {
			return &InvalidError{Field: "event id", Reason: "must be set for all events of an append or for none"}
		}
	}
	if size := a.Size(); size > MaxAppendBytes {
		return &InvalidError{Field: "events", Reason: "are too large for one append", Size: size, Limit: MaxAppendBytes}
	}
	return a.checkIDs()
}

func (a *Append) checkIDs() error {
	if !a.Named() || len(a.Events) == 1 {
		return nil
	}
	seen := make(map[EventID]bool, len(a.Events))
	for i := range a.Events {
		if seen[a.Events[i].ID] {
			return &InvalidError{Field: "event id", Reason: "stands twice in one append"}
		}
		seen[a.Events[i].ID] = true
	}
	return nil
}

func (e *Event) check() error {
	if e.Type == TypeDeleted || e.Type == TypeGone {
		return &InvalidError{Field: "type", Reason: "is one that only the journal itself writes"}
	}
	return e.checkStored()
}

// checkStored checks what holds for the journal's own events too.
func (e *Event) checkStored() error {
	if err := checkText("type", e.Type, MaxEventType); err != nil {
		return err
	}
	if len(e.Payload) > MaxPayload {
		return &InvalidError{Field: "payload", Reason: "is too large", Size: len(e.Payload), Limit: MaxPayload}
	}
	if len(e.Headers) > MaxHeaders {
		return &InvalidError{Field: "headers", Reason: "are too large", Size: len(e.Headers), Limit: MaxHeaders}
	}
	if e.Schema < 0 {
		return &InvalidError{Field: "schema", Reason: "is negative"}
	}
	if err := checkTags(e.Tags); err != nil {
		return err
	}
	return e.Metadata.Check()
}

// SameContent reports whether two events have the same type, schema, payload, metadata
// and set of tags. Headers are left out because they carry trace ids, which differ on
// every attempt.
func (e *Event) SameContent(other *Event) bool {
	return e.Type == other.Type && e.Schema == other.Schema &&
		string(e.Payload) == string(other.Payload) && e.Metadata.Equal(other.Metadata) &&
		sameTags(e.Tags, other.Tags)
}
