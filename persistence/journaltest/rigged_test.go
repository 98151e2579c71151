package journaltest

import (
	"context"
	"iter"
	"sync"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// rigged is a memory journal into which a mutant puts its fault: every hook that
// is set stands in for the method and may call the journal itself.
type rigged struct {
	*memory.Journal
	mu sync.RWMutex // for what a mutant remembers

	onAppend   func(context.Context, []persistence.Append) ([]persistence.Outcome, error)
	onSubmit   func(persistence.Append, *persistence.Chain, func(persistence.Outcome)) error
	onRead     func(context.Context, persistence.StreamID, persistence.ReadOptions) iter.Seq2[persistence.Recorded, error]
	onReadAll  func(context.Context, persistence.ReadAllOptions) iter.Seq2[persistence.Page, error]
	onWait     func(context.Context, persistence.Positions) error
	onStream   func(context.Context, persistence.StreamID) (persistence.StreamInfo, error)
	onClose    func() error
	onIdentity func() persistence.JournalID
	// onRecorded changes each event that any reader gets.
	onRecorded func(*persistence.Recorded)
}

// one makes a hook of what becomes of each append of a call, one after the other.
func (r *rigged) one(fault func(context.Context, persistence.Append) (persistence.Outcome, error)) {
	r.onAppend = func(ctx context.Context, appends []persistence.Append) ([]persistence.Outcome, error) {
		outcomes := make([]persistence.Outcome, len(appends))
		for i := range appends {
			var err error
			if outcomes[i], err = fault(ctx, appends[i]); err != nil {
				return nil, err
			}
		}
		return outcomes, nil
	}
}

// honest appends one without any fault.
func (r *rigged) honest(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
	outcomes, err := r.Journal.Append(ctx, a)
	if err != nil {
		return persistence.Outcome{}, err
	}
	return outcomes[0], nil
}

// version is that of a stream, 0 when it is missing.
func (r *rigged) version(ctx context.Context, stream persistence.StreamID) persistence.Version {
	info, _ := r.Journal.Stream(ctx, stream)
	return info.Version
}

func (r *rigged) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if r.onAppend != nil {
		return r.onAppend(ctx, appends)
	}
	return r.Journal.Append(ctx, appends...)
}

func (r *rigged) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if r.onSubmit != nil {
		return r.onSubmit(a, chain, done)
	}
	return r.Journal.Submit(a, chain, done)
}

func (r *rigged) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	if r.onRead != nil {
		return r.onRead(ctx, stream, options)
	}
	if r.onRecorded == nil {
		return r.Journal.Read(ctx, stream, options)
	}
	return func(yield func(persistence.Recorded, error) bool) {
		for recorded, err := range r.Journal.Read(ctx, stream, options) {
			if err == nil {
				r.onRecorded(&recorded)
			}
			if !yield(recorded, err) {
				return
			}
		}
	}
}

func (r *rigged) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	if r.onReadAll != nil {
		return r.onReadAll(ctx, options)
	}
	if r.onRecorded == nil {
		return r.Journal.ReadAll(ctx, options)
	}
	return r.pages(ctx, options, func(page *persistence.Page) {
		for i := range page.Events {
			r.onRecorded(&page.Events[i])
		}
	})
}

// pages yields the pages of the journal, each changed by a fault.
func (r *rigged) pages(ctx context.Context, options persistence.ReadAllOptions, fault func(*persistence.Page)) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		for page, err := range r.Journal.ReadAll(ctx, options) {
			if err == nil {
				fault(&page)
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

func (r *rigged) Wait(ctx context.Context, after persistence.Positions) error {
	if r.onWait != nil {
		return r.onWait(ctx, after)
	}
	return r.Journal.Wait(ctx, after)
}

func (r *rigged) Stream(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
	if r.onStream != nil {
		return r.onStream(ctx, stream)
	}
	return r.Journal.Stream(ctx, stream)
}

func (r *rigged) Close() error {
	if r.onClose != nil {
		return r.onClose()
	}
	return r.Journal.Close()
}

func (r *rigged) Identity() persistence.JournalID {
	if r.onIdentity != nil {
		return r.onIdentity()
	}
	return r.Journal.Identity()
}
