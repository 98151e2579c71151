package journalkit

import (
	"context"
	"sync"
	"sync/atomic"
)

// Head is the offset of the newest event of one partition that a journal knows of. It wakes
// readers that wait for a newer one. The zero value is the head of a partition without
// events. It is safe for concurrent use.
type Head struct {
	offset  atomic.Int64
	waiting atomic.Int64
	closed  atomic.Bool

	mu     sync.Mutex
	grown  chan struct{} // closed when the head is raised; nil while nobody waits
	failed error
}

// Offset returns the offset; 0 means that there is no event.
func (h *Head) Offset() int64 { return h.offset.Load() }

// Waiting returns how many calls of Wait are under way, for journals that ask their store
// for events of other processes only while somebody waits for them.
func (h *Head) Waiting() int { return int(h.waiting.Load()) }

// Raise says that there is an event at an offset. The head never moves back.
func (h *Head) Raise(offset int64) {
	if offset <= h.offset.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if offset > h.offset.Load() {
		h.offset.Store(offset)
		h.wake()
	}
}

// Fail makes all calls of Wait return an error that have nothing to return for, until it is
// called with nil.
func (h *Head) Fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed = err; err != nil {
		h.wake()
	}
}

// IsClosed reports whether Close was called.
func (h *Head) IsClosed() bool { return h.closed.Load() }

// Close makes all calls of Wait return [Closed], for good. It may be called again.
func (h *Head) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed.Store(true)
	h.wake()
}

// wake ends the waits. The caller holds mu.
func (h *Head) wake() {
	if h.grown != nil {
		close(h.grown)
		h.grown = nil
	}
}

// Grown returns a channel that is closed by the next Raise, Fail or Close that changes
// something: a journal takes it before it looks at its store, and then waits for it.
func (h *Head) Grown() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.nextGrown()
}

// Wait returns nil as soon as the head is beyond an offset. It returns [Closed] once the
// head is closed, the error of Fail, and [CallerLeft] when ctx ends first.
func (h *Head) Wait(ctx context.Context, beyond int64) error {
	h.waiting.Add(1)
	defer h.waiting.Add(-1)
	for {
		grown, done, err := h.look(beyond)
		if done || err != nil {
			return err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return CallerLeft(ctx)
		}
	}
}

// look says whether a wait is over, and else what it is to wait for.
func (h *Head) look(beyond int64) (grown <-chan struct{}, done bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed.Load():
		return nil, false, Closed()
	case h.offset.Load() > beyond:
		return nil, true, nil
	case h.failed != nil:
		return nil, false, h.failed
	}
	return h.nextGrown(), false, nil
}

// nextGrown is Grown for a caller that holds mu.
func (h *Head) nextGrown() <-chan struct{} {
	if h.grown == nil {
		h.grown = make(chan struct{})
	}
	return h.grown
}
