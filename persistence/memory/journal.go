package memory

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Journal keeps streams in memory. The zero Journal is empty and ready; it is
// not durable. Besides [persistence.Journal] it has all abilities that package
// persistence knows: it is a [persistence.Submitter], which settles every append
// before Submit returns unless a transaction is open, a [persistence.PageReader],
// a [persistence.Transactor], a [persistence.Scavenger], a [persistence.Importer],
// a [persistence.Checker], and keeps [persistence.Snapshots] and
// [persistence.Schemas]. It must not be copied after first use.
type Journal struct {
	now func() time.Time

	// mu orders the writers. Publication is the commit: what is in state when mu is
	// free is committed and never changes again, so that a reader takes a view under
	// the lock and copies out of it without.
	mu    sync.RWMutex
	state state
	id    persistence.JournalID
	head  journalkit.Head
	// open is the transaction that holds up all other writers, queue what was
	// submitted since it began.
	open   *transaction
	queue  []submission
	closed bool

	names     []persistence.StreamID // of all streams in order, or too few: see sorted
	snapshots map[persistence.StreamID]persistence.Snapshot
	schemas   []persistence.Schema // the index is the id less one
	schemaIDs map[content]persistence.SchemaID
}

var (
	_ persistence.Journal    = (*Journal)(nil)
	_ persistence.Submitter  = (*Journal)(nil)
	_ persistence.PageReader = (*Journal)(nil)
	_ persistence.Transactor = (*Journal)(nil)
	_ persistence.Scavenger  = (*Journal)(nil)
	_ persistence.Importer   = (*Journal)(nil)
	_ persistence.Snapshots  = (*Journal)(nil)
	_ persistence.Schemas    = (*Journal)(nil)
	_ persistence.Checker    = (*Journal)(nil)
)

// New returns an empty journal.
func New(config Config) *Journal { return &Journal{now: config.Now} }

// Identity returns a random id, another one for every journal. It stays the
// same after Close.
func (j *Journal) Identity() persistence.JournalID {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.id == (persistence.JournalID{}) {
		j.id = persistence.JournalID(uuid.New())
	}
	return j.id
}

// lockToWrite takes mu for a writer, which waits while a transaction is open. It holds mu
// when it returns nil.
func (j *Journal) lockToWrite(ctx context.Context) error {
	if err := appender.Outside(ctx, j); err != nil {
		return err
	}
	for {
		if ctx.Err() != nil {
			return journalkit.CallerLeft(ctx)
		}
		j.mu.Lock()
		if j.closed {
			j.mu.Unlock()
			return journalkit.Closed()
		}
		if j.open == nil {
			return nil
		}
		ended := j.open.ended
		j.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}
}

// lockToRead takes mu for a reader, and holds it when it returns nil.
func (j *Journal) lockToRead(ctx context.Context) error {
	if ctx.Err() != nil {
		return journalkit.CallerLeft(ctx)
	}
	j.mu.RLock()
	if j.closed {
		j.mu.RUnlock()
		return journalkit.Closed()
	}
	return nil
}

// Close forgets everything and refuses everything from then on, with
// [*persistence.UnavailableError]. Loops that have begun to read a stream finish.
// An open transaction is not waited for: it will not commit.
func (j *Journal) Close() error {
	j.mu.Lock()
	queue := j.queue
	j.closed = true
	j.state, j.queue, j.names, j.snapshots, j.schemas, j.schemaIDs = state{}, nil, nil, nil, nil, nil
	if j.open != nil {
		close(j.open.ended)
		j.open = nil
	}
	j.head.Close()
	j.mu.Unlock()
	j.answer(queue, func(*submission) persistence.Outcome { return persistence.Outcome{Err: journalkit.Closed()} })
	return nil
}
