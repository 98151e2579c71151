package sqlite

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// pollEvery is how long a commit of another connection may go unnoticed by who
// waits, if nobody nudges the journal. It is a net, not the way to be fast.
const pollEvery = 250 * time.Millisecond

// Head returns the last position, also when another connection has written it.
func (j *Journal) Head(ctx context.Context) (persistence.Positions, error) {
	if isClosed(j.closing) {
		return nil, journalkit.Closed()
	}
	if err := j.found(); err != nil {
		return nil, err
	}
	var last int64
	err := j.reading(ctx, func(r *reader) (err error) {
		last, err = r.lastBehind(j.head.Offset())
		return err
	})
	if err != nil {
		return nil, err
	}
	j.head.Raise(last)
	return persistence.Positions{last}, nil
}

// Wait returns as soon as an event lies beyond after, whatever its stream. Once
// the journal is closed it returns [*persistence.UnavailableError]. What another
// connection has written it notices by [Journal.Nudge], or within half a second.
func (j *Journal) Wait(ctx context.Context, after persistence.Positions) error {
	for {
		grown := j.head.Grown()
		switch {
		case isClosed(j.closing):
			return journalkit.Closed()
		case !after.Covers(persistence.Position{Offset: j.head.Offset()}):
			return nil
		}
		if err := j.await(ctx, grown); err != nil {
			return err
		}
	}
}

// await returns when the head has grown or it is time to look again.
func (j *Journal) await(ctx context.Context, grown <-chan struct{}) error {
	timer := time.NewTimer(pollEvery + rand.N(pollEvery/4)) // not all at once
	defer timer.Stop()
	select {
	case <-grown:
	case <-j.closing:
	case <-j.nudged:
		j.poll()
	case <-timer.C:
		if j.polls.due(time.Now()) {
			j.poll()
		}
	case <-ctx.Done():
		return journalkit.CallerLeft(ctx)
	}
	return nil
}

// Nudge makes the journal look at once for events that others have committed, such as those
// of a transaction that [Journal.AppendTx] took part in. Readers that wait need not wait for
// the next poll. Nudge itself does not wait.
func (j *Journal) Nudge() {
	select {
	case j.nudged <- struct{}{}:
	default: // a look that has not begun will see it too
	}
}

// poll looks for events that others have committed.
func (j *Journal) poll() {
	if _, err := j.Head(detached); err != nil && !isClosed(j.closing) {
		j.config.Logger.Warn("head cannot be read", "err", err)
	}
}

// turns lets one of all calls that wait ask the file.
type turns struct{ asked atomic.Int64 } // nanoseconds since 1970

// due reports whether it is the caller's turn to ask.
func (t *turns) due(now time.Time) bool {
	before := t.asked.Load()
	return now.UnixNano()-before >= int64(pollEvery/2) && t.asked.CompareAndSwap(before, now.UnixNano())
}
