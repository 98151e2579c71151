package breaker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New()
		away := errors.New("away")
		fail := func(times int) {
			for range times {
				b.Failed(away)
			}
		}

		fail(failuresToOpen - 1)
		require.NoError(t, b.Refuse(), "a few failures do not open it")
		b.Worked()
		fail(failuresToOpen - 1)
		require.NoError(t, b.Refuse(), "a success forgets them")

		fail(1)
		for pause := firstPause; pause <= longestPause; pause = min(2*pause, longestPause) {
			refused, ok := errors.AsType[*persistence.UnavailableError](b.Refuse())
			require.True(t, ok)
			require.InDelta(t, pause, refused.RetryAfter, float64(pause)/5+1)
			select {
			case <-b.Opened():
			default:
				require.Fail(t, "those that wait are not woken")
			}
			time.Sleep(refused.RetryAfter)
			require.NoError(t, b.Refuse(), "then the next caller may try")
			fail(1)
			if pause == longestPause {
				break
			}
		}

		require.Error(t, b.Refuse())
		b.Answered()
		require.NoError(t, b.Refuse(), "a server that answers is tried at once")
		fail(1)
		require.Error(t, b.Refuse())

		b.Worked()
		require.NoError(t, b.Refuse())
		select {
		case <-b.Opened():
			require.Fail(t, "it is closed")
		default:
		}
		fail(failuresToOpen)
		refused, ok := errors.AsType[*persistence.UnavailableError](b.Refuse())
		require.True(t, ok)
		require.LessOrEqual(t, refused.RetryAfter, firstPause*6/5, "it begins anew")
	})
}
