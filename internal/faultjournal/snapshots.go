package faultjournal

import (
	"context"
	"time"

	"github.com/stele-es/stele/persistence"
)

var _ persistence.Snapshots = (*Journal)(nil)

// LoadSnapshot fulfils [persistence.Snapshots] with what the journal inside keeps;
// one that keeps none has none.
func (j *Journal) LoadSnapshot(ctx context.Context, stream persistence.StreamID) (persistence.Snapshot, bool, error) {
	if keeper, ok := persistence.As[persistence.Snapshots](j.Journal); ok {
		return keeper.LoadSnapshot(ctx, stream)
	}
	return persistence.Snapshot{}, false, nil
}

// SaveSnapshot fulfils [persistence.Snapshots].
func (j *Journal) SaveSnapshot(ctx context.Context, snapshot persistence.Snapshot) error {
	if keeper, ok := persistence.As[persistence.Snapshots](j.Journal); ok {
		return keeper.SaveSnapshot(ctx, snapshot)
	}
	return nil
}

// DeleteSnapshot fulfils [persistence.Snapshots].
func (j *Journal) DeleteSnapshot(ctx context.Context, stream persistence.StreamID) error {
	if keeper, ok := persistence.As[persistence.Snapshots](j.Journal); ok {
		return keeper.DeleteSnapshot(ctx, stream)
	}
	return nil
}

// DeleteSnapshots fulfils [persistence.Snapshots].
func (j *Journal) DeleteSnapshots(ctx context.Context, category string, before time.Time) (int, error) {
	if keeper, ok := persistence.As[persistence.Snapshots](j.Journal); ok {
		return keeper.DeleteSnapshots(ctx, category, before)
	}
	return 0, nil
}
