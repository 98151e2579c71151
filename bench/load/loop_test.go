package load

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errWork = errors.New("the work failed")

func TestClosedLoop(t *testing.T) {
	t.Parallel()

	t.Run("callers work until the time is over", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l, err := ClosedLoop(3, time.Second, func(int, int) error { <-time.After(10 * time.Millisecond); return nil })

			require.NoError(t, err)
			require.InDelta(t, 300, l.Count, 3)
			require.InDelta(t, 300, l.Rate(), 3)
		})
	})

	t.Run("an error ends it for all", func(t *testing.T) {
		t.Parallel()
		_, err := ClosedLoop(3, time.Hour, func(caller, i int) error {
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

	l, err := Once(7, len(done), func(i int) error { done[i].Add(1); return nil })

	require.NoError(t, err)
	require.Equal(t, len(done), l.Count)
	for i := range done {
		require.EqualValues(t, 1, done[i].Load())
	}

	_, err = Once(7, len(done), func(i int) error { return errWork })
	require.Equal(t, errWork, err)
}

func TestSingle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := Single(time.Second, func(int) error { <-time.After(20 * time.Millisecond); return nil })

		require.NoError(t, err)
		require.Equal(t, 50, l.Count)
		require.InEpsilon(t, 20_000, l.Micros(50), 0.01)
	})
}

// What is late because the one before took long counts as slow.
func TestOpenLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := OpenLoop(t.Context(), 1, 1000, time.Second, func(_, i int) error {
			if i == 100 {
				<-time.After(500 * time.Millisecond)
			}
			return nil
		})

		require.NoError(t, err)
		require.Equal(t, 1000, l.Count)
		require.Less(t, l.Micros(40), 1.0)
		require.InEpsilon(t, 250_000, l.Micros(75), 0.05)
		require.InEpsilon(t, 500_000, l.Micros(100), 0.01)
	})
}
