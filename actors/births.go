package actors

import (
	"sync/atomic"
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
