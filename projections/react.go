package projections

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Reactor reacts to events one by one. The aggregates of a kind in package actors are
// one.
type Reactor interface {
	// Name is the name of the projection that delivers the events.
	Name() string
	// Types are the types of the events, in the form of today.
	Types() []string
	// Take returns the key of an event, and the function that reacts to it; an empty key
	// means that nobody reacts. The reactions to the events of one key run one after the
	// other and in order, except for late ones, which were set aside before. The key must
	// depend on the event alone.
	//
	// When the error of react says that something is away or full, or that the outcome is
	// unknown, all events wait and this one is delivered again. Any other error is a
	// failure of the event. An event may be delivered again after the reaction.
	Take(event *persistence.Recorded) (key string, react func(ctx context.Context, late bool) error, err error)
}

// React delivers events to a reactor, at least once, in order for each key, and different
// keys side by side. A store keeps the checkpoint. An event that keeps failing is set
// aside, together with all that follow for its key, see [Runner.Parked]. An event that
// upcasters make several of is set aside for one of their keys. It cannot be reset,
// because reactions cannot be undone; [Runner.Seek] puts it to another place, such as
// after the journal was restored from a backup.
func React(reactor Reactor, store Store) Projection {
	r := &reacting{reactor: reactor, books: store}
	r.definition = spec{
		name: reactor.Name(), version: 1, types: reactor.Types(), workers: 1, grows: true,
		policy: Park, retries: 3, backoff: 100 * time.Millisecond, timeout: DefaultTimeout,
	}
	return r
}

// reacting is a projection whose target is a reactor.
type reacting struct {
	definition spec
	reactor    Reactor
	books      Store
}

// Name fulfils [Projection].
func (r *reacting) Name() string { return r.definition.name }

func (r *reacting) bound() bound          { return r }
func (r *reacting) spec() *spec           { return &r.definition }
func (r *reacting) events() []*codec.Type { return nil } // which its reactor knows
func (r *reacting) store() Store          { return r.books }
func (r *reacting) unit(*worker) unit     { return &reactions{of: r} }
func (r *reacting) has(o occasion) bool   { return o != atTruncate }
func (r *reacting) keepsState() bool      { return false }
func (r *reacting) effectful() bool       { return true }

func (r *reacting) check() error {
	if isNil(r.books) {
		return fmt.Errorf("projection %s has a nil store: give React what a target package opens", r.definition.name)
	}
	return checkName(r.definition.name)
}

func (r *reacting) once(ctx context.Context, _ occasion, change func(context.Context, Book) error) error {
	return r.books.Update(ctx, change)
}

const (
	// maxReactions is the number of keys that react at the same time.
	maxReactions = 256
	// reactTime is when what was reacted to is saved though more lies before it.
	reactTime = 5 * time.Second
)

// reactions is the unit of a reactor. Reactions behind an event that failed are not
// saved, and run again: the reactor knows it.
type reactions struct {
	of  *reacting
	key string // at which the last event failed
}

// reaction is one event on its way to one key.
type reaction struct {
	event  int // its place in the batch
	stored *persistence.Recorded
	react  func(ctx context.Context, late bool) error
}

func (u *reactions) apply(ctx context.Context, b *batch) error {
	b.rewind()
	var failure error
	if b.verdict != nil {
		b.set(&b.events[0], u.key, b.verdict.cause, b.verdict.attempts)
		b.done = 1
	} else {
		failure = u.deliver(ctx, b)
	}
	if failure != nil && b.done == 0 {
		return failure
	}
	bounded, cancel := context.WithTimeoutCause(ctx, targetTime, errTarget)
	defer cancel()
	err := u.of.books.Update(bounded, func(ctx context.Context, book Book) error { return b.save(ctx, book, nil) })
	if err != nil {
		return err
	}
	b.kept = failure != nil
	return failure
}

// deliver has the keys of a batch react side by side, and notes how far all have come.
func (u *reactions) deliver(ctx context.Context, b *batch) error {
	p := u.plan(ctx, b)
	var group sync.WaitGroup
	slots := make(chan struct{}, maxReactions)
	for _, key := range p.order {
		slots <- struct{}{}
		group.Go(func() { // awaited below
			defer func() { <-slots }()
			p.run(ctx, b, key)
		})
	}
	group.Wait()
	for i := range p.end {
		if key, held := p.held[i]; held {
			b.set(&b.events[i], key, "", 0)
		}
	}
	b.done = p.end
	if p.failure == nil {
		return nil
	}
	u.key = p.key
	stored := &b.events[p.end]
	return &EventError{
		Projection: b.spec.name, Stream: stored.Stream, Position: stored.Position, Type: stored.Type, Err: p.failure, index: p.end,
	}
}

// plan says which keys react to which events of a batch.
type plan struct {
	lanes map[string][]reaction
	order []string       // of the keys
	held  map[int]string // events that wait behind others of a key

	mu      sync.Mutex // protects the rest
	end     int        // the first event that is not done
	failure error      // of it, if it failed, at a key
	key     string
}

// plan sorts a batch by keys, up to an event that cannot be read.
func (u *reactions) plan(ctx context.Context, b *batch) *plan {
	p := &plan{lanes: map[string][]reaction{}, held: map[int]string{}, end: len(b.events)}
	at := 0
	err := usercode.Call(func() error {
		for ; at < len(b.events); at++ {
			stored := &b.events[at]
			err := b.apply(ctx, stored, func(_ context.Context, recorded *persistence.Recorded) error {
				return u.sort(p, b, at, stored, recorded)
			})
			b.sub = 0 // which is for targets that go on inside of an event
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.stop(at, err, string(b.events[at].Stream))
	}
	return p
}

// sort adds what an event means to a plan.
func (u *reactions) sort(p *plan, b *batch, at int, stored, recorded *persistence.Recorded) error {
	key, react, err := u.of.reactor.Take(recorded)
	switch {
	case err != nil || key == "":
		return err
	case b.again == nil && b.lanes.holds(key):
		p.held[at] = key
		return nil
	case p.lanes[key] == nil:
		p.order = append(p.order, key)
	}
	p.lanes[key] = append(p.lanes[key], reaction{at, stored, react})
	return nil
}

// run has one key react to its events until one fails.
func (p *plan) run(ctx context.Context, b *batch, key string) {
	at, over := 0, false
	defer func() { // also when a reaction has ended the goroutine
		if !over {
			p.stop(at, fmt.Errorf("the reaction %w", usercode.Exited()), key)
		}
	}()
	for _, r := range p.lanes[key] {
		at = r.event
		switch {
		case p.passed(r.event):
			over = true
			return
		case b.leaving() || r.event > 0 && time.Since(b.begun) > reactTime:
			p.stop(r.event, nil, key)
			over = true
			return
		}
		bounded, cancel := context.WithTimeoutCause(ctx, targetTime, errReaction)
		err := b.guard(bounded, r.stored, func(ctx context.Context, _ *persistence.Recorded) error { return r.react(ctx, b.again != nil) })
		cancel()
		if err != nil {
			p.stop(r.event, err, key)
			over = true
			return
		}
	}
	over = true
}

// errReaction ends a reaction that does not answer. It is delivered again.
var errReaction = fmt.Errorf("the reaction took more than %s", targetTime)

// stop ends the batch in front of an event that is not done.
func (p *plan) stop(event int, failure error, key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if event < p.end || event == p.end && p.failure == nil {
		p.end, p.failure, p.key = event, failure, key
	}
}

// passed reports that an event lies behind one that is not done, so that it comes again
// anyway.
func (p *plan) passed(event int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return event > p.end
}
