package sqlite

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// pollEvery is how long a commit of another connection may go unnoticed by who
// waits, if nobody nudges the journal. It is a net, not the way to be fast.
const pollEvery = 250 * time.Millisecond

// Head returns the last position, also when another connection has written it.
func (j *Journal) Head(ctx context.Context) (persistence.Positions, error) {
	if isClosed(j.closing) {
		return nil, errClosed()
	}
	if err := j.found(); err != nil {
		return nil, err
	}
	var last int64
	err := j.reading(ctx, func(r *reader) (err error) {
		last, err = r.lastBehind(j.head.get())
		return err
	})
	if err != nil {
		return nil, err
	}
	j.head.raise(last)
	return persistence.Positions{last}, nil
}

// Wait returns as soon as an event lies beyond after, whatever its stream. Once
// the journal is closed it returns [*persistence.UnavailableError]. What another
// connection has written it notices by [Journal.Nudge], or within half a second.
func (j *Journal) Wait(ctx context.Context, after persistence.Positions) error {
	for {
		grown := j.head.grown()
		switch {
		case isClosed(j.closing):
			return errClosed()
		case !after.Covers(persistence.Position{Offset: j.head.get()}):
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
	case <-timer.C:
		if j.head.due(time.Now()) {
			j.Nudge(nil)
		}
	case <-ctx.Done():
		return errLeft(ctx)
	}
	return nil
}

// Nudge tells the journal that another connection has committed, as with
// [AppendTx], so that readers who wait are woken at once. The place is what has been
// reached; nil when the caller does not know.
func (j *Journal) Nudge(reached persistence.Positions) {
	if len(reached) > 0 && j.head.get() >= reached.Of(0).Offset {
		return
	}
	if _, err := j.Head(detached); err != nil && !isClosed(j.closing) {
		j.config.Logger.Warn("head cannot be read", "err", err)
	}
}

// head is the last position that is known and the signal that it has moved.
type head struct {
	position atomic.Int64
	polled   atomic.Int64 // nanoseconds since 1970

	mu   sync.Mutex
	next chan struct{} // closed when it is raised; nil while nobody waits
}

func (h *head) get() int64 { return h.position.Load() }

// raise moves the head forward, never back.
func (h *head) raise(position int64) {
	if position <= h.position.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if position <= h.position.Load() {
		return
	}
	h.position.Store(position)
	if h.next != nil {
		close(h.next)
		h.next = nil
	}
}

// grown is closed when the head moves after this call.
func (h *head) grown() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == nil {
		h.next = make(chan struct{})
	}
	return h.next
}

// due reports whether it is time to ask the file: of all who wait, one asks.
func (h *head) due(now time.Time) bool {
	before := h.polled.Load()
	return now.UnixNano()-before >= int64(pollEvery/2) && h.polled.CompareAndSwap(before, now.UnixNano())
}
