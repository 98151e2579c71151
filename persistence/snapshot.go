package persistence

import (
	"context"
	"time"
)

// Limits of a snapshot: the bytes of its state and of its fingerprint.
const (
	MaxSnapshot    = 16 << 20
	MaxFingerprint = 255
)

// Snapshot is the state of an aggregate at a version, so that recovery need not
// read what came before. It is a cache: whatever is wrong with it, the events are
// read instead.
type Snapshot struct {
	Stream  StreamID // of the aggregate
	Version Version  // of the last event that State shows
	// EventID is that of the event at Version. A stream that holds another one there
	// is not the stream the state was made from.
	EventID EventID
	// Fingerprint names the meaning of State; another program's is of no use. Any
	// bytes, at most [MaxFingerprint].
	Fingerprint string
	// State is at most [MaxSnapshot] bytes.
	State []byte
	// At is when the journal stored it, in UTC with microseconds.
	At time.Time
}

// Check returns an [*InvalidError] when the snapshot breaks a limit; journals call
// it before they keep one.
func (s *Snapshot) Check() error {
	if err := s.Stream.CheckName(); err != nil {
		return err
	}
	if s.Version == 0 || s.Version > MaxVersion {
		return &InvalidError{Field: "version", Reason: "is out of range"}
	}
	if len(s.Fingerprint) > MaxFingerprint {
		return &InvalidError{Field: "fingerprint", Reason: "is too long", Size: len(s.Fingerprint), Limit: MaxFingerprint}
	}
	if len(s.State) > MaxSnapshot {
		return &InvalidError{Field: "state", Reason: "is too large", Size: len(s.State), Limit: MaxSnapshot}
	}
	return nil
}

// Snapshots is the ability of a journal to keep snapshots, one for each stream.
// [Streams.Delete] forgets the one of its stream.
type Snapshots interface {
	// LoadSnapshot returns the stream's snapshot. None, or one whose checksum is
	// wrong, is false without an error: the caller reads the events.
	LoadSnapshot(ctx context.Context, stream StreamID) (Snapshot, bool, error)
	// SaveSnapshot keeps a snapshot unless one of a higher version is there already.
	// It keeps nothing, without an error, of a stream that does not exist, nor of a
	// version before the one in front of [StreamInfo.First]: a state that was on its
	// way when its stream was deleted does not come back.
	SaveSnapshot(ctx context.Context, snapshot Snapshot) error
	// DeleteSnapshot forgets the snapshot of one stream; none is fine.
	DeleteSnapshot(ctx context.Context, stream StreamID) error
	// DeleteSnapshots forgets those of all streams of a category, which must not be
	// empty, that were stored before a time, whenever that was if it is zero. It returns
	// how many. A clock that was wrong costs no more than reading events again, unless
	// the events before a snapshot were truncated: then nothing else holds the state.
	DeleteSnapshots(ctx context.Context, category string, before time.Time) (int, error)
}
