package postgres

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
		b := newBreaker()
		away := errors.New("away")
		fail := func(times int) {
			for range times {
				b.failed(away)
			}
		}

		fail(breakerFailures - 1)
		require.NoError(t, b.refuse(), "a few failures are borne")
		b.worked()
		fail(breakerFailures - 1)
		require.NoError(t, b.refuse(), "what works forgets them")

		fail(1)
		for pause := breakerPause; pause <= breakerLongest; pause = min(2*pause, breakerLongest) {
			refused, ok := errors.AsType[*persistence.UnavailableError](b.refuse())
			require.True(t, ok)
			require.InDelta(t, pause, refused.RetryAfter, float64(pause)/5+1)
			select {
			case <-b.whenOpen():
			default:
				require.Fail(t, "who waits is not told")
			}
			time.Sleep(refused.RetryAfter)
			require.NoError(t, b.refuse(), "then one may try")
			fail(1)
			if pause == breakerLongest {
				break
			}
		}

		require.Error(t, b.refuse())
		b.answered()
		require.NoError(t, b.refuse(), "a server that answers is tried at once")
		fail(1)
		require.Error(t, b.refuse())

		b.worked()
		require.NoError(t, b.refuse())
		select {
		case <-b.whenOpen():
			require.Fail(t, "it is closed")
		default:
		}
		fail(breakerFailures)
		refused, ok := errors.AsType[*persistence.UnavailableError](b.refuse())
		require.True(t, ok)
		require.LessOrEqual(t, refused.RetryAfter, breakerPause*6/5, "it begins anew")
	})
}
