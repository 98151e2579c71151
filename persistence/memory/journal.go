package memory

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/stele-es/stele/persistence"
)

// Config adjusts a [Journal].
type Config struct {
	// Now tells when an event is stored. The default is time.Now.
	Now func() time.Time
}

// Journal keeps streams in memory. The zero Journal is empty and ready; it is
// not durable. Besides [persistence.Journal] it is a [persistence.Submitter],
// which settles every append before Submit returns, and a
// [persistence.PageReader]. It must not be copied after first use.
type Journal struct {
	now func() time.Time

	// mu orders the appends. Publication is the commit: what is in log and streams
	// when mu is free is committed and never changes again, so that a reader takes
	// a view under the lock and copies out of it without.
	mu      sync.RWMutex
	log     log
	streams map[persistence.StreamID]*stream
	id      persistence.JournalID
	grown   chan struct{} // closed by the next append; nil while nobody waits
	closed  bool
}

var (
	_ persistence.Journal    = (*Journal)(nil)
	_ persistence.Submitter  = (*Journal)(nil)
	_ persistence.PageReader = (*Journal)(nil)
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

// Head returns the last position, which is 0 in an empty journal.
func (j *Journal) Head(ctx context.Context) (persistence.Positions, error) {
	view, err := j.view(ctx)
	if err != nil {
		return nil, err
	}
	return persistence.Positions{view.size}, nil
}

// Stream returns the version of one stream, or [*persistence.StreamNotFoundError].
func (j *Journal) Stream(ctx context.Context, id persistence.StreamID) (persistence.StreamInfo, error) {
	_, rows, err := j.streamView(ctx, id)
	switch {
	case err != nil:
		return persistence.StreamInfo{}, err
	case len(rows) == 0:
		return persistence.StreamInfo{}, &persistence.StreamNotFoundError{Stream: id}
	}
	return persistence.StreamInfo{Stream: id, Version: persistence.Version(len(rows))}, nil
}

// Wait returns as soon as an event lies beyond after, whatever its stream.
func (j *Journal) Wait(ctx context.Context, after persistence.Positions) error {
	for {
		grown, err := j.growth(after)
		if grown == nil {
			return err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// growth returns nil when there is no need to wait, else what the next append
// or Close will close.
func (j *Journal) growth(after persistence.Positions) (<-chan struct{}, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return nil, errClosed()
	case !after.Covers(persistence.Position{Offset: j.log.size}):
		return nil, nil
	case j.grown == nil:
		j.grown = make(chan struct{})
	}
	return j.grown, nil
}

// signal wakes who waits. The caller holds mu.
func (j *Journal) signal() {
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
}

// Close forgets all events and refuses everything from then on, with
// [*persistence.UnavailableError]. Loops that have begun to read a stream finish.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.log, j.streams = log{}, nil
	j.signal()
	return nil
}

func errClosed() error { return &persistence.UnavailableError{Reason: "the journal is closed"} }

func errLeft(ctx context.Context) error {
	return &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
}
