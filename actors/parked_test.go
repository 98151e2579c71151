package actors_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence/memory"
)

// Senders whose commands are set aside are woken ever less often, however many they are:
// nothing about them changes here. What changes one of them is noticed at once.
func TestLongSendersOfWhatIsParkedAreLeftInPeace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const senders = 200
		journal := new(memory.Journal)
		able := actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}}
		first := actorstest.StartWith(t, able)
		for i := range senders {
			arm(t, first, fmt.Sprint(i), Arm{Name: "x", Delay: time.Minute})
		}
		first.Stop()
		without := actors.Define("clock", actors.Handle(ArmClock, (*clock).arm), actors.On(func(*clock, Heard) {}), actors.Sends[clock](), actors.Idle[clock](10*time.Second))
		blind := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{without}})
		<-time.After(5 * time.Minute)
		synctest.Wait()
		require.Len(t, blind.Parked(), senders)
		before := blind.Stats().Recoveries

		<-time.After(24 * time.Hour)
		synctest.Wait()

		require.LessOrEqual(t, blind.Stats().Recoveries-before, uint64(35*senders), "times that each was woken in a day")
		require.Len(t, blind.Parked(), senders)

		// Another program hears of some: they are not parked here any more, soon.
		last := actorstest.StartWith(t, able)
		<-time.After(time.Minute)
		synctest.Wait()
		require.Len(t, heard(last, "7"), 1)
		require.Empty(t, blind.Parked())
	})
}
