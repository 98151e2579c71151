package actors_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
)

// The versions of a stream count on when it was deleted and is written again, which an
// aggregate that begins anew cannot know. What it sends then has one effect all the
// same, and its receipts are right.
func TestSendsOfTheReborn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, lists(), clocks(actors.Result(PutInto, hearTold), actors.Idle[clock](time.Second)))
		tell := func(tag string) (receipt actors.Receipt) {
			_, err := TellClock.Ask(t.Context(), system, "a", Tell{List: "l", Put: Put{Tag: tag}}, actors.ReceiptTo(&receipt))
			require.NoError(t, err)
			<-time.After(time.Minute)
			return receipt
		}
		tell("before")
		streams, ok := persistence.As[persistence.Streams](system.Journal())
		require.True(t, ok)
		_, err := streams.Delete(t.Context(), "clock-a", persistence.Any)
		require.NoError(t, err)
		receipt := tell("after")
		system.Restart()
		<-time.After(time.Minute)

		info, err := system.Journal().Stream(t.Context(), "clock-a")
		require.NoError(t, err)
		require.Equal(t, info.First, receipt.Version)
		require.Len(t, system.Events("list-l"), 2)
		require.Equal(t, []string{"[before after] <nil>"}, heard(system, "a"))
	})
}
