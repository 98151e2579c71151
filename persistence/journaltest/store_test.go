package journaltest

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

func TestDurable(t *testing.T) { t.Parallel(); durable(nil).Run(t) }

// durable is a journal that outlives its handles as long as the test runs: a
// store is a memory journal, and what is opened and closed is a handle of it.
// Each opening passes through fault, when there is one.
func durable(fault func(*memory.Journal) complete) Durable {
	return Durable{
		Store: func(testing.TB) func(testing.TB) persistence.Journal {
			disk := new(memory.Journal)
			opened := false
			return func(testing.TB) persistence.Journal {
				var store complete = disk
				if fault != nil && opened {
					store = fault(disk)
				}
				opened = true
				h := newHandle(store)
				h.renew = func() complete {
					disk = new(memory.Journal)
					return disk
				}
				return h
			}
		},
		Crash: func(_ testing.TB, j persistence.Journal) { j.(*handle).end() },
		Replace: func(_ testing.TB, j persistence.Journal) {
			h := j.(*handle)
			h.renew()
			h.mu.Lock()
			defer h.mu.Unlock()
			h.replaced = &persistence.ReplacedError{Reason: "another journal is there: start again"}
		},
	}
}

// complete is a journal with all abilities but those that only make it faster.
type complete interface {
	persistence.Journal
	persistence.Transactor
	persistence.Scavenger
	persistence.Importer
	persistence.Snapshots
	persistence.Schemas
}

// handle is one opening of a store: it answers until it is closed.
type handle struct {
	store complete

	renew func() complete // puts an empty store in the place of the one that is open

	mu       sync.RWMutex
	closed   bool
	replaced error
	gone     context.CancelCauseFunc // ends who waits
	open     context.Context
}

var errGone = &persistence.UnavailableError{Reason: "the journal is closed"}

func newHandle(store complete) *handle {
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
	switch {
	case h.closed:
		return errGone
	case h.replaced != nil:
		return h.replaced
	}
	return do()
}

// asked is what a handle answers with unless it is closed.
func asked[T any](h *handle, ask func() (T, error)) (answer T, err error) {
	err = h.use(func() error {
		answer, err = ask()
		return err
	})
	return answer, err
}

// looped is a loop that begins unless the handle is closed.
func looped[T any](h *handle, loop iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := h.use(func() error { return nil }); err != nil {
			var none T
			yield(none, err)
			return
		}
		loop(yield)
	}
}

func (h *handle) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	return asked(h, func() ([]persistence.Outcome, error) { return h.store.Append(ctx, appends...) })
}

func (h *handle) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return looped(h, h.store.Read(ctx, stream, options))
}

func (h *handle) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return looped(h, h.store.ReadAll(ctx, options))
}

func (h *handle) Count(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
	return asked(h, func() (int, error) { return h.store.Count(ctx, stream, options) })
}

func (h *handle) Head(ctx context.Context) (persistence.Positions, error) {
	return asked(h, func() (persistence.Positions, error) { return h.store.Head(ctx) })
}

func (h *handle) Stream(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
	return asked(h, func() (persistence.StreamInfo, error) { return h.store.Stream(ctx, stream) })
}

func (h *handle) Create(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata) error {
	return h.use(func() error { return h.store.Create(ctx, stream, metadata) })
}

func (h *handle) SetMetadata(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
	return asked(h, func() (persistence.Revision, error) { return h.store.SetMetadata(ctx, stream, metadata, expected) })
}

func (h *handle) Delete(ctx context.Context, stream persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
	return asked(h, func() (persistence.Version, error) { return h.store.Delete(ctx, stream, expected) })
}

func (h *handle) Truncate(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
	return asked(h, func() (persistence.Version, error) { return h.store.Truncate(ctx, stream, before) })
}

func (h *handle) List(ctx context.Context, options persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
	return looped(h, h.store.List(ctx, options))
}

func (h *handle) Categories(ctx context.Context, options persistence.ListOptions) iter.Seq2[string, error] {
	return looped(h, h.store.Categories(ctx, options))
}

func (h *handle) Transact(ctx context.Context, body func(context.Context, persistence.Transaction) error) error {
	return h.use(func() error { return h.store.Transact(ctx, body) })
}

func (h *handle) Scavenge(ctx context.Context, stream persistence.StreamID) (int, error) {
	return asked(h, func() (int, error) { return h.store.Scavenge(ctx, stream) })
}

func (h *handle) Import(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
	return asked(h, func() (persistence.Position, error) { return h.store.Import(ctx, events) })
}

func (h *handle) ImportStreams(ctx context.Context, streams []persistence.StreamInfo) error {
	return h.use(func() error { return h.store.ImportStreams(ctx, streams) })
}

func (h *handle) LoadSnapshot(ctx context.Context, stream persistence.StreamID) (snapshot persistence.Snapshot, found bool, err error) {
	err = h.use(func() error {
		snapshot, found, err = h.store.LoadSnapshot(ctx, stream)
		return err
	})
	return snapshot, found, err
}

func (h *handle) SaveSnapshot(ctx context.Context, snapshot persistence.Snapshot) error {
	return h.use(func() error { return h.store.SaveSnapshot(ctx, snapshot) })
}

func (h *handle) DeleteSnapshot(ctx context.Context, stream persistence.StreamID) error {
	return h.use(func() error { return h.store.DeleteSnapshot(ctx, stream) })
}

func (h *handle) DeleteSnapshots(ctx context.Context, category string, before time.Time) (int, error) {
	return asked(h, func() (int, error) { return h.store.DeleteSnapshots(ctx, category, before) })
}

func (h *handle) RegisterSchema(ctx context.Context, encoding persistence.Encoding, body []byte) (persistence.SchemaID, error) {
	return asked(h, func() (persistence.SchemaID, error) { return h.store.RegisterSchema(ctx, encoding, body) })
}

func (h *handle) Schemas(ctx context.Context) ([]persistence.Schema, error) {
	return asked(h, func() ([]persistence.Schema, error) { return h.store.Schemas(ctx) })
}

func (h *handle) Uses(ctx context.Context) ([]persistence.Use, error) {
	return asked(h, func() ([]persistence.Use, error) { return h.store.Uses(ctx) })
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
