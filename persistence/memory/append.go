package memory

import (
	"context"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Append fulfils [persistence.Appender]. It copies what it stores. It never
// waits, so no outcome is ever unknown.
func (j *Journal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if ctx.Err() != nil {
		return nil, errLeft(ctx)
	}
	for i := range appends {
		if err := appends[i].Check(); err != nil {
			return nil, err
		}
	}
	own := make([]persistence.Append, len(appends))
	for i := range appends {
		own[i] = copyAppend(&appends[i])
	}
	outcomes := make([]persistence.Outcome, len(appends))

	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, errClosed()
	}
	for i := range own {
		outcomes[i] = j.store(&own[i])
	}
	j.signal()
	return outcomes, nil
}

// Submit fulfils [persistence.Submitter]: done is called before it returns.
func (j *Journal) Submit(append persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if err := append.Check(); err != nil {
		return err
	}
	outcome, err := j.storeChained(&append, chain)
	if err != nil {
		return err
	}
	done(outcome) // not under the lock: the callback may take its time
	return nil
}

func (j *Journal) storeChained(a *persistence.Append, chain *persistence.Chain) (persistence.Outcome, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return persistence.Outcome{}, errClosed()
	}
	if err := chain.Err(); err != nil {
		return persistence.Outcome{}, err
	}
	outcome := j.store(a)
	if outcome.Err != nil {
		chain.Fail(outcome.Err)
		return outcome, nil
	}
	j.signal()
	return outcome, nil
}

// store decides about one append and publishes it. The caller holds mu.
func (j *Journal) store(a *persistence.Append) persistence.Outcome {
	s := j.streams[a.Stream]
	if len(a.Events) == 0 {
		return persistence.Outcome{Last: s.version()}
	}
	if a.Named() && s != nil {
		// Before the expected version: a repetition succeeds although the first
		// attempt has moved the stream on.
		if outcome, found := j.stored(s, a); found {
			return outcome
		}
	}
	if actual := s.version(); !a.Expected.Accepts(actual) {
		return persistence.Outcome{Err: &persistence.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: actual}}
	}
	if s == nil {
		s = j.newStream(a.Stream)
	}
	return j.publish(s, a)
}

// stored looks for the ids of a named append. It reports false when the stream
// has none of them.
func (j *Journal) stored(s *stream, a *persistence.Append) (persistence.Outcome, bool) {
	first, found, same := s.named[a.Events[0].ID], 0, true
	var overlap persistence.EventID
	for i := range a.Events {
		e := &a.Events[i]
		version, known := s.named[e.ID]
		if !known {
			continue
		}
		found, overlap = found+1, e.ID
		same = same && version == first+persistence.Version(i) && j.log.at(s.positions[version-1]).event.SameContent(e)
	}
	switch {
	case found == 0:
		return persistence.Outcome{}, false
	case found < len(a.Events) || !same:
		return persistence.Outcome{Err: &persistence.EventIDReusedError{Stream: a.Stream, ID: overlap}}, true
	}
	return persistence.Outcome{
		First: first, Last: first + persistence.Version(found) - 1,
		Position:  persistence.Position{Offset: s.positions[first-1]},
		Duplicate: true,
	}, true
}

func (j *Journal) newStream(id persistence.StreamID) *stream {
	if j.streams == nil {
		j.streams = map[persistence.StreamID]*stream{}
	}
	s := &stream{id: id, positions: make([]int64, 0, 4)}
	j.streams[id] = s
	return s
}

func (j *Journal) publish(s *stream, a *persistence.Append) persistence.Outcome {
	now := j.time()
	named := a.Named()
	outcome := persistence.Outcome{First: s.version() + 1, Position: persistence.Position{Offset: j.log.size + 1}}
	for i := range a.Events {
		r := j.log.next()
		s.positions = append(s.positions, j.log.size)
		r.event, r.stream, r.version, r.micros = a.Events[i], s.id, s.version(), now.UnixMicro()
		if named {
			s.name(r.event.ID, r.version)
		} else {
			r.event.ID = newEventID(now)
		}
	}
	outcome.Last = s.version()
	return outcome
}

func (j *Journal) time() time.Time {
	if j.now == nil {
		return time.Now()
	}
	return j.now()
}
