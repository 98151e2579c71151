package appender

import (
	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/persistence"
)

// turns is the order of a chain's appends that are not settled. A chain may lead
// through several streams; each append waits until those before it in other
// streams are settled, for it must not be stored when one of them fails.
type turns struct {
	now   turn
	later fifo.Queue[turn] // nearly always empty: a writer mostly keeps to one stream
}

// turn is a run of a chain's appends in one stream.
type turn struct {
	lane *lane
	open int
}

// queueTurn puts an append at the end of its chain.
func (q *Queue) queueTurn(chain *persistence.Chain, l *lane) {
	if chain == nil {
		return
	}
	t := q.turns[chain]
	last := &t.now
	if n := t.later.Len(); n > 0 {
		last = t.later.At(n - 1)
	}
	switch {
	case t.now.open == 0:
		t.now = turn{l, 1}
	case last.lane == l:
		last.open++
	default:
		t.later.Push(turn{l, 1})
	}
	q.turns[chain] = t
}

// turn is the number of appends of a chain that may be taken from a lane together; without
// a chain it is one.
func (q *Queue) turn(chain *persistence.Chain, l *lane) int {
	if chain == nil {
		return 1
	}
	if t := q.turns[chain]; t.now.lane == l {
		return t.now.open
	}
	return 0
}

// endTurn counts settled appends of a chain, and lets the stream go that is next.
func (q *Queue) endTurn(chain *persistence.Chain, settled int) {
	t, known := q.turns[chain]
	if !known {
		return // without a chain, or the chain has broken
	}
	if t.now.open -= settled; t.now.open == 0 {
		if t.later.Len() == 0 {
			delete(q.turns, chain)
			return
		}
		t.now = t.later.Pop()
		q.letGo(t.now.lane)
	}
	q.turns[chain] = t
}

// breakChain takes out all appends that were decided on top of a failed one.
func (q *Queue) breakChain(chain *persistence.Chain, err error) []entry {
	if chain == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	chain.Fail(err)
	t := q.turns[chain]
	delete(q.turns, chain)
	var broken []entry
	for t.now.lane != nil {
		broken = append(broken, t.now.lane.remove(func(e *entry) bool { return e.chain == chain })...)
		q.letGo(t.now.lane)
		t.now.lane = nil
		if t.later.Len() > 0 {
			t.now = t.later.Pop()
		}
	}
	return broken
}

// letGo makes a lane ready whose oldest append may have got its turn.
func (q *Queue) letGo(l *lane) {
	if l.held {
		l.held = false
		q.makeReady(l)
	}
}
