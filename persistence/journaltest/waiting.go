package journaltest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var waiting = cases{
	"a reader that is behind does not wait":        waitBehind,
	"a waiting reader wakes on an append":          waitWakes,
	"a waiting reader wakes on a system stream":    waitSystem,
	"a waiting reader that leaves gets the reason": waitLeaves,
}

func waitBehind(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("behind-1", 3)
	head := j.head()

	require.NoError(t, j.Wait(j.ctx, nil))
	require.NoError(t, j.Wait(j.ctx, persistence.Positions{}))
	for part, offset := range head {
		if offset > 0 {
			require.NoError(t, j.Wait(j.ctx, head.With(persistence.Position{Part: uint16(part), Offset: offset - 1})))
		}
	}
}

// waitWakes lets readers follow several appends. Each append is stored only after all
// readers have seen the one before, so that each must wake them.
func waitWakes(t *testing.T, s suite) {
	j := s.open(t)
	const readers, rounds = 3, 5
	seen := make(chan error, readers*rounds)
	for range readers {
		go func() { // ends with its rounds or with the case's context
			var at persistence.Positions
			for range rounds {
				var err error
				at, err = waitNext(j, at)
				seen <- err
			}
		}()
	}

	for range rounds {
		j.store("wake-1", persistence.Any, note("n"))
		for range readers {
			require.NoError(t, <-seen)
		}
	}
}

// waitNext waits until there is an event beyond a place, and returns the head at that time.
func waitNext(j journal, at persistence.Positions) (persistence.Positions, error) {
	for {
		if err := j.Wait(j.ctx, at); err != nil {
			return at, err
		}
		head, err := j.Head(j.ctx)
		if err != nil {
			return at, err
		}
		if !samePlace(head, at) { // otherwise the journal woke the reader too early, which is allowed
			return head, nil
		}
	}
}

func waitSystem(t *testing.T, s suite) {
	j := s.open(t)
	woken := make(chan error, 1)
	go func() { // ends with the append or with the case's context
		_, err := waitNext(j, nil)
		woken <- err
	}()

	j.store("$system-1", persistence.NoStream, note("n"))

	require.NoError(t, <-woken)
}

func waitLeaves(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("leave-1", 1)
	head, gone := j.head(), errors.New("gone")
	for _, whileWaiting := range []bool{false, true} {
		ctx, leave := context.WithCancelCause(j.ctx)
		if !whileWaiting {
			leave(gone)
		}
		left := make(chan error, 1)
		go func() { // ends because leave is called
			for {
				if err := j.Wait(ctx, head); err != nil {
					left <- err
					return
				}
			}
		}()
		leave(gone)
		require.ErrorIs(t, <-left, gone)
	}
}
