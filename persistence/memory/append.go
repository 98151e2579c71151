package memory

import (
	"context"
	"log/slog"
	"time"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Append fulfils [persistence.Appender]. It copies what it stores. It waits for a
// transaction only, before it begins, so no outcome is ever unknown.
func (j *Journal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	own, err := copyAppends(appends)
	if err != nil {
		return nil, err
	}
	outcomes := make([]persistence.Outcome, len(appends))

	if err := j.lockToWrite(ctx); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	for i := range own {
		outcomes[i] = j.store(&j.state, &own[i])
	}
	j.publish()
	return outcomes, nil
}

// Submit fulfils [persistence.Submitter]: done is called before it returns, or
// when the transaction ends that is open.
func (j *Journal) Submit(append persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if err := append.Check(); err != nil {
		return err
	}
	outcome, settled, err := j.submit(append, chain, done)
	if err != nil {
		return err
	}
	if settled {
		done(outcome) // not under the lock: the callback may take its time
	}
	return nil
}

// submission is an append that was submitted while a transaction was open.
type submission struct {
	append persistence.Append
	chain  *persistence.Chain
	done   func(persistence.Outcome)
}

// answer calls the callbacks of submissions, which must not end the goroutine that
// happens to do it.
func (j *Journal) answer(submissions []submission, outcome func(*submission) persistence.Outcome) {
	usercode.Each(len(submissions), func(i int) {
		submissions[i].done(outcome(&submissions[i]))
	}, func(i int, err error) {
		slog.Error("the callback of an append did not return", "stream", submissions[i].append.Stream, "err", err) //nolint:sloglint // the zero journal has no logger
	})
}

func (j *Journal) submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) (outcome persistence.Outcome, settled bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return persistence.Outcome{}, false, journalkit.Closed()
	}
	if j.open != nil {
		j.queue = append(j.queue, submission{a, chain, done})
		return persistence.Outcome{}, false, nil
	}
	if err := chain.Err(); err != nil {
		return persistence.Outcome{}, false, err
	}
	return j.storeChained(&a, chain), true, nil
}

// storeChained stores an append unless its chain is broken. The caller holds mu.
func (j *Journal) storeChained(a *persistence.Append, chain *persistence.Chain) persistence.Outcome {
	if err := chain.Err(); err != nil {
		return persistence.Outcome{Err: err}
	}
	outcome := j.store(&j.state, a)
	if outcome.Err != nil {
		chain.Fail(outcome.Err)
		return outcome
	}
	j.publish()
	return outcome
}

// store decides about one append and writes it. The caller holds mu when the
// state is the journal's own, which publishes it.
func (j *Journal) store(st *state, a *persistence.Append) persistence.Outcome {
	s := st.find(a.Stream)
	if a.Named() && s != nil {
		// Before the expected version: a repetition succeeds although the first
		// attempt has moved the stream on.
		if outcome, found := st.stored(s, a); found {
			return outcome
		}
	}
	if !s.admits(a.Expected) {
		return persistence.Outcome{Err: s.conflict(a.Stream, a.Expected)}
	}
	if len(a.Events) == 0 {
		return persistence.Outcome{Last: s.version()}
	}
	if s == nil || st.under != nil {
		s = st.own(a.Stream)
	}
	return st.write(s, a, j.time())
}

// stored looks for the ids of a named append. It reports false when the stream
// has none of them.
func (st *state) stored(s *stream, a *persistence.Append) (persistence.Outcome, bool) {
	first, found, same := s.versionOf(a.Events[0].ID), 0, true
	var overlap persistence.EventID
	for i := range a.Events {
		e := &a.Events[i]
		version := s.versionOf(e.ID)
		if version == 0 {
			continue
		}
		found, overlap = found+1, e.ID
		same = same && version == first+persistence.Version(i) && st.log.at(s.positions[version-1]).event.SameContent(e)
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

func (st *state) write(s *stream, a *persistence.Append, now time.Time) persistence.Outcome {
	named := a.Named()
	outcome := persistence.Outcome{First: s.version() + 1, Position: persistence.Position{Offset: st.log.size + 1}}
	for i := range a.Events {
		r := st.log.next()
		s.positions = append(s.positions, st.log.size)
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
