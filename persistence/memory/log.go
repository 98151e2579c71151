package memory

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/stele-es/stele/persistence"
)

// log is the global sequence: position 1 is the first row. Rows lie in chunks
// that never move, so the log grows without copying what it holds, and a copy of
// the log taken under the lock is a view that stays valid without it.
type log struct {
	chunks []*chunk
	size   int64
}

const chunkRows = 128

type chunk [chunkRows]row

// row is an event as stored. It is written once, before it is published.
type row struct {
	event   persistence.Event
	stream  persistence.StreamID
	version persistence.Version
	micros  int64
}

func (l *log) at(position int64) *row {
	return &l.chunks[(position-1)/chunkRows][(position-1)%chunkRows]
}

// next makes room for one more row at the end.
func (l *log) next() *row {
	if l.size == int64(len(l.chunks))*chunkRows {
		l.chunks = append(l.chunks, new(chunk))
	}
	l.size++
	return l.at(l.size)
}

// stream is the index of one stream: the position of each of its versions, and
// the versions of the events that were named by their writers.
type stream struct {
	id        persistence.StreamID
	positions []int64
	named     map[persistence.EventID]persistence.Version
}

// version is the number of events; a nil stream has none.
func (s *stream) version() persistence.Version {
	if s == nil {
		return 0
	}
	return persistence.Version(len(s.positions))
}

// name remembers that the writer chose the id of the event at this version.
func (s *stream) name(id persistence.EventID, version persistence.Version) {
	if s.named == nil {
		s.named = map[persistence.EventID]persistence.Version{}
	}
	s.named[id] = version
}

// newEventID makes a UUID of version 7 (RFC 9562 with method 3 for the bits
// below the millisecond). An event id has to be unique and need not be secret,
// so the randomness is the runtime's own generator, which takes no lock.
func newEventID(now time.Time) (id persistence.EventID) {
	nanos := uint64(now.UnixNano())
	const perMilli = uint64(time.Millisecond)
	fraction := nanos % perMilli << 12 / perMilli
	binary.BigEndian.PutUint64(id[:8], nanos/perMilli<<16|7<<12|fraction)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()>>2|1<<63)
	return id
}
