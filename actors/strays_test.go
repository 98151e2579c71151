package actors_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence/memory"
)

// A kind that was removed or renamed takes with it whoever would deliver what it has
// open. Every start says so, once, with how much it is.
func TestAKindThatIsHostedNowhereAndHasCommandsOpenIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const says = `msg="kind has commands open and is not hosted here" kind=clock`
		journal := new(memory.Journal)
		run := func(minutes int, definitions ...actors.Definition) *lines {
			logged := new(lines)
			system := actorstest.StartWith(t, actors.Config{Journal: journal, Logger: slog.New(slog.NewTextHandler(logged, nil)), Aggregates: definitions})
			if len(definitions) > 1 {
				for i := range 3 {
					arm(t, system, fmt.Sprint(i), Arm{Name: "x", Delay: time.Hour})
				}
			}
			<-time.After(time.Duration(minutes) * time.Minute)
			synctest.Wait()
			system.Stop()
			return logged
		}
		require.Zero(t, run(2, lists(), clocks(actors.Sends[clock]())).count(says), "it is hosted")

		early := run(2, lists())
		require.Equal(t, 1, early.count(says), "%s", &early.text)
		require.Equal(t, 1, early.count("have sent 3 commands"), "%s", &early.text)
		require.Zero(t, early.count("level=WARN"), "another program may host it")

		<-time.After(time.Hour)
		late := run(2, lists())
		require.Equal(t, 1, late.count("level=WARN "+says), "%s", &late.text)
		require.Equal(t, 1, late.count("have sent 3 commands"), "%s", &late.text)

		require.Zero(t, run(2, clocks(actors.Sends[clock]())).count(says), "they are delivered")
		require.Zero(t, run(2, lists()).count(says), "nothing is open")
	})
}
