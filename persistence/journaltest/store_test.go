package journaltest

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

func TestDurable(t *testing.T) { t.Parallel(); durable(nil).Run(t) }

// durable is a journal that outlives its handles as long as the test runs: a
// store is a memory journal, and what is opened and closed is a handle of it.
// Each opening passes through fault, when there is one.
func durable(fault func(*memory.Journal) persistence.Journal) Durable {
	return Durable{
		Store: func(testing.TB) func(testing.TB) persistence.Journal {
			disk := new(memory.Journal)
			opened := false
			return func(testing.TB) persistence.Journal {
				var store persistence.Journal = disk
				if fault != nil && opened {
					store = fault(disk)
				}
				opened = true
				return newHandle(store)
			}
		},
		Crash: func(_ testing.TB, j persistence.Journal) { j.(*handle).end() },
	}
}

// handle is one opening of a store: it answers until it is closed.
type handle struct {
	store persistence.Journal

	mu     sync.RWMutex
	closed bool
	gone   context.CancelCauseFunc // ends who waits
	open   context.Context
}

var errGone = &persistence.UnavailableError{Reason: "the journal is closed"}

func newHandle(store persistence.Journal) *handle {
	h := &handle{store: store}
	h.open, h.gone = context.WithCancelCause(root())
	return h
}

// root is the context of what has no caller.
func root() context.Context {
	return context.Background() //nolint:forbidigo // stores and faults outlive the calls they serve
}

func (h *handle) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.gone(errGone)
}

func (h *handle) Close() error { h.end(); return nil }

func (h *handle) Identity() persistence.JournalID { return h.store.Identity() }

// use runs do unless the handle is closed, which waits for do.
func (h *handle) use(do func() error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return errGone
	}
	return do()
}

func (h *handle) Append(ctx context.Context, appends ...persistence.Append) (outcomes []persistence.Outcome, err error) {
	err = h.use(func() error {
		outcomes, err = h.store.Append(ctx, appends...)
		return err
	})
	return outcomes, err
}

func (h *handle) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		loop := h.store.Read(ctx, stream, options)
		if err := h.use(func() error { return nil }); err != nil {
			yield(persistence.Recorded{}, err)
			return
		}
		loop(yield)
	}
}

func (h *handle) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		loop := h.store.ReadAll(ctx, options)
		if err := h.use(func() error { return nil }); err != nil {
			yield(persistence.Page{}, err)
			return
		}
		loop(yield)
	}
}

func (h *handle) Head(ctx context.Context) (head persistence.Positions, err error) {
	err = h.use(func() error {
		head, err = h.store.Head(ctx)
		return err
	})
	return head, err
}

func (h *handle) Stream(ctx context.Context, stream persistence.StreamID) (info persistence.StreamInfo, err error) {
	err = h.use(func() error {
		info, err = h.store.Stream(ctx, stream)
		return err
	})
	return info, err
}

func (h *handle) Wait(ctx context.Context, after persistence.Positions) error {
	if err := h.use(func() error { return nil }); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.open, func() { cancel(errGone) })()
	err := h.store.Wait(ctx, after)
	if errors.Is(err, errGone) {
		return errGone
	}
	return err
}
