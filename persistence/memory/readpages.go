package memory

import (
	"context"
	"errors"

	"github.com/stele-es/stele/persistence"
)

// ReadPages fulfils [persistence.PageReader].
func (j *Journal) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	pages := make([]persistence.StreamPage, len(requests))
	for i, request := range requests {
		page := &pages[i]
		if request.Limit == 0 {
			page.Err = &persistence.InvalidError{Field: "limit", Reason: "must be positive"}
			continue
		}
		options := persistence.ReadOptions{From: request.From, Limit: request.Limit}
		view, err := j.streamView(ctx, &j.state, request.Stream, options)
		switch {
		case err == nil:
			page.Events = view.page(options)
		case errors.Is(err, persistence.ErrUnavailable):
			return nil, err
		case !errors.Is(err, persistence.ErrStreamNotFound):
			page.Err = err
		}
	}
	return pages, nil
}

// page copies the events that forward options without a filter choose.
func (v *streamView) page(options persistence.ReadOptions) []persistence.Recorded {
	from, to, _ := v.span(options)
	to = from + min(options.Limit, to-from)
	events := make([]persistence.Recorded, 0, to-from)
	for _, position := range v.positions[from:to] {
		events = append(events, v.log.recorded(position))
	}
	return events
}
