package sqlbook

import (
	"context"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/projections"
)

// Book returns the book inside a transaction.
func (s *Statements) Book(conn Conn) projections.Book { return &book{s, conn} }

type book struct {
	*Statements
	conn Conn
}

func (b *book) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	return b.conn.Exec(ctx, b.text[statement], args...)
}

func (b *book) query(ctx context.Context, scan func(row func(...any) error) error, statement string, args ...any) error {
	return b.conn.Query(ctx, scan, b.text[statement], args...)
}

// Lock fulfils [projections.Book].
func (b *book) Lock(ctx context.Context, name string) error {
	if b.dialect.Lock == "" {
		return nil
	}
	_, err := b.conn.Exec(ctx, b.dialect.Lock, name)
	return err
}

// Registrations fulfils [projections.Book].
func (b *book) Registrations(ctx context.Context, name string) (found []projections.Registration, err error) {
	err = b.query(ctx, func(row func(...any) error) error {
		var r projections.Registration
		var until string
		var created int64
		if err := row(&r.Name, &r.Version, &r.Stopped, &r.Active, &r.Effects, &r.Ready, &r.Fingerprint, &until,
			&r.Switching, &r.Successor, &r.Changes, &created); err != nil {
			return err
		}
		r.Created = timeOf(created)
		r.Until, err = checkpointOf(until)
		found = append(found, r)
		return err
	}, "registrations", name)
	return found, err
}

// Register fulfils [projections.Book].
func (b *book) Register(ctx context.Context, r projections.Registration) error {
	_, err := b.exec(ctx, "register", r.Name, r.Version, r.Stopped, r.Active, r.Effects, r.Ready, r.Fingerprint, textOf(r.Until),
		r.Switching, r.Successor, r.Changes, r.Created.UnixMicro())
	return err
}

// Unregister fulfils [projections.Book].
func (b *book) Unregister(ctx context.Context, name string, version int) error {
	for _, statement := range []string{"unregister", "worker_delete", "unpark_all"} {
		if _, err := b.exec(ctx, statement, name, version); err != nil {
			return err
		}
	}
	return nil
}

// Workers fulfils [projections.Book].
func (b *book) Workers(ctx context.Context, name string, version int) (found []projections.Worker, err error) {
	err = b.query(ctx, func(row func(...any) error) error {
		w, err := workerOf(row)
		found = append(found, w)
		return err
	}, "workers", name, version)
	return found, err
}

// Divide fulfils [projections.Book]. New epochs also lie above those of workers
// that were removed before, which is why they begin with the time.
func (b *book) Divide(ctx context.Context, name string, version int, workers []projections.Worker) error {
	epoch := int64(0)
	err := b.query(ctx, func(row func(...any) error) error { return row(&epoch) }, "worker_epoch", name, version)
	if err != nil {
		return err
	}
	epoch = max(epoch+1, time.Now().UnixMicro())
	if _, err := b.exec(ctx, "worker_delete", name, version); err != nil {
		return err
	}
	for _, w := range workers {
		_, err := b.exec(ctx, "worker_insert", name, version, w.Low, w.High, w.Checkpoint.String(), w.Sub, w.SubOf.String(), epoch,
			w.State, w.Cause, w.Moved.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// TakeOver fulfils [projections.Book]. The new epoch is at least the time: a system
// outside that refuses lower epochs must not refuse the owner of a restored store.
func (b *book) TakeOver(ctx context.Context, part projections.PartKey, node string) (w projections.Worker, err error) {
	found := false
	err = b.query(ctx, func(row func(...any) error) error {
		w, err = workerOf(row)
		found = true
		return err
	}, "worker_take_over", part.Name, part.Version, part.Low, node, time.Now().UnixMicro())
	if err == nil && !found {
		err = &projections.NotFoundError{Projection: part.Name}
	}
	return w, err
}

// Save fulfils [projections.Book].
func (b *book) Save(ctx context.Context, part projections.PartKey, epoch int64, from tail.Checkpoint, w projections.Worker) error {
	rows, err := b.exec(ctx, "worker_save", part.Name, part.Version, part.Low, epoch, from.String(),
		w.Checkpoint.String(), w.Sub, w.SubOf.String(), w.State, w.Cause, w.Moved.UnixMicro())
	if err == nil && rows == 0 {
		err = &persistence.Error{Kind: persistence.ErrFenced, Op: "save a checkpoint", Reason: "another worker has taken over"}
	}
	return err
}

// Fence fulfils [projections.Book].
func (b *book) Fence(ctx context.Context, name string, version int) error {
	_, err := b.exec(ctx, "worker_fence", name, version)
	return err
}

// Release fulfils [projections.Book].
func (b *book) Release(ctx context.Context, part projections.PartKey, epoch int64) error {
	_, err := b.exec(ctx, "worker_release", part.Name, part.Version, part.Low, epoch)
	return err
}

// Beat fulfils [projections.Book].
func (b *book) Beat(ctx context.Context, node string, beat int64) error {
	_, err := b.exec(ctx, "runner_beat", node, beat)
	return err
}

// Beats fulfils [projections.Book].
func (b *book) Beats(ctx context.Context) (map[string]int64, error) {
	beats := map[string]int64{}
	err := b.query(ctx, func(row func(...any) error) error {
		var node string
		var beat int64
		err := row(&node, &beat)
		beats[node] = beat
		return err
	}, "runner_beats")
	return beats, err
}

// Forget fulfils [projections.Book].
func (b *book) Forget(ctx context.Context, node string, beat int64) error {
	_, err := b.exec(ctx, "runner_forget", node, beat)
	return err
}

// Park fulfils [projections.Book].
func (b *book) Park(ctx context.Context, p projections.Parked) error {
	_, err := b.exec(ctx, "park", p.Name, p.Version, int64(p.Position.Part), p.Position.Offset, string(p.Stream), p.Sub, p.Lane,
		p.Cause, p.Attempts, p.Retry, p.At.UnixMicro(), p.EventID.String())
	return err
}

// Parked fulfils [projections.Book].
func (b *book) Parked(ctx context.Context, name string, version int, after persistence.Position, limit int) (found []projections.Parked, err error) {
	err = b.query(ctx, func(row func(...any) error) error {
		p := projections.Parked{Name: name, Version: version}
		var stream, id string
		var part, at int64
		err := row(&part, &p.Position.Offset, &stream, &p.Sub, &p.Lane, &p.Cause, &p.Attempts, &p.Retry, &at, &id)
		if err == nil {
			p.EventID, err = persistence.ParseEventID(id)
		}
		p.Position.Part, p.Stream, p.At = uint16(part), persistence.StreamID(stream), timeOf(at) //nolint:gosec // it was one when it was stored
		found = append(found, p)
		return err
	}, "parked", name, version, int64(after.Part), after.Offset, limit)
	return found, err
}

// Unpark fulfils [projections.Book].
func (b *book) Unpark(ctx context.Context, name string, version int, position persistence.Position) error {
	_, err := b.exec(ctx, "unpark", name, version, int64(position.Part), position.Offset)
	return err
}

// UnparkAll fulfils [projections.Book].
func (b *book) UnparkAll(ctx context.Context, name string, version int) error {
	_, err := b.exec(ctx, "unpark_all", name, version)
	return err
}

func workerOf(row func(...any) error) (w projections.Worker, err error) {
	var checkpoint, subOf string
	var moved int64
	if err := row(&w.Low, &w.High, &checkpoint, &w.Sub, &subOf, &w.Epoch, &w.State, &w.Node, &w.Cause, &moved); err != nil {
		return w, err
	}
	w.Moved = timeOf(moved)
	if w.SubOf, err = persistence.ParseEventID(subOf); err != nil {
		return w, &persistence.CorruptError{Reason: "the row of a worker", Err: err}
	}
	w.Checkpoint, err = checkpointOf(checkpoint)
	return w, err
}

func checkpointOf(text string) (tail.Checkpoint, error) {
	if text == "" {
		return tail.Checkpoint{}, nil
	}
	checkpoint, err := tail.ParseCheckpoint(text)
	if err != nil {
		return checkpoint, &persistence.CorruptError{Reason: "the row of a projection", Err: err}
	}
	return checkpoint, nil
}

func textOf(checkpoint tail.Checkpoint) string {
	if len(checkpoint.Marks) == 0 {
		return ""
	}
	return checkpoint.String()
}

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
