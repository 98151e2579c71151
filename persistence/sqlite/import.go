package sqlite

import (
	"context"
	"database/sql/driver"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Import fulfils [persistence.Importer].
func (j *Journal) Import(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
	if err := journalkit.CheckImport(events); err != nil {
		return persistence.Position{}, err
	}
	names := make([]persistence.StreamID, len(events))
	for i := range events {
		names[i] = events[i].Stream
	}
	var last persistence.Position
	err := j.changeAll(ctx, names, func(w *writer) (err error) {
		for i := range events {
			if last.Offset, err = w.keep(&events[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return persistence.Position{}, err
	}
	return last, nil
}

// keep writes an event unless it is there, and returns its position.
func (w *writer) keep(r *persistence.Recorded) (int64, error) {
	at, err := w.stream(r.Stream)
	if err != nil {
		return 0, err
	}
	if r.Version <= at.version {
		stored, err := w.eventOf(r.Stream, at, r.Version)
		if err == nil && !r.SameStored(&stored) {
			err = unfit(r, at)
		}
		return stored.Position.Offset, err
	}
	if r.Version != at.version+1 {
		return 0, unfit(r, at)
	}
	if err := w.admit(r, &at); err != nil {
		return 0, err
	}
	at.version++
	if err := w.addEvent(&r.Event, at, r.At.UnixMicro(), r.Named); err != nil {
		return 0, err
	}
	if r.Type == persistence.TypeDeleted {
		if err := w.endStream(r.Stream, &at); err != nil {
			return 0, err
		}
	}
	w.known.put(r.Stream, at)
	return w.last, nil
}

// admit makes the stream of an event unless there is one, and refuses an id that the
// stream holds already.
func (w *writer) admit(r *persistence.Recorded, at *stream) error {
	if at.id == 0 {
		w.lastStream++
		at.id = w.lastStream
		if err := w.streams.add(at.id, string(r.Stream), text(r.Stream.Category())); err != nil {
			return err
		}
	}
	if !r.Named {
		return nil
	}
	// A key of this call cannot be the same, which was checked.
	row, err := w.findKey.first(at.id, r.ID[:])
	if err == nil && row != nil {
		err = &persistence.EventIDReusedError{Stream: r.Stream, ID: r.ID}
	}
	return err
}

// endStream has a stream end with the tombstone that was added last.
func (w *writer) endStream(name persistence.StreamID, at *stream) error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := forget(w, at.id, name, at.version); err != nil {
		return err
	}
	at.first, at.created = at.version+1, false
	return nil
}

// unfit is why an event cannot be imported.
func unfit(r *persistence.Recorded, at stream) error {
	return &persistence.ConflictError{Stream: r.Stream, Expected: persistence.Exact(r.Version - 1), Actual: at.version}
}

// ImportStreams fulfils [persistence.Importer].
func (j *Journal) ImportStreams(ctx context.Context, streams []persistence.StreamInfo) error {
	if err := journalkit.CheckImportStreams(streams); err != nil {
		return err
	}
	names := make([]persistence.StreamID, len(streams))
	for i := range streams {
		names[i] = streams[i].Stream
	}
	return j.changeAll(ctx, names, func(w *writer) error {
		for i := range streams {
			if err := w.merge(&streams[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writer) merge(told *persistence.StreamInfo) error {
	at, have, err := lookUp(w.findStream, told.Stream)
	if err != nil {
		return err
	}
	merged, err := have.Merge(told)
	if err != nil {
		return err
	}
	if at.id == 0 {
		w.lastStream++
		at.id = w.lastStream
		if err := w.streams.add(at.id, string(told.Stream), text(told.Stream.Category())); err != nil {
			return err
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	made := driver.Value(int64(0))
	if at.created || have.Begin == told.Begin && told.Empty() {
		made = int64(1)
	}
	_, err = w.do("stream_import", int64(merged.First), made, text(persistence.EncodeMetadata(merged.Metadata)), int64(merged.Revision), at.id)
	return err
}
