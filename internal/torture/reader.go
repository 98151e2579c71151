package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/tail"
)

// delivery is an event as a reader was given it.
type delivery struct {
	position int64
	stream   persistence.StreamID
	version  persistence.Version
	id       persistence.EventID
	tag      tag
}

// stands reports that a delivered event equals its row. A row that is not there
// is nil.
func (d *delivery) stands(e *row) bool {
	return e != nil && e.id == d.id && e.tag == d.tag && e.stream == d.stream && e.version == int64(d.version)
}

// reader follows the journal in one of the ways that there are, and goes on after
// errors where it was.
type reader struct {
	name  string
	wants func(*row) bool
	read  func(ctx context.Context, r *reader) error // until ctx is done or an error
	// late has it begin anywhere, while others are at work.
	late bool
	lots *rand.Rand

	from int64        // where it began
	at   atomic.Int64 // all up to here has been seen
	goal atomic.Int64 // nothing will be written beyond it; 0 is not known yet
	over atomic.Bool  // it cannot go on

	mu         sync.Mutex // protects what follows
	checkpoint string     // where to go on, if it is a place of a checkpoint
	got        []delivery
	returns    int
	wrong      []finding

	// watch counts delays, by whether a foreign transaction is open.
	foreign *atomic.Bool
	delays  [2][]time.Duration
}

// run reads until ctx is done. The load that started it waits for its end.
func (r *reader) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.read(ctx, r)
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.returns++
		if errors.Is(err, persistence.ErrLostTail) {
			r.wrong = append(r.wrong, finding{Undone, err.Error()})
		} else if kind := persistence.ErrorKindOf(err); err != nil && kind != persistence.ErrUnavailable && kind != persistence.ErrOverloaded {
			r.wrong = append(r.wrong, finding{Corrupt, err.Error()})
		}
		broken := len(r.wrong) > 0
		r.mu.Unlock()
		if broken {
			r.over.Store(true)
			return
		}
		if err != nil && !pause(ctx, 10*time.Millisecond) {
			return
		}
	}
}

// take notes events that were delivered.
func (r *reader) take(events []persistence.Recorded) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range events {
		e := &events[i]
		said, _ := parseTag(e.Payload)
		r.got = append(r.got, delivery{e.Position.Offset, e.Stream, e.Version, e.ID, said})
		if r.foreign != nil {
			phase := 0
			if r.foreign.Load() {
				phase = 1
			}
			r.delays[phase] = append(r.delays[phase], now.Sub(e.At))
		}
	}
}

// subscriber opens a subscription: tail.Open, or the method of a shared tailer.
type subscriber func(ctx context.Context, options tail.Options) (*tail.Subscription, error)

func subscribe(journal Journal) subscriber {
	return func(ctx context.Context, options tail.Options) (*tail.Subscription, error) {
		return tail.Open(ctx, journal, options)
	}
}

// follow reads a subscription. A reader that leaves goes after some pages, or in
// the midst of one, and comes back by a checkpoint.
func follow(open subscriber, options tail.Options, leaves bool) func(context.Context, *reader) error {
	return func(ctx context.Context, r *reader) error {
		subscription, err := r.open(ctx, open, options)
		if err != nil {
			return err
		}
		for page, err := range subscription.Pages(ctx) {
			if err != nil {
				return err
			}
			if leaves && len(page.Events) > 0 && r.lots.IntN(8) == 0 {
				return r.leave(ctx, subscription, page)
			}
			r.take(page.Events)
			r.mu.Lock()
			r.checkpoint = ""
			r.mu.Unlock()
			r.at.Store(page.Next.Of(0).Offset)
		}
		return nil
	}
}

func (r *reader) open(ctx context.Context, open subscriber, options tail.Options) (*tail.Subscription, error) {
	r.mu.Lock()
	checkpoint := r.checkpoint
	r.mu.Unlock()
	options.After = persistence.Positions{r.at.Load()}
	if checkpoint != "" {
		var err error
		if options.Checkpoint, err = tail.ParseCheckpoint(checkpoint); err != nil {
			return nil, err
		}
		options.After = nil
	}
	return open(ctx, options)
}

// leave takes a page, or a part of it, and remembers the place as programs do.
func (r *reader) leave(ctx context.Context, subscription *tail.Subscription, page persistence.Page) error {
	checkpoint, err := subscription.Checkpoint(ctx, page.Next)
	if err != nil {
		return err // nothing was taken
	}
	events, at := page.Events, page.Next.Of(0).Offset
	if r.lots.IntN(2) == 0 {
		events = events[:1+r.lots.IntN(len(events))]
		last := &events[len(events)-1]
		checkpoint, at = tail.Checkpoint{Journal: checkpoint.Journal}.With(last), last.Position.Offset
	}
	r.take(events)
	r.mu.Lock()
	r.checkpoint = checkpoint.String()
	r.mu.Unlock()
	r.at.Store(at)
	return nil
}

// recoverStream reads one stream again and again from where it was, as activations of an
// aggregate do. Its place is the position of the last event that it saw.
func recoverStream(journal Journal, stream persistence.StreamID) func(context.Context, *reader) error {
	return func(ctx context.Context, r *reader) error {
		for {
			r.mu.Lock()
			next := persistence.Version(1)
			if len(r.got) > 0 {
				next = r.got[len(r.got)-1].version + 1
			}
			r.mu.Unlock()
			goal := r.goal.Load()
			for e, err := range journal.Read(ctx, stream, persistence.ReadOptions{From: next}) {
				if errors.Is(err, persistence.ErrStreamNotFound) {
					break
				}
				if err != nil {
					return err
				}
				r.take([]persistence.Recorded{e})
				r.at.Store(e.Position.Offset)
			}
			r.at.Store(max(r.at.Load(), goal))
			if !pause(ctx, 5*time.Millisecond) {
				return nil
			}
		}
	}
}

// everything makes the readers of a load: each kind of subscription, alone and on
// a shared tailer, from the beginning and from anywhere, without end and with
// leave.
func everything(nodes []Journal, streams []persistence.StreamID, lots func() *rand.Rand) []*reader {
	node := func(i int) Journal { return nodes[i%len(nodes)] }
	shared := tail.NewTailer(tail.Config{Reader: node(0), PageRows: 64})
	stream := streams[0]
	category, _, _ := strings.Cut(string(streams[1]), "-")
	odd := filter.Type().Eq("odd").And(filter.Meta("lane").Int().Lt(lanes - 1))
	selections := []struct {
		name    string
		options tail.Options
		wants   func(*row) bool
	}{
		{"all", tail.Options{}, func(*row) bool { return true }},
		{"category", tail.Options{Category: category}, func(e *row) bool { return strings.HasPrefix(string(e.stream), category+"-") }},
		{"stream", tail.Options{Stream: stream}, func(e *row) bool { return e.stream == stream }},
		{"filter", tail.Options{Filter: odd}, func(e *row) bool { return e.tag.attempt%2 == 1 && e.tag.attempt%lanes < lanes-1 }},
	}
	var readers []*reader
	for i, s := range selections {
		add := func(how string, late bool, read func(context.Context, *reader) error) {
			readers = append(readers, &reader{name: fmt.Sprintf("%s, %s", s.name, how), wants: s.wants, read: read, late: late, lots: lots()})
		}
		small := s.options
		small.PageRows = 7
		add("alone", false, follow(subscribe(node(i)), s.options, false))
		add("shared", false, follow(shared.Open, s.options, false))
		add("alone, from anywhere", true, follow(subscribe(node(i+1)), small, false))
		add("shared, from anywhere, by checkpoints", true, follow(shared.Open, s.options, true))
		add("alone, by checkpoints", false, follow(subscribe(node(i+2)), small, true))
	}
	readers = append(readers, &reader{
		name: "recovery", wants: selections[2].wants, read: recoverStream(node(1), stream), lots: lots(),
	})
	return readers
}
