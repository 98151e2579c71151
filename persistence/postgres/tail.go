package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// tail remembers the newest event that a reader of the sequence was given, and the newest
// that this journal has stored. A server that does not have them has lost its tail: a
// standby that was behind has taken over, or a backup was restored. Readers that went on
// would miss the events at positions that were used again, and a state in memory may rest on
// events that are gone.
type tail struct {
	mu        sync.Mutex
	read, own tailEvent
}

// tailEvent is an event that the server must have. The zero value is no event.
type tailEvent struct {
	position int64
	id       persistence.EventID
}

// wasRead notes events that were given to a reader.
func (w *tail) wasRead(events []persistence.Recorded) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range events {
		if e := &events[i]; e.Position.Offset > w.read.position {
			w.read = tailEvent{e.Position.Offset, e.ID}
		}
	}
}

// wasStored notes the last event of an append, before the append is acknowledged.
func (w *tail) wasStored(position int64, id persistence.EventID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if position > w.own.position {
		w.own = tailEvent{position, id}
	}
}

// newest returns the newer of the two.
func (w *tail) newest() tailEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.own.position > w.read.position {
		return w.own
	}
	return w.read
}

// check returns [*persistence.LostTailError] unless the event has the id that the server has
// found at its position. A nil id means that the server has found no event.
func (e tailEvent) check(id []byte) error {
	lost := &persistence.LostTailError{Position: persistence.Position{Part: partition, Offset: e.position}}
	switch {
	case e.position == 0, string(id) == string(e.id[:]):
		return nil
	case id == nil:
		lost.Reason = "the server does not have the event that was read or stored there: start the program again, or bring back what was there"
	default:
		lost.Reason = "the server has another event there than was read or stored: start the program again, or bring back what was there"
	}
	return lost
}

// checkTail asks the server of a new connection for the newest event that was read. A server
// is replaced behind connections that break. Behind a pooler it is replaced without a sign,
// so [Journal.headOf] asks for the newest event too.
func (j *Journal) checkTail(ctx context.Context, conn *pgx.Conn) error {
	w := &j.tail
	w.mu.Lock()
	read := w.read
	w.mu.Unlock()
	if read.position == 0 {
		return nil
	}
	rows, err := j.collect(ctx, conn, j.sql.eventAt, [][]byte{wire.Int2(partition), wire.Int8(read.position)})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return read.check(nil)
	}
	return read.check(rows[0][0])
}
