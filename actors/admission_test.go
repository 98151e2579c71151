package actors_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
)

// What is taken is bounded by its bytes, whoever it is for; what is larger than the
// bound passes alone.
func TestMaxInFlightBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal, openGate := gated(t)
		system := open(t, actors.Config{Journal: journal, MaxInFlightBytes: 10_000})
		large := Put{Tag: strings.Repeat("x", 6000)}
		first := put(t.Context(), system, "a", large)
		synctest.Wait()
		second := put(t.Context(), system, "a", large)
		synctest.Wait()
		require.Greater(t, system.Stats().InFlightBytes, 12_000)

		for _, id := range []string{"a", "b"} {
			_, err := PutInto.Ask(t.Context(), system, id, Put{})
			require.ErrorIs(t, err, persistence.ErrOverloaded)
			require.Equal(t, "too-many-bytes-in-flight", failure(t, err).Reason)
		}
		require.Equal(t, 2, system.Stats().InFlight)
		openGate()

		require.NoError(t, (<-first).err)
		require.NoError(t, (<-second).err)
		require.Zero(t, system.Stats().InFlightBytes)
		_, err := PutInto.Ask(t.Context(), system, "b", Put{Tag: strings.Repeat("x", 20_000)})
		require.NoError(t, err)
		require.Zero(t, system.Stats().InFlightBytes)
	})
}

// Protobuf commands have a size too.
func TestProtobufBytesInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type state struct{}
		note := actors.NewCommand[*wrapperspb.BytesValue, *wrapperspb.Int64Value]("note")
		inside := 0
		var system *actors.System
		system = open(t, actors.Config{Aggregates: []actors.Definition{actors.Define("note",
			actors.Handle(note, func(*state, *actors.Tx, *wrapperspb.BytesValue) (*wrapperspb.Int64Value, error) {
				inside = system.Stats().InFlightBytes
				return &wrapperspb.Int64Value{}, nil
			}))}})

		_, err := note.Ask(t.Context(), system, "a", &wrapperspb.BytesValue{Value: make([]byte, 1000)})

		require.NoError(t, err)
		require.Equal(t, 1003, inside)
	})
}

// slowly is a journal that takes a time for each commit.
func slowly(t *testing.T, commit time.Duration) persistence.Journal {
	t.Helper()
	return plain{faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
		return faultjournal.Fault{Delay: commit}
	}})}
}

// Who could not be answered in time is told at once, and that nothing was done; who
// has the time is served, and nobody is refused when the crowd is gone.
func TestWouldBeLate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more   []actors.Part[list]
		commit time.Duration // of so many commands
		joined int
		crowd  int
		after  time.Duration
	}{
		"one by one":     {[]actors.Part[list]{actors.Strict[list]()}, 100 * time.Millisecond, 1, 60, 2 * time.Second},
		"in large steps": {nil, 5 * time.Second, actors.MaxDepthCalls / 2, 1500, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				system := open(t, actors.Config{Journal: slowly(t, c.commit), Mailbox: c.crowd, Aggregates: []actors.Definition{lists(c.more...)}})
				for range 2 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					var crowd []<-chan answer
					for range c.crowd {
						crowd = append(crowd, put(ctx, system, "a", Put{Tag: "x"}))
					}
					time.Sleep(c.after + time.Millisecond) // in which its pace is seen
					wait := c.commit / time.Duration(c.joined) * time.Duration(system.Stats().InFlight)
					began := time.Now()
					soon, cancel := context.WithTimeout(t.Context(), wait/4)
					defer cancel()

					_, err := PutInto.Ask(soon, system, "a", Put{Tag: "never"})

					require.Zero(t, time.Since(began))
					failed := failure(t, err)
					require.Equal(t, persistence.ErrOverloaded, failed.Kind)
					require.Equal(t, "would-be-late", failed.Reason)
					require.InDelta(t, wait, failed.RetryAfter, float64(wait))
					later, cancel := context.WithTimeout(t.Context(), 3*wait)
					defer cancel()
					_, err = PutInto.Ask(later, system, "a", Put{Tag: "x"})
					require.NoError(t, err)
					for _, answered := range crowd {
						require.NoError(t, (<-answered).err)
					}
					again, cancel := context.WithTimeout(t.Context(), 3*c.commit)
					defer cancel()
					_, err = PutInto.Ask(again, system, "a", Put{Tag: "x"})
					require.NoError(t, err)
				}
				require.NotContains(t, stored(t, system.Journal(), "a"), "never")
			})
		})
	}
}

// An aggregate that is asked for ten times what it can do for a minute does as much as
// it can, and those whom it does not answer know that nothing was done.
func TestLongGoodputWhenOverloaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const commit, patience = 10 * time.Millisecond, time.Second
		system := open(t, actors.Config{Journal: slowly(t, commit), Aggregates: []actors.Definition{accounts(actors.Strict[account]())}})
		var done, unknown, refused atomic.Int64
		answered := func(err error) {
			switch {
			case err == nil:
				done.Add(1)
			case persistence.ErrorKindOf(err) == persistence.ErrUnknownOutcome:
				unknown.Add(1)
			default:
				refused.Add(1)
			}
		}
		const seconds, each = 60, 10
		for range seconds * int(time.Second/commit) {
			for range each {
				go func() { // ends with its patience
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					_, err := Deposit.Ask(ctx, system, "a", wrapperspb.Int64(1))
					answered(err)
				}()
			}
			time.Sleep(commit)
		}
		time.Sleep(2 * patience)
		synctest.Wait()

		const possible = float64(seconds * time.Second / commit)
		require.EqualValues(t, seconds*int(time.Second/commit)*each, done.Load()+unknown.Load()+refused.Load())
		require.GreaterOrEqual(t, float64(done.Load()), 0.9*possible)
		require.LessOrEqual(t, float64(unknown.Load()), 0.02*possible, "decided and not answered in time")
		info, err := system.Journal().Stream(t.Context(), "account-a")
		require.NoError(t, err)
		require.EqualValues(t, done.Load()+unknown.Load(), info.Version)
	})
}
