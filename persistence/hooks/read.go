package hooks

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/stele-es/stele/persistence"
)

// reading is a call that reads, on its way through the hooks.
type reading struct {
	journal *Journal
	what    Reading
	entered []enteredReading
}

type enteredReading struct {
	hook  *Hook
	after func(events int, err error)
}

// beginReading takes a call inwards, until a hook refuses.
func (j *Journal) beginReading(ctx context.Context, hooks []*Hook, what Reading) (*reading, error) {
	r := &reading{journal: j, what: what, entered: make([]enteredReading, 0, len(hooks))}
	for _, hook := range hooks {
		if err := r.enter(ctx, hook); err != nil {
			r.end(0, err)
			return nil, err
		}
	}
	return r, nil
}

func (r *reading) enter(ctx context.Context, hook *Hook) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = &persistence.UnavailableError{Reason: panicked(hook, reason)}
		}
	}()
	if hook.BeforeRead != nil {
		if err := hook.BeforeRead(ctx, &r.what); err != nil {
			return err
		}
	}
	var after func(int, error)
	if hook.AroundRead != nil {
		after = hook.AroundRead(ctx, &r.what)
	}
	r.entered = append(r.entered, enteredReading{hook, after})
	return nil
}

// event takes one event outwards.
func (r *reading) event(ctx context.Context, recorded *persistence.Recorded) error {
	for _, e := range slices.Backward(r.entered) {
		if err := r.show(ctx, e.hook, recorded); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) show(ctx context.Context, hook *Hook, recorded *persistence.Recorded) (err error) {
	if hook.AfterRead == nil {
		return nil
	}
	stream, version := recorded.Stream, recorded.Version
	defer func() {
		if reason := recover(); reason != nil {
			err = &persistence.CorruptError{Stream: stream, Version: version, Reason: panicked(hook, reason)}
		}
	}()
	return hook.AfterRead(ctx, &r.what, recorded)
}

// end tells the hooks that the reading has ended.
func (r *reading) end(events int, err error) {
	for _, e := range slices.Backward(r.entered) {
		if e.after != nil {
			r.tell(e, events, err)
		}
	}
}

func (r *reading) tell(e enteredReading, events int, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			r.journal.logger.Error("hook panicked", "stream", r.what.Stream, "err", panicked(e.hook, reason))
		}
	}()
	e.after(events, err)
}

// finish ends a reading that has all its events at once.
func (r *reading) finish(ctx context.Context, events []persistence.Recorded, err error) ([]persistence.Recorded, error) {
	for i := range events {
		if err != nil {
			break
		}
		err = r.event(ctx, &events[i])
	}
	if err != nil {
		events = nil
	}
	r.end(len(events), err)
	return events, err
}

// Read fulfils [persistence.Reader].
func (j *Journal) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		hooks := j.hooks.Load().reading
		if len(hooks) == 0 {
			j.Journal.Read(ctx, stream, options)(yield)
			return
		}
		r, err := j.beginReading(ctx, hooks, Reading{Stream: stream, Options: options})
		if err != nil {
			yield(persistence.Recorded{}, err)
			return
		}
		events := 0
		defer func() { r.end(events, err) }()
		var recorded persistence.Recorded
		for recorded, err = range j.Journal.Read(ctx, r.what.Stream, r.what.Options) {
			if err == nil {
				err = r.event(ctx, &recorded)
			}
			if err != nil {
				yield(persistence.Recorded{}, err)
				return
			}
			events++
			if !yield(recorded, nil) {
				return
			}
		}
	}
}

// ReadAll fulfils [persistence.Reader].
func (j *Journal) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		hooks := j.hooks.Load().reading
		if len(hooks) == 0 {
			j.Journal.ReadAll(ctx, options)(yield)
			return
		}
		r, err := j.beginReading(ctx, hooks, Reading{All: options})
		if err != nil {
			yield(persistence.Page{}, err)
			return
		}
		events := 0
		defer func() { r.end(events, err) }()
		var page persistence.Page
		for page, err = range j.Journal.ReadAll(ctx, r.what.All) {
			for i := 0; err == nil && i < len(page.Events); i++ {
				err = r.event(ctx, &page.Events[i])
			}
			if err != nil {
				yield(persistence.Page{}, err)
				return
			}
			events += len(page.Events)
			if !yield(page, nil) {
				return
			}
		}
	}
}

// Count fulfils [persistence.Reader].
func (j *Journal) Count(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
	hooks := j.hooks.Load().reading
	if len(hooks) == 0 {
		return j.Journal.Count(ctx, stream, options)
	}
	r, err := j.beginReading(ctx, hooks, Reading{Stream: stream, Options: options, Count: true})
	if err != nil {
		return 0, err
	}
	count, err := j.Journal.Count(ctx, r.what.Stream, r.what.Options)
	r.end(count, err)
	return count, err
}

// ReadPages fulfils [persistence.PageReader].
func (j *Journal) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	if j.pages == nil {
		return nil, unable("PageReader")
	}
	hooks := j.hooks.Load().reading
	if len(hooks) == 0 {
		return j.pages.ReadPages(ctx, requests)
	}
	pages := make([]persistence.StreamPage, len(requests))
	begun := make([]*reading, len(requests))
	var passed []persistence.PageRequest
	for i, request := range requests {
		options := persistence.ReadOptions{From: request.From, Limit: request.Limit}
		begun[i], pages[i].Err = j.beginReading(ctx, hooks, Reading{Stream: request.Stream, Options: options})
		if begun[i] != nil && begun[i].paged() {
			passed = append(passed, persistence.PageRequest{
				Stream: begun[i].what.Stream, From: begun[i].what.Options.From, Limit: begun[i].what.Options.Limit,
			})
		}
	}
	got, err := j.pages.ReadPages(ctx, passed)
	for i, r := range begun {
		if r == nil {
			continue
		}
		page := persistence.StreamPage{Err: err}
		switch {
		case err != nil:
		case r.paged():
			page, got = got[0], got[1:]
		default:
			page = r.alone(ctx)
		}
		pages[i].Events, pages[i].Err = r.finish(ctx, page.Events, page.Err)
	}
	if err != nil {
		return nil, err
	}
	return pages, nil
}

// paged reports whether a page can be asked for what is to be read. A hook may
// have made it more than that. An invalid limit is left to the journal, which
// knows what to say: alone it would mean everything.
func (r *reading) paged() bool {
	return r.what.Options.Filter == nil && !r.what.Options.Backward || r.what.Options.Limit <= 0
}

// alone reads the events of a page that cannot be asked for.
func (r *reading) alone(ctx context.Context) (page persistence.StreamPage) {
	for recorded, err := range r.journal.Journal.Read(ctx, r.what.Stream, r.what.Options) {
		switch {
		case errors.Is(err, persistence.ErrStreamNotFound):
			return page
		case err != nil:
			return persistence.StreamPage{Err: err}
		}
		page.Events = append(page.Events, recorded)
	}
	return page
}
