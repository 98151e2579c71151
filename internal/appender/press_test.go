package appender

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/persistence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// press is a committer that the test turns by hand: every batch waits until the
// test takes it, and stays in flight until the test settles it.
type press struct {
	*Queue
	t       *testing.T
	batches chan *Batch
	taken   []*pressed
}

// pressed is a batch in the hands of the test.
type pressed struct {
	*Batch
	settled map[int]bool
}

// Settle remembers what was settled.
func (b *pressed) Settle(i int, o persistence.Outcome) {
	b.settled[i] = true
	b.Batch.Settle(i, o)
}

// settleAll settles what is open.
func (b *pressed) settleAll() {
	for i := range b.Items {
		if !b.settled[i] {
			b.Settle(i, persistence.Outcome{})
		}
	}
}

// inBubble runs a test with a press in virtual time. What is left in the queue
// at the end is settled.
func inBubble(t *testing.T, config Config, test func(*testing.T, *press)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &press{t: t, batches: make(chan *Batch)}
		over := make(chan struct{})
		config.Commit = func(b *Batch) {
			select {
			case p.batches <- b:
			case <-over:
				(&pressed{b, map[int]bool{}}).settleAll()
			}
		}
		p.Queue = New(config)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.Run()
		}()

		test(t, p)

		close(over)
		for _, b := range p.taken {
			b.settleAll()
		}
		p.Close(t.Context())
		<-ended
		require.Zero(t, p.appends)
		require.Zero(t, p.bytes)
		require.Empty(t, p.lanes)
		require.Empty(t, p.turns)
	})
}

// hold keeps the committer busy, so that what is submitted gathers in the queue
// until the test lets it go on.
func (p *press) hold() (goOn func()) {
	p.t.Helper()
	p.submit(add("hold-1", persistence.Any, "held"), nil)
	synctest.Wait()
	return func() {
		p.t.Helper()
		b := p.take()
		require.Equal(p.t, []string{"hold-1: held"}, labels(b))
		b.settleAll()
	}
}

// take returns the next batch, which must be ready.
func (p *press) take() *pressed {
	p.t.Helper()
	synctest.Wait()
	select {
	case b := <-p.batches:
		p.taken = append(p.taken, &pressed{b, map[int]bool{}})
		return p.taken[len(p.taken)-1]
	default:
		require.Fail(p.t, "no batch is ready")
		return nil
	}
}

// nothing requires that no batch is ready.
func (p *press) nothing() {
	p.t.Helper()
	synctest.Wait()
	select {
	case b := <-p.batches:
		require.Failf(p.t, "a batch is ready", "%v", labels(&pressed{Batch: b}))
	default:
	}
}

// told is what a submitted append was told, and how often.
type told struct {
	outcome persistence.Outcome
	times   int
}

// submit hands over an append that must be taken.
func (p *press) submit(a persistence.Append, chain *persistence.Chain) *told {
	p.t.Helper()
	got := new(told)
	require.NoError(p.t, p.Submit(a, chain, func(o persistence.Outcome) { got.outcome, got.times = o, got.times+1 }))
	return got
}

// add is an append of events that bear labels.
func add(stream persistence.StreamID, expected persistence.Expected, labels ...string) persistence.Append {
	a := persistence.Append{Stream: stream, Expected: expected}
	for _, label := range labels {
		a.Events = append(a.Events, persistence.Event{Type: label})
	}
	return a
}

// labels shows a batch as "stream: label label" for each item.
func labels(b *pressed) []string {
	var all []string
	for i := range b.Items {
		text := string(b.Items[i].Stream) + ":"
		for k := range b.Items[i].Events {
			text += " " + b.Items[i].Events[k].Type
		}
		all = append(all, text)
	}
	return all
}

func (g *told) requireError(t *testing.T, target error) {
	t.Helper()
	require.Equal(t, 1, g.times, "told once")
	require.ErrorIs(t, g.outcome.Err, target)
}

func (g *told) require(t *testing.T, want persistence.Outcome) {
	t.Helper()
	require.Equal(t, 1, g.times, "told once")
	require.Equal(t, want, g.outcome)
}

func stored(first, last persistence.Version, offset int64) persistence.Outcome {
	return persistence.Outcome{First: first, Last: last, Position: persistence.Position{Offset: offset}}
}

// left is a context that is done.
func left(t *testing.T) context.Context {
	ctx, leave := context.WithCancelCause(t.Context())
	leave(fmt.Errorf("the test left"))
	return ctx
}
