package lifecycle_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// untilStopped ends when it is told to and keeps why.
func untilStopped(name string, cause *error) lifecycle.Component {
	return lifecycle.Component{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		*cause = context.Cause(ctx)
		return nil
	}}
}

// broken fails at once.
func broken() lifecycle.Component {
	return lifecycle.Component{Name: "broken", Run: func(context.Context) error { return errBroken }}
}

// after ends by itself after a time.
func after(d time.Duration, name string, err error) lifecycle.Component {
	return lifecycle.Component{Name: name, Run: func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return nil
		}
	}}
}

// deaf goes on for a time after it was told to stop.
func deaf(d time.Duration, name string) lifecycle.Component {
	return lifecycle.Component{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(d)
		return nil
	}}
}

func TestStop(t *testing.T) {
	t.Parallel()

	bubble(t, "cancels all components and waits for them", func(t *testing.T) {
		var first, second error
		group := lifecycle.Start(t.Context(), untilStopped("first", &first), untilStopped("second", &second))

		err := group.Stop(t.Context())

		require.NoError(t, err)
		require.ErrorIs(t, first, lifecycle.ErrStopped)
		require.ErrorIs(t, second, lifecycle.ErrStopped)
	})

	bubble(t, "waits as long as its context allows and names who still runs", func(t *testing.T) {
		group := lifecycle.Start(t.Context(), deaf(time.Minute, "slow"), deaf(time.Hour, "slower"), deaf(time.Second, "quick"))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()

		err := group.Stop(ctx)

		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "wait for slow, slower: context deadline exceeded")
		require.NoError(t, group.Stop(t.Context()), "a second stop waits for the rest")
	})

	bubble(t, "answers at once when all ended before, even without time left", func(t *testing.T) {
		group := lifecycle.Start(t.Context(), after(time.Second, "short", nil))
		<-group.Done()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()

		require.NoError(t, group.Stop(ctx))
	})

	bubble(t, "of nothing returns", func(t *testing.T) {
		require.NoError(t, lifecycle.Start(t.Context()).Stop(t.Context()))
	})

	bubble(t, "may be called by several goroutines", func(t *testing.T) {
		group := lifecycle.Start(t.Context(), deaf(time.Second, "slow"), broken())
		other := make(chan error)
		go func() { other <- group.Stop(t.Context()) }()

		require.ErrorIs(t, group.Stop(t.Context()), errBroken)
		require.ErrorIs(t, <-other, errBroken)
	})

	bubble(t, "reports both the failure and who does not end", func(t *testing.T) {
		group := lifecycle.Start(t.Context(), deaf(time.Hour, "deaf"), broken())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		err := group.Stop(ctx)

		require.ErrorIs(t, err, errBroken)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, group.Stop(t.Context()), errBroken)
	})
}

func TestComponents(t *testing.T) {
	t.Parallel()

	bubble(t, "one that ends early with an error stops the others and is the cause", func(t *testing.T) {
		var cause error
		group := lifecycle.Start(t.Context(), untilStopped("healthy", &cause), after(time.Second, "broken", errBroken))

		<-group.Done()

		require.ErrorIs(t, cause, errBroken)
		require.EqualError(t, group.Err(), "broken: broken")
		require.EqualError(t, group.Stop(t.Context()), "broken: broken")
	})

	bubble(t, "one that ends early without error leaves the others alone", func(t *testing.T) {
		var cause error
		group := lifecycle.Start(t.Context(), untilStopped("healthy", &cause), after(time.Second, "short", nil))
		synctest.Wait()
		time.Sleep(time.Minute)

		require.NoError(t, cause)
		require.NoError(t, group.Stop(t.Context()))
		require.ErrorIs(t, cause, lifecycle.ErrStopped)
	})

	bubble(t, "the first failure is the one reported", func(t *testing.T) {
		group := lifecycle.Start(t.Context(),
			after(time.Second, "first", errBroken),
			lifecycle.Component{Name: "second", Run: func(ctx context.Context) error {
				<-ctx.Done()
				return errors.New("cannot close")
			}})

		<-group.Done()

		require.EqualError(t, group.Err(), "first: broken")
	})

	bubble(t, "a failure during the stop is reported", func(t *testing.T) {
		group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "flush", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return errBroken
		}})

		require.EqualError(t, group.Stop(t.Context()), "flush: broken")
	})

	bubble(t, "handing the context's error on is no failure", func(t *testing.T) {
		group := lifecycle.Start(t.Context(),
			lifecycle.Component{Name: "err", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			lifecycle.Component{Name: "cause", Run: func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }})

		require.NoError(t, group.Stop(t.Context()))
	})

	bubble(t, "a cancelled call while nobody stops is a failure", func(t *testing.T) {
		group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "call", Run: func(context.Context) error {
			return context.Canceled
		}})

		<-group.Done()

		require.ErrorIs(t, group.Stop(t.Context()), context.Canceled)
	})

	bubble(t, "all stop when the parent context ends", func(t *testing.T) {
		var cause error
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBroken)
		defer cancel()
		group := lifecycle.Start(ctx, untilStopped("child", &cause))

		<-group.Done()

		require.ErrorIs(t, cause, errBroken)
		require.NoError(t, group.Err())
	})

	bubble(t, "one that panics fails, and stops the others", func(t *testing.T) {
		var cause error
		group := lifecycle.Start(t.Context(), untilStopped("healthy", &cause),
			lifecycle.Component{Name: "mad", Run: func(context.Context) error { panic("secret") }})

		<-group.Done()

		require.ErrorContains(t, group.Err(), "mad: panicked with a string\n")
		require.ErrorContains(t, group.Err(), "lifecycle_test.go:")
		require.NotContains(t, group.Err().Error(), "secret")
		require.Equal(t, group.Err(), cause)
	})

	bubble(t, "a panic of the Go runtime is shown", func(t *testing.T) {
		group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "mad", Run: func(context.Context) error {
			var none map[string]int
			none["a"] = 1 //nolint:staticcheck // it is to panic
			return nil
		}})

		require.ErrorContains(t, group.Stop(t.Context()), "mad: panicked with a runtime.plainError: assignment to entry in nil map\n")
	})

	bubble(t, "one that ends its goroutine fails, and stops the others", func(t *testing.T) {
		var cause error
		group := lifecycle.Start(t.Context(), untilStopped("healthy", &cause),
			lifecycle.Component{Name: "gone", Run: func(context.Context) error { runtime.Goexit(); return nil }})

		<-group.Done()

		require.ErrorContains(t, group.Stop(t.Context()), "gone: ended its goroutine")
		require.Equal(t, group.Err(), cause)
	})

	bubble(t, "one that ends its goroutine when it is told to stop does not hold up the stop", func(t *testing.T) {
		group := lifecycle.Start(t.Context(), lifecycle.Component{Name: "gone", Run: func(ctx context.Context) error {
			<-ctx.Done()
			runtime.Goexit()
			return nil
		}})

		require.ErrorContains(t, group.Stop(t.Context()), "gone: ended its goroutine")
	})

	bubble(t, "a failure is told once, whoever asks first", func(t *testing.T) {
		var told []string
		tell := func(err error) { told = append(told, err.Error()) }
		group := lifecycle.Start(t.Context(), after(time.Second, "first", errBroken), after(2*time.Second, "second", errBroken))
		group.OnFailure(tell)
		<-group.Done()
		require.Equal(t, []string{"first: broken"}, told)
		group.OnFailure(tell)
		require.Equal(t, []string{"first: broken", "first: broken"}, told)
	})

	bubble(t, "two may have one name", func(t *testing.T) {
		group := lifecycle.Start(t.Context(), deaf(time.Second, "twin"), deaf(time.Minute, "twin"))

		require.NoError(t, group.Stop(t.Context()))
	})
}

// bubble runs a case in virtual time; the case fails when it leaves a goroutine
// behind.
func bubble(t *testing.T, name string, run func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, run)
	})
}
