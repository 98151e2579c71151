package projections

import (
	"context"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/persistence/upcast"
)

// FoldOptions choose the part of the history to fold. The zero value is everything that
// is in the journal at the call.
type FoldOptions[S any] struct {
	// Value is the state to begin with, such as the result of an earlier fold.
	Value S
	// After is the checkpoint at which that fold ended.
	After tail.Checkpoint
	// Until is the last place that counts; nil is the end.
	Until persistence.Positions
	// UntilTime leaves out events that were stored later. Zero is all.
	UntilTime time.Time
	// UntilVersion leaves out events with a higher version in their stream, so it is for
	// a source of one stream. Zero is all.
	UntilVersion persistence.Version
	// Upcasters are as in [Config].
	Upcasters *upcast.Chain
}

// Fold computes the state that a definition makes of the history, and stores nothing: for
// a query that is asked once, or for the state as of a version, a position or a time.
// Events that the handlers emit are dropped. Continue a fold at the returned checkpoint.
func Fold[S any](ctx context.Context, journal persistence.Reader, definition *Definition[*State[S]], options FoldOptions[S]) (S, tail.Checkpoint, error) {
	state := &State[S]{Value: options.Value}
	if err := definition.check(); err != nil {
		return state.Value, options.After, err
	}
	until := options.Until
	head, err := journal.Head(ctx)
	if err != nil {
		return state.Value, options.After, err
	}
	if until == nil {
		until = head
	} else if !coversAll(head, until) {
		return state.Value, options.After, &persistence.InvalidError{Field: "until", Reason: "is a place that the journal has not come to"}
	}
	s := &definition.spec
	subscription, err := tail.Open(ctx, journal, tail.Options{
		Checkpoint: options.After, Filter: s.source.choose(s.types, options.Upcasters != nil, s.erasures),
		System: s.source.ofSystem() || s.erasures, PageRows: pageRows, PageBytes: pageBytes,
	})
	if err != nil {
		return state.Value, options.After, err
	}
	at := options.After.Positions()
	for page, err := range subscription.Pages(ctx) {
		if err != nil {
			return state.Value, options.After, err
		}
		for i := range page.Events {
			stored := &page.Events[i]
			if !until.Covers(stored.Position) || options.excludes(stored) {
				continue
			}
			if err := foldOne(ctx, definition, state, options.Upcasters, stored); err != nil {
				return state.Value, options.After, err
			}
		}
		if at = lower(page.Next, until); coversAll(at, until) || page.AtHead {
			break
		}
	}
	checkpoint, err := subscription.Checkpoint(ctx, at)
	return state.Value, checkpoint, err
}

func (o *FoldOptions[S]) excludes(recorded *persistence.Recorded) bool {
	return !o.UntilTime.IsZero() && recorded.At.After(o.UntilTime) || o.UntilVersion > 0 && recorded.Version > o.UntilVersion
}

func foldOne[S any](ctx context.Context, d *Definition[*State[S]], state *State[S], chain *upcast.Chain, stored *persistence.Recorded) error {
	today, err := chain.Upcast(nil, stored)
	for i := range today {
		if err != nil {
			break
		}
		state.name, state.at, state.emissions = d.name, &today[i], nil
		err = d.handle(ctx, state, &today[i])
	}
	if err != nil {
		return &EventError{Projection: d.name, Stream: stored.Stream, Position: stored.Position, Type: stored.Type, Err: err}
	}
	return nil
}
