package projections_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/upcast"
	"github.com/stele-es/stele/projections"
)

// fragile is a projection whose handler refuses numbers below zero while broken.
func fragile(broken *atomic.Bool, options ...projections.Option) *projections.Definition[*sums] {
	return projections.Define("sums", 1, projections.On(func(_ context.Context, s *sums, e projections.Event[added]) error {
		if e.Data.N < 0 && broken.Load() {
			if e.Data.N == -2 {
				panic("secret")
			}
			return errBroken
		}
		s.add(e)
		return nil
	})).With(options...)
}

func breaking() *atomic.Bool {
	broken := new(atomic.Bool)
	broken.Store(true)
	return broken
}

func TestStopsAtAnEventThatGoesOnFailing(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"an error": -1, "a panic": -2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, w world) {
				broken, target := breaking(), projections.InMemory(new(sums))
				runner, _ := w.run(projections.Config{}, fragile(broken).Into(target))
				w.add("a-1", 1, 2)
				poison := w.add("a-1", n)
				last := w.add("a-2", 4)
				began := time.Now()

				err := runner.WaitFor(t.Context(), "sums", last)

				require.ErrorIs(t, err, projections.ErrBehind)
				require.ErrorContains(t, err, "projection sums is behind by 2 events, at position 2 of 4, failed")
				require.NotContains(t, err.Error(), "secret")
				require.InDelta(t, 2.5, time.Since(began).Seconds(), 1, "eight times, 10 ms and twice as long each time")
				target.View(func(s *sums) { require.Equal(t, map[string]int{"a-1": 3}, s.Of) })
				info, err := runner.Info(t.Context(), "sums")
				require.NoError(t, err)
				require.Equal(t, projections.Failed, info.Status)
				require.Contains(t, info.Cause, "at position "+poison.String()+", added in a-1")
				require.Equal(t, 2, info.Lag.Events)
				require.Equal(t, projections.Red, runner.Health(t.Context())[0].Level)
				err = runner.WaitFor(t.Context(), "sums", last)
				require.ErrorIs(t, err, projections.ErrBehind, "it is known at once")

				broken.Store(false)
				require.NoError(t, runner.Start(t.Context(), "sums"))
				w.waitFor(runner, "sums", last)

				target.View(func(s *sums) { require.Equal(t, map[string]int{"a-1": 3 + n, "a-2": 4}, s.Of) })
				require.Equal(t, projections.Green, runner.Health(t.Context())[0].Level)
			})
		})
	}
}

func TestRecoversWhileItTriesAgain(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		broken, target := breaking(), projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, fragile(broken, projections.Retries(20, time.Second)).Into(target))
		last := w.add("a-1", 1, -1, 2)
		time.Sleep(10 * time.Second)
		settle()
		status, err := runner.Status("sums")
		require.NoError(t, err)
		require.Equal(t, projections.Retrying, status)

		broken.Store(false)

		w.waitFor(runner, "sums", last)
		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "a-1@2", "a-1@3"}, s.Seen) })
	})
}

func TestParks(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		broken, target := breaking(), projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, fragile(broken, projections.OnFailure(projections.Park)).Into(target))
		w.add("a-1", 1, -1, 2)
		w.add("a-2", 4)
		w.add("a-3", -2)
		w.waitFor(runner, "sums", w.add("a-1", 8))

		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "a-2@1"}, s.Seen) })
		parked, err := runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Len(t, parked, 4)
		require.Equal(t, "broken on purpose", parked[0].Cause)
		require.Equal(t, 9, parked[0].Attempts)
		require.Empty(t, parked[1].Cause, "it stands behind another one")
		require.Equal(t, "the handler panicked with a string", parked[2].Cause)
		health := runner.Health(t.Context())[0]
		require.Equal(t, projections.Yellow, health.Level)
		require.Equal(t, "4 events are set aside, see Parked", health.Reason)

		require.NoError(t, runner.Redrive(t.Context(), "sums", ""))
		settle()
		parked, err = runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Len(t, parked, 4, "it fails as before")
		require.Equal(t, 10, parked[0].Attempts)
		require.False(t, parked[1].Retry)

		broken.Store(false)
		require.NoError(t, runner.Redrive(t.Context(), "sums", "a-1"))
		w.waitFor(runner, "sums", w.add("a-1", 16))
		target.View(func(s *sums) {
			require.Equal(t, []string{"a-1@1", "a-2@1", "a-1@2", "a-1@3", "a-1@4", "a-1@5"}, s.Seen)
		})
		require.NoError(t, runner.Discard(t.Context(), "sums", persistence.Position{Offset: 5}))
		require.ErrorIs(t, runner.Discard(t.Context(), "sums", persistence.Position{Offset: 5}), persistence.ErrNotFound)
		w.waitFor(runner, "sums", w.add("a-3", 32))
		target.View(func(s *sums) { require.Equal(t, map[string]int{"a-1": 26, "a-2": 4, "a-3": 32}, s.Of) })
		info, err := runner.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Zero(t, info.Parked)
	})
}

func TestSkips(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		broken, target := breaking(), projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, fragile(broken, projections.OnFailure(projections.Skip)).Into(target))

		w.waitFor(runner, "sums", w.add("a-1", 1, -1, 2))

		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "a-1@3"}, s.Seen) })
		parked, err := runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Len(t, parked, 1)
		require.Equal(t, projections.Skipped, parked[0].Attempts)
		require.Equal(t, projections.Green, runner.Health(t.Context())[0].Level)
	})
}

// What cannot be decoded is not tried again, and is read by the upcasters of today
// when it is applied again.
func TestUndecodable(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		target := projections.External(new(sums), books)
		definition := fragile(new(atomic.Bool), projections.OnFailure(projections.Park))
		runner, stop := w.run(projections.Config{}, definition.Into(target))
		bad := w.store(persistence.Append{Stream: "a-1", Events: []persistence.Event{{Type: "added", Payload: []byte("{")}}})
		began := time.Now()
		w.waitFor(runner, "sums", bad)
		require.Zero(t, time.Since(began))
		stop()

		var mended sums
		chain, err := upcast.New(upcast.Upcaster{From: "added", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
			if string(raw.Payload) == "{" {
				return []upcast.Raw{raw.As("added", []byte(`{"N":5}`)), raw.As("added", []byte(`{"N":7}`))}, nil
			}
			return []upcast.Raw{raw}, nil
		}})
		require.NoError(t, err)
		runner, _ = w.run(projections.Config{Upcasters: chain}, definition.Into(projections.External(&mended, books)))
		require.NoError(t, runner.Redrive(t.Context(), "sums", "a-1"))
		w.waitFor(runner, "sums", w.add("a-1", 1))

		require.Equal(t, map[string]int{"a-1": 13}, mended.Of)
	})
}

// A projection whose target is away waits for it, sets nothing aside, and says so.
func TestWaitsForTheTarget(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		store := &switched{Books: new(projections.Books)}
		definition := projections.Define("sums", 1, projections.On(inState)).With(projections.OnFailure(projections.Skip))
		runner, _ := w.run(projections.Config{}, definition.Into(projections.Persist[sums](store)))
		w.waitFor(runner, "sums", w.add("a-1", 1))
		store.away.Store(true)
		last := w.add("a-1", 2)
		time.Sleep(time.Hour)
		settle()

		status, err := runner.Status("sums")
		require.NoError(t, err)
		require.Equal(t, projections.Waiting, status)
		health := runner.Health(t.Context())[0]
		require.Equal(t, projections.Red, health.Level)
		require.Contains(t, health.Reason, "switched off")

		store.away.Store(false)
		began := time.Now()
		w.waitFor(runner, "sums", last)
		require.Less(t, time.Since(began), 10*time.Second)
		parked, err := runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Empty(t, parked)
	})
}

// switched is a store that can be away.
type switched struct {
	*projections.Books
	away atomic.Bool
}

func (s *switched) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	if s.away.Load() {
		return &persistence.UnavailableError{Reason: "switched off"}
	}
	return s.Books.Update(ctx, body)
}

func TestAnotherJournal(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		definition := projections.Define("sums", 1, projections.On(inState))
		runner, stop := w.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))
		w.waitFor(runner, "sums", w.add("a-1", 1))
		stop()
		other := world{Journal: w.another(), t: t}
		last := other.add("a-1", 2, 3)

		runner, _ = other.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))

		require.ErrorIs(t, runner.WaitFor(t.Context(), "sums", last), projections.ErrDiverged)
		require.ErrorIs(t, runner.WaitFor(t.Context(), "sums", last), persistence.ErrLostTail)
		require.ErrorContains(t, runner.WaitFor(t.Context(), "sums", last), "reset it when")
		require.NoError(t, runner.Reset(t.Context(), "sums"))
		other.waitFor(runner, "sums", last)
	})
}

// A checkpoint that lies beyond the journal's end is not waited for.
func TestCheckpointBeyondTheEnd(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		projection := projections.Define("sums", 1, projections.On(inState)).Into(projections.Persist[sums](books))
		runner, stop := w.run(projections.Config{}, projection)
		last := w.add("a-1", 1)
		w.waitFor(runner, "sums", last)
		stop()
		require.NoError(t, books.Update(t.Context(), func(ctx context.Context, book projections.Book) error {
			part := projections.PartKey{Name: "sums", Version: 1}
			row, err := book.TakeOver(ctx, part, "test")
			if err != nil {
				return err
			}
			beyond := row
			beyond.Checkpoint = row.Checkpoint.With(&persistence.Recorded{Event: persistence.Event{ID: persistence.NewEventID()}, Position: persistence.Position{Offset: 99}})
			return book.Save(ctx, part, row.Epoch, row.Checkpoint, beyond)
		}))

		runner, _ = w.run(projections.Config{}, projection)

		err := runner.WaitFor(t.Context(), "sums", persistence.Position{Offset: 100})
		require.ErrorIs(t, err, projections.ErrDiverged)
		require.ErrorContains(t, err, "the journal ends at position 1")
		w.add("a-1", 1)
		settle()
		info, err := runner.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Equal(t, projections.Failed, info.Status)
		require.Contains(t, info.Cause, "reset it when that has lost events")
	})
}

// A projection that does not move although there are events is red after a minute,
// whatever it says of itself: because its handler does not return, or because
// whoever ran it is gone. Its lag is never 0 meanwhile.
func TestStuck(t *testing.T) {
	t.Parallel()
	requireStuck := func(t *testing.T, runner *projections.Runner) {
		t.Helper()
		settle()
		require.Equal(t, projections.Green, runner.Health(t.Context())[0].Level)
		for _, level := range []projections.Level{projections.Yellow, projections.Red} {
			time.Sleep(31 * time.Second)
			health := runner.Health(t.Context())[0]
			require.Equal(t, level, health.Level, health.Reason)
			info, err := runner.Info(t.Context(), "sums")
			require.NoError(t, err)
			require.True(t, info.Lag.Known)
			require.Equal(t, 1, info.Lag.Events)
			require.Greater(t, info.Lag.Stuck, 30*time.Second)
		}
	}
	t.Run("a handler that does not return", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			goOn := make(chan struct{})
			defer func() {
				if t.Failed() {
					close(goOn)
				}
			}()
			runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(func(context.Context, *sums, projections.Event[added]) error {
				<-goOn
				return nil
			})).Into(projections.InMemory(new(sums))))
			last := w.add("a-1", 1)

			requireStuck(t, runner)

			close(goOn)
			w.waitFor(runner, "sums", last)
			require.Equal(t, projections.Green, runner.Health(t.Context())[0].Level)
		})
	})
	t.Run("an owner that is gone", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			projection := projections.Define("sums", 1, projections.On(inState)).Into(projections.Persist[sums](new(projections.Books)))
			owners := &table{owner: "one", changed: make(chan struct{})}
			one, stop := w.run(projections.Config{Placement: owners.of("one")}, projection)
			two, _ := w.run(projections.Config{Placement: owners.of("two")}, projection)
			w.waitFor(one, "sums", w.add("a-1", 1))
			stop()
			w.add("a-1", 1)

			requireStuck(t, two)
		})
	})
}

// What the definition gives beside its handlers may panic, and takes nobody along.
func TestPanics(t *testing.T) {
	t.Parallel()
	for name, definition := range map[string]*projections.Definition[*sums]{
		"lane": projections.Define("sums", 1, projections.On(inMemory)).With(projections.LaneBy(func(*persistence.Recorded) string { panic("secret") })),
		"shared lane": projections.Define("sums", 1, projections.On(inMemory)).With(projections.Workers(2),
			projections.LaneBy(func(*persistence.Recorded) string { panic("secret") })),
		"setup": projections.Define("sums", 1, projections.On(inMemory), projections.Setup(func(context.Context, *sums) error { panic("secret") })),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, w world) {
				healthy := projections.InMemory(new(sums))
				runner, _ := w.run(projections.Config{}, definition.Into(projections.InMemory(new(sums))), projections.Define("other", 1, projections.On(inMemory)).Into(healthy))
				last := w.add("a-1", 1)

				w.waitFor(runner, "other", last)
				settle()
				info, err := runner.Info(t.Context(), "sums")
				require.NoError(t, err)
				require.Equal(t, projections.Failed, info.Status)
				require.Contains(t, info.Cause, "the definition panicked with a string")
			})
		})
	}
}
