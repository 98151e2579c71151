package tail

import (
	"context"

	"github.com/stele-es/stele/persistence"
)

// Next is the next page behind a place, without waiting for it.
func (s *Subscription) Next(ctx context.Context, at persistence.Positions) (persistence.Page, error) {
	return s.next(ctx, at, nil)
}

// Wait waits until there may be something behind a place.
func (s *Subscription) Wait(ctx context.Context, at persistence.Positions) error {
	return s.source.wait(ctx, at)
}

// Wants is the filter that the options come to.
func Wants(options Options) (persistence.Filter, error) {
	wants, err := options.selection()
	if err != nil {
		return nil, err
	}
	return wants.filter, nil
}

// Kept is what a tailer keeps.
func (t *Tailer) Kept() (pages, bytes int) { return len(t.ring.pages), t.ring.bytes }

// Late is a subscriber who has looked at what there is behind a place, and only
// then comes to read it.
func (t *Tailer) Late(ctx context.Context, after persistence.Positions) (read func() error) {
	view := t.ring.look(after)
	return func() error { return t.lead(ctx, after, view, false) }
}
