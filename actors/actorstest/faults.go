package actorstest

import (
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
)

// Fault is the harm that is done to one append: it fails before it is stored, its answer
// is lost, it takes its time, it is executed late or twice, another writer comes first.
// The zero Fault is none.
type Fault = faultjournal.Fault

// Rates are the odds of faults, each between 0 and 1.
type Rates = faultjournal.Rates

// Faulty is a journal around a journal that does to the n-th append of each stream,
// counted from 1, what fault says. Without faults it keeps every promise of the one
// inside. It runs in virtual time.
//
//	journal := actorstest.Faulty(new(memory.Journal), func(a *persistence.Append, n int) actorstest.Fault {
//		return actorstest.Fault{Lost: n == 3}
//	})
func Faulty(journal persistence.Journal, fault func(append *persistence.Append, n int) Fault) persistence.Journal {
	return faultjournal.New(faultjournal.Config{Journal: journal, Append: fault})
}

// Chance chooses faults by chance, for [Faulty]. The same seed chooses the same fault
// for the same append in the same stream.
func Chance(seed uint64, rates Rates) func(append *persistence.Append, n int) Fault {
	return faultjournal.Random(seed, rates)
}
