package tail

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/stele-es/stele/persistence"
)

// Subscription follows a journal. Use [Open] or [Tailer.Open]. It is safe for
// concurrent use.
type Subscription struct {
	source  source
	reader  persistence.Reader
	wants   *selection
	after   persistence.Positions
	journal persistence.JournalID
	ahead   bool

	mu sync.Mutex // protects known
	// known has the last mark of each partition that came along, so that most
	// checkpoints need no reading.
	known map[uint16]Mark
}

// source is where pages come from.
type source interface {
	// page returns what follows a place, and does not wait for it.
	page(ctx context.Context, after persistence.Positions, wants *selection) (persistence.Page, error)
	// wait returns when something may follow, possibly too early.
	wait(ctx context.Context, after persistence.Positions) error
	// eventAt returns the id of an event that is at hand.
	eventAt(position persistence.Position) (persistence.EventID, bool)
	// follow is called when a subscription begins, and leave when it ends.
	follow() (leave func())
}

// Open returns a subscription that reads by itself. It looks where the journal
// ends and, for a checkpoint, whether the journal is still the one in which it was
// taken: see [Probe]. A place beyond the end is a [*persistence.LostTailError] too.
func Open(ctx context.Context, reader persistence.Reader, options Options) (*Subscription, error) {
	return open(ctx, reader, direct{reader}, options)
}

func open(ctx context.Context, reader persistence.Reader, source source, options Options) (*Subscription, error) {
	wants, err := options.selection()
	if err != nil {
		return nil, err
	}
	s := &Subscription{
		source: source, reader: reader, wants: wants, after: slices.Clone(options.After), journal: reader.Identity(), ahead: options.ReadAhead, known: map[uint16]Mark{},
	}
	if options.Checkpoint.isZero() {
		err = reaches(ctx, reader, s.after)
	} else {
		for _, mark := range options.Checkpoint.Marks {
			s.known[mark.Position.Part] = mark
		}
		s.after = options.Checkpoint.Positions()
		err = Probe(ctx, reader, options.Checkpoint)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Pages yields what the subscription chooses, page by page and without end. A page
// says AtHead when nothing lay behind it, and the first to do so may be empty: all
// that was there has been seen, and what follows is new. Later pages are empty when
// the journal grew by what the subscription does not choose; their Next is worth
// remembering all the same.
//
// An error is the last pair, also the end of ctx: [persistence.ErrUnavailable], which
// wraps its cause. Behind an error
// that is not for ever, another subscription that is opened behind the last page
// goes on. Ranging again begins again.
//
// The events may be shared with other subscribers, so they must not be changed.
func (s *Subscription) Pages(ctx context.Context) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		defer s.source.follow()()
		at, live := slices.Clone(s.after), false
		var ahead *aheadPage
		defer func() { ahead.drop() }()
		for {
			page, err := s.next(ctx, at, ahead)
			if ahead = nil; err != nil {
				yield(persistence.Page{}, err)
				return
			}
			next, atHead := slices.Clone(page.Next), page.AtHead // the page is its reader's
			if s.ahead && !atHead {
				ahead = s.readAhead(ctx, slices.Clone(next))
			}
			if len(page.Events) > 0 || !covers(at, next) || atHead && !live {
				if !yield(page, nil) {
					return
				}
				live = atHead
			}
			if at = next; !atHead {
				continue
			}
			if err := s.source.wait(ctx, at); err != nil {
				yield(persistence.Page{}, left(ctx, err))
				return
			}
		}
	}
}

// Events yields the events of [Subscription.Pages] one by one.
func (s *Subscription) Events(ctx context.Context) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		for page, err := range s.Pages(ctx) {
			if err != nil {
				yield(persistence.Recorded{}, err)
				return
			}
			for i := range page.Events {
				if !yield(page.Events[i], nil) {
					return
				}
			}
		}
	}
}

// next reads a page, unless it was read ahead, and holds the journal to its promise.
func (s *Subscription) next(ctx context.Context, at persistence.Positions, ahead *aheadPage) (persistence.Page, error) {
	if ctx.Err() != nil {
		ahead.drop()
		return persistence.Page{}, left(ctx, nil)
	}
	page, err := ahead.take()
	if ahead == nil || err != nil { // also to meet what a filter does on the reader's goroutine
		page, err = s.source.page(ctx, at, s.wants)
	}
	if err != nil {
		return persistence.Page{}, left(ctx, err)
	}
	if err := inOrder(at, &page); err != nil {
		return persistence.Page{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range page.Events {
		if e := &page.Events[i]; i+1 == len(page.Events) || page.Events[i+1].Position.Part != e.Position.Part {
			s.known[e.Position.Part] = Mark{e.Position, e.ID}
		}
	}
	return page, nil
}

// left makes one error of all that the end of ctx can look like.
func left(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
	}
	return err
}

// inOrder reports an event that stands where none may: at a place that was passed,
// before another one, or behind the end of its page.
func inOrder(at persistence.Positions, page *persistence.Page) error {
	if !covers(page.Next, at) {
		return &persistence.CorruptError{Reason: "a page ends before it begins"}
	}
	last := merge(at, nil)
	for i := range page.Events {
		e := &page.Events[i]
		before := last.Of(e.Position.Part)
		again := i > 0 && e.Position == page.Events[i-1].Position && e.Sub == page.Events[i-1].Sub+1
		if e.Position.Offset <= before.Offset && !again || !page.Next.Covers(e.Position) {
			return &persistence.CorruptError{
				Stream: e.Stream, Version: e.Version, Reason: fmt.Sprintf("its position %s follows position %s on a page that ends at %s", e.Position, before, page.Next.Of(e.Position.Part)),
			}
		}
		last = extend(last, e.Position)
	}
	return nil
}

// extend is Positions.With for a place that nobody else has.
func extend(own persistence.Positions, position persistence.Position) persistence.Positions {
	if int(position.Part) >= len(own) {
		return own.With(position)
	}
	own[position.Part] = position.Offset
	return own
}

// Checkpoint makes a checkpoint of a place that the subscription has come to: the
// Next of a page. It reads the journal when it does not know the event there,
// because it did not choose it.
func (s *Subscription) Checkpoint(ctx context.Context, at persistence.Positions) (Checkpoint, error) {
	c := Checkpoint{Journal: s.journal}
	for part := range at {
		position := at.Of(uint16(part)) //nolint:gosec // partitions are numbered by it
		if position.Offset == 0 {
			continue
		}
		id, err := s.eventAt(ctx, at, position)
		if err != nil {
			return Checkpoint{}, left(ctx, err)
		}
		c.Marks = append(c.Marks, Mark{position, id})
	}
	return c, nil
}

func (s *Subscription) eventAt(ctx context.Context, at persistence.Positions, position persistence.Position) (persistence.EventID, error) {
	s.mu.Lock()
	mark := s.known[position.Part]
	s.mu.Unlock()
	if mark.Position == position {
		return mark.EventID, nil
	}
	if id, ok := s.source.eventAt(position); ok {
		return id, nil
	}
	id, err := eventAt(ctx, s.reader, at, position)
	if err != nil {
		return persistence.EventID{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[position.Part] = Mark{position, id}
	return id, nil
}

// direct reads for one subscription.
type direct struct{ reader persistence.Reader }

// page reads one page. It leaves the journal before anybody works with the page, so
// that nothing of it is held meanwhile.
func (d direct) page(ctx context.Context, after persistence.Positions, wants *selection) (persistence.Page, error) {
	for page, err := range d.reader.ReadAll(ctx, wants.readOptions(after)) {
		return page, err
	}
	return persistence.Page{Next: after, AtHead: true}, nil
}

func (d direct) wait(ctx context.Context, after persistence.Positions) error {
	return d.reader.Wait(ctx, after)
}

func (d direct) eventAt(persistence.Position) (persistence.EventID, bool) {
	return persistence.EventID{}, false
}

func (d direct) follow() (leave func()) { return func() {} }
