package upcast

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"

	"github.com/stele-es/stele/persistence"
)

// Reader reads through a chain. The reader behind it must yield events as they are
// stored. The differences from reading without a chain:
//
//   - Filters choose among the events as they are stored, before upcasting.
//   - Limit, and Count, count the stored events of which at least one is left.
//     Counting therefore reads, when the chain may drop events.
//   - A stream of which nothing is left yields nothing; it exists all the same.
//   - A page may hold more events than PageRows, because it counts stored ones.
//   - An event that cannot be upcast ends the reading with a
//     [*persistence.CorruptError], behind everything that comes before it.
//
// The result is a [persistence.PageReader] exactly when reader is one.
func Reader(reader persistence.Reader, chain *Chain) persistence.Reader {
	if chain == nil || len(chain.upcasters) == 0 {
		return reader
	}
	r := &reading{reader, chain}
	if pages, ok := pageReader(reader); ok {
		return &pageReading{r, pages}
	}
	return r
}

// Split undoes [Reader]: it returns the reader of the events as they are stored,
// and the chain, which is nil when there is none.
func Split(reader persistence.Reader) (stored persistence.Reader, chain *Chain) {
	switch r := reader.(type) {
	case *reading:
		return r.Reader, r.chain
	case *pageReading:
		return r.Reader, r.chain
	}
	return reader, nil
}

func pageReader(reader persistence.Reader) (persistence.PageReader, bool) {
	if journal, ok := reader.(persistence.Journal); ok {
		return persistence.As[persistence.PageReader](journal)
	}
	pages, ok := reader.(persistence.PageReader)
	return pages, ok
}

// reading passes on what has nothing to do with the form of events.
type reading struct {
	persistence.Reader
	chain *Chain
}

// Read fulfils [persistence.Reader].
func (r *reading) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		for rest, more := options, true; more; {
			rest, more = r.part(ctx, stream, rest, yield)
		}
	}
}

// part reads once. Dropped events leave a part below its limit; rest is then what
// is still to be read behind it.
func (r *reading) part(
	ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions, yield func(persistence.Recorded, error) bool,
) (rest persistence.ReadOptions, more bool) {
	var today []persistence.Recorded
	stored, left, last := 0, 0, persistence.Version(0)
	for recorded, err := range r.Reader.Read(ctx, stream, options) {
		if err == nil {
			today, err = r.chain.Upcast(today[:0], &recorded)
		}
		if err != nil {
			yield(persistence.Recorded{}, err)
			return rest, false
		}
		for i := range today {
			if !yield(today[i], nil) {
				return rest, false
			}
		}
		stored, last = stored+1, recorded.Version
		if len(today) > 0 {
			left++
		}
	}
	if stored < options.Limit || stored == left || options.Backward && last == 1 {
		return rest, false
	}
	rest = options
	rest.Limit -= left
	rest.From = last + 1
	if options.Backward {
		rest.From = last - 1
	}
	return rest, options.Limit > 0
}

// Count fulfils [persistence.Reader].
func (r *reading) Count(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
	if !r.chain.drops {
		return r.Reader.Count(ctx, stream, options)
	}
	count := 0
	for recorded, err := range r.Read(ctx, stream, options) {
		if err != nil {
			return 0, err
		}
		if recorded.Sub == 0 {
			count++
		}
	}
	return count, nil
}

// ReadAll fulfils [persistence.Reader].
func (r *reading) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		at := options.After
		for page, err := range r.Reader.ReadAll(ctx, options) {
			next := slices.Clone(page.Next) // the page's own belongs to its reader
			if err == nil {
				page, err = r.chain.page(page, at, options.Backward)
			}
			if err == nil || len(page.Events) > 0 {
				if !yield(page, nil) {
					return
				}
			}
			if err != nil {
				yield(persistence.Page{}, err)
				return
			}
			at = next
		}
	}
}

// page is a page of today's events, which begins behind a place. An event that
// cannot be upcast ends it early, with the error.
func (c *Chain) page(page persistence.Page, at persistence.Positions, backward bool) (persistence.Page, error) {
	touches := func(stored persistence.Recorded) bool { return c.Touches(stored.Type) }
	if !slices.ContainsFunc(page.Events, touches) {
		return page, nil
	}
	today := make([]persistence.Recorded, 0, len(page.Events))
	for i := range page.Events {
		var err error
		if today, err = c.Upcast(today, &page.Events[i]); err != nil {
			next := before(page.Events[:i+1], page.Next, at, backward)
			return persistence.Page{Events: today, Next: next}, err
		}
	}
	page.Events = today
	return page, nil
}

// before is the place from which the last of some stored events would be read
// next, when at is the place from which the first one was.
func before(events []persistence.Recorded, parts, at persistence.Positions, backward bool) persistence.Positions {
	next := make(persistence.Positions, len(parts))
	for part := range next {
		next[part] = at.Of(uint16(part)).Offset //nolint:gosec // partitions are numbered by it
		if backward && len(at) == 0 {
			next[part] = math.MaxInt64 // at the head
		}
	}
	for i := range events {
		next[events[i].Position.Part] = events[i].Position.Offset
	}
	last := events[len(events)-1].Position
	if backward {
		last.Offset++
	} else {
		last.Offset--
	}
	next[last.Part] = last.Offset
	return next
}

// pageReading is a reading that also reads the pages of many streams.
type pageReading struct {
	*reading
	pages persistence.PageReader
}

// ReadPages fulfils [persistence.PageReader]. A page from which events were
// dropped is filled up from its stream.
func (r *pageReading) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	pages, err := r.pages.ReadPages(ctx, requests)
	if err != nil {
		return nil, err
	}
	for i := range pages {
		if pages[i].Err == nil {
			pages[i] = r.fill(ctx, requests[i], pages[i].Events)
		}
	}
	return pages, nil
}

func (r *pageReading) fill(ctx context.Context, request persistence.PageRequest, events []persistence.Recorded) persistence.StreamPage {
	var page persistence.StreamPage
	left := 0
	for i := range events {
		before := len(page.Events)
		var err error
		if page.Events, err = r.chain.Upcast(page.Events, &events[i]); err != nil {
			return persistence.StreamPage{Err: err}
		}
		if len(page.Events) > before {
			left++
		}
	}
	if len(events) < request.Limit || left == request.Limit {
		return page
	}
	rest := persistence.ReadOptions{From: events[len(events)-1].Version + 1, Limit: request.Limit - left}
	for recorded, err := range r.Read(ctx, request.Stream, rest) {
		switch {
		case errors.Is(err, persistence.ErrStreamNotFound):
			return page // deleted since, so nothing follows
		case err != nil:
			return persistence.StreamPage{Err: err}
		}
		page.Events = append(page.Events, recorded)
	}
	return page
}
