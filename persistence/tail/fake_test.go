package tail_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// parted is a journal of several partitions, as far as tails read one.
type parted struct {
	persistence.Reader // nil: nothing else is asked for
	id                 persistence.JournalID

	mu     sync.Mutex // protects the rest
	events [][]persistence.Recorded
	grown  chan struct{}
	reads  int // pages
	busy   int // readings whose reader works with a page
	// before is called before each page is read, with mu held.
	before func(j *parted)
}

func newParted(parts int) *parted {
	return &parted{id: persistence.JournalID{1}, events: make([][]persistence.Recorded, parts), grown: make(chan struct{})}
}

// add stores an event, which is seen unless its type is [persistence.TypeGone].
func (j *parted) add(part int, stream persistence.StreamID, eventType string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.store(part, stream, eventType)
	close(j.grown)
	j.grown = make(chan struct{})
}

func (j *parted) store(part int, stream persistence.StreamID, eventType string) {
	position := persistence.Position{Part: uint16(part), Offset: int64(len(j.events[part])) + 1}
	j.events[part] = append(j.events[part], persistence.Recorded{
		Event:  persistence.Event{ID: persistence.NewEventID(), Type: eventType, Payload: []byte(position.String())},
		Stream: stream, Position: position,
	})
}

// counts returns how many pages were read, and how many readings go on.
func (j *parted) counts() (reads, busy int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.reads, j.busy
}

func (j *parted) Identity() persistence.JournalID { return j.id }

func (j *parted) Head(context.Context) (persistence.Positions, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head(), nil
}

func (j *parted) head() (head persistence.Positions) {
	for _, events := range j.events {
		head = append(head, int64(len(events)))
	}
	return head
}

func (j *parted) Wait(ctx context.Context, after persistence.Positions) error {
	for {
		j.mu.Lock()
		grown, head := j.grown, j.head()
		j.mu.Unlock()
		for part := range head {
			if !after.Covers(head.Of(uint16(part))) {
				return nil
			}
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (j *parted) ReadAll(_ context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		options, err := options.Normal()
		if err != nil {
			yield(persistence.Page{}, err)
			return
		}
		for {
			page := j.page(options)
			options.After = slices.Clone(page.Next)
			more := yield(page, nil)
			j.mu.Lock()
			j.busy--
			j.mu.Unlock()
			if !more || page.AtHead {
				return
			}
		}
	}
}

func (j *parted) page(options persistence.ReadAllOptions) persistence.Page {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.before != nil {
		j.before(j)
	}
	j.reads++
	j.busy++
	page := persistence.Page{Next: make(persistence.Positions, max(len(options.After), len(j.events))), AtHead: true}
	copy(page.Next, options.After)
	for part, events := range j.events {
		for page.Next[part] < int64(len(events)) {
			if len(page.Events) == options.PageRows {
				page.AtHead = false
				return page
			}
			e := events[page.Next[part]]
			page.Next[part]++
			if e.Type != persistence.TypeGone && (options.System || e.Stream[0] != '$') && (options.Filter == nil || options.Filter.Match(&e)) {
				page.Events = append(page.Events, e)
			}
		}
	}
	return page
}

// second is a journal that can be read once.
type second struct {
	*parted
	err error
}

func (s second) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		if s.reads > 0 {
			yield(persistence.Page{}, s.err)
			return
		}
		s.parted.ReadAll(ctx, options)(yield)
	}
}

// follow is a subscription that a test drives by hand, page by page.
type follow struct {
	next func(persistence.Positions) (persistence.Page, error)
	wait func(persistence.Positions) error
	at   persistence.Positions
	seen []persistence.Recorded
}

func by(t interface{ Context() context.Context }, subscription *tail.Subscription) *follow {
	return &follow{
		next: func(at persistence.Positions) (persistence.Page, error) { return subscription.Next(t.Context(), at) },
		wait: func(at persistence.Positions) error { return subscription.Wait(t.Context(), at) },
	}
}

// step takes one page and reports whether nothing lay behind it.
func (f *follow) step(t require.TestingT) (atHead bool) {
	page, err := f.next(f.at)
	require.NoError(t, err)
	f.seen, f.at = append(f.seen, page.Events...), page.Next
	return page.AtHead
}

func (f *follow) drain(t require.TestingT) {
	for !f.step(t) {
		continue
	}
}

func (f *follow) atHead(journal *parted) bool {
	for part, events := range journal.events {
		if f.at.Of(uint16(part)).Offset < int64(len(events)) {
			return false
		}
	}
	return true
}

// positions shows events by partition, in which alone they have an order.
func positions(events []persistence.Recorded) map[uint16][]string {
	shown := map[uint16][]string{}
	for _, e := range events {
		shown[e.Position.Part] = append(shown[e.Position.Part], fmt.Sprintf("%d.%d %s", e.Position.Offset, e.Sub, e.Type))
	}
	return shown
}

func note(eventType string) persistence.Event { return persistence.Event{Type: eventType} }

func store(t *testing.T, journal persistence.Appender, stream persistence.StreamID, types ...string) {
	t.Helper()
	a := persistence.Append{Stream: stream, Expected: persistence.Any}
	for _, eventType := range types {
		a.Events = append(a.Events, note(eventType))
	}
	outcomes, err := journal.Append(t.Context(), a)
	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
}
