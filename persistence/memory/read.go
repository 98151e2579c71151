package memory

import (
	"context"
	"iter"

	"github.com/stele-es/stele/persistence"
)

// view returns the log as it is; it stays so while the journal goes on.
func (j *Journal) view(ctx context.Context) (log, error) {
	if ctx.Err() != nil {
		return log{}, errLeft(ctx)
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed {
		return log{}, errClosed()
	}
	return j.log, nil
}

// streamView returns the positions of one stream too; a missing one has none.
func (j *Journal) streamView(ctx context.Context, id persistence.StreamID) (log, []int64, error) {
	if ctx.Err() != nil {
		return log{}, nil, errLeft(ctx)
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed {
		return log{}, nil, errClosed()
	}
	s := j.streams[id]
	if s == nil {
		return j.log, nil, nil
	}
	return j.log, s.positions, nil
}

// Read fulfils [persistence.Reader]. Each range over it reads the stream as it
// is at that moment.
func (j *Journal) Read(ctx context.Context, id persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		if err := options.Check(); err != nil {
			yield(persistence.Recorded{}, err)
			return
		}
		view, positions, err := j.streamView(ctx, id)
		if err == nil && len(positions) == 0 {
			err = &persistence.StreamNotFoundError{Stream: id}
		}
		if err != nil {
			yield(persistence.Recorded{}, err)
			return
		}
		first, last, step := span(options, len(positions))
		for i := first; i != last; i += step {
			if ctx.Err() != nil {
				yield(persistence.Recorded{}, errLeft(ctx))
				return
			}
			if !yield(view.recorded(positions[i]), nil) {
				return
			}
		}
	}
}

// span says which indexes of a stream with count events to visit: from first by
// step until, and without, last.
func span(options persistence.ReadOptions, count int) (first, last, step int) {
	limit := options.Limit
	if limit == 0 || limit > count {
		limit = count
	}
	if options.Backward {
		first = count - 1
		if options.From > 0 && options.From < persistence.Version(count) {
			first = int(options.From) - 1
		}
		return first, max(first-limit, -1), -1
	}
	if options.From > 0 {
		first = int(min(options.From-1, persistence.Version(count)))
	}
	return first, min(first+limit, count), 1
}

// ReadPages fulfils [persistence.PageReader].
func (j *Journal) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	pages := make([]persistence.StreamPage, len(requests))
	for i, request := range requests {
		options := persistence.ReadOptions{From: request.From, Limit: request.Limit}
		if pages[i].Err = options.Check(); pages[i].Err != nil {
			continue
		}
		if request.Limit == 0 {
			pages[i].Err = &persistence.InvalidError{Field: "limit", Reason: "must be positive"}
			continue
		}
		view, positions, err := j.streamView(ctx, request.Stream)
		if err != nil {
			return nil, err
		}
		first, last, _ := span(options, len(positions))
		pages[i].Events = make([]persistence.Recorded, 0, last-first)
		for _, position := range positions[first:last] {
			pages[i].Events = append(pages[i].Events, view.recorded(position))
		}
	}
	return pages, nil
}

// ReadAll fulfils [persistence.Reader]. PageRows bounds the part of the sequence
// that a page covers, hidden events included; PageBytes what it yields.
func (j *Journal) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		options, err := options.Normal()
		if err != nil {
			yield(persistence.Page{}, err)
			return
		}
		for {
			view, err := j.view(ctx)
			if err != nil {
				yield(persistence.Page{}, err)
				return
			}
			page := view.page(options)
			next := page.Next.Of(0) // Next itself belongs to the reader
			if !yield(page, nil) || page.AtHead {
				return
			}
			options.After = options.After.With(next)
		}
	}
}

func (l *log) page(options persistence.ReadAllOptions) persistence.Page {
	var page persistence.Page
	at, bytes := options.After.Of(0).Offset, 0
	end := at + min(int64(options.PageRows), max(l.size-at, 0))
	page.Events = make([]persistence.Recorded, 0, min(end-at, persistence.DefaultPageRows))
	for ; at < end; at++ {
		r := l.at(at + 1)
		if r.stream[0] == '$' && !options.System {
			continue
		}
		if bytes += r.bytes(); bytes > options.PageBytes && len(page.Events) > 0 {
			break
		}
		page.Events = append(page.Events, l.recorded(at+1))
	}
	page.Next = options.After.With(persistence.Position{Offset: at})
	page.AtHead = at >= l.size
	return page
}
