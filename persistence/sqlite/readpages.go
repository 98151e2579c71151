package sqlite

import (
	"context"
	"errors"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// ReadPages fulfils [persistence.PageReader], on one connection.
func (j *Journal) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	pages := make([]persistence.StreamPage, len(requests))
	err := j.reading(ctx, func(r *reader) error {
		for i := range requests {
			if ctx.Err() != nil {
				return journalkit.CallerLeft(ctx)
			}
			pages[i] = readPage(r, &requests[i])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pages, nil
}

// readPage answers one request. A failure is the error of its page alone.
func readPage(r *reader, request *persistence.PageRequest) (page persistence.StreamPage) {
	if request.Limit == 0 {
		return persistence.StreamPage{Err: &persistence.InvalidError{Field: "limit", Reason: "must be positive"}}
	}
	options := persistence.ReadOptions{From: request.From, Limit: request.Limit}
	if err := checkRead(request.Stream, options); err != nil {
		return persistence.StreamPage{Err: err}
	}
	for c := newCursor(request.Stream, options); !c.done; {
		err := r.view(func() error { return c.next(r) })
		if _, missing := errors.AsType[*persistence.StreamNotFoundError](err); missing {
			return persistence.StreamPage{}
		}
		if err != nil {
			return persistence.StreamPage{Err: answer(err)}
		}
		page.Events = append(page.Events, c.page...)
	}
	return page
}
