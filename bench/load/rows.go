package load

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/stele-es/stele/persistence"
)

// PayloadSize is the length of a payload in bytes. With 115 bytes of metadata the measured
// events are as large as those of real systems tend to be.
const PayloadSize = 200

// EventType is the type of the measured events.
const EventType = "bank.v1.Deposited"

// Rows makes the events that are stored, and the same rows for rivals.
type Rows struct {
	payloads [256][]byte
	metadata persistence.Metadata
	Encoded  []byte // the metadata as stored
}

// NewRows returns rows whose payloads are the same in every run.
func NewRows() *Rows {
	r := &Rows{metadata: persistence.Metadata{
		"correlation": persistence.String("0190b6a4-7c1e-7000-8000-3f2a5c9d1e77"),
		"tenant":      persistence.String("acme"),
		"user":        persistence.String("user-20417"),
		"attempt":     persistence.Int(1),
		"source":      persistence.String("web"),
	}}
	r.Encoded = persistence.EncodeMetadata(r.metadata)
	source := rand.NewChaCha8([32]byte{})
	for i := range r.payloads {
		r.payloads[i] = make([]byte, PayloadSize)
		_, _ = source.Read(r.payloads[i]) // never fails
	}
	return r
}

// Payload is one of a few payloads, taken in turn.
func (r *Rows) Payload(i int) []byte { return r.payloads[i%len(r.payloads)] }

// Event is the next event of a lane. Payload and metadata are shared between
// events: nobody changes them.
func (r *Rows) Event(l *Lane) persistence.Event {
	return persistence.Event{Type: EventType, Payload: r.Payload(l.Index + int(l.Version)), Metadata: r.metadata}
}

// Exactly is the next append of a lane: one event, behind those in the lane.
func (r *Rows) Exactly(l *Lane) persistence.Append { return l.Exactly(r.Event(l)) }

// Row is one row for a rival: what a journal would have stored.
type Row struct {
	Position, Stream, Version int64
	ID                        [16]byte
	Payload                   []byte
}

// Next makes the row at a position, of writers that take turns.
func (r *Rows) Next(position int64, writers int) Row {
	n := position - 1
	return Row{
		Position: position, Stream: n%int64(writers) + 1, Version: n/int64(writers) + 1,
		ID: NewID(), Payload: r.Payload(int(n)),
	}
}

// NewID makes an id whose order is random, as quickly as can be.
func NewID() (id [16]byte) {
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// StreamName is the name of a stream that [NewLanes] makes.
func StreamName(prefix string, i int) persistence.StreamID {
	return persistence.StreamID(fmt.Sprintf("%s-%d", prefix, i))
}
