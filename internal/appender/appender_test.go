package appender

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestOrder(t *testing.T) {
	t.Parallel()

	t.Run("a stream has one append in flight, and the next one only behind it", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			goOn := p.hold()
			p.submit(add("a-1", 0, "a1"), nil)
			p.submit(add("a-1", 1, "a2"), nil)
			p.submit(add("b-1", 0, "b1"), nil)
			p.submit(add("a-1", 2, "a3"), nil)
			goOn()

			first := p.take()
			require.Equal(t, []string{"a-1: a1", "b-1: b1"}, labels(first))
			p.nothing()
			p.submit(add("c-1", 0, "c1"), nil)
			require.Equal(t, []string{"c-1: c1"}, labels(p.take()), "others do not wait")
			first.Settle(1, stored(1, 1, 2))
			p.nothing()
			first.Settle(0, stored(1, 1, 1))
			second := p.take()
			require.Equal(t, []string{"a-1: a2"}, labels(second))
			second.Settle(0, stored(2, 2, 3))
			require.Equal(t, []string{"a-1: a3"}, labels(p.take()))
			p.nothing()
		})
	})

	t.Run("between streams it is first come, first served", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{BatchEvents: 2}, func(t *testing.T, p *press) {
			goOn := p.hold()
			for _, stream := range []persistence.StreamID{"d-1", "a-1", "c-1", "b-1", "e-1"} {
				p.submit(add(stream, 0, "x"), nil)
			}
			goOn()

			require.Equal(t, []string{"d-1: x", "a-1: x"}, labels(p.take()))
			require.Equal(t, []string{"c-1: x", "b-1: x"}, labels(p.take()))
			require.Equal(t, []string{"e-1: x"}, labels(p.take()))
		})
	})

	t.Run("what is much is divided among the batches under way", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{Underway: 2}, func(t *testing.T, p *press) {
			goOn := p.hold()
			for i := range 2*little + 20 {
				p.submit(add(persistence.StreamID(fmt.Sprint("s-", i)), 0, "x"), nil)
			}
			goOn()

			first := p.take()
			require.Len(t, first.Items, little+10)
			second := p.take()
			require.Len(t, second.Items, little+10, "those in flight are a part of it")
			p.nothing()
		})
	})

	t.Run("what is little is not", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{Underway: 2}, func(t *testing.T, p *press) {
			goOn := p.hold()
			for i := range little {
				p.submit(add(persistence.StreamID(fmt.Sprint("s-", i)), 0, "x"), nil)
			}
			goOn()

			require.Len(t, p.take().Items, little)
		})
	})

	t.Run("outcomes of a stream are told before its next append goes", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			inBatch := 0
			require.NoError(t, p.Submit(add("a-1", 0, "a1"), nil, func(persistence.Outcome) {
				p.mu.Lock()
				defer p.mu.Unlock()
				inBatch = p.ready.Len()
			}))
			b := p.take()
			p.submit(add("a-1", 1, "a2"), nil)

			b.Settle(0, stored(1, 1, 1))

			require.Zero(t, inBatch)
			require.Equal(t, []string{"a-1: a2"}, labels(p.take()))
		})
	})
}

func TestIDs(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{}, func(t *testing.T, p *press) {
		id := persistence.NewEventID()
		p.submit(persistence.Append{Stream: "named-1", Events: []persistence.Event{{ID: id, Type: "x"}}}, nil)
		named := p.take()
		p.submit(add("made-1", 0, "x", "y"), nil)
		made := p.take()

		require.True(t, named.Items[0].Named)
		require.Equal(t, id, named.Items[0].Events[0].ID)
		require.False(t, made.Items[0].Named)
		first, second := made.Items[0].Events[0].ID, made.Items[0].Events[1].ID
		require.NotEqual(t, first, second)
		require.NotZero(t, first)
		require.NotZero(t, second)
	})
}

func TestBatchLimits(t *testing.T) {
	t.Parallel()
	big := func(stream persistence.StreamID, bytes int) persistence.Append {
		a := add(stream, 0, "x")
		a.Events[0].Payload = make([]byte, bytes)
		return a
	}
	for name, c := range map[string]struct {
		config  Config
		appends []persistence.Append
		batches [][]string
	}{
		"events": {
			Config{BatchEvents: 3},
			[]persistence.Append{add("a-1", 0, "1", "2"), add("b-1", 0, "1", "2"), add("c-1", 0, "1")},
			[][]string{{"a-1: 1 2"}, {"b-1: 1 2", "c-1: 1"}},
		},
		"bytes": {
			Config{BatchBytes: 250},
			[]persistence.Append{big("a-1", 100), big("b-1", 100), big("c-1", 100)},
			[][]string{{"a-1: x", "b-1: x"}, {"c-1: x"}},
		},
		"one append beyond both": {
			Config{BatchEvents: 2, BatchBytes: 100},
			[]persistence.Append{add("a-1", 0, "1", "2", "3"), big("b-1", 200), add("c-1", 0, "1")},
			[][]string{{"a-1: 1 2 3"}, {"b-1: x"}, {"c-1: 1"}},
		},
		"appends without events": {
			Config{BatchEvents: 2, BatchBytes: 100},
			[]persistence.Append{add("a-1", 0), add("b-1", 0), big("c-1", 200), add("d-1", 0)},
			[][]string{{"a-1:", "b-1:"}, {"c-1: x"}, {"d-1:"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, c.config, func(t *testing.T, p *press) {
				goOn := p.hold()
				for _, a := range c.appends {
					p.submit(a, nil)
				}
				goOn()

				for _, want := range c.batches {
					b := p.take()
					require.Equal(t, want, labels(b))
					events := 0
					for i := range b.Items {
						events += len(b.Items[i].Events)
					}
					require.Equal(t, events, b.Events)
				}
				p.nothing()
			})
		})
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, p *press, a persistence.Append) {
		t.Helper()
		err := p.Submit(a, nil, func(persistence.Outcome) { require.Fail(t, "a refused append was told an outcome") })
		require.ErrorIs(t, err, persistence.ErrOverloaded)
		require.NotErrorIs(t, err, persistence.ErrUnavailable)
	}

	t.Run("appends, waiting or in flight", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{QueuedAppends: 2}, func(t *testing.T, p *press) {
			p.submit(add("a-1", 0, "1"), nil)
			b := p.take()
			p.submit(add("b-1", 0, "1"), nil)
			refused(t, p, add("c-1", 0, "1"))

			b.Settle(0, stored(1, 1, 1))

			p.submit(add("c-1", 0, "1"), nil)
			refused(t, p, add("d-1", 0, "1"))
		})
	})

	t.Run("bytes, but never the only append", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{QueuedBytes: 100}, func(t *testing.T, p *press) {
			long := add("a-1", 0, "1")
			long.Events[0].Payload = make([]byte, 1000)
			p.submit(long, nil)
			b := p.take()
			refused(t, p, add("b-1", 0, "1"))

			b.Settle(0, stored(1, 1, 1))

			p.submit(add("b-1", 0, "1"), nil)
			refused(t, p, long)
		})
	})

	t.Run("an invalid append is refused before anything else", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			err := p.Submit(add("", 0, "1"), nil, func(persistence.Outcome) { require.Fail(t, "told") })
			require.ErrorIs(t, err, persistence.ErrInvalid)
			p.nothing()
		})
	})
}

func TestIdle(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{}, func(t *testing.T, p *press) {
		require.True(t, p.Idle())
		p.submit(add("a-1", 0, "1"), nil)
		require.False(t, p.Idle())
		b := p.take()
		require.False(t, p.Idle())
		b.settleAll()
		require.True(t, p.Idle())
	})
}

func TestClose(t *testing.T) {
	t.Parallel()

	t.Run("waits for what was taken and refuses the rest", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			first := p.submit(add("a-1", 0, "1"), nil)
			second := p.submit(add("a-1", 1, "2"), nil)
			b := p.take()
			closed := p.closing(t.Context())

			require.ErrorIs(t, p.Submit(add("b-1", 0, "1"), nil, func(persistence.Outcome) {}), persistence.ErrUnavailable)
			_, err := p.Append(t.Context(), add("b-1", 0, "1"))
			require.ErrorIs(t, err, persistence.ErrUnavailable)
			_, err = p.Append(t.Context())
			require.ErrorIs(t, err, persistence.ErrUnavailable)
			require.False(t, isDone(closed))
			b.Settle(0, stored(1, 1, 1))
			b = p.take()
			require.False(t, isDone(closed))
			b.Settle(0, stored(2, 2, 2))

			require.True(t, isDone(closed))
			first.require(t, stored(1, 1, 1))
			second.require(t, stored(2, 2, 2))
			p.Close(t.Context())
		})
	})

	t.Run("in the end answers what no batch has taken, and waits for what one has", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			var chain persistence.Chain
			inFlight := p.submit(add("a-1", 0, "1"), nil)
			b := p.take()
			behind := p.submit(add("a-1", 1, "2"), &chain)
			ctx, leave := context.WithCancel(t.Context())
			closed := p.closing(ctx)
			require.Zero(t, behind.times)

			leave()

			require.False(t, isDone(closed))
			behind.requireError(t, persistence.ErrUnavailable)
			require.ErrorIs(t, chain.Err(), persistence.ErrUnavailable)
			b.Settle(0, stored(1, 1, 1))
			require.True(t, isDone(closed))
			inFlight.require(t, stored(1, 1, 1))
			p.nothing()
		})
	})

	t.Run("with a context that is done answers at once", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			p.hold()
			waiting := p.submit(add("a-1", 0, "1"), nil)
			closed := p.closing(left(t))

			require.False(t, isDone(closed))
			waiting.requireError(t, persistence.ErrUnavailable)
			p.take().settleAll()
			require.True(t, isDone(closed))
		})
	})
}

// closing calls Close beside the test; the channel is closed when it returns.
func (p *press) closing(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Close(ctx)
	}()
	synctest.Wait()
	return done
}

func isDone(done <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-done:
		return true
	default:
		return false
	}
}
