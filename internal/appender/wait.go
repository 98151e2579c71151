package appender

import (
	"context"
	"sync"

	"github.com/stele-es/stele/persistence"
)

// wait gathers the outcomes of one blocking call.
type wait struct {
	appends []persistence.Append
	done    chan struct{}

	mu      sync.Mutex
	results []persistence.Outcome
	settled []bool
	open    int
}

func newWait(appends []persistence.Append) *wait {
	w := &wait{
		appends: appends, done: make(chan struct{}), open: len(appends),
		results: make([]persistence.Outcome, len(appends)), settled: make([]bool, len(appends)),
	}
	if w.open == 0 {
		close(w.done)
	}
	return w
}

func (w *wait) settle(i int, o persistence.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.results[i], w.settled[i] = o, true
	if w.open--; w.open == 0 {
		close(w.done)
	}
}

// outcomes waits for all, or for ctx: what is open then is unknown, because it
// may be under way already.
func (w *wait) outcomes(ctx context.Context) ([]persistence.Outcome, error) {
	select {
	case <-w.done:
		return w.results, nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	results := make([]persistence.Outcome, len(w.results))
	for i := range results {
		if results[i] = w.results[i]; !w.settled[i] {
			a := &w.appends[i]
			results[i].Err = &persistence.UnknownOutcomeError{Stream: a.Stream, Expected: a.Expected, Err: context.Cause(ctx)}
		}
	}
	return results, nil
}
