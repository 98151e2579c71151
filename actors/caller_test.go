package actors_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

func TestCallerHasLeft(t *testing.T) {
	t.Parallel()
	var decided atomic.Int64
	system := open(t, actors.Config{Aggregates: []actors.Definition{watched(func(*actors.Tx, Put) { decided.Add(1) })}})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()

	for want, ctx := range map[error]context.Context{context.Canceled: gone, context.DeadlineExceeded: past} {
		_, err := PutInto.Ask(ctx, system, "a", Put{Tag: "x"})
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.ErrorIs(t, err, want)
		failure(t, err)
	}
	require.Zero(t, decided.Load())
	require.Zero(t, system.Stats().Active, "nothing was activated for it")
}

// A caller that leaves while its command waits is told at once that it will not be done,
// and it is not.
func TestCallerLeavesWhileQueued(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]struct {
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		after time.Duration
		want  error
		word  string
	}{
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return withCancelAfter(ctx, time.Second)
		}, time.Second, context.Canceled, "caller-left"},
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 2*time.Second)
		}, 2 * time.Second, context.DeadlineExceeded, "caller-left"},
		"no deadline": {context.WithCancel, 3 * time.Second, context.DeadlineExceeded, "ask-timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal, openGate := gated(t)
				system := open(t, actors.Config{Journal: journal, AskTimeout: 3 * time.Second})
				ctx, cancel := leave.ctx(t.Context())
				defer cancel()
				began := time.Now()

				_, err := PutInto.Ask(ctx, system, "a", Put{Tag: "never"})

				require.Equal(t, leave.after, time.Since(began))
				failed := failure(t, err)
				require.Equal(t, persistence.ErrUnavailable, failed.Kind)
				require.Equal(t, leave.word, failed.Reason)
				require.ErrorIs(t, err, leave.want)
				openGate()
				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "next"})
				require.NoError(t, err)
				require.Equal(t, []string{"next"}, seen.Tags)
			})
		})
	}
}

func withCancelAfter(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(d, cancel)
	return ctx, func() { timer.Stop(); cancel() }
}

// Who leaves after the decision is told that the outcome is unknown, with the id
// by which it can be found: here it was done.
func TestCallerLeavesAfterDecision(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		timeout, after time.Duration
		word           string
	}{"deadline": {time.Second, time.Second, "caller-left"}, "no deadline": {0, 10 * time.Second, "ask-timeout"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
					return faultjournal.Fault{Delay: time.Minute}
				}})
				system := open(t, actors.Config{Journal: journal})
				ctx := t.Context()
				if c.timeout > 0 {
					bounded, cancel := context.WithTimeout(ctx, c.timeout)
					defer cancel()
					ctx = bounded
				}
				began := time.Now()

				_, err := PutInto.Ask(ctx, system, "a", Put{Tag: "x"})

				failed := failure(t, err)
				require.Equal(t, persistence.ErrUnknownOutcome, failed.Kind)
				require.NotErrorIs(t, err, persistence.ErrUnavailable)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, c.word, failed.Reason)
				require.EqualValues(t, "list-a", failed.Stream)
				require.Equal(t, c.after, time.Since(began))
				time.Sleep(2 * time.Minute)
				for recorded, err := range journal.Read(t.Context(), "list-a", persistence.ReadOptions{}) {
					require.NoError(t, err)
					var headers stelev1.Headers
					require.NoError(t, proto.Unmarshal(recorded.Headers, &headers))
					require.Equal(t, failed.Command[:], headers.CommandId)
				}
				require.Equal(t, []string{"x"}, stored(t, journal, "a"))
				require.Zero(t, system.Stats().InFlight)
			})
		})
	}
}

// The cause of a caller's context may be the error of another command, as it is
// with errgroup. It must not be taken for the error of this one.
func TestCauseIsNotTheOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal, openGate := gated(t)
		defer openGate()
		system := open(t, actors.Config{Journal: journal})
		other := &persistence.Error{Kind: persistence.ErrUnknownOutcome, Op: "another command", Command: persistence.CommandID{7}}
		ctx, cancel := context.WithCancelCause(t.Context())
		waiting := put(ctx, system, "a", Put{Tag: "x"})
		synctest.Wait()

		cancel(other)

		for _, err := range []error{(<-waiting).err, (<-put(ctx, system, "a", Put{Tag: "y"})).err} {
			failed := failure(t, err)
			require.Equal(t, persistence.ErrUnavailable, failed.Kind)
			require.NotErrorIs(t, err, persistence.ErrUnknownOutcome)
			require.NotErrorIs(t, err, other)
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

// The deadline races with the actor, over and over: what was refused for sure was
// never executed, what was answered was executed once.
func TestDeadlineRace(t *testing.T) {
	t.Parallel()
	const trials, callers = 10_000, 8
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal})
	var left, definite, unknown atomic.Int64
	left.Store(trials)
	var outcomes sync.Map
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(200*time.Microsecond))
				_, err := PutInto.Ask(ctx, system, fmt.Sprint(n%500), Put{Tag: fmt.Sprint(n)})
				cancel()
				outcomes.Store(fmt.Sprint(n), err)
				switch {
				case errors.Is(err, persistence.ErrUnavailable):
					definite.Add(1)
				case errors.Is(err, persistence.ErrUnknownOutcome):
					unknown.Add(1)
				case err != nil:
					t.Errorf("put %d: %v", n, err)
				}
			}
		})
	}
	group.Wait()
	shut(t, system)

	times := map[string]int{}
	for id := range 500 {
		for _, tag := range stored(t, journal, fmt.Sprint(id)) {
			times[tag]++
		}
	}
	outcomes.Range(func(tag, outcome any) bool {
		err, _ := outcome.(error)
		n := times[tag.(string)]
		switch {
		case err == nil:
			require.Equal(t, 1, n, "answered")
		case errors.Is(err, persistence.ErrUnavailable):
			require.Equal(t, 0, n, "refused for sure")
		default:
			require.LessOrEqual(t, n, 1, "unknown")
		}
		return true
	})
	require.Positive(t, definite.Load())
	require.Less(t, definite.Load(), int64(trials))
	t.Logf("%d answered, %d definite, %d unknown", trials-definite.Load()-unknown.Load(), definite.Load(), unknown.Load())
}

// Calls are reused. However callers leave, an answer reaches the caller whose
// command it belongs to and nobody else.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	const callers, each = 16, 200
	journal := faultjournal.New(faultjournal.Config{
		Journal: new(memory.Journal), Append: faultjournal.Random(1, faultjournal.Rates{Delay: 400 * time.Microsecond, Lost: 0.01, Before: 0.01}),
	})
	system := open(t, actors.Config{Journal: journal, MaxActive: 20})
	var answered, left atomic.Int64
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for n := range each {
				tag := fmt.Sprint(caller, ".", n)
				ctx, cancel := context.WithCancel(t.Context())
				if n%3 > 0 {
					timer := time.AfterFunc(rand.N(600*time.Microsecond), cancel)
					defer timer.Stop()
				}
				seen, err := PutInto.Ask(ctx, system, fmt.Sprint(rand.N(60)), Put{Tag: tag})
				cancel()
				if err != nil {
					failure(t, err)
					left.Add(1)
					continue
				}
				answered.Add(1)
				if last := seen.Tags[len(seen.Tags)-1]; last != tag {
					t.Errorf("asked %s, answered %s", tag, last)
				}
			}
		})
	}
	group.Wait()
	shut(t, system)
	require.NoError(t, journal.Close())

	require.Zero(t, system.Stats().InFlight)
	require.Positive(t, answered.Load())
	require.Positive(t, left.Load())
}
