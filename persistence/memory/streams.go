package memory

import (
	"context"
	"maps"

	"github.com/stele-es/stele/persistence"
)

// Stream fulfils [persistence.Reader].
func (j *Journal) Stream(ctx context.Context, id persistence.StreamID) (persistence.StreamInfo, error) {
	if err := id.CheckName(); err != nil {
		return persistence.StreamInfo{}, err
	}
	if err := j.lockToRead(ctx); err != nil {
		return persistence.StreamInfo{}, err
	}
	defer j.mu.RUnlock()
	s := j.state.find(id)
	if !s.exists() {
		return persistence.StreamInfo{}, &persistence.StreamNotFoundError{Stream: id}
	}
	return s.info(), nil
}

// Create fulfils [persistence.Streams].
func (j *Journal) Create(ctx context.Context, id persistence.StreamID, metadata persistence.Metadata) error {
	if err := id.CheckName(); err != nil {
		return err
	}
	if err := metadata.Check(); err != nil {
		return err
	}
	if err := j.lockToWrite(ctx); err != nil {
		return err
	}
	defer j.mu.Unlock()
	if j.state.find(id).exists() {
		return &persistence.StreamExistsError{Stream: id}
	}
	s := j.state.own(id)
	s.created = true
	if len(metadata) > 0 {
		s.metadata = maps.Clone(metadata)
		s.revision++
	}
	return nil
}

// change takes mu for a writer and returns a stream that exists. The caller
// unlocks mu when there is no error.
func (j *Journal) change(ctx context.Context, id persistence.StreamID) (*stream, error) {
	if err := id.CheckName(); err != nil {
		return nil, err
	}
	if err := j.lockToWrite(ctx); err != nil {
		return nil, err
	}
	s := j.state.find(id)
	if !s.exists() {
		j.mu.Unlock()
		return nil, &persistence.StreamNotFoundError{Stream: id}
	}
	return s, nil
}

// SetMetadata fulfils [persistence.Streams].
func (j *Journal) SetMetadata(ctx context.Context, id persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
	if err := metadata.Check(); err != nil {
		return 0, err
	}
	if err := expected.Check(); err != nil {
		return 0, err
	}
	s, err := j.change(ctx, id)
	if err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	switch {
	case s.metadata.Equal(metadata):
		return s.revision, nil
	case expected != persistence.AnyRevision && expected != s.revision:
		return 0, &persistence.RevisionError{Stream: id, Expected: expected, Actual: s.revision}
	}
	s.metadata = maps.Clone(metadata)
	s.revision++
	return s.revision, nil
}

// Delete fulfils [persistence.Streams].
func (j *Journal) Delete(ctx context.Context, id persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
	if err := (&persistence.Append{Stream: id, Expected: expected}).Check(); err != nil {
		return 0, err
	}
	s, err := j.change(ctx, id)
	if err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	if !s.admits(expected) {
		return 0, s.conflict(id, expected)
	}
	tombstone := persistence.Append{Stream: id, Events: []persistence.Event{{Type: persistence.TypeDeleted}}}
	outcome := j.state.write(s, &tombstone, j.time())
	j.end(s)
	j.publish()
	return outcome.Last, nil
}

// Truncate fulfils [persistence.Streams].
func (j *Journal) Truncate(ctx context.Context, id persistence.StreamID, before persistence.Version) (persistence.Version, error) {
	if before > persistence.MaxVersion {
		return 0, &persistence.InvalidError{Field: "before", Reason: "is out of range"}
	}
	s, err := j.change(ctx, id)
	if err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	s.first = max(s.first, min(before, s.version()))
	return s.first, nil
}
