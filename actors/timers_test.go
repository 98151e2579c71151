package actors_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// Timers are in time whenever they are armed and however far away they are: those that
// are far are left to the sweep, which brings them when they are near.
func TestTimersFarAndNear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, clocks(actors.Sends[clock](), actors.Idle[clock](time.Second)))
		due := map[string]time.Time{}
		for i := range 300 { // at all times of a round, for all times around the horizon
			id := fmt.Sprint(i)
			delay := 50*time.Second + time.Duration(i*7%80)*time.Second
			due[id] = time.Now().Add(delay)
			arm(t, system, id, Arm{Name: id, Delay: delay})
			<-time.After(777 * time.Millisecond)
		}
		<-time.After(5 * time.Minute)
		synctest.Wait()

		for id, due := range due {
			events := system.Events(persistence.StreamID("clock-" + id))
			require.Len(t, events, 1)
			rung := events[0].(Heard) //nolint:forcetypeassert // it raises nothing else
			require.GreaterOrEqual(t, rung.At.Sub(due), -time.Microsecond)
			require.Less(t, rung.At.Sub(due), 10*time.Millisecond, "armed %s", due)
		}
		require.Zero(t, system.Stats().Pending)
	})
}

// While the journal cannot be read from its sequence, timers that are armed are in time
// all the same.
func TestTimersWithoutSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &blind{Journal: new(memory.Journal)}
		system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}})
		<-time.After(time.Minute)
		synctest.Wait()
		journal.blind.Store(true)
		<-time.After(time.Minute)
		synctest.Wait()
		arm(t, system, "a", Arm{Name: "x", Delay: time.Hour})
		<-time.After(2 * time.Hour)
		synctest.Wait()

		rung := system.Events("clock-a")[0].(Heard) //nolint:forcetypeassert // it raises nothing else
		require.Less(t, rung.Late, 10*time.Millisecond)
	})
}

// blind is a journal whose sequence cannot be read, or with an error of its own not from
// where somebody has come to.
type blind struct {
	persistence.Journal
	blind atomic.Bool
	err   error
}

func (b *blind) Unwrap() persistence.Journal { return b.Journal }

func (b *blind) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	if b.blind.Load() && (b.err == nil || len(options.After) > 0) {
		return func(yield func(persistence.Page, error) bool) {
			yield(persistence.Page{}, cmp.Or(b.err, error(&persistence.UnavailableError{Reason: "away"})))
		}
	}
	return b.Journal.ReadAll(ctx, options)
}

// A server that takes over and lacks what was read is read anew.
func TestSweepAfterLostTail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &blind{Journal: new(memory.Journal), err: &persistence.LostTailError{}}
		config := actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}}
		system := actorstest.StartWith(t, config)
		other := actorstest.StartWith(t, config)
		<-time.After(time.Minute)
		synctest.Wait()
		arm(t, other, "a", Arm{Name: "x", Delay: time.Hour})
		other.Stop()
		journal.blind.Store(true)
		<-time.After(2 * time.Hour)
		synctest.Wait()

		require.Equal(t, []string{"x"}, heard(system, "a"))
	})
}

// With as many commands open as may be, what adds to them is refused and does nothing;
// what does not goes on.
func TestMaxPending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config := actors.Config{
			Journal: new(memory.Journal), MaxPending: 10,
			Aggregates: []actors.Definition{clocks(actors.Sends[clock]()), lists()},
		}
		system := actorstest.StartWith(t, config)
		for i := range 10 {
			arm(t, system, fmt.Sprint(i), Arm{Name: "x", Delay: time.Hour, Key: "k"})
		}
		refused := func(system actors.Asker) {
			t.Helper()
			_, err := ArmClock.Ask(t.Context(), system, "one more", Arm{Name: "x", Delay: time.Hour})
			failed := failure(t, err)
			require.Equal(t, persistence.ErrOverloaded, failed.Kind)
			require.Equal(t, "too-many-pending", failed.Reason)
			_, err = config.Journal.Stream(t.Context(), "clock-one more")
			require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		}
		refused(system)
		require.Equal(t, 10, system.Stats().Pending)
		arm(t, system, "3", Arm{Name: "y", Delay: 2 * time.Hour, Key: "k"})
		arm(t, system, "4", Arm{Cancel: "k"})
		arm(t, system, "4", Arm{Name: "y", Delay: time.Hour, Key: "k"})
		refused(system)

		<-time.After(time.Minute)
		synctest.Wait()
		refused(system)
		other := actorstest.StartWith(t, config)
		<-time.After(time.Second)
		refused(other)
		other.Stop()
		system.Restart()
		<-time.After(time.Second)
		refused(system)
		require.Equal(t, 10, system.Stats().Pending)

		<-time.After(90 * time.Minute)
		synctest.Wait()
		require.Equal(t, 1, system.Stats().Pending)
		arm(t, system, "one more", Arm{Name: "x", Delay: time.Hour})
	})
}

// What came due in an hour without a system is delivered in the order of time.
func TestManyAreLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 2000
		system := actorstest.Start(t, clocks(actors.Sends[clock]()))
		for i := range many {
			arm(t, system, fmt.Sprint(i), Arm{Name: "x", Delay: time.Minute + time.Duration(i*7919%many)*time.Second})
		}
		system.Stop()
		<-time.After(2 * time.Hour)
		synctest.Wait()
		before, err := system.Journal().Head(t.Context())
		require.NoError(t, err)
		system.Restart()
		<-time.After(time.Minute)
		synctest.Wait()

		var rung []time.Duration // how late, in the order in which they are stored
		for page, err := range system.Journal().ReadAll(t.Context(), persistence.ReadAllOptions{After: before}) {
			require.NoError(t, err)
			for _, recorded := range page.Events {
				if event, err := system.Decode(recorded); err == nil { // else it is the system's own
					rung = append(rung, event.(Heard).Late) //nolint:forcetypeassert // it raises nothing else
				}
			}
		}
		require.Len(t, rung, many)
		latest := slices.Max(rung)
		places := 0.0 // between the place of one and its place in the order of time
		for i, late := range rung {
			places += math.Abs(float64(i) - (latest - late).Seconds())
		}
		require.Less(t, places/many, float64(actors.MaxRousing), "some are delivered side by side")
	})
}

// What a kind has open is delivered, or seen to be set aside, by a program in which the
// kind sends nothing any more; also when the programs before did not note who sends.
func TestTimersOfAKindThatSendsNoMore(t *testing.T) {
	t.Parallel()
	noteless := func(journal *memory.Journal) persistence.Journal { return senderless{journal} }
	for name, of := range map[string]func(*memory.Journal) persistence.Journal{
		"noted":                   func(journal *memory.Journal) persistence.Journal { return journal },
		"noted by older programs": noteless,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := of(new(memory.Journal))
				first := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}})
				arm(t, first, "a", Arm{Name: "x", Delay: time.Hour})
				synctest.Wait()
				first.Stop()

				without := actors.Define("clock", actors.Handle(ArmClock, (*clock).arm), actors.On(func(*clock, Heard) {}))
				unreadable, err := actors.CheckOpen(t.Context(), journal, nil, without)
				require.NoError(t, err)
				require.ErrorContains(t, unreadable, "kind clock has no Handle for test.ring")
				blind := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{without}})
				<-time.After(2 * time.Hour)
				synctest.Wait()
				require.Len(t, blind.Parked(), 1)
				blind.Stop()

				unreadable, err = actors.CheckOpen(t.Context(), journal, nil, clocks())
				require.NoError(t, err)
				require.NoError(t, unreadable)
				last := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks()}})
				<-time.After(time.Minute)
				synctest.Wait()
				require.Equal(t, []string{"x"}, heard(last, "a"))
				require.Empty(t, last.Parked())
				_, err = ArmClock.Ask(t.Context(), last, "a", Arm{Name: "y"})
				require.ErrorContains(t, err, "sends without saying so")
			})
		})
	}
}

// senderless is a journal as programs leave it that do not note which kinds send.
type senderless struct{ persistence.Journal }

func (s senderless) Unwrap() persistence.Journal { return s.Journal }

func (s senderless) Schemas(ctx context.Context) ([]persistence.Schema, error) {
	schemas, _ := persistence.As[persistence.Schemas](s.Journal)
	all, err := schemas.Schemas(ctx)
	for i := range all {
		all[i].Body = bytes.ReplaceAll(all[i].Body, []byte(`,"sends":true`), nil)
	}
	return all, err
}

func (s senderless) RegisterSchema(ctx context.Context, encoding persistence.Encoding, body []byte) (persistence.SchemaID, error) {
	schemas, _ := persistence.As[persistence.Schemas](s.Journal)
	return schemas.RegisterSchema(ctx, encoding, body)
}

func (s senderless) Uses(ctx context.Context) ([]persistence.Use, error) {
	schemas, _ := persistence.As[persistence.Schemas](s.Journal)
	return schemas.Uses(ctx)
}

// More may be late than a system holds for waking: what is behind comes in its turn,
// although each that was woken has a timer far in the future.
func TestLongMoreAreLateThanAreHeld(t *testing.T) {
	t.Parallel()
	const senders, callers = actors.MaxWakes + 5000, 50
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		host := func() *actorstest.System {
			return actorstest.StartWith(t, actors.Config{
				Journal: journal, Aggregates: []actors.Definition{clocks(actors.Sends[clock](), actors.Idle[clock](time.Second))},
			})
		}
		first := host()
		var group sync.WaitGroup
		for caller := range callers {
			group.Go(func() {
				for i := caller; i < senders; i += callers {
					arm(t, first, fmt.Sprint(i), Arm{Name: "far", Delay: 100 * time.Hour})
					arm(t, first, fmt.Sprint(i), Arm{Name: "soon", Delay: time.Hour})
				}
			})
		}
		group.Wait()
		first.Stop()
		<-time.After(2 * time.Hour)

		last := host()
		<-time.After(10 * time.Minute)

		require.Equal(t, senders, last.Stats().Pending)
		require.Empty(t, last.Parked())
	})
}
