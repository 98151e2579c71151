package persistence

import (
	"context"
	"time"
)

// MaxSnapshot is the greatest size of a stored state in bytes.
const MaxSnapshot = 16 << 20

// Snapshot is the state of an aggregate at a version, so that recovery need not
// read what came before. It is a cache: whatever is wrong with it, the events are
// read instead.
type Snapshot struct {
	Stream  StreamID
	Version Version
	// EventID is that of the event at Version. A stream that holds another one there
	// is not the stream the state was made from.
	EventID EventID
	// Fingerprint names the meaning of State; another program's is of no use. At
	// most 255 bytes.
	Fingerprint string
	State       []byte
	// At is when the journal stored it.
	At time.Time
}

// Snapshots is the ability of a journal to keep snapshots, one for each stream.
type Snapshots interface {
	// LoadSnapshot returns the stream's snapshot. None, or one whose checksum is
	// wrong, is false without an error: the caller reads the events.
	LoadSnapshot(ctx context.Context, stream StreamID) (Snapshot, bool, error)
	// SaveSnapshot keeps a snapshot unless a newer one is there already. A state
	// above [MaxSnapshot] is [*InvalidError].
	SaveSnapshot(ctx context.Context, snapshot Snapshot) error
	// DeleteSnapshot forgets the snapshot of one stream; none is fine.
	DeleteSnapshot(ctx context.Context, stream StreamID) error
	// DeleteSnapshots forgets those of all streams of a category.
	DeleteSnapshots(ctx context.Context, category string) error
}
