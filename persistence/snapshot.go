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

// Snapshot is the state of an aggregate at a version, so that recovery need not read the
// events up to that version. It is a cache: when anything is wrong with it, the events
// are read.
type Snapshot struct {
	Stream  StreamID // of the aggregate
	Version Version  // of the last event that State shows
	// EventID is the id of the event at Version. A stream with another event there is not
	// the one from which the state was made.
	EventID EventID
	// Fingerprint identifies the form and meaning of State: a program uses only snapshots
	// with its own fingerprint. It is any bytes, at most [MaxFingerprint].
	Fingerprint string
	// State is at most [MaxSnapshot] bytes.
	State []byte
	// At is the time at which the journal stored the snapshot, in UTC with microseconds.
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
	// LoadSnapshot returns the stream's snapshot. It returns false without an error when
	// there is none or its checksum is wrong: the caller then reads the events.
	LoadSnapshot(ctx context.Context, stream StreamID) (Snapshot, bool, error)
	// SaveSnapshot keeps a snapshot unless one of a higher version is there already. It
	// stores nothing, without an error, when the stream does not exist, or when the
	// version is below the one before [StreamInfo.First]: so a snapshot that is saved
	// late does not return after its stream was deleted.
	SaveSnapshot(ctx context.Context, snapshot Snapshot) error
	// DeleteSnapshot deletes the snapshot of one stream, if there is one.
	DeleteSnapshot(ctx context.Context, stream StreamID) error
	// DeleteSnapshots deletes the snapshots of all streams of a category that were stored
	// before a time, and all of them when the time is zero. It returns their number. The
	// category must not be empty. A wrong clock costs no more than reading events again,
	// unless the events before a snapshot were truncated: then nothing else holds the
	// state.
	DeleteSnapshots(ctx context.Context, category string, before time.Time) (int, error)
}
