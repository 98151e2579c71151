package torture

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/stele-es/stele/persistence"
)

// writer appends through a node in every way that there is.
type writer struct {
	load    *load
	lots    *rand.Rand
	journal Journal
	// known are the versions that it remembers of streams.
	known map[persistence.StreamID]persistence.Version
}

// run writes until the load is to end. Its calls are waited for all the same,
// because who leaves learns less.
func (w *writer) run(ctx context.Context) {
	for w.load.goesOn(ctx) {
		var err error
		switch n := w.lots.IntN(64); {
		case n == 0: // few: they hold the order lock until they are flushed
			err = w.transact(ctx)
		case n < 12:
			err = w.repeat(ctx)
		case n < 16:
			err = w.depart(ctx)
		case n < 36:
			err = w.exact(ctx)
		default:
			err = w.several(ctx)
		}
		if err != nil {
			pause(ctx, upTo(w.lots, 10*time.Millisecond))
		}
	}
}

// several appends to some streams in one call, each for itself.
func (w *writer) several(ctx context.Context) error {
	var attempts []*attempt
	for range 1 + w.lots.IntN(3) {
		attempts = append(attempts, w.load.attempt(w.lots, 3))
	}
	return w.send(ctx, attempts...)
}

// send makes attempts in one call and returns the last reason to take a rest.
func (w *writer) send(ctx context.Context, attempts ...*attempt) error {
	appends := make([]persistence.Append, len(attempts))
	for i, a := range attempts {
		appends[i] = a.append()
	}
	outcomes, err := w.journal.Append(ctx, appends...)
	if err != nil {
		w.load.ledger.refuse(err, attempts...)
		return err
	}
	for i, a := range attempts {
		w.load.ledger.end(a, outcomes[i])
		if persistence.ErrorKindOf(outcomes[i].Err) != persistence.ErrConflict && outcomes[i].Err != nil {
			err = outcomes[i].Err
		}
	}
	return err
}

// exact appends with a version that the writer remembers, and that is wrong when
// others were faster.
func (w *writer) exact(ctx context.Context) error {
	stream := w.load.streams[w.lots.IntN(len(w.load.streams))]
	version, ok := w.known[stream]
	if !ok {
		info, err := w.journal.Stream(ctx, stream)
		if err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
			return err
		}
		version = info.Version
	}
	a := w.load.ledger.begin(stream, persistence.Exact(version), 1+w.lots.IntN(3))
	outcomes, err := w.journal.Append(ctx, a.append())
	if err != nil {
		w.load.ledger.refuse(err, a)
		return err
	}
	w.load.ledger.end(a, outcomes[0])
	delete(w.known, stream)
	if conflict, ok := errors.AsType[*persistence.ConflictError](outcomes[0].Err); ok {
		w.known[stream] = conflict.Actual
		return nil
	}
	if outcomes[0].Err == nil {
		w.known[stream] = outcomes[0].Last
	}
	return outcomes[0].Err
}

// repeat appends under ids that it has chosen, again while it does not know what
// became of it, and sometimes although it does.
func (w *writer) repeat(ctx context.Context) error {
	a := w.load.attempt(w.lots, 3)
	a.chooseIDs()
	err := w.send(ctx, a)
	for range 3 {
		if errors.Is(err, persistence.ErrUnknownOutcome) || err == nil && w.lots.IntN(3) == 0 {
			err = w.send(ctx, a)
		}
	}
	return err
}

// depart does not wait for the end of an append.
func (w *writer) depart(ctx context.Context) error {
	leaving, cancel := context.WithTimeout(ctx, upTo(w.lots, 2*time.Millisecond))
	defer cancel()
	return w.send(leaving, w.load.attempt(w.lots, 2))
}

var errChangedMind = errors.New("the writer changed its mind")

// transact appends to some streams at once, now and then with a delay before the
// commit, or without one.
func (w *writer) transact(ctx context.Context) error {
	attempts := []*attempt{w.load.attempt(w.lots, 2), w.load.attempt(w.lots, 2)}
	w.load.ledger.join(false, attempts...)
	var outcomes []persistence.Outcome
	err := w.journal.Transact(ctx, func(ctx context.Context, tx persistence.Transaction) error {
		for _, a := range attempts {
			stored, err := tx.Append(a.append())
			if err != nil {
				return err
			}
			outcomes = append(outcomes, stored...)
		}
		pause(ctx, hesitation(w.lots))
		if w.lots.IntN(6) == 0 {
			return errChangedMind
		}
		return nil
	})
	switch {
	case errors.Is(err, errChangedMind):
		w.load.ledger.refuse(persistence.ErrRejected, attempts...)
		return nil
	case errors.Is(err, persistence.ErrUnknownOutcome):
		// The error names the ids of one append only; the rows tell of all.
		w.load.ledger.leaveOpen(attempts...)
	case err != nil:
		w.load.ledger.refuse(err, attempts...)
	default:
		for i, a := range attempts {
			w.load.ledger.end(a, outcomes[i])
		}
	}
	return err
}

// hesitation is the time for which a transaction stays open. The order lock is held, so few
// can be long.
func hesitation(lots *rand.Rand) time.Duration {
	switch n := lots.IntN(20); {
	case n == 0:
		return upTo(lots, 20*time.Millisecond)
	case n < 10:
		return upTo(lots, time.Millisecond)
	}
	return 0
}
