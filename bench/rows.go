package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/stele-es/stele/persistence"
)

// The measured events have a payload of 200 bytes and 115 bytes of metadata, as
// events of real systems tend to.
const payloadSize = 200

const eventType = "bank.v1.Deposited"

// rows makes the events that are stored, and the same rows for rivals.
type rows struct {
	payloads [256][]byte
	metadata persistence.Metadata
	encoded  []byte // the metadata as stored
}

func newRows() *rows {
	r := &rows{metadata: persistence.Metadata{
		"correlation": persistence.String("0190b6a4-7c1e-7000-8000-3f2a5c9d1e77"),
		"tenant":      persistence.String("acme"),
		"user":        persistence.String("user-20417"),
		"attempt":     persistence.Int(1),
		"source":      persistence.String("web"),
	}}
	r.encoded = persistence.EncodeMetadata(r.metadata)
	source := rand.NewChaCha8([32]byte{})
	for i := range r.payloads {
		r.payloads[i] = make([]byte, payloadSize)
		_, _ = source.Read(r.payloads[i]) // never fails
	}
	return r
}

func (r *rows) payload(i int) []byte { return r.payloads[i%len(r.payloads)] }

// event is the next event of a lane. Payload and metadata are shared between
// events: nobody changes them.
func (r *rows) event(l *lane) persistence.Event {
	return persistence.Event{Type: eventType, Payload: r.payload(l.index + int(l.version)), Metadata: r.metadata}
}

// exactly is the next append of a lane: one event, behind what the lane has.
func (r *rows) exactly(l *lane) persistence.Append { return l.exactly(r.event(l)) }

// row is one row for a rival: what a journal would have stored.
type row struct {
	position, stream, version int64
	id                        [16]byte
	payload                   []byte
}

// next makes the row at a position, of writers that take turns.
func (r *rows) next(position int64, writers int) row {
	n := position - 1
	return row{
		position: position, stream: n%int64(writers) + 1, version: n/int64(writers) + 1,
		id: newID(), payload: r.payload(int(n)),
	}
}

// newID makes an id whose order is random, as quickly as can be.
func newID() (id [16]byte) {
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

func streamName(prefix string, i int) persistence.StreamID {
	return persistence.StreamID(fmt.Sprintf("%s-%d", prefix, i))
}
