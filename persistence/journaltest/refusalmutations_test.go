package journaltest

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

var refusalMutants = map[string]mutant{
	"refuses without saying what is wrong": {caughtBy: "input that breaks a rule is refused, with the name of its field", fault: func(r *rigged) {
		r.onAppend = func(ctx context.Context, appends []persistence.Append) ([]persistence.Outcome, error) {
			outcomes, err := r.Journal.Append(ctx, appends...)
			if errors.Is(err, persistence.ErrInvalid) {
				err = persistence.ErrInvalid
			}
			return outcomes, err
		}
	}},
	"answers who has left with an error of no kind": {caughtBy: "a call with an ended context says that nothing was done, and why", fault: func(r *rigged) {
		r.onAppend = func(ctx context.Context, appends []persistence.Append) ([]persistence.Outcome, error) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return r.Journal.Append(ctx, appends...)
		}
	}},
	"takes a filter that is wrong for one that chooses nothing": {caughtBy: "filters that break a rule are refused by every reader", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if options.Filter != nil && options.Filter.Check() != nil {
				options.Filter = filter.Not(filter.Filter{})
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"takes the greatest place for none": {caughtBy: "values at the ends of their range are no error", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if !options.Backward && options.After.Of(0).Offset == math.MaxInt64 {
				options.After = nil
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"names a place that it looked up later than the events": {caughtBy: "a reader that follows a tag misses nothing", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, func(page *persistence.Page) {
				if page.AtHead && options.Filter != nil && !options.Backward {
					r.pause(ctx)
					page.Next, _ = r.Head(ctx)
				}
			})
		}
	}},
	"binds no more than some of the operands": {caughtBy: "filters at their limits are answered", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if f, ok := options.Filter.(filter.Filter); ok && len(f.Necessary().Types) > 500 {
				options.Filter = f.And(filter.Type().In(f.Necessary().Types[500:]...))
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
}
