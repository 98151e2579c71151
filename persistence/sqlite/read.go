package sqlite

import (
	"context"
	"database/sql/driver"
	"iter"

	"github.com/stele-es/stele/persistence"
)

// Stream returns the version of one stream, or [*persistence.StreamNotFoundError].
func (j *Journal) Stream(ctx context.Context, name persistence.StreamID) (persistence.StreamInfo, error) {
	info := persistence.StreamInfo{Stream: name}
	err := j.reading(ctx, func(r *reader) error {
		row, err := r.findStream.first(string(name))
		if err != nil || row == nil {
			return err
		}
		version, _ := row[1].(int64)
		info.Version = persistence.Version(max(version, 0))
		return nil
	})
	if err == nil && info.Version == 0 {
		err = &persistence.StreamNotFoundError{Stream: name}
	}
	return info, err
}

// Read fulfils [persistence.Reader]. It reads page by page: events that are
// appended meanwhile come too, when they lie ahead.
func (j *Journal) Read(ctx context.Context, name persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		if err := options.Check(); err != nil {
			yield(persistence.Recorded{}, err)
			return
		}
		for c := newCursor(name, options); !c.done; {
			err := j.reading(ctx, c.next)
			if err == nil && c.missing {
				err = &persistence.StreamNotFoundError{Stream: name}
			}
			if err != nil {
				yield(persistence.Recorded{}, err)
				return
			}
			for i := range c.page {
				if !yield(c.page[i], nil) {
					return
				}
			}
		}
	}
}

// ReadPages fulfils [persistence.PageReader], on one connection.
func (j *Journal) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	pages := make([]persistence.StreamPage, len(requests))
	err := j.reading(ctx, func(r *reader) error {
		for i := range requests {
			if ctx.Err() != nil {
				return errLeft(ctx)
			}
			pages[i] = r.page(&requests[i])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pages, nil
}

func (r *reader) page(request *persistence.PageRequest) persistence.StreamPage {
	options := persistence.ReadOptions{From: request.From, Limit: request.Limit}
	if err := options.Check(); err != nil {
		return persistence.StreamPage{Err: err}
	}
	if request.Limit == 0 {
		return persistence.StreamPage{Err: &persistence.InvalidError{Field: "limit", Reason: "must be positive"}}
	}
	var page persistence.StreamPage
	for c := newCursor(request.Stream, options); !c.done; {
		if err := c.next(r); err != nil {
			return persistence.StreamPage{Err: definite(err)}
		}
		page.Events = append(page.Events, c.page...)
	}
	return page
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
			var page persistence.Page
			err := j.reading(ctx, func(r *reader) (err error) {
				page, err = r.pageOfAll(options)
				return err
			})
			if err != nil {
				yield(persistence.Page{}, err)
				return
			}
			next := page.Next.Of(0) // Next itself belongs to the reader
			if !yield(page, nil) || page.AtHead {
				return
			}
			options.After = options.After.With(next)
		}
	}
}

// pageOfAll reads one row more than it gives, to know whether it is at the head.
func (r *reader) pageOfAll(options persistence.ReadAllOptions) (persistence.Page, error) {
	page := persistence.Page{AtHead: true}
	at, rows, bytes := options.After.Of(0).Offset, 0, 0
	var broken error
	err := r.readAll.each([]driver.Value{at, int64(options.PageRows) + 1}, func(row []driver.Value) bool {
		name, _ := row[len(row)-1].(string)
		recorded, size, err := decode(row, persistence.StreamID(name))
		if err == nil && (name == "" || recorded.Position.Offset != at+1) {
			err = &persistence.CorruptError{Stream: recorded.Stream, Version: recorded.Version, Reason: "the position before it is missing"}
		}
		if err != nil {
			broken = err
			return false
		}
		hidden := name[0] == '$' && !options.System
		if !hidden {
			bytes += size
		}
		if rows == options.PageRows || bytes > options.PageBytes && len(page.Events) > 0 {
			page.AtHead = false
			return false
		}
		at, rows = recorded.Position.Offset, rows+1
		if !hidden {
			page.Events = append(page.Events, recorded)
		}
		return true
	})
	if err == nil {
		err = broken
	}
	page.Next = options.After.With(persistence.Position{Offset: at})
	return page, err
}

// reading calls fn with a reader, unless the journal is closed or the caller
// has left.
func (j *Journal) reading(ctx context.Context, fn func(*reader) error) error {
	if ctx.Err() != nil {
		return errLeft(ctx)
	}
	return j.readers.with(ctx, fn)
}
