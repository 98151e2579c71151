package torture_test

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/internal/torture"
	"github.com/stele-es/stele/persistence"
)

// flawed breaks one promise after the other.
type flawed struct {
	torture.Journal
	submits, reads *atomic.Int64 // of all nodes
}

// flaw is what is done instead of submitting an append.
type flaw func(f *flawed, a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error

// tell submits an append and says something else of it.
func tell(change func(*persistence.Outcome)) flaw {
	return func(f *flawed, a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
		return f.Journal.Submit(a, chain, func(o persistence.Outcome) {
			if o.Err == nil {
				change(&o)
			}
			done(o)
		})
	}
}

func silent(persistence.Outcome) {}

var flaws = []flaw{
	// Lost.
	func(_ *flawed, a persistence.Append, _ *persistence.Chain, done func(persistence.Outcome)) error {
		version, _ := a.Expected.Version()
		done(persistence.Outcome{First: version + 1, Last: version + persistence.Version(len(a.Events)), Position: persistence.Position{Offset: 1}})
		return nil
	},
	// Doubled.
	func(f *flawed, a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
		again := a
		again.Events, again.Expected = slices.Clone(a.Events), persistence.Any
		if err := f.Journal.Submit(a, chain, done); err != nil {
			return err
		}
		_ = f.Journal.Submit(again, nil, silent) // a refusal is as good
		return nil
	},
	// Torn.
	func(f *flawed, a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
		a.Events = a.Events[:(len(a.Events)+1)/2]
		return f.Journal.Submit(a, chain, done)
	},
	// Unexplained.
	func(f *flawed, a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
		foreign := persistence.Append{Stream: a.Stream, Expected: persistence.Any, Events: []persistence.Event{{Type: "odd", Payload: make([]byte, 12)}}}
		_ = f.Journal.Submit(foreign, nil, silent) // a refusal is as good
		return f.Journal.Submit(a, chain, done)
	},
	// Unfounded: it goes on although what it was decided on has failed.
	func(f *flawed, a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
		chain.Fail(&persistence.UnavailableError{Reason: "the test"})
		a.Expected = persistence.Any
		return f.Journal.Submit(a, nil, done)
	},
	tell(func(o *persistence.Outcome) { o.Position.Offset++ }),                        // Misplaced
	tell(func(o *persistence.Outcome) { o.Err = &persistence.ConflictError{} }),       // Stored
	tell(func(o *persistence.Outcome) { o.Err = &persistence.UnknownOutcomeError{} }), // Undecided
	tell(func(o *persistence.Outcome) { o.Err = &persistence.CorruptError{} }),        // Corrupt
	tell(func(o *persistence.Outcome) { o.Err = &persistence.UnavailableError{} }),    // Stored
}

// Submit does what it should four of five times.
func (f *flawed) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if n := int(f.submits.Add(1)); n%5 == 0 {
		return flaws[n/5%len(flaws)](f, a, chain, done)
	}
	return f.Journal.Submit(a, chain, done)
}

// Read leaves events out, repeats them and gives out others.
func (f *flawed) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		for e, err := range f.Journal.Read(ctx, stream, options) {
			goesOn := true
			switch n := f.reads.Add(1) % 12; {
			case err != nil:
				goesOn = yield(e, err)
			case n == 4: // skipped
			case n == 7:
				if goesOn = yield(e, nil); goesOn {
					goesOn = yield(e, nil)
				}
			case n == 10:
				e.ID = persistence.NewEventID()
				goesOn = yield(e, nil)
			default:
				goesOn = yield(e, nil)
			}
			if !goesOn {
				return
			}
		}
	}
}

// Every sort of fault that a journal can be given from outside is found.
func TestLongPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	submits, reads := new(atomic.Int64), new(atomic.Int64)
	open := func(ctx context.Context, url string) (torture.Journal, error) {
		journal, err := relaxed(ctx, url)
		return &flawed{Journal: journal, submits: submits, reads: reads}, err
	}

	until(t, func(seed uint64) (*torture.Report, error) {
		return torture.Path{Target: torture.Target{URL: pgtest.URL(t), Open: open, Seed: seed}, Duration: time.Second}.Run(t.Context())
	}, torture.Lost, torture.Doubled, torture.Torn, torture.Unexplained, torture.Unfounded, torture.Misplaced, torture.Stored, torture.Undecided,
		torture.Corrupt, torture.Skipped, torture.Repeated, torture.Undone)
}
