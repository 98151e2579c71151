package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// The domain of these tests: a clock sets alarms for itself, and has a list told.
type (
	Arm struct {
		Name   string
		Delay  time.Duration
		Key    string
		Cancel string
		Raise  bool // an event, too
	}
	Ring struct{ Name string }
	Tell struct {
		List string
		Put  Put
	}
	Under struct {
		Key, Cancel string
		Put         Put
	}
	Heard struct {
		Text string
		Late time.Duration
		At   time.Time
	}

	clock struct {
		Rung []Heard
	}
)

func (Arm) MessageName() string   { return "test.arm" }
func (Ring) MessageName() string  { return "test.ring" }
func (Tell) MessageName() string  { return "test.tell" }
func (Under) MessageName() string { return "test.under" }
func (Heard) MessageName() string { return "test.heard" }

var (
	ArmClock  = actors.NewCommand[Arm, Heard]("clock")
	RingClock = actors.NewCommand[Ring, Heard]("clock")
	TellClock = actors.NewCommand[Tell, Heard]("clock")
	SendUnder = actors.NewCommand[Under, Heard]("clock")
)

func clocks(more ...actors.Part[clock]) *actors.Aggregate[clock] {
	return actors.Define("clock", append([]actors.Part[clock]{
		actors.Handle(ArmClock, (*clock).arm), actors.Handle(RingClock, (*clock).ring), actors.Handle(TellClock, (*clock).tell),
		actors.On(func(c *clock, e Heard) { c.Rung = append(c.Rung, e) }),
	}, more...)...)
}

func (*clock) arm(tx *actors.Tx, c Arm) (Heard, error) {
	if c.Raise {
		tx.Raise(Heard{Text: "armed"})
	}
	if c.Cancel != "" {
		tx.Cancel(c.Cancel)
	}
	if c.Name != "" {
		RingClock.SendAfter(tx, c.Delay, tx.ID, Ring{c.Name}, actors.Key(c.Key))
	}
	return Heard{}, nil
}

func (*clock) ring(tx *actors.Tx, c Ring) (Heard, error) {
	tx.Raise(Heard{Text: c.Name, Late: tx.Late(), At: tx.Now()})
	return Heard{}, nil
}

func (*clock) tell(tx *actors.Tx, c Tell) (Heard, error) {
	PutInto.Send(tx, c.List, c.Put)
	return Heard{}, nil
}

// sendUnder puts something into the list l under a key, or cancels one.
func (*clock) sendUnder(tx *actors.Tx, c Under) (Heard, error) {
	if c.Cancel != "" {
		tx.Cancel(c.Cancel)
		return Heard{}, nil
	}
	PutInto.Send(tx, "l", c.Put, actors.Key(c.Key))
	return Heard{}, nil
}

func hearTold(_ *clock, tx *actors.Tx, reply Seen, err error) error {
	tx.Raise(Heard{Text: fmt.Sprint(reply.Tags, err)})
	return nil
}

func arm(t *testing.T, system actors.Asker, id string, c Arm) {
	t.Helper()
	_, err := ArmClock.Ask(t.Context(), system, id, c)
	require.NoError(t, err)
}

func heard(system *actorstest.System, id string) (texts []string) {
	for _, event := range system.Events(persistence.StreamID("clock-" + id)) {
		texts = append(texts, event.(Heard).Text) //nolint:forcetypeassert // it raises nothing else
	}
	return texts
}

func TestTimers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, clocks(actors.Sends[clock](), actors.Idle[clock](time.Second)))
		began := time.Now()
		arm(t, system, "a", Arm{Name: "last", Delay: 3 * time.Hour})
		arm(t, system, "a", Arm{Name: "hour", Delay: time.Hour})
		arm(t, system, "a", Arm{Name: "replaced", Delay: time.Minute, Key: "k"})
		arm(t, system, "a", Arm{Name: "replacing", Delay: 2 * time.Hour, Key: "k"})
		arm(t, system, "a", Arm{Name: "cancelled", Delay: time.Minute, Key: "c"})
		arm(t, system, "a", Arm{Cancel: "c"})

		<-time.After(4 * time.Hour)

		require.Equal(t, []string{"hour", "replacing", "last"}, heard(system, "a"))
		for i, event := range system.Events("clock-a") {
			want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}[i]
			late := event.(Heard).At.Sub(began.Add(want))
			require.GreaterOrEqual(t, late, -time.Microsecond)
			require.Less(t, late, 10*time.Millisecond)
		}
	})
}

// Times are those of the clocks of the systems: what another one has stored is due when
// the clock here says so. That is late by as much as the clock here is behind, and early
// by as much as it is ahead; nothing is lost, and nothing is done twice.
func TestTimersFollowTheClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		there, here time.Duration // what the clocks show at the same moment
		delay       time.Duration
		after       time.Duration // from that moment
	}{
		"the same":                       {0, 0, 2 * time.Hour, 2 * time.Hour},
		"set back by an hour":            {time.Hour, 0, 2 * time.Hour, 3 * time.Hour},
		"set back, and due soon":         {time.Hour, 0, time.Second, time.Hour + time.Second},
		"ahead by an hour":               {0, time.Hour, 2 * time.Hour, time.Hour},
		"ahead by more than is to wait":  {0, 3 * time.Hour, 2 * time.Hour, 0},
		"behind by more than is to wait": {5 * time.Hour, 0, time.Minute, 5*time.Hour + time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var events []persistence.Recorded
			synctest.Test(t, func(t *testing.T) { // each begins at the same time
				<-time.After(c.there)
				journal := new(memory.Journal)
				system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}})
				arm(t, system, "a", Arm{Name: "x", Delay: c.delay})
				for recorded, err := range journal.Read(t.Context(), "clock-a", persistence.ReadOptions{}) {
					require.NoError(t, err)
					events = append(events, recorded)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				<-time.After(c.here)
				journal := new(memory.Journal)
				_, err := journal.Import(t.Context(), events)
				require.NoError(t, err)
				system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}})
				began := time.Now()
				if c.after > 0 {
					<-time.After(c.after - time.Second)
					require.Empty(t, heard(system, "a"))
				}
				<-time.After(10 * time.Second)
				require.Equal(t, []string{"x"}, heard(system, "a"))
				system.Restart()
				<-time.After(6 * time.Hour)

				rung := system.Events("clock-a")
				require.Len(t, rung, 1)
				require.WithinDuration(t, began.Add(c.after), rung[0].(Heard).At, 10*time.Second)
			})
		})
	}
}

// What is sent is stored with the last event, unless there is none or it is much; from
// either place it is read again.
func TestWhereSendsAreStored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arm  Arm
		want []string
	}{
		"beside an event":  {Arm{Name: "x", Raise: true}, []string{"test.heard"}},
		"without an event": {Arm{Name: "x"}, []string{"$stele.sent"}},
		"much":             {Arm{Name: strings.Repeat("x", 9<<10), Raise: true}, []string{"test.heard", "$stele.sent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				system := actorstest.Start(t, clocks(actors.Sends[clock](), actors.SnapshotEvery[clock](1)))
				c.arm.Delay, c.arm.Key = time.Hour, "k"
				arm(t, system, "kept", c.arm)
				arm(t, system, "cancelled", c.arm)
				arm(t, system, "cancelled", Arm{Cancel: "k", Raise: c.arm.Raise})
				var types []string
				for recorded, err := range system.Journal().Read(t.Context(), "clock-kept", persistence.ReadOptions{}) {
					require.NoError(t, err)
					types = append(types, recorded.Type)
				}
				require.Equal(t, c.want, types)
				system.Restart()
				<-time.After(2 * time.Hour)

				require.Contains(t, heard(system, "kept"), c.arm.Name)
				require.NotContains(t, heard(system, "cancelled"), c.arm.Name)
			})
		})
	}
}

// What came due while nothing ran fires once when something does, the oldest first.
func TestTimersAreLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, clocks(actors.Sends[clock]()))
		for i := range 5 {
			arm(t, system, "a", Arm{Name: fmt.Sprint(i), Delay: time.Duration(5-i) * time.Minute})
		}
		system.Stop()
		<-time.After(time.Hour)
		system.Restart()
		<-time.After(time.Second)
		system.Crash()
		<-time.After(time.Hour)

		require.Equal(t, []string{"4", "3", "2", "1", "0"}, heard(system, "a"))
		first := system.Events("clock-a")[0].(Heard) //nolint:forcetypeassert // it raises nothing else
		require.InDelta(t, 59*time.Minute, first.Late, float64(time.Second))
	})
}

// A timer that was cancelled while it was on its way is never heard of.
func TestCancelWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, clocks(actors.Sends[clock]()))
		for i := range 20 {
			id := fmt.Sprint(i)
			arm(t, system, id, Arm{Name: "x", Delay: time.Minute, Key: "k"})
		}
		<-time.After(time.Minute - time.Nanosecond)
		for i := range 20 {
			id := fmt.Sprint(i)
			arm(t, system, id, Arm{Cancel: "k"})
			before := len(heard(system, id)) // it may have fired before

			<-time.After(time.Minute)

			require.Len(t, heard(system, id), before)
		}
	})
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, lists(actors.Rejects[list]("no", errRejected)), clocks(actors.Result(PutInto, hearTold)))
		for i, put := range []Put{{Tag: "a"}, {Tag: "b", Do: reject}, {Tag: "c", Do: rejectLate}, {Tag: "d"}} {
			_, err := TellClock.Ask(t.Context(), system, "a", Tell{List: "l", Put: put}, actors.Once(fmt.Sprint(i)))
			require.NoError(t, err)
			<-time.After(time.Second)
		}
		system.Restart()
		<-time.After(time.Minute)

		require.Equal(t, []string{"[a] <nil>", "[] no", "[] no", "[a d] <nil>"}, heard(system, "a"))
	})
}

// A Result that fails or panics stores nothing and is called again.
func TestResultAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		system := actorstest.Start(t, lists(), clocks(actors.Result(PutInto, func(c *clock, tx *actors.Tx, reply Seen, err error) error {
			switch tries++; tries {
			case 1:
				return errors.New("not now")
			case 2:
				tx.Raise(Heard{Text: "never"})
				panic("not now either")
			}
			return hearTold(c, tx, reply, err)
		})))
		_, err := TellClock.Ask(t.Context(), system, "a", Tell{List: "l", Put: Put{Tag: "a"}})
		require.NoError(t, err)
		<-time.After(time.Minute)
		synctest.Wait()

		require.Equal(t, 3, tries)
		require.Equal(t, []string{"[a] <nil>"}, heard(system, "a"))
	})
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var failed error
		system := actorstest.StartWith(t, actors.Config{
			Aggregates: []actors.Definition{clocks(actors.Result(PutInto, func(c *clock, tx *actors.Tx, reply Seen, err error) error {
				failed = err
				return hearTold(c, tx, reply, err)
			}))},
			GiveUpAfter: time.Hour,
		})
		_, err := TellClock.Ask(t.Context(), system, "a", Tell{List: "l", Put: Put{Tag: "a"}})
		require.NoError(t, err)
		<-time.After(2 * time.Hour)
		synctest.Wait()

		require.ErrorIs(t, failed, actors.ErrUndelivered)
		require.ErrorIs(t, failed, persistence.ErrUnknownOutcome)
		require.NotErrorIs(t, failed, persistence.ErrUnavailable, "an attempt before the last may have done it")
		require.Len(t, heard(system, "a"), 1)
	})
}

// A clock that says that long has passed gives nothing up that was hardly tried.
func TestGivesUpNothingAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var back time.Time
		journal := faulty(t, faultjournal.Config{Read: func(stream persistence.StreamID, _ int) faultjournal.ReadFault {
			if stream == "list-l" && time.Now().Before(back) {
				return faultjournal.ReadFault{Err: &persistence.UnavailableError{Reason: "away"}}
			}
			return faultjournal.ReadFault{}
		}})
		config := actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(actors.Result(PutInto, hearTold))}, GiveUpAfter: time.Hour}
		before := open(t, config)
		_, err := TellClock.Ask(t.Context(), before, "a", Tell{List: "l", Put: Put{Tag: "a"}})
		require.NoError(t, err)
		shut(t, before)
		<-time.After(3 * time.Hour)

		back = time.Now().Add(30 * time.Second)
		config.Aggregates = append(config.Aggregates, lists())
		system := actorstest.StartWith(t, config)
		<-time.After(2 * time.Minute)

		require.Equal(t, []string{"[a] <nil>"}, heard(system, "a"))
	})
}

// What is open survives snapshots: the aggregate is read from one.
func TestSendsInSnapshots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, clocks(actors.Sends[clock](), actors.SnapshotEvery[clock](1)))
		arm(t, system, "a", Arm{Name: "later", Delay: time.Hour, Key: "k"})
		<-time.After(time.Second)
		require.NotZero(t, system.Stats().Snapshots)
		system.Restart()
		<-time.After(2 * time.Hour)

		require.Equal(t, []string{"later"}, heard(system, "a"))
	})
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, clocks())
		_, err := ArmClock.Ask(t.Context(), system, "a", Arm{Name: "x"})
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, "add a Result or Sends")
		_, err = TellClock.Ask(t.Context(), system, "a", Tell{List: "\x00"})
		require.ErrorIs(t, err, persistence.ErrInvalid)
	})
}

// What a command decided ahead sends is not delivered before it is stored, also when
// its aggregate is woken meanwhile: here it never is.
func TestWokenBeforeStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := faulty(t, faultjournal.Config{Append: func(a *persistence.Append, n int) faultjournal.Fault {
			if a.Stream == "clock-a" && n == 2 {
				return faultjournal.Fault{Delay: 8 * time.Second, Before: &persistence.UnavailableError{Reason: "down"}}
			}
			return faultjournal.Fault{}
		}})
		system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(), clocks(actors.Result(PutInto, hearTold))}})
		arm(t, system, "a", Arm{Name: "ring", Delay: time.Second})

		_, err := TellClock.Ask(t.Context(), system, "a", Tell{List: "l", Put: Put{Tag: "x"}})

		require.ErrorIs(t, err, persistence.ErrUnavailable)
		<-time.After(time.Minute)
		require.Empty(t, stored(t, journal, "l"))
		require.Equal(t, []string{"ring"}, heard(system, "a"))
		system.Stop()
	})
}

// Two systems on one journal know nothing of each other, and deliver each other's sends
// when nobody else does. One of them dies again and again: every command has one effect,
// and every outcome is heard once.
func TestTwoSystemsDeliver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rounds, each = 6, 10
		journal := faulty(t, faultjournal.Config{Append: actorstest.Chance(1, actorstest.Rates{Lost: 0.05, Before: 0.05, Delay: 200 * time.Millisecond})})
		config := actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(), clocks(actors.Result(PutInto, hearTold))}}
		one, two := actorstest.StartWith(t, config), actorstest.StartWith(t, config)
		told := 0
		for range rounds {
			for i := range each {
				system := one
				if i%2 == 1 {
					system = two
				}
				key := fmt.Sprint(told)
				told++
				for asked := false; !asked; {
					_, err := TellClock.Ask(t.Context(), system, fmt.Sprint(i%3), Tell{List: fmt.Sprint(i % 4), Put: Put{Tag: key}}, actors.Once(key))
					if asked = err == nil; !asked {
						<-time.After(time.Second)
					}
				}
			}
			two.Crash() // in the middle of what it delivers
		}
		two.Stop() // what it has left is for the other
		<-time.After(time.Hour)

		var tags, outcomes []string
		for i := range 4 {
			tags = append(tags, stored(t, journal, fmt.Sprint(i))...)
			outcomes = append(outcomes, heard(one, fmt.Sprint(i))...)
		}
		slices.Sort(tags)
		require.Len(t, tags, told)
		require.Len(t, slices.Compact(tags), told)
		require.Len(t, outcomes, told)
		one.Stop()
	})
}

// What one aggregate sends to another arrives in the order in which it was sent, also
// when the first of it fails at first.
func TestSendsArriveInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failed := false
		system := actorstest.Start(t, clocks(actors.Result(PutInto, hearTold)), watched(func(_ *actors.Tx, c Put) {
			if c.Tag == "0" && !failed {
				failed = true
				panic("not yet")
			}
		}))
		var want []string
		for i := range 5 {
			want = append(want, fmt.Sprint(i))
			_, err := TellClock.Ask(t.Context(), system, "a", Tell{List: "l", Put: Put{Tag: want[i]}})
			require.NoError(t, err)
		}
		<-time.After(time.Minute)
		synctest.Wait()

		require.True(t, failed)
		require.Equal(t, want, stored(t, system.Journal(), "l"))
	})
}

// A timer that has left already is not heard of when it was cancelled on its way.
func TestCancelOvertakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slowly := func(ctx context.Context, asked actors.Asked, next func(context.Context) (any, error)) (any, error) {
			if asked.Sent {
				<-time.After(time.Second)
			}
			return next(ctx)
		}
		system := actorstest.StartWith(t, actors.Config{Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}, Around: []actors.Around{slowly}})
		arm(t, system, "a", Arm{Name: "cancelled", Delay: time.Minute, Key: "k"})
		arm(t, system, "a", Arm{Name: "kept", Delay: time.Minute, Key: "l"})
		<-time.After(time.Minute + time.Second/2)
		arm(t, system, "a", Arm{Cancel: "k"})
		<-time.After(time.Minute)
		synctest.Wait()

		require.Equal(t, []string{"kept"}, heard(system, "a"))
	})
}
