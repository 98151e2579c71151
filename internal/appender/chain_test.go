package appender

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestMerging(t *testing.T) {
	t.Parallel()
	one, other := new(persistence.Chain), new(persistence.Chain)
	type step struct {
		append persistence.Append
		chain  *persistence.Chain
	}
	named := add("a-1", 2, "named")
	named.Events[0].ID = persistence.NewEventID()
	wide := add("a-1", 2, "wide")
	wide.Events[0].Payload = make([]byte, 300)
	for name, c := range map[string]struct {
		config Config
		steps  []step
		first  string
	}{
		"what continues a chain is joined": {
			steps: []step{{add("a-1", 1, "1", "2"), one}, {add("a-1", 3, "3"), one}, {add("a-1", 4, "4", "5"), one}},
			first: "a-1: 1 2 3 4 5",
		},
		"in the middle of a stream too": {
			steps: []step{{add("a-1", 8, "8"), one}, {add("a-1", 9, "9"), one}},
			first: "a-1: 8 9",
		},
		// When the stream was deleted its first version is not 1, which those behind expect.
		"not at the beginning of a stream": {
			steps: []step{{add("a-1", 0, "1"), one}, {add("a-1", 1, "2"), one}},
			first: "a-1: 1",
		},
		"not without a chain": {
			steps: []step{{add("a-1", 1, "1"), nil}, {add("a-1", 2, "2"), nil}},
			first: "a-1: 1",
		},
		"not of two chains": {
			steps: []step{{add("a-1", 1, "1"), one}, {add("a-1", 2, "2"), other}},
			first: "a-1: 1",
		},
		"not across another writer": {
			steps: []step{{add("a-1", 1, "1"), one}, {add("a-1", persistence.Any, "x"), nil}, {add("a-1", 2, "2"), one}},
			first: "a-1: 1",
		},
		"not with a gap": {
			steps: []step{{add("a-1", 1, "1"), one}, {add("a-1", 3, "3"), one}},
			first: "a-1: 1",
		},
		"not when the version is the same": {
			steps: []step{{add("a-1", 1, "1"), one}, {add("a-1", 1, "1"), one}},
			first: "a-1: 1",
		},
		"not after any version": {
			steps: []step{{add("a-1", persistence.Any, "1"), one}, {add("a-1", 2, "2"), one}},
			first: "a-1: 1",
		},
		"not any version": {
			steps: []step{{add("a-1", 1, "1"), one}, {add("a-1", persistence.Any, "2"), one}},
			first: "a-1: 1",
		},
		"not an append without events": {
			steps: []step{{add("a-1", 1, "1"), one}, {add("a-1", 1), one}, {add("a-1", 2, "2"), one}},
			first: "a-1: 1",
		},
		"not after an append without events": {
			steps: []step{{add("a-1", 0), one}, {add("a-1", 1, "1"), one}},
			first: "a-1:",
		},
		"not a named one": {
			steps: []step{{add("a-1", 1, "1"), one}, {named, one}},
			first: "a-1: 1",
		},
		"not after a named one": {
			steps: []step{{named, one}, {add("a-1", 3, "2"), one}},
			first: "a-1: named",
		},
		"not beyond the events of a batch": {
			config: Config{BatchEvents: 3},
			steps:  []step{{add("a-1", 1, "1", "2"), one}, {add("a-1", 3, "3"), one}, {add("a-1", 4, "4"), one}},
			first:  "a-1: 1 2 3",
		},
		"not beyond the bytes of a batch": {
			config: Config{BatchBytes: 300},
			steps:  []step{{add("a-1", 1, "1"), one}, {wide, one}},
			first:  "a-1: 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, c.config, func(t *testing.T, p *press) {
				goOn := p.hold()
				for i := range c.steps {
					own := clone(&c.steps[i].append)
					p.submit(own, c.steps[i].chain)
				}
				goOn()

				b := p.take()

				require.Equal(t, []string{c.first}, labels(b))
				require.Equal(t, c.steps[0].append.Expected, b.Items[0].Expected)
				require.Len(t, b.Items[0].Events, b.Events)
			})
		})
	}
}

func TestMergingKeepsToTheLimitsOfOneAppend(t *testing.T) {
	t.Parallel()
	var chain persistence.Chain
	many := func(expected persistence.Expected, events, bytes int) persistence.Append {
		a := persistence.Append{Stream: "a-1", Expected: expected, Events: make([]persistence.Event, events)}
		for i := range a.Events {
			a.Events[i] = persistence.Event{Type: "x", Payload: make([]byte, bytes/events)}
		}
		return a
	}
	inBubble(t, Config{BatchEvents: 10 * persistence.MaxAppendEvents, BatchBytes: 10 * persistence.MaxAppendBytes}, func(t *testing.T, p *press) {
		goOn := p.hold()
		p.submit(many(1, 999, 0), &chain)
		p.submit(many(1000, 1, 0), &chain)
		p.submit(many(1001, 8, 8<<20-100), &chain)
		p.submit(many(1009, 1, 50), &chain)
		p.submit(many(1010, 1, 50), &chain)
		goOn()

		for _, want := range []int{1000, 9, 1} {
			b := p.take()
			require.Len(t, b.Items[0].Events, want)
			require.NoError(t, b.Items[0].Check())
			b.settleAll()
		}
	})
}

func TestFanOut(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{}, func(t *testing.T, p *press) {
		var chain persistence.Chain
		goOn := p.hold()
		first := p.submit(add("a-1", 4, "5", "6"), &chain)
		second := p.submit(add("a-1", 6, "7"), &chain)
		third := p.submit(add("a-1", 7, "8", "9", "10"), &chain)
		alone := p.submit(add("b-1", 0), nil)
		goOn()
		b := p.take()

		b.Settle(0, stored(5, 10, 101))
		b.Settle(1, persistence.Outcome{Last: 3})

		first.require(t, stored(5, 6, 101))
		second.require(t, stored(7, 7, 103))
		third.require(t, stored(8, 10, 104))
		alone.require(t, persistence.Outcome{Last: 3})
	})
}

func TestBrokenChain(t *testing.T) {
	t.Parallel()
	conflict := &persistence.ConflictError{Stream: "a-1", Expected: 0, Actual: 5}

	t.Run("fails all that was decided on what failed, with the same error", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{BatchEvents: 2}, func(t *testing.T, p *press) {
			var chain, other persistence.Chain
			goOn := p.hold()
			merged := []*told{p.submit(add("a-1", 0, "1"), &chain), p.submit(add("a-1", 1, "2"), &chain)}
			behind := []*told{p.submit(add("a-1", 2, "3"), &chain), p.submit(add("a-1", 3), &chain)}
			stranger := p.submit(add("a-1", persistence.Any, "s"), &other)
			behind = append(behind, p.submit(add("a-1", 3, "4"), &chain))
			last := p.submit(add("a-1", persistence.Any, "t"), nil)
			goOn()

			p.take().Settle(0, persistence.Outcome{Err: conflict})

			for _, got := range append(merged, behind...) {
				require.Equal(t, 1, got.times)
				require.Equal(t, persistence.Outcome{Err: conflict}, got.outcome)
			}
			require.Zero(t, stranger.times)
			require.NoError(t, other.Err())
			require.Equal(t, []string{"a-1: s"}, labels(p.take()))
			p.taken[len(p.taken)-1].settleAll()
			require.Equal(t, []string{"a-1: t"}, labels(p.take()))
			p.taken[len(p.taken)-1].Settle(0, stored(2, 2, 2))
			last.require(t, stored(2, 2, 2))
		})
	})

	t.Run("in another stream waits for what it was decided on", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			var chain persistence.Chain
			goOn := p.hold()
			p.submit(add("a-1", 0, "1"), &chain)
			there := p.submit(add("b-1", 0, "2"), &chain)
			p.submit(add("b-1", persistence.Any, "s"), nil)
			back := p.submit(add("a-1", 1, "3"), &chain)
			p.submit(add("c-1", 0, "c"), nil)
			goOn()

			first := p.take()
			require.Equal(t, []string{"a-1: 1", "c-1: c"}, labels(first))
			p.nothing()
			first.Settle(0, stored(1, 1, 1))
			second := p.take()
			require.Equal(t, []string{"b-1: 2"}, labels(second))
			second.Settle(0, persistence.Outcome{Err: conflict})

			require.Equal(t, 1, there.times)
			back.requireError(t, persistence.ErrConflict)
			require.Equal(t, []string{"b-1: s"}, labels(p.take()))
		})
	})

	t.Run("lets a stream go that had waited for it", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			var chain persistence.Chain
			goOn := p.hold()
			p.submit(add("a-1", 0, "1"), &chain)
			there := p.submit(add("b-1", 0, "2"), &chain)
			p.submit(add("b-1", 0, "s"), nil)
			goOn()
			first := p.take()
			p.nothing()

			first.Settle(0, persistence.Outcome{Err: conflict})

			there.requireError(t, persistence.ErrConflict)
			require.Equal(t, []string{"b-1: s"}, labels(p.take()))
		})
	})

	t.Run("refuses what comes later", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			var chain persistence.Chain
			p.submit(add("a-1", 0, "1"), &chain)
			p.take().Settle(0, persistence.Outcome{Err: conflict})

			err := p.Submit(add("a-1", 1, "2"), &chain, func(persistence.Outcome) { require.Fail(t, "told") })

			require.Same(t, conflict, err)
			var next persistence.Chain
			p.submit(add("a-1", 5, "6"), &next)
			require.Equal(t, []string{"a-1: 6"}, labels(p.take()))
		})
	})

	t.Run("is broken before anybody hears of it", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			var chain persistence.Chain
			var seen error
			require.NoError(t, p.Submit(add("a-1", 0, "1"), &chain, func(persistence.Outcome) { seen = chain.Err() }))

			p.take().Settle(0, persistence.Outcome{Err: conflict})

			require.Same(t, conflict, seen)
		})
	})

	t.Run("keeps the first error", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			var chain persistence.Chain
			first := p.submit(add("a-1", 0, "1"), &chain)
			chain.Fail(conflict) // by its writer, while the append is in flight
			p.take().Settle(0, persistence.Outcome{Err: errors.New("later")})

			require.Equal(t, 1, first.times)
			require.Same(t, conflict, chain.Err())
		})
	})

	t.Run("an append without a chain fails alone", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, p *press) {
			p.submit(add("a-1", 0, "1"), nil)
			p.submit(add("a-1", 0, "2"), nil)
			p.take().Settle(0, persistence.Outcome{Err: conflict})

			require.Equal(t, []string{"a-1: 2"}, labels(p.take()))
		})
	})
}
