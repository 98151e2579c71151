package load

import (
	"context"
	"time"

	"github.com/stele-es/stele/bench/measure"
)

// Cost is the processor time and the length of the store's log that a load took.
type Cost struct {
	Client time.Duration // of this process
	Server time.Duration // of the store's own processes; 0 where there are none, or nobody can tell
	Logged int64         // bytes
}

// Minus is the cost since another one was noted.
func (c Cost) Minus(d Cost) Cost {
	return Cost{c.Client - d.Client, c.Server - d.Server, c.Logged - d.Logged}
}

// Meter is a store that knows what it has cost so far.
type Meter interface {
	// Cost returns all cost since the store was opened.
	Cost(ctx context.Context) (Cost, error)
}

// Within meters stores that live in this process.
type Within struct{}

// Cost fulfils [Meter].
func (Within) Cost(context.Context) (Cost, error) { return Cost{Client: measure.ProcessorTime()}, nil }

// Metered runs a load and notes what it cost.
func Metered(ctx context.Context, m Meter, do func() (Result, error)) (Result, error) {
	before, err := m.Cost(ctx)
	if err != nil {
		return Result{}, err
	}
	l, err := do()
	if err != nil {
		return l, err
	}
	after, err := m.Cost(ctx)
	l.Cost = after.Minus(before)
	return l, err
}
