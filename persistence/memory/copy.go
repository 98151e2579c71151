package memory

import (
	"maps"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
)

// copyAppends makes the journal's own copies, or returns what is invalid.
func copyAppends(appends []persistence.Append) ([]persistence.Append, error) {
	for i := range appends {
		if err := appends[i].Check(); err != nil {
			return nil, err
		}
	}
	own := make([]persistence.Append, len(appends))
	for i := range appends {
		own[i] = copyAppend(&appends[i])
	}
	return own, nil
}

// copyAppend takes one slice of events and one buffer for all their bytes.
func copyAppend(a *persistence.Append) persistence.Append {
	size := 0
	for i := range a.Events {
		size += len(a.Events[i].Payload) + len(a.Events[i].Headers)
	}
	buffer := make([]byte, 0, size)
	own := persistence.Append{Stream: a.Stream, Expected: a.Expected, Events: make([]persistence.Event, len(a.Events))}
	for i := range a.Events {
		own.Events[i], buffer = copyEvent(&a.Events[i], buffer)
	}
	return own
}

// copyEvent copies an event with its bytes at the end of buffer, which must
// have the room.
func copyEvent(e *persistence.Event, buffer []byte) (persistence.Event, []byte) {
	own := *e
	own.Payload, buffer = copyBytes(e.Payload, buffer)
	own.Headers, buffer = copyBytes(e.Headers, buffer)
	own.Metadata = maps.Clone(e.Metadata)
	own.Tags = slices.Clone(e.Tags)
	return own, buffer
}

// copyBytes caps what it returns, so that appending to one slice never writes
// into the next.
func copyBytes(data, buffer []byte) (own, rest []byte) {
	if len(data) == 0 {
		return nil, buffer
	}
	start := len(buffer)
	buffer = append(buffer, data...)
	return buffer[start:len(buffer):len(buffer)], buffer
}

// recorded is the reader's own copy of the row at a position.
func (l *log) recorded(position int64) persistence.Recorded {
	r := l.at(position)
	var buffer []byte
	if size := len(r.event.Payload) + len(r.event.Headers); size > 0 {
		buffer = make([]byte, 0, size)
	}
	event, _ := copyEvent(&r.event, buffer)
	return r.recorded(event, position)
}

// stored is the row at a position, whose slices and metadata are the journal's:
// for filters, which change and keep nothing.
func (l *log) stored(position int64) persistence.Recorded {
	r := l.at(position)
	return r.recorded(r.event, position)
}

func (r *row) recorded(event persistence.Event, position int64) persistence.Recorded {
	return persistence.Recorded{
		Event: event, Stream: r.stream, Version: r.version,
		Position: persistence.Position{Offset: position},
		At:       time.UnixMicro(r.micros).UTC(),
	}
}

// bytes returns the bytes that a row counts in a page.
func (r *row) bytes() int {
	size := len(r.stream) + len(r.event.Type) + len(r.event.Payload) + len(r.event.Headers)
	for key, value := range r.event.Metadata {
		text, _ := value.AsString()
		size += len(key) + len(text) + 8
	}
	for _, tag := range r.event.Tags {
		size += len(tag)
	}
	return size
}
