package memory

import (
	"context"
	"iter"

	"github.com/stele-es/stele/persistence"
)

// ReadAll fulfils [persistence.Reader].
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
			if options.Whole {
				j.tellNamed(page.Events)
			}
			next := page.Next.Of(0) // Next itself belongs to the reader
			if !yield(page, nil) || page.AtHead {
				return
			}
			options.After = options.After.With(next)
		}
	}
}

func (l *log) page(options persistence.ReadAllOptions) persistence.Page {
	at, step := options.After.Of(0).Offset, int64(1)
	left := max(l.size-at, 0)
	if options.Backward {
		if len(options.After) == 0 || at > l.size {
			at = l.size + 1
		}
		left, step = max(at-1, 0), -1
	}
	rows, bytes := min(left, int64(options.PageRows)), 0
	page := persistence.Page{Events: make([]persistence.Recorded, 0, min(rows, persistence.DefaultPageRows))}
	for scan := min(left, int64(options.Scan())); scan > 0 && len(page.Events) < options.PageRows; scan-- {
		if l.shows(at+step, options) {
			if bytes += l.at(at + step).bytes(); bytes > options.PageBytes && len(page.Events) > 0 {
				break
			}
			page.Events = append(page.Events, l.recorded(at+step))
		}
		at += step
		left--
	}
	page.Next = options.After.With(persistence.Position{Offset: at})
	page.AtHead = left == 0
	return page
}

// shows reports whether a reader of the sequence gets the event at a position.
func (l *log) shows(position int64, options persistence.ReadAllOptions) bool {
	r := l.at(position)
	if r.event.Type == persistence.TypeGone && !options.Whole || r.stream[0] == '$' && !options.System {
		return false
	}
	if options.Filter == nil {
		return true
	}
	stored := l.stored(position)
	return options.Filter.Match(&stored)
}
