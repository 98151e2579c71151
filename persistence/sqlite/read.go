package sqlite

import (
	"context"
	"iter"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Read fulfils [persistence.Reader]. It reads page by page: events that are
// appended meanwhile come too, when they lie ahead; a stream that is truncated
// or deleted ahead of the reader ends with the error that says so.
func (j *Journal) Read(ctx context.Context, name persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		err := j.pages(ctx, name, options, func(page []persistence.Recorded) bool {
			for i := range page {
				if !yield(page[i], nil) {
					return false
				}
			}
			return true
		})
		if err != nil {
			yield(persistence.Recorded{}, err)
		}
	}
}

// pages calls fn with page after page of a stream until it returns false.
func (j *Journal) pages(ctx context.Context, name persistence.StreamID, options persistence.ReadOptions, fn func([]persistence.Recorded) bool) error {
	if err := checkRead(name, options); err != nil {
		return err
	}
	for c := newCursor(name, options); !c.done; {
		err := j.reading(ctx, func(r *reader) error {
			return r.view(func() error { return c.next(r) })
		})
		if err != nil || !fn(c.page) {
			return err
		}
	}
	return nil
}

func checkRead(name persistence.StreamID, options persistence.ReadOptions) error {
	if err := name.CheckName(); err != nil {
		return err
	}
	return options.Check()
}

// Count fulfils [persistence.Reader]. Without a filter it reads no event.
func (j *Journal) Count(ctx context.Context, name persistence.StreamID, options persistence.ReadOptions) (int, error) {
	if options.Filter == nil {
		return j.count(ctx, name, options)
	}
	count := 0
	err := j.pages(ctx, name, options, func(page []persistence.Recorded) bool {
		count += len(page)
		return true
	})
	if err != nil {
		return 0, err
	}
	return count, nil
}

func (j *Journal) count(ctx context.Context, name persistence.StreamID, options persistence.ReadOptions) (count int, err error) {
	if err := checkRead(name, options); err != nil {
		return 0, err
	}
	err = j.reading(ctx, func(r *reader) error {
		at, _, err := r.find(name)
		if err != nil {
			return err
		}
		c := newCursor(name, options)
		low, high, err := c.span(&at)
		if err == nil && low <= high {
			count = int(min(high-low+1, persistence.Version(c.left)))
		}
		return err
	})
	return count, err
}

// reading calls fn with a reader, unless the journal is closed or the caller
// has left.
func (j *Journal) reading(ctx context.Context, fn func(*reader) error) error {
	if ctx.Err() != nil {
		return journalkit.CallerLeft(ctx)
	}
	return j.readers.with(ctx, fn)
}
