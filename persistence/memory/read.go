package memory

import (
	"context"
	"iter"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// view returns the log as it is; it stays so while the journal goes on.
func (j *Journal) view(ctx context.Context) (log, error) {
	if err := j.lockToRead(ctx); err != nil {
		return log{}, err
	}
	defer j.mu.RUnlock()
	return j.state.log, nil
}

// streamView is a stream as it was at a moment.
type streamView struct {
	log       log
	positions []int64
	first     persistence.Version
}

// streamView returns the stream that the options are to read, or the error that
// [persistence.Reader] promises for it.
func (j *Journal) streamView(ctx context.Context, st *state, id persistence.StreamID, options persistence.ReadOptions) (streamView, error) {
	if err := id.CheckName(); err != nil {
		return streamView{}, err
	}
	if err := options.Check(); err != nil {
		return streamView{}, err
	}
	if err := j.lockToRead(ctx); err != nil {
		return streamView{}, err
	}
	defer j.mu.RUnlock()
	s := st.find(id)
	if !s.exists() {
		return streamView{}, &persistence.StreamNotFoundError{Stream: id}
	}
	if !options.Backward && options.From > 0 && options.From < s.first && s.first <= s.version() {
		return streamView{}, &persistence.TruncatedError{Stream: id, First: s.first}
	}
	return streamView{st.log, s.positions, s.first}, nil
}

// choose calls visit with the position of each event that the options choose, in
// their order, until it returns false. It returns early when ctx ends.
func (v *streamView) choose(ctx context.Context, options persistence.ReadOptions, visit func(position int64) bool) error {
	left := options.Limit
	from, to, step := v.span(options)
	for i := from; i != to; i += step {
		if ctx.Err() != nil {
			return journalkit.CallerLeft(ctx)
		}
		if options.Filter != nil {
			if stored := v.log.stored(v.positions[i]); !options.Filter.Match(&stored) {
				continue
			}
		}
		if !visit(v.positions[i]) {
			return nil
		}
		if left--; left == 0 {
			return nil
		}
	}
	return nil
}

// span says which indexes may be chosen: from one by step until, and without, the
// other.
func (v *streamView) span(options persistence.ReadOptions) (from, to, step int) {
	first, count := int(v.first)-1, len(v.positions)
	if options.Backward {
		from = count - 1
		if options.From > 0 && options.From < persistence.Version(count) {
			from = int(options.From) - 1
		}
		return max(from, first-1), first - 1, -1
	}
	if options.From > 0 {
		from = int(min(options.From-1, persistence.Version(count)))
	}
	return max(from, first), count, 1
}

// Read fulfils [persistence.Reader]. Each range over it reads the stream as it
// is at that moment.
func (j *Journal) Read(ctx context.Context, id persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		view, err := j.streamView(ctx, &j.state, id, options)
		if err == nil {
			err = view.choose(ctx, options, func(position int64) bool { return yield(view.log.recorded(position), nil) })
		}
		if err != nil {
			yield(persistence.Recorded{}, err)
		}
	}
}

// Count fulfils [persistence.Reader].
func (j *Journal) Count(ctx context.Context, id persistence.StreamID, options persistence.ReadOptions) (int, error) {
	view, err := j.streamView(ctx, &j.state, id, options)
	if err != nil {
		return 0, err
	}
	count := 0
	if err := view.choose(ctx, options, func(int64) bool { count++; return true }); err != nil {
		return 0, err
	}
	return count, nil
}

// tellNamed fills in which ids are recognised.
func (j *Journal) tellNamed(events []persistence.Recorded) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for i := range events {
		if s := j.state.find(events[i].Stream); s != nil {
			events[i].Named = s.versionOf(events[i].ID) == events[i].Version
		}
	}
}
