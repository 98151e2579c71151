package actors_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
)

// deaf are clocks that cannot hear of a put while it says so.
func deaf(cannot func(reply Seen) error) actors.Definition {
	return clocks(actors.Result(PutInto, func(c *clock, tx *actors.Tx, reply Seen, err error) error {
		if cause := cannot(reply); cause != nil {
			return cause
		}
		return hearTold(c, tx, reply, err)
	}))
}

func tellPut(t *testing.T, system actors.Asker, id, list, tag string) {
	t.Helper()
	_, err := TellClock.Ask(t.Context(), system, id, Tell{List: list, Put: Put{Tag: tag}})
	require.NoError(t, err)
}

// A Result that fails again and again is set aside after ten times, longer apart each
// time, with all that was sent to the same aggregate after it; everything else goes on.
// Who has mended the cause has it tried again.
func TestParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		var tries []time.Time
		system := actorstest.Start(t, lists(), deaf(func(reply Seen) error {
			if reply.Tags[0] != "bad" || !broken.Load() {
				return nil
			}
			if tries = append(tries, time.Now()); len(tries)%3 == 0 {
				panic("not even an error")
			}
			return errors.New("cannot hear")
		}))
		broken.Store(true)
		began := time.Now()
		tellPut(t, system, "a", "bad", "bad")
		tellPut(t, system, "a", "bad", "behind")
		<-time.After(20 * time.Second)
		tellPut(t, system, "a", "good", "good")
		tellPut(t, system, "b", "good", "other")
		<-time.After(time.Hour)
		synctest.Wait()

		require.Len(t, tries, 10)
		for i, pause := 0, time.Second; i < 9; i, pause = i+1, 2*pause {
			require.InDelta(t, pause, tries[i+1].Sub(tries[i]), float64(pause)/5+float64(100*time.Millisecond))
		}
		require.Equal(t, []string{"[good] <nil>"}, heard(system, "a"), "another target")
		require.Equal(t, []string{"[good other] <nil>"}, heard(system, "b"), "another sender")
		parked := system.Parked()
		require.Len(t, parked, 1)
		require.EqualError(t, parked[0].Cause, "cannot hear")
		parked[0].Cause = nil
		require.NotZero(t, parked[0].CommandID)
		parked[0].CommandID = persistence.CommandID{}
		require.Equal(t, actors.Parked{
			Kind: "clock", ID: "a", ToKind: "list", ToID: "bad", Command: "test.put", Since: tries[0], Attempts: 10,
		}, parked[0])
		require.Less(t, tries[0].Sub(began), time.Second)

		require.True(t, system.Retry("clock", "a"))
		<-time.After(500 * time.Millisecond)
		synctest.Wait()
		require.Len(t, tries, 11, "tried, and rests again")
		require.Empty(t, system.Parked())
		broken.Store(false)
		<-time.After(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"[good] <nil>", "[bad] <nil>", "[bad behind] <nil>"}, heard(system, "a"))
		require.False(t, system.Retry("clock", "c"), "nothing rests")
	})
}

// What is parked is tried when a system starts, and is given up with what it was about.
func TestParkedEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		system := actorstest.Start(t, lists(), clocks(
			actors.Handle(SendUnder, (*clock).sendUnder),
			actors.Result(PutInto, func(_ *clock, tx *actors.Tx, reply Seen, err error) error {
				if reply.Tags[len(reply.Tags)-1] == "bad" {
					tries.Add(1)
					return errors.New("never")
				}
				return hearTold(nil, tx, reply, err)
			})))
		under := func(c Under) {
			_, err := SendUnder.Ask(t.Context(), system, "a", c)
			require.NoError(t, err)
		}
		under(Under{Key: "k", Put: Put{Tag: "bad"}})
		under(Under{Put: Put{Tag: "behind"}})
		<-time.After(time.Hour)
		synctest.Wait()
		require.Len(t, system.Parked(), 1)
		require.EqualValues(t, 10, tries.Load())

		system.Restart()
		<-time.After(500 * time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 11, tries.Load())
		<-time.After(time.Hour)
		synctest.Wait()
		require.Len(t, system.Parked(), 1)
		require.Empty(t, heard(system, "a"))

		under(Under{Cancel: "k"})
		<-time.After(time.Second)
		synctest.Wait()
		require.Empty(t, system.Parked())
		require.Equal(t, []string{"[bad behind] <nil>"}, heard(system, "a"))

		under(Under{Key: "k", Put: Put{Tag: "bad"}})
		<-time.After(time.Hour)
		synctest.Wait()
		require.Len(t, system.Parked(), 1)
		under(Under{Cancel: "k"}) // with nothing behind it
		synctest.Wait()
		require.Empty(t, system.Parked())
	})
}

// What is sent to an aggregate later does not overtake what could not be delivered to
// it yet.
func TestNothingOvertakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		system := actorstest.StartWith(t, actors.Config{
			Aggregates: []actors.Definition{lists(), clocks(actors.Sends[clock]())},
			Around: []actors.Around{actors.Guard(func(_ context.Context, asked actors.Asked) error {
				if asked.Kind == "list" && away.Load() {
					return &persistence.Error{Kind: persistence.ErrUnavailable}
				}
				return nil
			})},
		})
		away.Store(true)
		var want []string
		for i := range 50 {
			away.Store(i%7 != 3)
			tag := fmt.Sprint(i)
			want = append(want, tag)
			tellPut(t, system, "a", "l", tag)
			<-time.After(30 * time.Millisecond)
		}
		away.Store(false)
		<-time.After(time.Minute)
		synctest.Wait()

		seen, err := GetOf.Ask(t.Context(), system, "l", Get{})
		require.NoError(t, err)
		require.Equal(t, want, seen.Tags)
	})
}
