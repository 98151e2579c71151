package actorstest

import (
	"context"
	"time"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// deliver delivers events to the aggregates that react. How far that has come
// outlives restarts and crashes, as the journal does.
func (s *System) deliver(to *actors.System) {
	s.t.Helper()
	config := projections.Config{Journal: s.cut, PollInterval: time.Hour, Upcasters: s.config.Upcasters, Logger: s.config.Logger}
	books := &cutBooks{&s.books, s.cut}
	for _, reactions := range actors.ReactionsOf(s.config.Aggregates...) {
		config.Projections = append(config.Projections, projections.React(reactor{reactions, to}, books))
	}
	if len(config.Projections) == 0 {
		return
	}
	runner, err := projections.New(config)
	if err != nil {
		s.t.Fatalf("start the reactions: %v", err)
	}
	// The system of before is gone, and has left what it had.
	if err := s.books.Update(s.t.Context(), func(ctx context.Context, book projections.Book) error {
		for _, projection := range config.Projections {
			if err := book.Fence(ctx, projection.Name(), 1); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		s.t.Fatalf("start the reactions: %v", err)
	}
	s.runner = runner
	s.tasks = lifecycle.Start(context.WithoutCancel(s.t.Context()), lifecycle.Component{Name: "reactions", Run: runner.Run})
}

// Reactions returns the runner that delivers events to the aggregates that react, since
// the last start: to look at what was set aside, and to apply it. It is nil when none
// does.
func (s *System) Reactions() *projections.Runner { return s.runner }

// reactor takes events to a running system.
type reactor struct {
	*actors.Reactions
	to *actors.System
}

// Take fulfils [projections.Reactor].
func (r reactor) Take(event *persistence.Recorded) (id string, react func(ctx context.Context, late bool) error, err error) {
	return r.Reactions.Take(r.to, event)
}

// cutBooks are books that a system which has crashed cannot reach any more.
type cutBooks struct {
	*projections.Books
	cut *cut
}

// Update fulfils [projections.Store].
func (c *cutBooks) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	if err := c.cut.err(); err != nil {
		return err
	}
	return c.Books.Update(ctx, body)
}
