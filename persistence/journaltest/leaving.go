package journaltest

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

var leaving = cases{
	"an append whose caller leaves is stored, refused or of unknown outcome": leaveAppends,
	"a reader that leaves gets the reason or the events":                     leaveReads,
	"a call with an ended context says that nothing was done, and why":       leaveFirst,
}

// leaveAppends lets callers leave at any moment, some before and some after their append
// is stored. One of them also deletes.
func leaveAppends(t *testing.T, s suite) {
	j := s.open(t)
	const writers, attempts = 8, 25
	var l ledger
	var group errgroup.Group

	for writer := range writers {
		group.Go(func() error {
			for attempt := range attempts {
				impatient := j
				var leave context.CancelFunc
				impatient.ctx, leave = context.WithTimeout(j.ctx, time.Duration(rand.Int64N(int64(2*time.Millisecond))))
				stream := sharedStream(writer + attempt)
				err := l.attempt(impatient, stream, persistence.Any, labelled(writer, attempt, 1+attempt%2)...).Err
				if writer == 0 && err == nil {
					err = l.delete(impatient, stream, persistence.Any)
				}
				leave()
				if err != nil && !errors.Is(err, persistence.ErrUnavailable) && !errors.Is(err, persistence.ErrUnknownOutcome) {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	// Appends take effect in order: when these have, none of the others is under way.
	for i := range shared {
		outcome := l.attempt(j, sharedStream(i), persistence.Any, labelled(99, i, 1)...)
		require.NoError(t, outcome.Err)
	}
	l.verify(j)
}

// leaveFirst makes every call with a context that has ended. An error without a kind would
// be taken for an error of the domain.
func leaveFirst(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("left-1", 2)
	why := errors.New("why the caller has left")
	ctx, leave := context.WithCancelCause(j.ctx)
	leave(why)
	gone := j
	gone.ctx = ctx
	for call, err := range everyCall(gone, "left-1") {
		if err == nil {
			continue // a call that needs no I/O may be answered
		}
		class, known := persistence.Classify(err)
		require.True(t, known, "%s: %v", call, err)
		require.Equal(t, persistence.ErrUnavailable, class.Kind, "%s: %v", call, err)
		require.True(t, errors.Is(err, why) || errors.Is(err, context.Canceled), "%s: %v", call, err)
	}
	require.Len(t, j.events("left-1"), 2)
}

func leaveReads(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("read-1", 50)
	want := j.events("read-1")
	for i := range 30 {
		ctx, leave := context.WithTimeout(j.ctx, time.Duration(i)*50*time.Microsecond)
		events, err := collect(j.Read(ctx, "read-1", persistence.ReadOptions{}))
		if err == nil {
			require.Len(t, events, len(want), "a loop that ends without an error has shown all events")
		} else {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Equal(t, plain(want[:len(events)]), plain(events))
		leave()
	}
}
