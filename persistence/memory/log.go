package memory

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
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

// empty makes husks of the rows at these positions, which ascend. Views that were
// taken before keep what they have: it is the chunks that are replaced.
func (l *log) empty(positions []int64) {
	l.chunks = slices.Clone(l.chunks)
	fresh := int64(-1)
	for _, position := range positions {
		if number := (position - 1) / chunkRows; number != fresh {
			fresh = number
			copied := *l.chunks[number]
			l.chunks[number] = &copied
		}
		r := l.at(position)
		r.event = persistence.Event{ID: r.event.ID, Type: persistence.TypeGone}
	}
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
