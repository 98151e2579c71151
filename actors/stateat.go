package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/upcast"
)

// StateOptions choose a moment in the history of an aggregate. The zero value is now. Of
// several bounds the earliest counts.
type StateOptions struct {
	// UntilVersion is the last version that counts.
	UntilVersion persistence.Version
	// Until is the last position that counts.
	Until persistence.Position
	// UntilTime ends the history before the first event that was stored later.
	UntilTime time.Time
	// Upcasters are as in [Config].
	Upcasters *upcast.Chain
}

// StateAt returns the state of an aggregate at a moment, and its version then: the zero S
// and version 0 before its first event. The state is read from the journal and belongs to
// the caller; an aggregate in memory is not touched. A snapshot is used when it is not
// newer than the moment. Events are read in pages, so that the memory needed does not grow
// with the length of the history.
//
// A stream that does not exist, or was deleted, is [persistence.ErrStreamNotFound]. When
// events are needed that were truncated, or belong to an earlier life of the stream, the
// error is [persistence.ErrTruncated]. An event that this definition does not know is
// [persistence.ErrCorrupt]. A version or a position in the future, and a position in
// another partition than the aggregate's, are [persistence.ErrInvalid].
func (a *Aggregate[S]) StateAt(ctx context.Context, journal persistence.Journal, id string, options StateOptions) (*S, persistence.Version, error) {
	stream, err := persistence.NewStreamID(a.d.kind, id)
	if err = errors.Join(a.d.check(), err); err != nil {
		return nil, 0, err
	}
	own := a.d
	own.upcasters = options.Upcasters
	f := fold{kind: &own, stream: stream, until: &options}
	if err := f.upTo(ctx, journal); err != nil {
		return nil, 0, fmt.Errorf("look back at %s: %w", stream, err)
	}
	return f.state.(*S), f.version, nil
}

// upTo folds the events up to the bound: those after the snapshot, or all events of the
// present life of the stream.
func (f *fold) upTo(ctx context.Context, journal persistence.Journal) error {
	info, err := journal.Stream(ctx, f.stream)
	if err != nil {
		return err
	}
	if err := f.until.hasCome(ctx, journal, &info); err != nil {
		return err
	}
	keeper, _ := persistence.As[persistence.Snapshots](journal)
	_ = f.load(ctx, keeper) // one of another program, or damaged, is passed over
	if f.from == nil {
		if err := f.life(&info); err != nil {
			return err
		}
	}
	for {
		n, err := f.page(ctx, journal)
		switch {
		case f.useless(err):
			if err := f.life(&info); err != nil {
				return err
			}
		case err != nil:
			return err
		case f.ended && f.version < info.First && info.First > 1: // an earlier life is meant
			return &persistence.TruncatedError{Stream: f.stream, First: info.First}
		case f.ended, n < recoveryPage:
			return nil
		}
	}
}

// life begins at the first event of the present life of the stream.
func (f *fold) life(info *persistence.StreamInfo) error {
	if info.First > 1 && (info.First != info.Begin || f.until.UntilVersion > 0 && f.until.UntilVersion < info.First) {
		return &persistence.TruncatedError{Stream: f.stream, First: info.First}
	}
	f.restart()
	f.version = info.First - 1 // not 0 when it was deleted and written again
	return nil
}

// hasCome returns an error when the moment is in the future.
func (o *StateOptions) hasCome(ctx context.Context, journal persistence.Journal, info *persistence.StreamInfo) error {
	if o.UntilVersion > info.Version {
		return &persistence.InvalidError{Field: "until version", Reason: "is one that the aggregate has not come to"}
	}
	if o.Until.Offset <= 0 {
		return nil
	}
	head, err := journal.Head(ctx)
	switch {
	case err != nil:
		return err
	case !head.Covers(o.Until):
		return &persistence.InvalidError{Field: "until", Reason: "is a place that the journal has not come to"}
	}
	return nil
}

// endBefore reports that an event and those after it do not count.
func (o *StateOptions) endBefore(recorded *persistence.Recorded) (bool, error) {
	if o.Until.Offset > 0 && o.Until.Part != recorded.Position.Part {
		return false, &persistence.InvalidError{Field: "until", Reason: "is of another partition than the aggregate"}
	}
	return o.UntilVersion > 0 && recorded.Version > o.UntilVersion ||
		o.Until.Offset > 0 && recorded.Position.Offset > o.Until.Offset ||
		!o.UntilTime.IsZero() && recorded.At.After(o.UntilTime), nil
}
