package tail

import (
	"slices"
	"sort"
	"sync"

	"github.com/stele-es/stele/persistence"
)

// ring keeps the newest pages that were read for all. Each page goes on where the
// one before it ends.
type ring struct {
	limit int

	mu    sync.RWMutex // protects the rest
	pages []*sharedPage
	bytes int
	live  bool          // nothing lay behind the newest page when it was read
	grown chan struct{} // closed by the next push
}

// sharedPage is everything that was stored between two places. It never changes.
type sharedPage struct {
	from, next persistence.Positions
	events     []persistence.Recorded
	sizes      []int // of the events
	bytes      int
}

func newRing(limit int) *ring {
	if limit <= 0 {
		limit = DefaultBytes
	}
	return &ring{limit: limit, grown: make(chan struct{})}
}

// place is where a subscriber stands.
type place uint8

const (
	behind place = iota // older than all that is kept
	inside              // there is a page for it
	atEnd               // it has seen all that is kept
	atHead              // likewise, and the journal had nothing more
)

// view is the part of the ring that a subscriber sees at a moment.
type view struct {
	place
	page   *sharedPage // inside: the first one that holds something for it; atEnd, atHead: the newest, if any
	newest bool        // page is the newest
	live   bool
	grown  <-chan struct{}
}

// look finds what follows a place.
func (r *ring) look(after persistence.Positions) view {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v := view{grown: r.grown, live: r.live}
	n := len(r.pages)
	switch {
	case n == 0:
		v.place = atEnd
	case covers(after, r.pages[n-1].next):
		v.place, v.page = atEnd, r.pages[n-1]
		if r.live && covers(v.page.next, after) {
			v.place = atHead
		}
	case covers(after, r.pages[0].from):
		// A place that covers a page's end covers the ends of the pages before it.
		i := sort.Search(n, func(i int) bool { return !covers(after, r.pages[i].next) })
		v.place, v.page, v.newest = inside, r.pages[i], i == n-1
	}
	return v
}

// push adds a page that was read behind a place. When the place is not the end of
// the ring but beyond it, the ring begins anew: whoever needs what it held is
// behind then and reads by itself.
func (r *ring) push(after persistence.Positions, page persistence.Page) {
	added := &sharedPage{
		from: slices.Clone(after), next: slices.Clone(page.Next), events: page.Events, sizes: make([]int, len(page.Events)), bytes: perPage,
	}
	for i := range added.events {
		added.sizes[i] = size(&added.events[i])
		added.bytes += added.sizes[i]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.pages); n > 0 && !covers(r.pages[n-1].next, after) {
		r.pages, r.bytes = nil, 0
	}
	if len(r.pages) == 0 || len(added.events) > 0 || !covers(added.from, added.next) {
		r.pages = append(r.pages, added)
		r.bytes += added.bytes
	}
	for r.bytes > r.limit && len(r.pages) > 1 {
		r.bytes -= r.pages[0].bytes
		r.pages[0] = nil // the array behind the slice must not keep it
		r.pages = r.pages[1:]
	}
	r.live = page.AtHead
	close(r.grown)
	r.grown = make(chan struct{})
}

// eventAt returns the id of an event that is kept.
func (r *ring) eventAt(position persistence.Position) (persistence.EventID, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, page := range slices.Backward(r.pages) {
		if page.from.Covers(position) || !page.next.Covers(position) {
			continue
		}
		for i := range page.events {
			if page.events[i].Position == position {
				return page.events[i].ID, true
			}
		}
	}
	return persistence.EventID{}, false
}

// The bytes that a page and an event count beside their content.
const (
	perPage  = 256
	perEvent = 256
)

// size is the number of bytes that an event counts in a page and in the ring.
func size(e *persistence.Recorded) int {
	size := perEvent + len(e.Stream) + len(e.Type) + len(e.Payload) + len(e.Headers)
	for key, value := range e.Metadata {
		text, _ := value.AsString()
		size += len(key) + len(text)
	}
	for _, tag := range e.Tags {
		size += len(tag)
	}
	return size
}
