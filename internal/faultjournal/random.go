package faultjournal

import (
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Rates are the odds of faults, each between 0 and 1; their sum is at most 1.
type Rates struct {
	// Before is the odds of a definite failure, Lost of a commit whose answer is
	// lost, Zombie of a commit that comes after its unknown outcome, Twice of one that
	// is tried a second time later, Foreign of another writer's events.
	Before, Lost, Zombie, Twice, Foreign float64
	// Read is the odds that what reads a stream in the same second fails. It is no part
	// of that sum, and for a simulation.
	Read float64
	// Delay is the longest delay of an append, chosen evenly from 0. A zombie and a
	// second try take ten times as long at most.
	Delay time.Duration
	// ForeignEvent makes what the other writer stores. It is needed with Foreign.
	ForeignEvent func(stream persistence.StreamID, n int) persistence.Event
}

// Random chooses faults by chance. The same seed chooses the same fault for the
// same attempt in the same stream.
func Random(seed uint64, rates Rates) func(*persistence.Append, int) Fault {
	return func(a *persistence.Append, n int) Fault {
		hash := fnv.New64a()
		hash.Write([]byte(a.Stream))
		chance := rand.New(rand.NewPCG(seed^hash.Sum64(), uint64(n)))
		var fault Fault
		if rates.Delay > 0 {
			fault.Delay = time.Duration(chance.Int64N(int64(rates.Delay)))
		}
		which := chance.Float64()
		hit := func(rate float64) bool {
			which -= rate
			return which < 0
		}
		switch {
		case hit(rates.Before):
			fault.Before = &persistence.UnavailableError{Reason: "a fault before the commit"}
		case hit(rates.Lost):
			fault.Lost = true
		case hit(rates.Zombie):
			fault.Zombie = 1 + time.Duration(chance.Int64N(1+10*int64(rates.Delay)))
		case hit(rates.Twice):
			fault.Twice = 1 + time.Duration(chance.Int64N(1+10*int64(rates.Delay)))
		case hit(rates.Foreign):
			fault.Foreign = []persistence.Event{rates.ForeignEvent(a.Stream, n)}
		}
		return fault
	}
}
