package hooks_test

import (
	"context"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/hooks"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/sqlite"
)

// A hook that ends its goroutine, as require does in it when a test fails, costs at most
// the one append or reading that it is called for.
func TestAHookThatEndsItsGoroutineCostsOneCall(t *testing.T) {
	t.Parallel()
	journals := map[string]func(t *testing.T) persistence.Journal{
		"memory": func(*testing.T) persistence.Journal { return memory.New(memory.Config{}) },
		"sqlite": func(t *testing.T) persistence.Journal {
			t.Helper()
			journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "journal.db")})
			require.NoError(t, err)
			return journal
		},
		"postgres": func(t *testing.T) persistence.Journal {
			t.Helper()
			return pgtest.Journal(t)
		},
	}
	for name, open := range journals {
		t.Run("on "+name, func(t *testing.T) {
			t.Parallel()
			behind := open(t)
			journal := hooks.New(hooks.Config{Journal: behind})
			var armed atomic.Value // where the next call ends its goroutine
			armed.Store("")
			end := func(at string) {
				if armed.CompareAndSwap(at, "") {
					runtime.Goexit()
				}
			}
			var tr trace
			journal.Add(tr.hook("outer"))
			journal.Add(hooks.Hook{
				Name:         "bad",
				BeforeAppend: func(context.Context, *persistence.Append) error { end("BeforeAppend"); return nil },
				AroundAppend: func(context.Context, *persistence.Append) func(persistence.Outcome) {
					end("AroundAppend")
					return func(persistence.Outcome) { end("behind AroundAppend") }
				},
				AfterAppend: func(context.Context, *persistence.Append, persistence.Outcome) { end("AfterAppend") },
				BeforeRead:  func(context.Context, *hooks.Reading) error { end("BeforeRead"); return nil },
				AroundRead: func(context.Context, *hooks.Reading) func(int, error) {
					end("AroundRead")
					return func(int, error) { end("behind AroundRead") }
				},
				AfterRead: func(context.Context, *hooks.Reading, *persistence.Recorded) error { end("AfterRead"); return nil },
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()

			for way, store := range ways() {
				for _, at := range []string{"BeforeAppend", "AroundAppend"} {
					armed.Store(at)
					err := finish(ctx, t, func() error { return store(ctx, journal, single("a-"+persistence.StreamID(way), event("1"))).Err })
					require.EqualError(t, err, `rejected (panic): hook "bad" ended its goroutine with runtime.Goexit, as require and mocks do when a test fails`, "%s by %s", at, way)
				}
				for _, at := range []string{"behind AroundAppend", "AfterAppend", ""} {
					armed.Store(at)
					err := finish(ctx, t, func() error { return store(ctx, journal, single("a-"+persistence.StreamID(way), event("1"))).Err })
					require.NoError(t, err, "%s by %s", at, way)
					require.Empty(t, armed.Load(), "%s by %s", at, way)
				}
				count, err := journal.Count(ctx, "a-"+persistence.StreamID(way), persistence.ReadOptions{})
				require.NoError(t, err)
				require.Equal(t, 3, count, "by %s", way)
			}

			read := func() (err error) {
				for _, err = range journal.Read(ctx, "a-Append", persistence.ReadOptions{}) {
					if err != nil {
						return err
					}
				}
				return nil
			}
			for _, at := range []string{"BeforeRead", "AroundRead"} {
				armed.Store(at)
				require.ErrorIs(t, finish(ctx, t, read), persistence.ErrUnavailable, at)
			}
			armed.Store("AfterRead")
			require.ErrorIs(t, finish(ctx, t, read), persistence.ErrCorrupt)
			armed.Store("behind AroundRead")
			require.NoError(t, finish(ctx, t, read))
			require.NoError(t, finish(ctx, t, read))
			require.NoError(t, finish(ctx, t, journal.Close))
		})
	}
}

// finish calls f in a goroutine that f may end, and fails the test unless f returns.
func finish(ctx context.Context, t *testing.T, f func() error) error {
	t.Helper()
	result := make(chan error, 1)
	go func() { // awaited below
		defer close(result)
		result <- f()
	}()
	select {
	case err, returned := <-result:
		require.True(t, returned, "the caller's goroutine was ended")
		return err
	case <-ctx.Done():
		require.FailNow(t, "nobody answers")
		return nil
	}
}
