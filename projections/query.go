package projections

import (
	"context"
	"fmt"

	"github.com/stele-es/stele/persistence"
)

// Query is a contract: a read model answers Q with R. Like a command it is a value
// without a handler, so that callers need not know who answers.
type Query[Q, R any] struct{ name, projection string }

// NewQuery makes the contract of a query that is answered from a projection.
func NewQuery[Q, R any](name, projection string) Query[Q, R] { return Query[Q, R]{name, projection} }

// Answer sets the function that answers a query. Each query has one; a projection that
// the runner does not know is a [*NotFoundError].
func Answer[Q, R any](r *Runner, query Query[Q, R], answer func(context.Context, Q) (R, error)) error {
	if _, err := r.find(query.projection); err != nil {
		return fmt.Errorf("answer query %s: %w", query.name, err)
	}
	if _, twice := r.queries.LoadOrStore(query.name, answer); twice {
		return &persistence.InvalidError{Field: "query " + query.name, Reason: "is answered already"}
	}
	return nil
}

// QueryOption changes how one query is asked.
type QueryOption func(*asking)

type asking struct {
	after persistence.Position
}

// After waits until the projection has applied everything up to a position, such as that
// of an earlier command: see [Runner.WaitFor].
func After(position persistence.Position) QueryOption {
	return func(a *asking) { a.after = position }
}

// Ask asks a query. A query without an answer is [persistence.ErrNotFound].
func (q Query[Q, R]) Ask(ctx context.Context, r *Runner, question Q, options ...QueryOption) (reply R, err error) {
	var a asking
	for _, option := range options {
		option(&a)
	}
	found, _ := r.queries.Load(q.name)
	answer, ok := found.(func(context.Context, Q) (R, error))
	if !ok {
		return reply, &persistence.Error{Kind: persistence.ErrNotFound, Op: "ask query " + q.name, Reason: "unanswered"}
	}
	if a.after.Offset > 0 {
		if err := r.WaitFor(ctx, q.projection, a.after); err != nil {
			return reply, fmt.Errorf("ask query %s: %w", q.name, err)
		}
	}
	return answer(ctx, question)
}
