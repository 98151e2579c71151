package actors

import (
	"context"
	"errors"
	"fmt"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// folded is the result of folding the events of a stream: the state, and what the runtime
// knows of the aggregate beside it.
type folded struct {
	state    any
	version  persistence.Version
	position persistence.Position // of the event at the version
	memory   *dedupe.Memory
	open     []*sending // sent commands without an outcome
	reacted  reacted
	// snapshotted is the version of the last snapshot.
	snapshotted persistence.Version
	// read is when the stream was last read or confirmed. known is a position up to which
	// the state shows the whole stream.
	read  moment
	known int64
}

// fold makes a state of the events of one stream, in order: of all events, or of those up
// to a moment. Both recovery and [Aggregate.StateAt] use it.
type fold struct {
	folded // without a state at the beginning
	kind   *definition
	stream persistence.StreamID
	keep   dedupe.Retention
	until  *StateOptions // nil is no bound
	ended  bool          // the last event that was read is behind the bound
	// from is the snapshot that the fold began with, until the first event shows that the
	// snapshot is one of this stream.
	from *persistence.Snapshot
	// resumed says that from is no snapshot, but the state of the live aggregate, which lacks
	// what follows.
	resumed bool
}

// restart begins at the first event.
func (f *fold) restart() {
	f.folded, f.from, f.resumed, f.ended = folded{state: f.kind.newState()}, nil, false, false
}

// load begins at the snapshot of the stream, if there is one. An error says why it is of
// no use, and the fold is as before.
func (f *fold) load(ctx context.Context, keeper persistence.Snapshots) error {
	if f.state != nil || f.from != nil || keeper == nil || f.kind.snapshots == nil {
		return nil
	}
	snapshot, found, err := keeper.LoadSnapshot(ctx, f.stream)
	if err != nil || !found || f.until != nil && f.until.UntilVersion > 0 && snapshot.Version > f.until.UntilVersion {
		return nil //nolint:nilerr // a journal that is away says so again when the events are read
	}
	var kept folded
	err = usercode.Call(func() (err error) {
		kept, err = f.kind.readSnapshot(&snapshot, f.keep)
		return err
	})
	if err != nil {
		return err
	}
	// The event at the version is read again, to see that it is the one.
	f.folded, f.version, f.snapshotted, f.from = kept, snapshot.Version-1, snapshot.Version, &snapshot
	f.from.State = nil
	return nil
}

var errOtherStream = errors.New("the stream is not the one it was taken of")

// useless reports that the snapshot with which the fold began is not one of this stream. The
// error is that of [fold.page], nil when no event was read.
func (f *fold) useless(err error) bool {
	return f.from != nil && (err == nil || err == errOtherStream || errors.Is(err, persistence.ErrNotFound)) //nolint:errorlint // ours, never wrapped
}

// page folds the next events, at most a page, and returns how many there were.
func (f *fold) page(ctx context.Context, reader persistence.Reader) (n int, err error) {
	limit := recoveryPage
	if f.until != nil && f.until.UntilVersion > 0 {
		limit = int(min(persistence.Version(limit), f.until.UntilVersion-f.version)) //nolint:gosec // at most a page
	}
	if limit == 0 {
		return 0, nil
	}
	for recorded, err := range reader.Read(ctx, f.stream, persistence.ReadOptions{From: f.version + 1, Limit: limit}) {
		if err != nil {
			return n, err
		}
		if err := f.next(&recorded); err != nil || f.ended {
			return n, err
		}
		n++
	}
	return n, nil
}

// next folds one event, after checking that its version is the next one.
func (f *fold) next(recorded *persistence.Recorded) (err error) {
	if f.until != nil {
		if f.ended, err = f.until.endBefore(recorded); err != nil {
			return err
		}
	}
	switch {
	case f.from != nil:
		return f.prove(recorded)
	case f.ended:
		return nil
	case recorded.Version != f.version+1:
		return corrupt(recorded, fmt.Sprintf("follows version %d", f.version), nil)
	}
	f.version, f.position = recorded.Version, recorded.Position
	if err := f.addHeaders(recorded); err != nil {
		return err
	}
	return f.kind.refold(f.state, recorded)
}

// prove compares the first event with the one that the snapshot was taken at.
func (f *fold) prove(recorded *persistence.Recorded) error {
	if f.ended || recorded.Version != f.from.Version || recorded.ID != f.from.EventID {
		return errOtherStream
	}
	f.version, f.position, f.from = recorded.Version, recorded.Position, nil
	if !f.resumed { // a live aggregate knows where its commands stand
		f.memory.SettleAll(recorded.Position)
	}
	f.resumed = false
	return nil
}

// addHeaders folds what the headers tell the runtime.
func (f *fold) addHeaders(recorded *persistence.Recorded) error {
	about, err := stored.ReadAbout(recorded)
	if err != nil {
		return corrupt(recorded, "the headers cannot be decoded", err)
	}
	if about.Remember {
		f.memory = f.memory.Add(dedupe.Command{ID: about.Command, Version: recorded.Version, At: recorded.At.Unix()}, f.keep)
		f.memory.Settle(recorded.Position)
	}
	if about.Sends != nil {
		if f.open, err = refoldSent(f.open, recorded, &about); err != nil {
			return err
		}
	}
	if len(f.kind.reactions) > 0 {
		f.reacted, err = f.reacted.after(recorded, &about)
	}
	return err
}
