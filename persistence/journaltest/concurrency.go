package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

var concurrency = cases{
	"writers without an expectation lose nothing":                       manyAny,
	"one of many writers that expect the same version succeeds":         manyExact,
	"one of many writers of the same ids stores them":                   manyNamed,
	"many appends in one call succeed or fail alone among many writers": manyBatches,
	"deletions and truncations among writers lose nothing":              manyLives,
	"a stream is read whole while it is deleted and truncated":          manyReaders,
}

// The number of streams that the writers share.
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
	require.Equal(t, 16*20, l.acknowledged(), "an append that expects nothing is never refused")
	l.verify(j)
}

// manyExact lets writers read the version of a stream and expect it in an append, until
// each of them has stored its share.
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
			require.Equal(t, outcomes[0], outcome, "all callers get the first result")
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
						expected = persistence.Exact(persistence.Version(round * 8)) // true for few of them
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

// manyLives lets many writers append to streams, delete, truncate and create them again,
// in transactions too, while readers follow the sequence.
func manyLives(t *testing.T, s suite) {
	j := s.open(t)
	const writers, rounds = 5, 12
	var l ledger
	var group, readers errgroup.Group
	ended, stop := context.WithCancel(j.ctx)
	defer stop()
	transacts := has[persistence.Transactor](j.Journal)
	for writer := range writers {
		group.Go(func() error {
			for round := range rounds {
				if err := changeStream(j, &l, writer, round, transacts); err != nil {
					return fmt.Errorf("writer %d round %d: %w", writer, round, err)
				}
			}
			return nil
		})
	}
	followed := make([][]persistence.Recorded, 2)
	for reader := range followed {
		readers.Go(func() (err error) {
			followed[reader], err = followUntil(ended, j, 1+reader*4)
			return err
		})
	}

	require.NoError(t, group.Wait())
	stop()
	require.NoError(t, readers.Wait())

	l.verify(j)
	require.GreaterOrEqual(t, l.acknowledged(), writers*rounds)
	all := j.all()
	for _, events := range followed {
		require.True(t, samePlain(all[:len(events)], events), "a follower sees the same sequence as a later reader")
	}
}

// changeStream makes the call that is next in a writer's round.
func changeStream(j journal, l *ledger, writer, round int, transacts bool) error {
	stream := sharedStream(writer + round)
	fine := func(err error, kinds ...persistence.ErrorKind) error {
		for _, kind := range kinds {
			if errors.Is(err, kind) {
				return nil
			}
		}
		return err
	}
	if err := l.attempt(j, stream, persistence.Any, labelled(writer, round, 1+round%3)...).Err; err != nil {
		return err
	}
	switch (writer + round) % 6 {
	case 0:
		return fine(l.delete(j, stream, persistence.StreamExists), persistence.ErrStreamNotFound)
	case 1:
		info, err := j.Stream(j.ctx, stream)
		if err != nil {
			return fine(err, persistence.ErrStreamNotFound)
		}
		return fine(l.delete(j, stream, persistence.Exact(info.Version)), persistence.ErrConflict, persistence.ErrStreamNotFound)
	case 2:
		first, err := j.Truncate(j.ctx, stream, persistence.Version(2*round))
		if err == nil && first == 0 {
			return errors.New("nothing can be read from version 0")
		}
		return fine(err, persistence.ErrStreamNotFound)
	case 3:
		_, err := j.SetMetadata(j.ctx, stream, persistence.Metadata{"by": persistence.Int(int64(writer))}, persistence.AnyRevision)
		return fine(err, persistence.ErrStreamNotFound)
	case 4:
		return fine(j.Create(j.ctx, stream, nil), persistence.ErrStreamExists)
	}
	if !transacts {
		return nil
	}
	return appendPair(j, l, 50+writer, round)
}

// followUntil follows the sequence until a context ends.
func followUntil(ended context.Context, j journal, rows int) ([]persistence.Recorded, error) {
	var events []persistence.Recorded
	for at := persistence.Positions(nil); ended.Err() == nil; {
		for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{After: at, PageRows: rows, System: true}) {
			if err != nil {
				return events, err
			}
			for _, recorded := range page.Events {
				if last := at.Of(recorded.Position.Part).Offset; recorded.Position.Offset != last+1 {
					return events, fmt.Errorf("position %s follows %d", recorded.Position, last)
				}
				at = at.With(recorded.Position)
				events = append(events, recorded)
			}
		}
		if err := j.Wait(ended, at); err != nil && ended.Err() == nil {
			return events, err
		}
	}
	return events, nil
}

// manyReaders reads a stream while others delete and write it again. A reader must get
// versions of one life without gap, which end no earlier than the version that it knew.
func manyReaders(t *testing.T, s suite) {
	j := s.open(t)
	const rounds, size = 8, 6
	var group errgroup.Group
	ended, stop := context.WithCancel(j.ctx)
	defer stop()
	scavenger, scavenges := persistence.As[persistence.Scavenger](j.Journal)
	read := make(chan struct{})
	for range 2 {
		group.Go(func() error { return watchLives(ended, j, "lives-1", read) })
	}

	for life := range rounds {
		text := fmt.Sprint(life)
		for range size {
			j.store("lives-1", persistence.Any, note(text), note(text))
		}
		select {
		case <-read: // a reader has just finished and begins again
		case <-j.ctx.Done():
		}
		info, err := j.Stream(j.ctx, "lives-1")
		require.NoError(t, err)
		j.truncate("lives-1", info.Version-size)
		if scavenges {
			_, err := scavenger.Scavenge(j.ctx, "lives-1")
			require.NoError(t, err)
		}
		j.delete("lives-1")
		if scavenges {
			_, err := scavenger.Scavenge(j.ctx, "lives-1")
			require.NoError(t, err)
		}
	}

	stop()
	require.NoError(t, group.Wait())
}

// watchLives reads a stream until the context ends, and reports each reading.
func watchLives(ended context.Context, j journal, stream persistence.StreamID, read chan<- struct{}) error {
	for known := persistence.Version(0); ended.Err() == nil; {
		events, err := j.read(stream, persistence.ReadOptions{})
		if err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
			return err
		}
		for i := range events {
			switch {
			case events[i].Version != events[0].Version+persistence.Version(i):
				return fmt.Errorf("version %d follows %d", events[i].Version, events[0].Version+persistence.Version(i)-1)
			case string(events[i].Payload) != string(events[0].Payload) || len(events[i].Payload) == 0:
				return fmt.Errorf("version %d is of another life", events[i].Version)
			}
		}
		if len(events) == 0 {
			continue
		}
		last := events[len(events)-1].Version
		if last < known {
			return fmt.Errorf("the stream ended at %d and now at %d", known, last)
		}
		known = last
		select {
		case read <- struct{}{}:
		case <-ended.Done():
		}
	}
	return nil
}
