package journalkit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// waiting starts a wait and returns what will tell its end. It returns when the wait has
// begun.
func waiting(ctx context.Context, t *testing.T, head *journalkit.Head, beyond int64) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- head.Wait(ctx, beyond) }()
	synctest.Wait()
	return ended
}

// A wait ends when the head is beyond, and by nothing less.
func TestHeadWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		head := new(journalkit.Head)
		require.Zero(t, head.Offset())
		ended := waiting(t.Context(), t, head, 2)
		require.Equal(t, 1, head.Waiting())

		for _, offset := range []int64{1, 2, 2, 1} {
			head.Raise(offset)
			synctest.Wait()
			require.Empty(t, ended)
		}
		head.Raise(5)

		require.NoError(t, <-ended)
		require.EqualValues(t, 5, head.Offset())
		require.Zero(t, head.Waiting())
		head.Raise(3)
		require.EqualValues(t, 5, head.Offset(), "it never moves back")
		require.NoError(t, head.Wait(t.Context(), 4), "there is nothing to wait for")
	})
}

func TestHeadEndsWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		head, lost := new(journalkit.Head), errors.New("lost")
		left, leave := context.WithTimeoutCause(t.Context(), time.Second, errors.New("in a hurry"))
		defer leave()
		err := head.Wait(left, 0)
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.ErrorContains(t, err, "the caller left")
		require.ErrorContains(t, err, "in a hurry")

		ended := waiting(t.Context(), t, head, 0)
		head.Fail(lost)
		require.ErrorIs(t, <-ended, lost)
		require.ErrorIs(t, head.Wait(t.Context(), 0), lost, "later waits too")
		head.Raise(1)
		require.NoError(t, head.Wait(t.Context(), 0), "what is known needs no wait")
		head.Fail(nil)

		ended = waiting(t.Context(), t, head, 1)
		require.False(t, head.IsClosed())
		head.Close()
		head.Close()
		require.Equal(t, journalkit.Closed(), <-ended)
		require.Equal(t, journalkit.Closed(), head.Wait(t.Context(), 0), "for good")
		require.True(t, head.IsClosed())
	})
}

// Nothing is missed between a look at the store and the wait.
func TestHeadGrown(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*journalkit.Head){
		"raised": func(h *journalkit.Head) { h.Raise(1) }, "failed": func(h *journalkit.Head) { h.Fail(errors.New("lost")) }, "closed": (*journalkit.Head).Close,
	} {
		head := new(journalkit.Head)
		grown := head.Grown()
		select {
		case <-grown:
			t.Fatal(name)
		default:
		}
		change(head)
		<-grown
	}
}

func TestGiveIDs(t *testing.T) {
	t.Parallel()
	given := persistence.Append{Stream: "s-1", Events: make([]persistence.Event, 3)}

	require.False(t, journalkit.GiveIDs(&given))

	seen := map[persistence.EventID]bool{{}: true}
	for _, e := range given.Events {
		require.False(t, seen[e.ID])
		seen[e.ID] = true
	}
	before := given.Events[1].ID
	require.True(t, journalkit.GiveIDs(&given), "the caller has chosen them")
	require.Equal(t, before, given.Events[1].ID)
	require.False(t, journalkit.GiveIDs(new(persistence.Append)), "an append without events")
}
