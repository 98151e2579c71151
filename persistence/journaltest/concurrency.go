package journaltest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

var concurrency = cases{
	"writers without an expectation lose nothing":         manyAny,
	"of writers who expect the same version one succeeds": manyExact,
	"of many who write the same ids one stores them":      manyNamed,
	"writers of many appends in one call keep them apart": manyBatches,
}

// streams shared by the writers.
const shared = 3

func sharedStream(i int) persistence.StreamID {
	return persistence.StreamID(fmt.Sprintf("shared-%d", i%shared))
}

func manyAny(t *testing.T, s suite) {
	j := s.open(t)
	var l ledger
	var writers sync.WaitGroup

	for writer := range 16 {
		writers.Go(func() {
			for attempt := range 20 {
				l.attempt(j, sharedStream(writer+attempt), persistence.Any, labelled(writer, attempt, 1+attempt%3)...)
			}
		})
	}

	writers.Wait()
	require.Equal(t, 16*20, l.acknowledged(), "nobody is refused who expects nothing")
	l.verify(j)
}

// manyExact has writers read the version of a stream and expect it until each
// has stored its share.
func manyExact(t *testing.T, s suite) {
	j := s.open(t)
	const count, share = 8, 8
	var l ledger
	var writers errgroup.Group

	for writer := range count {
		writers.Go(func() error {
			stored := 0
			for attempt := 0; stored < share; attempt++ {
				stream := sharedStream(writer + stored)
				info, err := j.Stream(j.ctx, stream)
				if err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
					return err
				}
				outcome := l.attempt(j, stream, persistence.Exact(info.Version), labelled(writer, attempt, 1+attempt%2)...)
				switch {
				case outcome.Err == nil && outcome.First != info.Version+1:
					return fmt.Errorf("expected %d, stored from %d", info.Version, outcome.First)
				case outcome.Err == nil:
					stored++
				case !errors.Is(outcome.Err, persistence.ErrConflict):
					return outcome.Err
				}
			}
			return nil
		})
	}

	require.NoError(t, writers.Wait())
	require.Equal(t, count*share, l.acknowledged())
	l.verify(j)
}

func manyNamed(t *testing.T, s suite) {
	j := s.open(t)
	const rounds, writers = 10, 6
	for round := range rounds {
		stream := persistence.StreamID(fmt.Sprintf("same-%d", round))
		events := named(notes(string(stream), 2)...)
		outcomes := make([]persistence.Outcome, writers)
		var group errgroup.Group
		for writer := range writers {
			group.Go(func() error {
				results, err := j.Append(j.ctx, persistence.Append{Stream: stream, Events: events})
				if err == nil {
					outcomes[writer] = results[0]
				}
				return err
			})
		}
		require.NoError(t, group.Wait())

		first := 0
		for _, outcome := range outcomes {
			require.NoError(t, outcome.Err)
			if !outcome.Duplicate {
				first++
			}
			outcome.Duplicate = outcomes[0].Duplicate
			require.Equal(t, outcomes[0], outcome, "all get the first result")
		}
		require.Equal(t, 1, first)
		require.Len(t, j.events(stream), 2)
	}
	require.Len(t, j.all(), 2*rounds)
}

func manyBatches(t *testing.T, s suite) {
	j := s.open(t)
	var l ledger
	var writers errgroup.Group

	for writer := range 8 {
		writers.Go(func() error {
			for round := range 6 {
				var appends []persistence.Append
				for i := range 6 {
					expected := persistence.Any
					if i%3 == 2 {
						expected = persistence.Exact(persistence.Version(round * 8)) // right for few
					}
					appends = append(appends, persistence.Append{Stream: sharedStream(i), Expected: expected, Events: labelled(writer, round*10+i, 1+i%2)})
				}
				outcomes, err := j.Append(j.ctx, appends...)
				if err != nil {
					return err
				}
				for i, outcome := range outcomes {
					l.write(appends[i].Stream, appends[i].Events, outcome)
				}
			}
			return nil
		})
	}

	require.NoError(t, writers.Wait())
	require.GreaterOrEqual(t, l.acknowledged(), 8*6*4)
	l.verify(j)
}
