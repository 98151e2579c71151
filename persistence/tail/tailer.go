package tail

import (
	"context"
	"sync/atomic"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/upcast"
)

// DefaultBytes is the number of bytes that a [Tailer] keeps by default.
const DefaultBytes = 32 << 20

// Config says what a [Tailer] reads and how much it keeps.
type Config struct {
	// Reader is the source of events: a journal, or package upcast's Reader in front of
	// one. It is required.
	Reader persistence.Reader
	// Bytes bounds the pages that are kept for subscribers who come a little later:
	// payloads, headers and metadata, and something for each event. The default is
	// [DefaultBytes], also for less than nothing; the newest page is kept in any case.
	Bytes int
	// PageRows bounds the events of a page that is read for all. The default is
	// [persistence.DefaultPageRows], also for less than nothing.
	PageRows int
}

// Tailer reads the newest pages of a journal once for all who follow it. One for a
// journal and a process is enough. Use [NewTailer]. It is safe for concurrent use,
// and needs no closing.
type Tailer struct {
	stored persistence.Reader // as they are stored
	chain  *upcast.Chain
	behind direct // for subscribers who are behind the ring
	rows   int
	ring   *ring

	// turn is held by the subscriber who reads, or waits for something to read, at
	// the end of the ring for all others.
	turn chan struct{}
	// followers are those who follow at this moment.
	followers atomic.Int64
}

// NewTailer returns a tailer that has read nothing yet.
func NewTailer(config Config) *Tailer {
	t := &Tailer{behind: direct{config.Reader}, rows: max(0, config.PageRows), ring: newRing(config.Bytes), turn: make(chan struct{}, 1)}
	t.stored, t.chain = upcast.Split(config.Reader)
	return t
}

// Open is the package's Open for a subscription that shares its pages.
func (t *Tailer) Open(ctx context.Context, options Options) (*Subscription, error) {
	return open(ctx, t.behind.reader, t, options)
}

// page fulfils source.
func (t *Tailer) page(ctx context.Context, after persistence.Positions, wants *selection) (persistence.Page, error) {
	for {
		view := t.ring.look(after)
		switch view.place {
		case inside:
			return t.serve(view, after, wants)
		case behind:
			return t.behind.page(ctx, after, wants)
		case atHead:
			return persistence.Page{Next: merge(after, view.page.next), AtHead: true}, nil
		case atEnd:
			if view.page != nil && t.followers.Load() == 1 {
				// Nobody else would use the page, and a follower that reads for itself need
				// not read what it does not choose. The first page is for those who begin a
				// little later.
				return t.behind.page(ctx, after, wants)
			}
			if err := t.lead(ctx, after, view, false); err != nil {
				return persistence.Page{}, err
			}
		}
	}
}

// wait fulfils source.
func (t *Tailer) wait(ctx context.Context, after persistence.Positions) error {
	view := t.ring.look(after)
	if view.place != atHead && view.place != atEnd {
		return nil
	}
	// The follower that waits holds the turn. Before, it tells the others that this is
	// the end, unless the one that read for all has done so.
	return t.lead(ctx, after, view, view.place == atHead)
}

// eventAt fulfils source.
func (t *Tailer) eventAt(position persistence.Position) (persistence.EventID, bool) {
	return t.ring.eventAt(position)
}

// follow fulfils source.
func (t *Tailer) follow() (leave func()) {
	t.followers.Add(1)
	return func() { t.followers.Add(-1) }
}

// lead sees to it that the ring grows beyond a place at its end: by reading, after
// waiting for something to read if need be, or by leaving that to another
// subscriber who is at it already. It returns nil when it is worth looking again.
func (t *Tailer) lead(ctx context.Context, after persistence.Positions, view view, wait bool) error {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-view.grown:
		return nil
	case <-ctx.Done():
		return left(ctx, nil)
	}
	if t.ring.look(after).place != view.place {
		return nil // another one has been quicker
	}
	if wait {
		if err := t.stored.Wait(ctx, after); err != nil {
			return err
		}
	}
	page, err := t.read(ctx, after)
	if err == nil {
		t.ring.push(after, page)
	}
	return err
}

// read reads the next page for all. Positions have no gaps, but events that were
// scavenged do not show; so it looks again where one is missing. An event that shows
// then was committed behind a reader's back, and somebody may have missed it.
func (t *Tailer) read(ctx context.Context, after persistence.Positions) (persistence.Page, error) {
	everything := &selection{system: true, rows: t.rows}
	page, err := direct{t.stored}.page(ctx, after, everything)
	if err != nil {
		return page, err
	}
	if err := inOrder(after, &page); err != nil {
		return page, err
	}
	if gapless(after, &page) {
		return page, nil
	}
	again, err := direct{t.stored}.page(ctx, after, everything)
	if err != nil {
		return page, err
	}
	shown := make(map[persistence.Position]bool, len(page.Events))
	for i := range page.Events {
		shown[page.Events[i].Position] = true
	}
	for i := range again.Events {
		if e := &again.Events[i]; page.Next.Covers(e.Position) && !shown[e.Position] {
			return page, &persistence.CorruptError{
				Stream: e.Stream, Version: e.Version, Reason: "it appeared behind what had been read, at position " + e.Position.String(),
			}
		}
	}
	return page, nil
}

// gapless reports whether a page shows an event at every position that it covers.
func gapless(after persistence.Positions, page *persistence.Page) bool {
	covered := int64(0)
	for part, offset := range page.Next {
		covered += offset - after.Of(uint16(part)).Offset //nolint:gosec // partitions are numbered by it
	}
	return covered == int64(len(page.Events)) // which are in order, so none stands twice
}

// serve makes a page of what the ring holds behind a place. What stands side by
// side there and is wanted as it is, is not copied.
func (t *Tailer) serve(view view, after persistence.Positions, wants *selection) (persistence.Page, error) {
	shared := view.page
	page := persistence.Page{Next: merge(after, nil)}
	rows, bytes, begin, together := 0, 0, 0, true
	for i := range shared.events {
		e := &shared.events[i]
		if after.Covers(e.Position) {
			continue
		}
		if wants.chooses(e) {
			bytes += shared.sizes[i]
			if rows == wants.rows || rows > 0 && bytes > wants.bytes {
				return page, nil
			}
			if rows == 0 {
				begin = i
			}
			if together = together && begin+rows == i && !t.chain.Touches(e.Type); together {
				page.Events = shared.events[begin : i+1 : i+1]
			} else if err := t.add(&page, e); err != nil {
				if rows > 0 {
					return page, nil // the error comes when what is before it has been seen
				}
				return persistence.Page{}, err
			}
			rows++
		}
		page.Next = extend(page.Next, e.Position)
	}
	page.Next = merge(page.Next, shared.next)
	page.AtHead = view.newest && view.live
	return page, nil
}

// add adds what a stored event is today.
func (t *Tailer) add(page *persistence.Page, stored *persistence.Recorded) error {
	today, err := t.chain.Upcast(page.Events, stored)
	if err == nil {
		page.Events = today
	}
	return err
}
