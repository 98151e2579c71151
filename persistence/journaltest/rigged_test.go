package journaltest

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// rigged is a memory journal into which a mutant puts its fault: every hook that
// is set stands in for the method and may call the journal itself.
type rigged struct {
	*memory.Journal
	mu  sync.RWMutex // for what a mutant remembers
	met atomic.Int64 // how many have come to where a mutant waits for others

	onAppend   func(context.Context, []persistence.Append) ([]persistence.Outcome, error)
	onSubmit   func(persistence.Append, *persistence.Chain, func(persistence.Outcome)) error
	onRead     func(context.Context, persistence.StreamID, persistence.ReadOptions) iter.Seq2[persistence.Recorded, error]
	onReadAll  func(context.Context, persistence.ReadAllOptions) iter.Seq2[persistence.Page, error]
	onWait     func(context.Context, persistence.Positions) error
	onStream   func(context.Context, persistence.StreamID) (persistence.StreamInfo, error)
	onClose    func() error
	onIdentity func() persistence.JournalID
	// onRecorded changes each event that any reader gets.
	onRecorded func(*persistence.Recorded)

	onCreate       func(context.Context, persistence.StreamID, persistence.Metadata) error
	onSetMetadata  func(context.Context, persistence.StreamID, persistence.Metadata, persistence.Revision) (persistence.Revision, error)
	onDelete       func(context.Context, persistence.StreamID, persistence.Expected) (persistence.Version, error)
	onTruncate     func(context.Context, persistence.StreamID, persistence.Version) (persistence.Version, error)
	onScavenge     func(context.Context, persistence.StreamID) (int, error)
	onCount        func(context.Context, persistence.StreamID, persistence.ReadOptions) (int, error)
	onList         func(context.Context, persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error]
	onCategories   func(context.Context, persistence.ListOptions) iter.Seq2[string, error]
	onTransact     func(context.Context, body) error
	onLoadSnapshot func(context.Context, persistence.StreamID) (persistence.Snapshot, bool, error)
	onSaveSnapshot func(context.Context, persistence.Snapshot) error
	onForget       func(context.Context, string, time.Time) (int, error)
	onRegister     func(context.Context, persistence.Encoding, []byte) (persistence.SchemaID, error)
	onSchemas      func(context.Context) ([]persistence.Schema, error)
	onUses         func([]persistence.Use) []persistence.Use

	onImport        func(context.Context, []persistence.Recorded) (persistence.Position, error)
	onImportStreams func(context.Context, []persistence.StreamInfo) error
	onCheck         func(context.Context, persistence.CheckOptions) ([]persistence.Finding, error)

	damaged map[persistence.StreamID]bool // streams whose snapshot was damaged
}

// one makes a hook of what becomes of each append of a call, one after the other.
func (r *rigged) one(fault func(context.Context, persistence.Append) (persistence.Outcome, error)) {
	r.onAppend = func(ctx context.Context, appends []persistence.Append) ([]persistence.Outcome, error) {
		outcomes := make([]persistence.Outcome, len(appends))
		for i := range appends {
			var err error
			if outcomes[i], err = fault(ctx, appends[i]); err != nil {
				return nil, err
			}
		}
		return outcomes, nil
	}
}

// honest appends one without any fault.
func (r *rigged) honest(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
	outcomes, err := r.Journal.Append(ctx, a)
	if err != nil {
		return persistence.Outcome{}, err
	}
	return outcomes[0], nil
}

// version is that of a stream, 0 when it is missing.
func (r *rigged) version(ctx context.Context, stream persistence.StreamID) persistence.Version {
	info, _ := r.Journal.Stream(ctx, stream)
	return info.Version
}

func (r *rigged) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if r.onAppend != nil {
		return r.onAppend(ctx, appends)
	}
	return r.Journal.Append(ctx, appends...)
}

func (r *rigged) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if r.onSubmit != nil {
		return r.onSubmit(a, chain, done)
	}
	return r.Journal.Submit(a, chain, done)
}

func (r *rigged) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	if r.onRead != nil {
		return r.onRead(ctx, stream, options)
	}
	if r.onRecorded == nil {
		return r.Journal.Read(ctx, stream, options)
	}
	return func(yield func(persistence.Recorded, error) bool) {
		for recorded, err := range r.Journal.Read(ctx, stream, options) {
			if err == nil {
				r.onRecorded(&recorded)
			}
			if !yield(recorded, err) {
				return
			}
		}
	}
}

func (r *rigged) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	if r.onReadAll != nil {
		return r.onReadAll(ctx, options)
	}
	if r.onRecorded == nil {
		return r.Journal.ReadAll(ctx, options)
	}
	return r.pages(ctx, options, func(page *persistence.Page) {
		for i := range page.Events {
			r.onRecorded(&page.Events[i])
		}
	})
}

// pages yields the pages of the journal, each changed by a fault.
func (r *rigged) pages(ctx context.Context, options persistence.ReadAllOptions, fault func(*persistence.Page)) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		for page, err := range r.Journal.ReadAll(ctx, options) {
			if err == nil {
				fault(&page)
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

func (r *rigged) Wait(ctx context.Context, after persistence.Positions) error {
	if r.onWait != nil {
		return r.onWait(ctx, after)
	}
	return r.Journal.Wait(ctx, after)
}

func (r *rigged) Stream(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
	if r.onStream != nil {
		return r.onStream(ctx, stream)
	}
	return r.Journal.Stream(ctx, stream)
}

func (r *rigged) Close() error {
	if r.onClose != nil {
		return r.onClose()
	}
	return r.Journal.Close()
}

func (r *rigged) Identity() persistence.JournalID {
	if r.onIdentity != nil {
		return r.onIdentity()
	}
	return r.Journal.Identity()
}

func (r *rigged) Create(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata) error {
	if r.onCreate != nil {
		return r.onCreate(ctx, stream, metadata)
	}
	return r.Journal.Create(ctx, stream, metadata)
}

func (r *rigged) SetMetadata(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
	if r.onSetMetadata != nil {
		return r.onSetMetadata(ctx, stream, metadata, expected)
	}
	return r.Journal.SetMetadata(ctx, stream, metadata, expected)
}

func (r *rigged) Delete(ctx context.Context, stream persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
	if r.onDelete != nil {
		return r.onDelete(ctx, stream, expected)
	}
	return r.Journal.Delete(ctx, stream, expected)
}

func (r *rigged) Truncate(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
	if r.onTruncate != nil {
		return r.onTruncate(ctx, stream, before)
	}
	return r.Journal.Truncate(ctx, stream, before)
}

func (r *rigged) Scavenge(ctx context.Context, stream persistence.StreamID) (int, error) {
	if r.onScavenge != nil {
		return r.onScavenge(ctx, stream)
	}
	return r.Journal.Scavenge(ctx, stream)
}

func (r *rigged) Count(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
	if r.onCount != nil {
		return r.onCount(ctx, stream, options)
	}
	return r.Journal.Count(ctx, stream, options)
}

func (r *rigged) List(ctx context.Context, options persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
	if r.onList != nil {
		return r.onList(ctx, options)
	}
	return r.Journal.List(ctx, options)
}

func (r *rigged) Categories(ctx context.Context, options persistence.ListOptions) iter.Seq2[string, error] {
	if r.onCategories != nil {
		return r.onCategories(ctx, options)
	}
	return r.Journal.Categories(ctx, options)
}

func (r *rigged) Transact(ctx context.Context, do func(context.Context, persistence.Transaction) error) error {
	if r.onTransact != nil {
		return r.onTransact(ctx, do)
	}
	return r.Journal.Transact(ctx, do)
}

// riggedTransaction is a transaction into which a mutant puts its fault.
type riggedTransaction struct {
	persistence.Transaction
	onAppend func([]persistence.Append) ([]persistence.Outcome, error)
	onRead   func(persistence.StreamID, persistence.ReadOptions) ([]persistence.Recorded, error)
}

func (tx *riggedTransaction) Append(appends ...persistence.Append) ([]persistence.Outcome, error) {
	if tx.onAppend != nil {
		return tx.onAppend(appends)
	}
	return tx.Transaction.Append(appends...)
}

func (tx *riggedTransaction) Read(stream persistence.StreamID, options persistence.ReadOptions) ([]persistence.Recorded, error) {
	if tx.onRead != nil {
		return tx.onRead(stream, options)
	}
	return tx.Transaction.Read(stream, options)
}

// transactions puts a fault into each transaction.
func (r *rigged) transactions(fault func(*riggedTransaction)) {
	r.onTransact = func(ctx context.Context, do body) error {
		return r.Journal.Transact(ctx, func(ctx context.Context, tx persistence.Transaction) error {
			harmed := &riggedTransaction{Transaction: tx}
			fault(harmed)
			return do(ctx, harmed)
		})
	}
}

// damage makes the snapshot of a stream one that cannot be used.
func (r *rigged) damage(stream persistence.StreamID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.damaged == nil {
		r.damaged = map[persistence.StreamID]bool{}
	}
	r.damaged[stream] = true
}

func (r *rigged) LoadSnapshot(ctx context.Context, stream persistence.StreamID) (persistence.Snapshot, bool, error) {
	if r.onLoadSnapshot != nil {
		return r.onLoadSnapshot(ctx, stream)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.damaged[stream] {
		return persistence.Snapshot{}, false, nil
	}
	return r.Journal.LoadSnapshot(ctx, stream)
}

func (r *rigged) SaveSnapshot(ctx context.Context, snapshot persistence.Snapshot) error {
	if r.onSaveSnapshot != nil {
		return r.onSaveSnapshot(ctx, snapshot)
	}
	r.mu.Lock()
	delete(r.damaged, snapshot.Stream)
	r.mu.Unlock()
	return r.Journal.SaveSnapshot(ctx, snapshot)
}

func (r *rigged) DeleteSnapshots(ctx context.Context, category string, before time.Time) (int, error) {
	if r.onForget != nil {
		return r.onForget(ctx, category, before)
	}
	return r.Journal.DeleteSnapshots(ctx, category, before)
}

func (r *rigged) RegisterSchema(ctx context.Context, encoding persistence.Encoding, content []byte) (persistence.SchemaID, error) {
	if r.onRegister != nil {
		return r.onRegister(ctx, encoding, content)
	}
	return r.Journal.RegisterSchema(ctx, encoding, content)
}

func (r *rigged) Schemas(ctx context.Context) ([]persistence.Schema, error) {
	if r.onSchemas != nil {
		return r.onSchemas(ctx)
	}
	return r.Journal.Schemas(ctx)
}

func (r *rigged) Import(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
	if r.onImport != nil {
		return r.onImport(ctx, events)
	}
	return r.Journal.Import(ctx, events)
}

func (r *rigged) ImportStreams(ctx context.Context, streams []persistence.StreamInfo) error {
	if r.onImportStreams != nil {
		return r.onImportStreams(ctx, streams)
	}
	return r.Journal.ImportStreams(ctx, streams)
}

func (r *rigged) Uses(ctx context.Context) ([]persistence.Use, error) {
	uses, err := r.Journal.Uses(ctx)
	if r.onUses != nil {
		uses = r.onUses(uses)
	}
	return uses, err
}

func (r *rigged) Check(ctx context.Context, options persistence.CheckOptions) ([]persistence.Finding, error) {
	if r.onCheck != nil {
		return r.onCheck(ctx, options)
	}
	return r.Journal.Check(ctx, options)
}
