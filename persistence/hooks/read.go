package hooks

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/stele-es/stele/internal/usercode"
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
	if !slices.ContainsFunc(hooks, (*Hook).entersReading) { // nothing is to be called
		for _, hook := range hooks {
			r.entered = append(r.entered, enteredReading{hook: hook})
		}
		return r, nil
	}
	var at *Hook
	err := usercode.Call(func() error {
		for _, at = range hooks {
			if err := r.enter(ctx, at); err != nil {
				return err
			}
		}
		return nil
	})
	if ended, ok := err.(*usercode.EndedError); ok { //nolint:errorlint // Call's own, and not one that a hook has returned
		err = &persistence.UnavailableError{Reason: didNotReturn(at, ended).Error()}
	}
	if err != nil {
		r.end(0, err)
		return nil, err
	}
	return r, nil
}

func (r *reading) enter(ctx context.Context, hook *Hook) error {
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

// show takes events outwards, one behind the other.
func (r *reading) show(ctx context.Context, events []persistence.Recorded) error {
	if len(events) == 0 || !slices.ContainsFunc(r.entered, func(e enteredReading) bool { return e.hook.AfterRead != nil }) {
		return nil
	}
	var at *Hook
	var stream persistence.StreamID // as it was read: the hook may have changed the event's
	var version persistence.Version
	err := usercode.Call(func() error {
		for i := range events {
			for _, e := range slices.Backward(r.entered) {
				if e.hook.AfterRead == nil {
					continue
				}
				at, stream, version = e.hook, events[i].Stream, events[i].Version
				if err := e.hook.AfterRead(ctx, &r.what, &events[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if ended, ok := err.(*usercode.EndedError); ok { //nolint:errorlint // Call's own, and not one that a hook has returned
		return &persistence.CorruptError{Stream: stream, Version: version, Reason: didNotReturn(at, ended).Error()}
	}
	return err
}

// end tells the hooks that the reading has ended.
func (r *reading) end(events int, err error) {
	var calls []call
	for _, e := range slices.Backward(r.entered) {
		if e.after != nil {
			calls = append(calls, call{e.hook, func() { e.after(events, err) }})
		}
	}
	r.journal.tell(r.what.Stream, calls)
}

// finish ends a reading that has all its events at once.
func (r *reading) finish(ctx context.Context, events []persistence.Recorded, err error) ([]persistence.Recorded, error) {
	if err == nil {
		err = r.show(ctx, events)
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
		one := make([]persistence.Recorded, 1)
		for one[0], err = range j.Journal.Read(ctx, r.what.Stream, r.what.Options) {
			if err == nil {
				err = r.show(ctx, one)
			}
			if err != nil {
				yield(persistence.Recorded{}, err)
				return
			}
			events++
			if !yield(one[0], nil) {
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
			if err == nil {
				err = r.show(ctx, page.Events)
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
