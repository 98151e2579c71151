package main

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

var errWork = errors.New("the work failed")

func TestClosedLoop(t *testing.T) {
	t.Parallel()

	t.Run("callers work until the time is over", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l, err := closedLoop(3, time.Second, func(int, int) error { <-time.After(10 * time.Millisecond); return nil })

			require.NoError(t, err)
			require.InDelta(t, 300, l.count, 3)
			require.InDelta(t, 300, l.rate(), 3)
		})
	})

	t.Run("an error ends it for all", func(t *testing.T) {
		t.Parallel()
		_, err := closedLoop(3, time.Hour, func(caller, i int) error {
			if caller == 1 && i == 5 {
				return errWork
			}
			return nil
		})
		require.Equal(t, errWork, err)
	})
}

func TestOnce(t *testing.T) {
	t.Parallel()
	var done [100]atomic.Int32

	l, err := once(7, len(done), func(i int) error { done[i].Add(1); return nil })

	require.NoError(t, err)
	require.Equal(t, len(done), l.count)
	for i := range done {
		require.EqualValues(t, 1, done[i].Load())
	}

	_, err = once(7, len(done), func(i int) error { return errWork })
	require.Equal(t, errWork, err)
}

func TestSingle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := single(time.Second, func(int) error { <-time.After(20 * time.Millisecond); return nil })

		require.NoError(t, err)
		require.Equal(t, 50, l.count)
		require.InEpsilon(t, 20_000, l.micros(50), 0.01)
	})
}

// What is late because the one before took long counts as slow.
func TestOpenLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := openLoop(t.Context(), 1, 1000, time.Second, func(_, i int) error {
			if i == 100 {
				<-time.After(500 * time.Millisecond)
			}
			return nil
		})

		require.NoError(t, err)
		require.Equal(t, 1000, l.count)
		require.Less(t, l.micros(40), 1.0)
		require.InEpsilon(t, 250_000, l.micros(75), 0.05)
		require.InEpsilon(t, 500_000, l.micros(100), 0.01)
	})
}

func TestPump(t *testing.T) {
	t.Parallel()
	rows := newRows()

	t.Run("every lane gets its events", func(t *testing.T) {
		t.Parallel()
		j := new(memory.Journal)

		l, err := pump(j, newLanes("bench", 20), rows.event, upTo(10))

		require.NoError(t, err)
		require.Equal(t, 200, l.count)
		for _, lane := range newLanes("bench", 20) {
			info, err := j.Stream(t.Context(), lane.stream)
			require.NoError(t, err)
			require.EqualValues(t, 10, info.Version)
		}
	})

	t.Run("a refused append ends it", func(t *testing.T) {
		t.Parallel()
		j := new(memory.Journal)
		lanes := newLanes("bench", 20)
		_, err := pump(j, lanes, rows.event, upTo(1))
		require.NoError(t, err)
		lanes[3].version = 7

		_, err = pump(j, lanes, rows.event, upTo(10))

		require.ErrorIs(t, err, persistence.ErrConflict)
	})

	t.Run("so does a closed journal", func(t *testing.T) {
		t.Parallel()
		j := new(memory.Journal)
		require.NoError(t, j.Close())

		_, err := pump(j, newLanes("bench", 20), rows.event, upTo(10))

		require.ErrorIs(t, err, persistence.ErrUnavailable)
	})

	t.Run("without lanes there is nothing to do", func(t *testing.T) {
		t.Parallel()
		l, err := pump(new(memory.Journal), nil, rows.event, upTo(10))
		require.NoError(t, err)
		require.Zero(t, l.count)
	})
}

// The measured metadata is what the notes' figures were made with.
func TestRows(t *testing.T) {
	t.Parallel()
	rows := newRows()

	require.InDelta(t, 115, len(rows.encoded), 2)
	require.Len(t, rows.payload(1000), payloadSize)
	first, second, third := rows.next(1, 2), rows.next(2, 2), rows.next(3, 2)
	require.Equal(t, []int64{1, 2, 1}, []int64{first.stream, second.stream, third.stream})
	require.Equal(t, []int64{1, 1, 2}, []int64{first.version, second.version, third.version})
}
