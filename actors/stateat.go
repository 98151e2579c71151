package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/upcast"
)

// StateOptions say which moment of an aggregate is meant. The zero value is now. Of
// several bounds the earliest counts.
type StateOptions struct {
	// UntilVersion is the last version that counts.
	UntilVersion persistence.Version
	// Until is the last position that counts.
	Until persistence.Position
	// UntilTime ends the history in front of the first event that was stored later.
	UntilTime time.Time
	// Upcasters are as in [Config].
	Upcasters *upcast.Chain
}

// StateAt returns what an aggregate was at a moment, and its version then: the zero S
// and version 0 before its first event. The state is read from the journal and belongs
// to the caller; a live aggregate is not touched, and no command is needed to look at
// one. A snapshot is used when it is not newer than the moment. The events are read in
// pages, so the memory is that of the state, whatever the length of the history.
//
// A stream that does not exist, or not any more, is [persistence.ErrStreamNotFound].
// Events that are needed and can no longer be read are [persistence.ErrTruncated],
// those of an earlier life of the stream too. An event that this definition does not
// know is [persistence.ErrCorrupt]. A version or a position that has not come about
// yet, and a position in another partition than the aggregate's, are
// [persistence.ErrInvalid].
func (a *Aggregate[S]) StateAt(ctx context.Context, journal persistence.Journal, id string, options StateOptions) (*S, persistence.Version, error) {
	stream, err := persistence.NewStreamID(a.d.kind, id)
	if err = errors.Join(a.d.check(), err); err != nil {
		return nil, 0, err
	}
	own := a.d
	own.upcasters = options.Upcasters
	l := lookBack{of: &own, journal: journal, stream: stream, options: options}
	if err := l.begin(ctx); err != nil {
		return nil, 0, fmt.Errorf("look back at %s: %w", stream, err)
	}
	if err := l.fold(ctx); err != nil {
		return nil, 0, fmt.Errorf("look back at %s: %w", stream, err)
	}
	return l.state.(*S), l.version, nil
}

// lookBack folds the history of one aggregate up to a moment.
type lookBack struct {
	of      *definition
	journal persistence.Journal
	stream  persistence.StreamID
	options StateOptions

	info    persistence.StreamInfo
	state   any
	version persistence.Version
}

// begin finds out where to begin: behind a snapshot, or at the first event.
func (l *lookBack) begin(ctx context.Context) (err error) {
	if l.info, err = l.journal.Stream(ctx, l.stream); err != nil {
		return err
	}
	if l.options.UntilVersion > l.info.Version {
		return &persistence.InvalidError{Field: "until version", Reason: "is one that the aggregate has not come to"}
	}
	if l.options.Until.Offset > 0 {
		head, err := l.journal.Head(ctx)
		switch {
		case err != nil:
			return err
		case !head.Covers(l.options.Until):
			return &persistence.InvalidError{Field: "until", Reason: "is a place that the journal has not come to"}
		}
	}
	if found, err := l.snapshot(ctx); found || err != nil {
		return err
	}
	l.state = l.of.newState()
	switch {
	case l.info.First == 1:
		return nil
	case l.info.First != l.info.Begin, l.options.UntilVersion > 0 && l.options.UntilVersion < l.info.First:
		return l.truncated()
	}
	l.version = l.info.First - 1 // it was deleted and written again
	return nil
}

func (l *lookBack) truncated() error {
	return &persistence.TruncatedError{Stream: l.stream, First: l.info.First}
}

// snapshot begins at the snapshot of the stream if it is one of use.
func (l *lookBack) snapshot(ctx context.Context) (found bool, err error) {
	keeper, keeps := persistence.As[persistence.Snapshots](l.journal)
	if !keeps || l.of.snapshots == nil {
		return false, nil
	}
	snapshot, found, err := keeper.LoadSnapshot(ctx, l.stream)
	if err != nil || !found || snapshot.Version < l.info.First || l.options.UntilVersion > 0 && snapshot.Version > l.options.UntilVersion {
		return false, nil // a journal that is away says so again when the events are read
	}
	p, err := l.of.pastOf(&snapshot, retention{})
	if err != nil {
		return false, nil // of another program, or damaged: the events are read
	}
	for recorded, err := range l.journal.Read(ctx, l.stream, persistence.ReadOptions{From: snapshot.Version, Limit: 1}) {
		if err != nil {
			return false, err
		}
		if later, err := l.later(&recorded); err != nil || later || recorded.Version != snapshot.Version || recorded.ID != snapshot.EventID {
			return false, err
		}
		l.state, l.version = p.state, snapshot.Version
		return true, nil
	}
	return false, nil
}

// later reports that an event does not count any more.
func (l *lookBack) later(recorded *persistence.Recorded) (bool, error) {
	o := &l.options
	if o.Until.Offset > 0 && o.Until.Part != recorded.Position.Part {
		return false, &persistence.InvalidError{Field: "until", Reason: "is of another partition than the aggregate"}
	}
	return o.UntilVersion > 0 && recorded.Version > o.UntilVersion ||
		o.Until.Offset > 0 && recorded.Position.Offset > o.Until.Offset ||
		!o.UntilTime.IsZero() && recorded.At.After(o.UntilTime), nil
}

// fold folds the events that count, page by page.
func (l *lookBack) fold(ctx context.Context) error {
	for {
		n, err := l.page(ctx)
		if err != nil || n < recoveryPage {
			return err
		}
	}
}

// page folds a page, and less when the moment is reached.
func (l *lookBack) page(ctx context.Context) (n int, err error) {
	limit := recoveryPage
	if until := l.options.UntilVersion; until > 0 {
		limit = int(min(persistence.Version(limit), until-l.version)) //nolint:gosec // at most a page
	}
	if limit == 0 {
		return 0, nil
	}
	for recorded, err := range l.journal.Read(ctx, l.stream, persistence.ReadOptions{From: l.version + 1, Limit: limit}) {
		if err != nil {
			return 0, err
		}
		later, err := l.later(&recorded)
		switch {
		case err != nil:
			return 0, err
		case later && recorded.Version == l.info.First && l.info.First > 1:
			return 0, l.truncated() // an earlier life is meant
		case later:
			return 0, nil
		case recorded.Version != l.version+1:
			return 0, corrupt(&recorded, fmt.Sprintf("follows version %d", l.version), nil)
		}
		if err := l.of.refold(l.state, &recorded); err != nil {
			return 0, err
		}
		l.version = recorded.Version
		n++
	}
	return n, nil
}
