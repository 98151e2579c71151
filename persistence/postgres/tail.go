package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// witness remembers the newest event that a reader of the sequence has been given, and
// the newest that this journal has stored. A server that does not have it is not the one
// that gave or took it: a standby that was behind has taken over, or a backup was
// restored. Readers who went on from there would miss what stands at the positions that
// were used again, and a state in memory may show what is gone.
type tail struct {
	mu        sync.Mutex
	read, own tailEvent
}

// witnessed is an event that the server must have. The zero one says nothing.
type tailEvent struct {
	position int64
	id       persistence.EventID
}

// saw notes events that were given to a reader.
func (w *tail) wasRead(events []persistence.Recorded) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range events {
		if e := &events[i]; e.Position.Offset > w.read.position {
			w.read = tailEvent{e.Position.Offset, e.ID}
		}
	}
}

// stored notes the last event of an append. It comes before the append is
// acknowledged.
func (w *tail) wasStored(position int64, id persistence.EventID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if position > w.own.position {
		w.own = tailEvent{position, id}
	}
}

// newest is the newer of the two.
func (w *tail) newest() tailEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.own.position > w.read.position {
		return w.own
	}
	return w.read
}

// foundAs returns an error unless the event has the id that the server has found at its
// position, nil for none.
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

// testify asks a new connection for the newest event that was read. Servers are replaced
// behind connections that break. Behind a pooler they are replaced without a sign, so the
// head is asked for together with the newest event, see [Journal.headOf].
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
