package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
)

// witness remembers the newest event that a reader of the sequence has been given.
// A server that does not have it is not the one that gave it: a standby that was
// behind has taken over, or a backup was restored. Whoever went on from there would
// miss what stands at the positions that were used again.
type witness struct {
	mu       sync.Mutex
	position persistence.Position
	id       persistence.EventID
}

// saw notes events that were given to a reader.
func (w *witness) saw(events []persistence.Recorded) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range events {
		if e := &events[i]; e.Position.Offset > w.position.Offset {
			w.position, w.id = e.Position, e.ID
		}
	}
}

// testify asks a new connection for the event. Servers are replaced behind
// connections that break, so no other moment needs it.
func (w *witness) testify(ctx context.Context, conn *pgx.Conn, sql string) error {
	w.mu.Lock()
	position, id := w.position, w.id
	w.mu.Unlock()
	if position.Offset == 0 {
		return nil
	}
	lost := &persistence.LostTailError{Position: position, Reason: "the server does not have the event that was read there"}
	rows, err := collect(ctx, conn, statement{"stele_event_at", sql}, [][]byte{int2Parameter(partition), int8Parameter(position.Offset)})
	switch {
	case err != nil:
		return err
	case len(rows) == 0:
		return lost
	case string(rows[0][0]) != string(id[:]):
		lost.Reason = "the server has another event there than was read"
		return lost
	}
	return nil
}
