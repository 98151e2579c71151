package journaltest

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var closing = cases{
	"a closed journal is unavailable":            closeAnswers,
	"closing wakes waiting readers":              closeWakes,
	"closing under load answers every append":    closeUnderLoad,
	"a journal has one identity that is its own": identityIsOwn,
}

func closeAnswers(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("closed-1", 2)
	stream, all := j.Read(j.ctx, "closed-1", persistence.ReadOptions{}), j.ReadAll(j.ctx, persistence.ReadAllOptions{})
	identity := j.Identity()

	require.NoError(t, j.Close())
	require.NoError(t, j.Close())

	_, err := collect(stream)
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	for _, err = range all {
		require.ErrorIs(t, err, persistence.ErrUnavailable)
	}
	for _, name := range []persistence.StreamID{"closed-1", "missing-1"} {
		for call, err := range everyCall(j, name) {
			require.ErrorIs(t, err, persistence.ErrUnavailable, call)
		}
	}
	require.ErrorIs(t, j.Wait(j.ctx, nil), persistence.ErrUnavailable)
	require.ErrorIs(t, j.Wait(j.ctx, persistence.Positions{2}), persistence.ErrUnavailable)
	require.Equal(t, identity, j.Identity())
	if submitter, ok := persistence.As[persistence.Submitter](j.Journal); ok {
		err := submitter.Submit(to("closed-1", persistence.Any, note("n")), nil, func(persistence.Outcome) {
			j.t.Errorf("the callback was called for an append that was refused at once")
		})
		require.ErrorIs(t, err, persistence.ErrUnavailable)
	}
}

func closeWakes(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("wakes-1", 1)
	head := j.head()
	woken := make(chan error, 1)
	go func() { // ends with the journal
		for {
			if err := j.Wait(j.ctx, head); err != nil {
				woken <- err
				return
			}
		}
	}()

	require.NoError(t, j.Close())

	require.ErrorIs(t, <-woken, persistence.ErrUnavailable)
}

func closeUnderLoad(t *testing.T, s suite) {
	store := s.Store(t)
	j := s.use(t, store(t))
	var l ledger
	wait := startLoad(j, &l, 0)

	require.NoError(t, j.Close())

	wait()
	require.GreaterOrEqual(t, l.acknowledged(), 1)
	for i := range l.entries {
		err := l.entries[i].outcome.Err
		require.True(t, err == nil || errors.Is(err, persistence.ErrUnavailable) || errors.Is(err, persistence.ErrUnknownOutcome), "%v", err)
	}
	for _, d := range l.deletions {
		require.True(t, d.err == nil || errors.Is(d.err, persistence.ErrUnavailable) || errors.Is(d.err, persistence.ErrUnknownOutcome) || errors.Is(d.err, persistence.ErrStreamNotFound), "%v", d.err)
	}
	if s.survives {
		again := s.use(t, store(t))
		l.verify(again)
		wholePairs(again)
	}
}

// startLoad starts writers, numbered from first, that write until something fails. Most
// append, one also deletes, and one appends to two streams in a transaction. It returns
// when all of them have written, with a function that waits for their end.
func startLoad(j journal, l *ledger, first int) (wait func()) {
	const count = 8
	var writers, swing sync.WaitGroup
	swing.Add(count)
	for i := range count {
		writers.Go(func() {
			running := sync.OnceFunc(swing.Done)
			defer running()
			for attempt := 0; ; attempt++ {
				if err := writeOnce(j, l, first, i, attempt); err != nil {
					return
				}
				if attempt == 2 {
					running()
				}
			}
		})
	}
	swing.Wait()
	return writers.Wait
}

func writeOnce(j journal, l *ledger, first, writer, attempt int) error {
	stream := sharedStream(writer + attempt)
	switch {
	case writer == 0 && attempt%4 == 1:
		if err := l.delete(j, stream, persistence.StreamExists); err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
			return err
		}
	case writer == 1 && has[persistence.Transactor](j.Journal):
		return appendPair(j, l, 1000+first, 3*attempt) // every third fails on purpose, not these
	}
	return l.attempt(j, stream, persistence.Any, labelled(first+writer, attempt, 1+attempt%3)...).Err
}

func identityIsOwn(t *testing.T, s suite) {
	j := s.open(t)
	identity := j.Identity()
	j.grow("own-1", 1)

	require.NotEqual(t, persistence.JournalID{}, identity)
	require.Equal(t, identity, j.Identity())
	require.NotEqual(t, identity, s.open(t).Identity())
}
