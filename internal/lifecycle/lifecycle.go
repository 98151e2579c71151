// Package lifecycle owns the long-lived goroutines of a program: it starts
// components together and stops them together.
//
//	group := lifecycle.Start(ctx,
//		lifecycle.Component{Name: "projection balances", Run: projection.Run},
//		lifecycle.Component{Name: "cluster", Run: members.Run})
//	…
//	err := group.Stop(drainCtx)
//
// It does not restart a component and gives them no order: what has to happen
// before or after another thing is said by who starts it.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/stele-es/stele/internal/usercode"
)

// ErrStopped is the cancellation cause that components see after [Group.Stop],
// so that a log can tell a stop from a time-out or from a failing neighbour.
var ErrStopped = errors.New("stopped")

// Component is a part that runs until it is told to stop.
type Component struct {
	// Name says in errors which component failed or does not end.
	Name string
	// Run blocks. It returns nil when ctx is done or its work is, an error only if
	// it cannot go on, and every goroutine it started is gone when it returns. A panic,
	// and runtime.Goexit, are errors too.
	Run func(ctx context.Context) error
}

// Group is a set of running components. All methods may be called from any
// goroutine.
type Group struct {
	cancel context.CancelCauseFunc
	done   chan struct{}

	mu      sync.Mutex // guards the fields below
	running []string
	failure error
	told    func(error)
}

// Start runs every component in a goroutine of its own. When ctx ends they are
// told to stop. When one ends with an error the others are told too, with that
// error as the cause; ending with nil leaves the others alone.
func Start(ctx context.Context, components ...Component) *Group {
	ctx, cancel := context.WithCancelCause(ctx)
	g := &Group{cancel: cancel, done: make(chan struct{})}
	for _, component := range components {
		g.running = append(g.running, component.Name)
	}
	if len(components) == 0 {
		g.finish()
	}
	for _, component := range components {
		go g.run(ctx, component) // owned by g: Stop waits for it
	}
	return g
}

// Stop tells all components to stop and waits until they have or ctx is done,
// in which case the error names those still running. It returns the first
// failure of a component, also one from before the stop. It may be called again,
// to wait longer.
func (g *Group) Stop(ctx context.Context) error {
	g.cancel(ErrStopped)
	select {
	case <-g.done:
		return g.Err()
	default:
	}
	select {
	case <-g.done:
		return g.Err()
	case <-ctx.Done():
		return errors.Join(g.Err(), g.stillRunning(ctx))
	}
}

// Done is closed when no component runs any more.
func (g *Group) Done() <-chan struct{} { return g.done }

// OnFailure has a function called with the first failure of a component, once: a group
// that ends long before it is stopped should not do so in silence.
func (g *Group) OnFailure(tell func(error)) {
	g.mu.Lock()
	g.told = tell
	failure := g.failure
	g.mu.Unlock()
	if failure != nil {
		tell(failure)
	}
}

// Err returns the first failure so far.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failure
}

// run runs a component, and hears of its end also when that is a panic, or the end of
// its goroutine.
func (g *Group) run(ctx context.Context, component Component) {
	err := error(usercode.Exited())
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%w\n%s", usercode.Panicked(reason), debug.Stack())
		}
		g.ended(ctx, component.Name, err)
	}()
	err = component.Run(ctx)
}

func (g *Group) ended(ctx context.Context, name string, err error) {
	failed := err != nil && !isCancellation(ctx, err)

	var tell func(error)
	g.mu.Lock()
	if failed && g.failure == nil {
		g.failure, tell = fmt.Errorf("%s: %w", name, err), g.told
	}
	failure := g.failure
	g.mu.Unlock()
	if tell != nil {
		tell(failure) // before the group can be done
	}
	g.mu.Lock()
	at := slices.Index(g.running, name)
	g.running = slices.Delete(g.running, at, at+1)
	last := len(g.running) == 0
	g.mu.Unlock()

	if failed {
		g.cancel(failure)
	}
	if last {
		g.finish()
	}
}

// isCancellation forgives components that hand their context's error on instead
// of returning nil: being stopped is no failure.
func isCancellation(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

func (g *Group) finish() {
	g.cancel(ErrStopped) // frees what the context holds of its parent
	close(g.done)
}

func (g *Group) stillRunning(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Errorf("wait for %s: %w", strings.Join(g.running, ", "), context.Cause(ctx))
}
