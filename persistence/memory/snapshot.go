package memory

import (
	"bytes"
	"context"
	"maps"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// LoadSnapshot fulfils [persistence.Snapshots].
func (j *Journal) LoadSnapshot(ctx context.Context, id persistence.StreamID) (persistence.Snapshot, bool, error) {
	if err := id.CheckName(); err != nil {
		return persistence.Snapshot{}, false, err
	}
	if err := j.lockToRead(ctx); err != nil {
		return persistence.Snapshot{}, false, err
	}
	snapshot, found := j.snapshots[id]
	j.mu.RUnlock()
	snapshot.State = bytes.Clone(snapshot.State) // it is replaced, never changed
	return snapshot, found, nil
}

// SaveSnapshot fulfils [persistence.Snapshots].
func (j *Journal) SaveSnapshot(ctx context.Context, snapshot persistence.Snapshot) error {
	if err := snapshot.Check(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return journalkit.CallerLeft(ctx)
	}
	snapshot.State = bytes.Clone(snapshot.State)
	snapshot.At = time.UnixMicro(j.time().UnixMicro()).UTC()

	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return journalkit.Closed()
	}
	s := j.state.find(snapshot.Stream)
	if !s.exists() || snapshot.Version+1 < s.first || snapshot.Version < j.snapshots[snapshot.Stream].Version {
		return nil
	}
	if j.snapshots == nil {
		j.snapshots = map[persistence.StreamID]persistence.Snapshot{}
	}
	j.snapshots[snapshot.Stream] = snapshot
	return nil
}

// DeleteSnapshot fulfils [persistence.Snapshots].
func (j *Journal) DeleteSnapshot(ctx context.Context, id persistence.StreamID) error {
	if err := id.CheckName(); err != nil {
		return err
	}
	_, err := j.deleteSnapshots(ctx, func(s persistence.StreamID, _ persistence.Snapshot) bool { return s == id })
	return err
}

// DeleteSnapshots fulfils [persistence.Snapshots].
func (j *Journal) DeleteSnapshots(ctx context.Context, category string, before time.Time) (int, error) {
	if err := persistence.CheckCategory(category); err != nil {
		return 0, err
	}
	return j.deleteSnapshots(ctx, func(s persistence.StreamID, snapshot persistence.Snapshot) bool {
		return s.Category() == category && (before.IsZero() || snapshot.At.Before(before))
	})
}

func (j *Journal) deleteSnapshots(ctx context.Context, chosen func(persistence.StreamID, persistence.Snapshot) bool) (int, error) {
	if ctx.Err() != nil {
		return 0, journalkit.CallerLeft(ctx)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return 0, journalkit.Closed()
	}
	had := len(j.snapshots)
	maps.DeleteFunc(j.snapshots, chosen)
	return had - len(j.snapshots), nil
}
