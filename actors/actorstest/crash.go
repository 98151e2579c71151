package actorstest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/stele-es/stele/persistence"
)

// Crash ends the system as the death of its process would, and starts it on the
// same journal. Commands under way are answered as unavailable or unknown, what the
// journal has taken of them it may still store, and nothing of the old system is
// stored that was not on its way. Everything in memory is gone.
func (s *System) Crash() {
	s.t.Helper()
	s.cut.dead.Store(true)
	gone, cancel := context.WithCancelCause(context.WithoutCancel(s.t.Context()))
	cancel(errCrash)
	// It has no time, so that it does not wait for anything, and says so.
	_ = s.running.Load().Close(gone)
	if s.tasks != nil {
		_ = s.tasks.Stop(context.WithoutCancel(s.t.Context())) // it saves nothing any more
	}
	s.open()
}

var errCrash = errors.New("the test has crashed the system")

// cut stands between a system and its journal, so that a system that has crashed
// cannot reach it any more.
type cut struct {
	persistence.Journal
	dead atomic.Bool
}

// Unwrap fulfils [persistence.Front].
func (c *cut) Unwrap() persistence.Journal { return c.Journal }

func (c *cut) err() error {
	if c.dead.Load() {
		return &persistence.UnavailableError{Reason: "this process is dead", Err: errCrash}
	}
	return nil
}

// Append fulfils [persistence.Appender].
func (c *cut) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if err := c.err(); err != nil {
		return nil, err
	}
	return c.Journal.Append(ctx, appends...)
}

// Submit fulfils [persistence.Submitter]; it is only asked when the journal does.
func (c *cut) Submit(append persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if err := c.err(); err != nil {
		return err
	}
	submitter, _ := persistence.As[persistence.Submitter](c.Journal)
	return submitter.Submit(append, chain, done)
}
