package projections_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/upcast"
	"github.com/stele-es/stele/projections"
)

// ends are the ways in which code of users is over, beside a return.
var ends = map[string]func(){
	"panic":         func() { panic("secret") },
	"runtime panic": func() { var none []int; _ = none[len(none)] },
	"goexit":        runtime.Goexit,
}

// touchy is a state whose marshaller is user code.
type touchy struct {
	N   int
	end func()
}

func (s *touchy) MarshalJSON() ([]byte, error) {
	if s.N < 0 && s.end != nil {
		s.end()
	}
	type plain struct{ N int }
	return json.Marshal(plain{s.N})
}

// picky is a filter that ends in its own way.
type picky struct{ end func() }

func (p picky) Match(*persistence.Recorded) bool { p.end(); return true }
func (p picky) Check() error                     { return nil }

// Whatever code of users does, the projection fails with a cause, the others go on, it
// can be stopped and started, and the runner ends.
func TestUserCodeThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	type sum = projections.Event[added]
	places := map[string]func(end func()) projections.Projection{
		"a handler in memory": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.On(func(context.Context, *sums, sum) error { end(); return nil })).Into(projections.InMemory(new(sums)))
		},
		"a handler outside": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.On(func(context.Context, *sums, sum) error { end(); return nil })).
				Into(projections.External(new(sums), new(projections.Books)))
		},
		"a handler of a state": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.On(func(context.Context, *projections.State[sums], sum) error { end(); return nil })).
				Into(projections.Persist[sums](new(projections.Books)))
		},
		"Any": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.Any(func(context.Context, *sums, persistence.Recorded) error { end(); return nil })).Into(projections.InMemory(new(sums)))
		},
		"what a state is written by": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.On(func(_ context.Context, s *projections.State[touchy], _ sum) error {
				s.Value = touchy{-1, end}
				return nil
			})).Into(projections.Persist[touchy](new(projections.Books)))
		},
		"Setup": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.On(inMemory), projections.Setup(func(context.Context, *sums) error { end(); return nil })).Into(projections.InMemory(new(sums)))
		},
		"LaneBy": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.On(inMemory)).With(projections.LaneBy(func(*persistence.Recorded) string { end(); return "" })).
				Into(projections.InMemory(new(sums)))
		},
		"LaneBy of several workers": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.On(inMemory)).With(projections.Workers(2), projections.LaneBy(func(*persistence.Recorded) string { end(); return "" })).
				Into(projections.InMemory(new(sums)))
		},
		"a filter": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.On(inMemory)).With(projections.Where(picky{end})).Into(projections.InMemory(new(sums)))
		},
		"a store": func(end func()) projections.Projection {
			return projections.Define("bad", 1, projections.On(inState)).Into(projections.Persist[sums](&ending{end: end, Books: new(projections.Books)}))
		},
	}
	for place, make := range places {
		for name, end := range ends {
			t.Run(place+" by "+name, func(t *testing.T) {
				t.Parallel()
				virtually(t, func(t *testing.T, w world) {
					healthy := projections.InMemory(new(sums))
					runner, stop := w.run(projections.Config{}, make(end), projections.Define("other", 1, projections.On(inMemory)).Into(healthy))
					last := w.add("a-1", 1, 2)

					w.waitFor(runner, "other", last)
					time.Sleep(time.Minute)
					settle()
					info, err := runner.Info(t.Context(), "bad")
					if place != "a store" {
						require.NoError(t, err)
						require.Equal(t, projections.Failed, info.Status)
						require.Contains(t, info.Cause, map[string]string{"panic": "panicked with a string", "runtime panic": "index out of range", "goexit": "runtime.Goexit"}[name])
						require.NotContains(t, info.Cause, "secret")
						require.ErrorIs(t, runner.WaitFor(t.Context(), "bad", last), projections.ErrBehind)
						require.NoError(t, runner.Stop(t.Context(), "bad"))
						require.NoError(t, runner.Start(t.Context(), "bad"))
					}
					time.Sleep(time.Minute)
					w.waitFor(runner, "other", w.add("a-1", 3))
					stop()
				})
			})
		}
	}
}

// ending is a store that ends whoever comes for the third time.
type ending struct {
	*projections.Books
	end   func()
	calls atomic.Int32
}

func (e *ending) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	if e.calls.Add(1) > 2 {
		e.end()
	}
	return e.Books.Update(ctx, body)
}

// A handler that ends its goroutine is a failure of its event like any other: what was
// before it is applied once, and it is set aside.
func TestGoexitIsAFailureOfItsEvent(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(func(ctx context.Context, s *sums, e projections.Event[added]) error {
			if e.Data.N < 0 {
				runtime.Goexit()
			}
			return inMemory(ctx, s, e)
		})).With(projections.OnFailure(projections.Park), projections.Retries(2, time.Millisecond)).Into(target))
		w.add("a-1", 1, 2, -1, 3)
		w.waitFor(runner, "sums", w.add("a-2", 4))

		target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "a-1@2", "a-2@1"}, s.Seen) })
		parked, err := runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Len(t, parked, 2)
		require.Contains(t, parked[0].Cause, "the handler ended its goroutine with runtime.Goexit")
		require.Equal(t, 3, parked[0].Attempts)
		require.NoError(t, runner.Redrive(t.Context(), "sums", ""))
		time.Sleep(time.Second)
		parked, err = runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Equal(t, 4, parked[0].Attempts, "it ends the one that tries again as little")
	})
}

// What a definition does for an operator may end as it likes: the operator is told.
func TestControlThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, w world) {
				do := func(context.Context, *sums) error { end(); return nil }
				target := projections.InMemory(new(sums))
				runner, stop := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory), projections.Truncate(do), projections.Drop(do)).Into(target))
				w.waitFor(runner, "sums", w.add("a-1", 1))

				require.ErrorContains(t, runner.Reset(t.Context(), "sums"), "the definition ")
				require.ErrorContains(t, runner.Delete(t.Context(), "sums", projections.DeleteOptions{}), "the definition ")

				w.waitFor(runner, "sums", w.add("a-1", 2))
				target.View(func(s *sums) { require.Len(t, s.Seen, 2) })
				stop()
			})
		})
	}
}

// Upcasters are users' code too.
func TestUpcasterThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, w world) {
				chain, err := upcast.New(upcast.Upcaster{From: "added", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
					if strings.Contains(string(raw.Payload), "-1") {
						end()
					}
					return []upcast.Raw{raw}, nil
				}})
				require.NoError(t, err)
				target := projections.InMemory(new(sums))
				runner, stop := w.run(projections.Config{Upcasters: chain}, projections.Define("sums", 1, projections.On(inMemory)).
					With(projections.OnFailure(projections.Park), projections.Retries(1, time.Millisecond)).Into(target))
				w.add("a-1", 1, -1)

				w.waitFor(runner, "sums", w.add("a-2", 2))

				target.View(func(s *sums) { require.Equal(t, []string{"a-1@1", "a-2@1"}, s.Seen) })
				stop()
			})
		})
	}
}

// A reaction that ends its goroutine is set aside as one that fails, and so is an event
// that cannot be looked at.
func TestReactionsThatDoNotReturn(t *testing.T) {
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, w world) {
				l := &listener{do: func(key string, n int) error {
					if n == 2 {
						end()
					}
					return nil
				}, heard: map[string]string{}, now: map[string]bool{}, look: func(n int) {
					if n == 5 {
						end()
					}
				}}
				runner, stop := w.run(projections.Config{}, projections.React(l, new(projections.Books)))
				w.add("a-x", 1, 2, 3)
				w.add("a-y", 1, 5, 4)
				w.waitFor(runner, "listener", w.add("a-z", 1))

				require.Equal(t, "1", l.said("x"))
				require.True(t, strings.HasSuffix(l.said("y"), "1 4"), l.said("y"))
				require.Equal(t, "1", l.said("z"))
				parked, err := runner.Parked(t.Context(), "listener", persistence.Position{}, 0)
				require.NoError(t, err)
				require.Len(t, parked, 3)
				stop()
			})
		})
	}
}

// slowly is a handler that takes a time for numbers below zero, and heeds its context or
// does not.
func slowly(took time.Duration, heeds bool, calls *atomic.Int32) func(context.Context, *sums, projections.Event[added]) error {
	return func(ctx context.Context, s *sums, e projections.Event[added]) error {
		if e.Data.N < 0 {
			calls.Add(1)
			done := ctx.Done()
			if !heeds {
				done = nil
			}
			select {
			case <-time.After(took):
			case <-done:
				return ctx.Err()
			}
		}
		return inMemory(ctx, s, e)
	}
}

func TestHandlersThatTakeLong(t *testing.T) {
	t.Parallel()
	targets := map[string]func() (projections.Target[*sums], func() []string){
		"in memory": func() (projections.Target[*sums], func() []string) {
			target := projections.InMemory(new(sums))
			return target, func() (seen []string) {
				target.View(func(s *sums) { seen = s.Seen })
				return seen
			}
		},
		"outside": func() (projections.Target[*sums], func() []string) {
			s := new(sums)
			return projections.External(s, new(projections.Books)), func() []string { return s.Seen }
		},
	}
	cases := map[string]struct {
		took    time.Duration
		heeds   bool
		options []projections.Option
		calls   int32
		seen    []string
		cause   string
	}{
		"longer than the default fail, and are counted": {time.Hour, true, nil, 3, []string{"a-1@1", "a-2@1"}, "the handler took more than 25s"},
		"longer than their limit fail":                  {3 * time.Second, true, []projections.Option{projections.Timeout(2 * time.Second)}, 3, []string{"a-1@1", "a-2@1"}, "the handler took more than 2s"},
		"within their limit succeed":                    {10 * time.Minute, true, []projections.Option{projections.Timeout(time.Hour)}, 1, []string{"a-1@1", "a-1@2", "a-1@3", "a-2@1"}, ""},
		"that succeed all the same are saved":           {31 * time.Second, false, nil, 1, []string{"a-1@1", "a-1@2", "a-1@3", "a-2@1"}, ""},
	}
	for where, open := range targets {
		for name, c := range cases {
			t.Run(where+" "+name, func(t *testing.T) {
				t.Parallel()
				virtually(t, func(t *testing.T, w world) {
					var calls atomic.Int32
					target, seen := open()
					runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(slowly(c.took, c.heeds, &calls))).
						With(projections.OnFailure(projections.Park), projections.Retries(2, time.Millisecond)).With(c.options...).Into(target))
					w.add("a-1", 1, -1, 3)
					last := w.add("a-2", 4)
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()

					require.NoError(t, runner.WaitFor(ctx, "sums", last))

					require.Equal(t, c.seen, seen())
					require.Equal(t, c.calls, calls.Load())
					parked, err := runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
					require.NoError(t, err)
					if c.cause != "" {
						require.Contains(t, parked[0].Cause, c.cause)
						require.Equal(t, 3, parked[0].Attempts)
						return
					}
					require.Empty(t, parked)
				})
			})
		}
	}
	t.Run("by a limit of their own", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			target := projections.InMemory(new(sums))
			runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(func(ctx context.Context, s *sums, e projections.Event[added]) error {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				<-ctx.Done()
				return errors.Join(errBroken, ctx.Err())
			})).With(projections.OnFailure(projections.Park)).Into(target))

			w.waitFor(runner, "sums", w.add("a-1", 1))

			parked, err := runner.Parked(t.Context(), "sums", persistence.Position{}, 0)
			require.NoError(t, err)
			require.Len(t, parked, 1)
		})
	})
	t.Run("have a limit above 0", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, w world) {
			_, err := projections.New(projections.Config{Journal: w, Projections: []projections.Projection{
				projections.Define("sums", 1, projections.On(inMemory)).With(projections.Timeout(0)).Into(projections.InMemory(new(sums))),
			}})
			require.ErrorContains(t, err, "Timeout is not above 0")
		})
	})
}
