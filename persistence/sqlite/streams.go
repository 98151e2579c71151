package sqlite

import (
	"context"
	"time"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
)

// Stream fulfils [persistence.Reader].
func (j *Journal) Stream(ctx context.Context, name persistence.StreamID) (persistence.StreamInfo, error) {
	if err := name.CheckName(); err != nil {
		return persistence.StreamInfo{}, err
	}
	var info persistence.StreamInfo
	err := j.reading(ctx, func(r *reader) (err error) {
		_, info, err = r.find(name)
		return err
	})
	if err != nil {
		return persistence.StreamInfo{}, err
	}
	return info, nil
}

// Create fulfils [persistence.Streams].
func (j *Journal) Create(ctx context.Context, name persistence.StreamID, metadata persistence.Metadata) error {
	if err := name.CheckName(); err != nil {
		return err
	}
	if err := metadata.Check(); err != nil {
		return err
	}
	return j.change(ctx, name, func(w *writer) error {
		at, err := w.stream(name)
		if err != nil {
			return err
		}
		if at.exists() {
			return &persistence.StreamExistsError{Stream: name}
		}
		if at.id == 0 {
			w.lastStream++
			at.id = w.lastStream
		}
		_, err = w.do("stream_create", at.id, string(name), text(name.Category()), text(persistence.EncodeMetadata(metadata)), int64(min(len(metadata), 1)))
		return err
	})
}

// changeExisting is change for a stream that exists.
func (j *Journal) changeExisting(ctx context.Context, name persistence.StreamID, do func(*writer, stream, persistence.StreamInfo) error) error {
	if err := name.CheckName(); err != nil {
		return err
	}
	return j.change(ctx, name, func(w *writer) error {
		at, info, err := lookUp(w.findStream, name)
		if err != nil {
			return err
		}
		if !at.exists() {
			return &persistence.StreamNotFoundError{Stream: name}
		}
		return do(w, at, info)
	})
}

// SetMetadata fulfils [persistence.Streams].
func (j *Journal) SetMetadata(ctx context.Context, name persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
	if err := metadata.Check(); err != nil {
		return 0, err
	}
	if err := expected.Check(); err != nil {
		return 0, err
	}
	var revision persistence.Revision
	err := j.changeExisting(ctx, name, func(w *writer, at stream, info persistence.StreamInfo) error {
		revision = info.Revision
		switch {
		case info.Metadata.Equal(metadata):
			return nil
		case expected != persistence.AnyRevision && expected != revision:
			return &persistence.RevisionError{Stream: name, Expected: expected, Actual: revision}
		}
		revision++
		_, err := w.do("stream_describe", text(persistence.EncodeMetadata(metadata)), int64(revision), at.id)
		return err
	})
	if err != nil {
		return 0, err
	}
	return revision, nil
}

// Delete fulfils [persistence.Streams].
func (j *Journal) Delete(ctx context.Context, name persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
	if err := (&persistence.Append{Stream: name, Expected: expected}).Check(); err != nil {
		return 0, err
	}
	var tombstone persistence.Version
	err := j.changeExisting(ctx, name, func(w *writer, at stream, _ persistence.StreamInfo) error {
		event := persistence.Event{ID: persistence.NewEventID(), Type: persistence.TypeDeleted}
		outcome, err := w.add(&appender.Item{Append: persistence.Append{Stream: name, Expected: expected, Events: []persistence.Event{event}}}, time.Now().UnixMicro())
		if err == nil {
			err = outcome.Err
		}
		if err != nil {
			return err
		}
		tombstone = outcome.Last
		return forget(w, at.id, name, tombstone)
	})
	if err != nil {
		return 0, err
	}
	return tombstone, nil
}

// forget clears what ends with a stream's life.
func forget(w *writer, id int64, name persistence.StreamID, tombstone persistence.Version) error {
	if _, err := w.do("stream_delete", id, int64(tombstone)+1); err != nil {
		return err
	}
	if _, err := w.do("key_forget", id); err != nil {
		return err
	}
	_, err := w.do("snapshot_delete", string(name))
	return err
}

// Truncate fulfils [persistence.Streams].
func (j *Journal) Truncate(ctx context.Context, name persistence.StreamID, before persistence.Version) (persistence.Version, error) {
	if before > persistence.MaxVersion {
		return 0, &persistence.InvalidError{Field: "before", Reason: "is out of range"}
	}
	var first persistence.Version
	err := j.changeExisting(ctx, name, func(w *writer, at stream, _ persistence.StreamInfo) error {
		first = max(at.first, min(before, at.version))
		if first == at.first {
			return nil
		}
		_, err := w.do("stream_truncate", int64(first), at.id)
		return err
	})
	if err != nil {
		return 0, err
	}
	return first, nil
}
