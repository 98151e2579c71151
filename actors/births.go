package actors

import (
	"sync/atomic"

	"github.com/stele-es/stele/persistence"
)

// births tells whether an aggregate of a kind that is not in memory probably does not
// exist yet, as with orders, of which most that are asked for the first time are new.
// It is then decided on without reading its stream. That is not a risk: its first
// append expects that there is no stream, and when there is one the aggregate is read
// and decides again, as after every conflict.
type births struct{ score atomic.Int32 }

// A guess that was right saves a read, one that was wrong costs an append that is
// refused. So one in nine may be wrong. The score is bounded, so that a kind whose
// aggregates are old by now is soon taken for what it is.
const (
	birthsFrom = 32
	birthsMost = 64
	birthsLoss = 8
)

// likely says what the next one is probably.
func (b *births) likely() bool { return b.score.Load() >= birthsFrom }

// note learns from one. Two who do so at the same time may lose one of their notes,
// which is no matter.
func (b *births) note(born bool) {
	if score := b.score.Load(); born {
		b.score.Store(min(score+1, birthsMost))
	} else {
		b.score.Store(max(score-birthsLoss, 0))
	}
}

// begin brings a new activation to a state: the one of an aggregate that has none of
// its events yet when it probably is one, else the one that is read.
func (a *activation) begin() {
	if !a.key.kind.births.likely() {
		a.recover()
		return
	}
	a.phase, a.unborn, a.chain = live, true, &persistence.Chain{}
	a.folded = folded{state: a.key.kind.newState()}
}

// guessed reports that nothing vouches for the state: no read, and no append that would
// fail if the aggregate existed.
func (a *activation) guessed() bool { return a.unborn && a.version == 0 }

// readFirst has the aggregate read before a command is decided, because what it has
// decided on a guess would show nothing but the guess.
func (a *activation) readFirst(c *call) {
	a.current, a.chain = nil, nil
	a.redo.Push(c)
	a.recover()
}
