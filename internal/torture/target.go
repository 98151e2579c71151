package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
)

// Journal is a journal on Postgres as its users have it.
type Journal interface {
	persistence.Journal
	persistence.Submitter
	persistence.Transactor
	// AppendTx appends in a transaction of the caller's.
	AppendTx(ctx context.Context, tx pgx.Tx, appends ...persistence.Append) ([]persistence.Outcome, error)
	// Nudge says that such a transaction was committed.
	Nudge()
}

// Opener opens the journal of one node.
type Opener func(ctx context.Context, url string) (Journal, error)

// Target is the server and the journal that a program tortures.
type Target struct {
	// URL is a migrated database of its own, as seen by a superuser.
	URL string
	// Open opens a journal on it, once for each node.
	Open Opener
	// Seed decides whatever is drawn by lot.
	Seed uint64
}

// lots returns the source of decisions of one goroutine of the program.
func (t *Target) lots(goroutine int) *rand.Rand {
	return rand.New(rand.NewPCG(t.Seed, uint64(goroutine))) //nolint:gosec // it has to be repeatable
}

// pause lets time pass: delay is one of the harms that these programs do. They never
// wait for an event like this. It reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// upTo draws a time.
func upTo(lots *rand.Rand, longest time.Duration) time.Duration {
	return time.Duration(lots.Int64N(int64(longest)))
}

// eventually polls until done says so. It returns an error when that takes longer
// than any load can explain.
func eventually(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("wait for %s: %w after %s", what, ErrStalled, patience))
	defer cancel()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if !pause(ctx, 5*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// ErrStalled says that something has not gone on for as long as it may take.
var ErrStalled = errors.New("gave up")

// patience is the longest time that anything may take on a machine that is busy otherwise.
const patience = time.Minute
