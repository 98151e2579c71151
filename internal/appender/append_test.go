package appender

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// call is an Append that runs beside the test.
type call struct {
	leave    context.CancelCauseFunc
	done     chan struct{}
	outcomes []persistence.Outcome
	err      error
}

var errGone = errors.New("gone")

func (p *press) call(appends ...persistence.Append) *call {
	ctx, leave := context.WithCancelCause(p.t.Context())
	c := &call{leave: leave, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer leave(nil)
		c.outcomes, c.err = p.Append(ctx, appends...)
	}()
	synctest.Wait()
	return c
}

func TestAppend(t *testing.T) {
	t.Parallel()

	t.Run("waits for all outcomes, in the order of the arguments", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			goOn := p.hold()
			c := p.call(add("a-1", 0, "1"), add("b-1", 0, "1"), add("a-1", 1, "2"))
			goOn()
			b := p.take()
			require.Equal(t, []string{"a-1: 1", "b-1: 1"}, labels(b))
			conflict := &persistence.ConflictError{Stream: "b-1", Actual: 9}
			b.Settle(1, persistence.Outcome{Err: conflict})
			b.Settle(0, stored(1, 1, 7))
			require.False(t, isDone(c.done))
			p.take().Settle(0, stored(2, 2, 8))

			require.True(t, isDone(c.done))
			require.NoError(t, c.err)
			require.Equal(t, []persistence.Outcome{stored(1, 1, 7), {Err: conflict}, stored(2, 2, 8)}, c.outcomes)
		})
	})

	t.Run("of nothing returns at once", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			outcomes, err := p.Append(t.Context())
			require.NoError(t, err)
			require.Empty(t, outcomes)
		})
	})

	t.Run("does nothing when one argument is invalid or the caller has left", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			_, err := p.Append(t.Context(), add("a-1", 0, "1"), add("", 0, "1"))
			require.ErrorIs(t, err, persistence.ErrInvalid)
			_, err = p.Append(left(t), add("a-1", 0, "1"))
			require.ErrorIs(t, err, persistence.ErrUnavailable)
			require.ErrorContains(t, err, "the test left")
			p.nothing()
		})
	})

	t.Run("says so when there was room for some only", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{QueuedAppends: 2}, func(t *testing.T, p *press) {
			c := p.call(add("a-1", 0, "1"), add("b-1", 0, "1"), add("c-1", 0, "1"))
			_, err := p.Append(t.Context(), add("d-1", 0, "1"), add("e-1", 0, "1"))
			require.ErrorIs(t, err, persistence.ErrOverloaded, "nothing was taken")
			b := p.take()
			require.Equal(t, []string{"a-1: 1", "b-1: 1"}, labels(b))
			b.settleAll()

			require.True(t, isDone(c.done))
			require.NoError(t, c.err)
			require.NoError(t, c.outcomes[0].Err)
			require.NoError(t, c.outcomes[1].Err)
			require.ErrorIs(t, c.outcomes[2].Err, persistence.ErrOverloaded)
		})
	})

	t.Run("gives the events of the caller no ids", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			a := add("a-1", 0, "1")
			c := p.call(a)
			b := p.take()

			require.NotZero(t, b.Items[0].Events[0].ID)
			require.Zero(t, a.Events[0].ID)
			b.settleAll()
			require.True(t, isDone(c.done))
		})
	})
}

func TestLeaving(t *testing.T) {
	t.Parallel()

	t.Run("before a batch took the append: surely nothing is done", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			goOn := p.hold()
			c := p.call(add("a-1", 0, "1"))

			c.leave(errGone)

			require.True(t, isDone(c.done))
			require.NoError(t, c.err)
			require.ErrorIs(t, c.outcomes[0].Err, persistence.ErrUnavailable)
			require.ErrorIs(t, c.outcomes[0].Err, errGone)
			require.Equal(t, 1, p.appends, "its room is free again")
			goOn()
			p.nothing()
			p.submit(add("a-1", 0, "2"), nil)
			require.Equal(t, []string{"a-1: 2"}, labels(p.take()), "the stream goes on")
		})
	})

	t.Run("after a batch took it: nobody knows, and the ids tell", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			c := p.call(add("a-1", 3, "4", "5"))
			b := p.take()

			c.leave(errGone)

			require.True(t, isDone(c.done))
			require.NoError(t, c.err)
			unknown, ok := errors.AsType[*persistence.UnknownOutcomeError](c.outcomes[0].Err)
			require.True(t, ok)
			require.Equal(t, &persistence.UnknownOutcomeError{
				Stream: "a-1", Expected: 3, Err: errGone,
				IDs: []persistence.EventID{b.Items[0].Events[0].ID, b.Items[0].Events[1].ID},
			}, unknown)
			b.Settle(0, stored(4, 5, 1)) // too late for the caller, and harmless
		})
	})

	t.Run("tells each append of a call what is true of it", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{BatchEvents: 1}, func(t *testing.T, p *press) {
			c := p.call(add("a-1", 0, "1"), add("b-1", 0, "1"), add("a-1", 1, "2"), add("c-1", 0, "1"))
			first := p.take()
			require.Equal(t, []string{"a-1: 1"}, labels(first))
			second := p.take()
			require.Equal(t, []string{"b-1: 1"}, labels(second))
			synctest.Wait() // a third batch, of c-1, waits to be committed
			first.Settle(0, stored(1, 1, 1))

			c.leave(errGone)

			require.True(t, isDone(c.done))
			require.Equal(t, stored(1, 1, 1), c.outcomes[0])
			require.ErrorIs(t, c.outcomes[1].Err, persistence.ErrUnknownOutcome)
			require.ErrorIs(t, c.outcomes[2].Err, persistence.ErrUnavailable)
			require.ErrorIs(t, c.outcomes[3].Err, persistence.ErrUnknownOutcome)
			require.Equal(t, []string{"c-1: 1"}, labels(p.take()))
			p.nothing()
		})
	})

	t.Run("takes nobody else's append along", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			goOn := p.hold()
			p.submit(add("a-1", 0, "before"), nil)
			c := p.call(add("a-1", 1, "mine"))
			p.submit(add("a-1", 1, "after"), nil)
			c.leave(errGone)
			require.True(t, isDone(c.done))
			goOn()

			b := p.take()
			require.Equal(t, []string{"a-1: before"}, labels(b))
			b.settleAll()
			require.Equal(t, []string{"a-1: after"}, labels(p.take()))
		})
	})

	t.Run("leaves the caller his own bytes", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			a := add("a-1", 0, "1")
			a.Events[0].Payload, a.Events[0].Headers = []byte("payload"), []byte("headers")
			a.Events[0].Metadata = persistence.Metadata{"k": persistence.Int(1)}
			a.Events[0].Tags = []string{"tag"}
			c := p.call(a)
			b := p.take()
			c.leave(errGone)
			require.True(t, isDone(c.done))

			a.Events[0].Tags[0] = "other"
			clear(a.Events[0].Payload)
			clear(a.Events[0].Headers)
			clear(a.Events[0].Metadata)
			a.Events[0].Type = "other"

			e := b.Items[0].Events[0]
			require.Equal(t, "1", e.Type)
			require.Equal(t, "payload", string(e.Payload))
			require.Equal(t, "headers", string(e.Headers))
			require.Equal(t, persistence.Metadata{"k": persistence.Int(1)}, e.Metadata)
			require.Equal(t, []string{"tag"}, e.Tags)
		})
	})
}
