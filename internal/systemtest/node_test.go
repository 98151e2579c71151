package systemtest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

type counter struct{ n uint64 }

var (
	Count = actors.NewCommand[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]("counter")

	Counters = actors.Define("counter",
		actors.Handle(Count, func(c *counter, tx *actors.Tx, by *wrapperspb.UInt64Value) (*wrapperspb.UInt64Value, error) {
			tx.Raise(by)
			return wrapperspb.UInt64(c.n), nil
		}),
		actors.On(func(c *counter, by *wrapperspb.UInt64Value) { c.n += by.Value }),
	)
)

func TestStart(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	for round := range 3 {
		node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters}})
		require.NoError(t, err)
		total, err := Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(1))
		require.NoError(t, err)
		require.EqualValues(t, round+1, total.Value, "the journal stays open between nodes")
		require.Equal(t, 1, node.Stats().Active)
		require.Empty(t, node.Parked())
		require.True(t, node.Retry("counter", "a"))
		require.False(t, node.Retry("counter", "b"), "it is not in memory")
		require.NoError(t, node.Stop(t.Context()))
		require.NoError(t, node.Stop(t.Context()))
		_, err = Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(1))
		require.ErrorIs(t, err, persistence.ErrUnavailable)
	}
}

// The whole path on a file: callers side by side, aggregates that come and go, and
// a second node that finds what the first has acknowledged.
func TestOnSQLite(t *testing.T) {
	t.Parallel()
	const aggregates, callers, each = 64, 16, 25
	path := filepath.Join(t.TempDir(), "counters.db")
	for round := range 2 {
		journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		require.NoError(t, err)
		node, err := stele.Start(t.Context(), stele.Config{
			Journal: journal, Aggregates: stele.Aggregates{Counters}, MaxActive: 2 * callers,
		})
		require.NoError(t, err)
		var group sync.WaitGroup
		for range callers {
			group.Go(func() {
				for range each {
					if _, err := Count.Ask(t.Context(), node, fmt.Sprint(rand.N(aggregates)), wrapperspb.UInt64(1)); err != nil {
						t.Errorf("count: %v", err)
					}
				}
			})
		}
		group.Wait()
		total := uint64(0)
		for id := range aggregates {
			count, err := Count.Ask(t.Context(), node, fmt.Sprint(id), wrapperspb.UInt64(0))
			require.NoError(t, err)
			total += count.Value
		}
		require.EqualValues(t, (round+1)*callers*each, total)
		require.NoError(t, node.Stop(t.Context()))
		require.NoError(t, journal.Close())
	}
}

// The context of Start bounds starting and nothing after it.
func TestStartContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	node, err := stele.Start(ctx, stele.Config{Journal: new(memory.Journal), Aggregates: stele.Aggregates{Counters}})
	require.NoError(t, err)
	cancel()
	_, err = Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(1))
	require.NoError(t, err)
	require.NoError(t, node.Stop(t.Context()))
}

func TestStartMistakes(t *testing.T) {
	t.Parallel()
	node, err := stele.Start(t.Context(), stele.Config{
		Aggregates: stele.Aggregates{Counters, Counters}, Mailbox: -1,
		Projections: stele.Projections{nil},
	})
	require.Nil(t, node)
	for _, want := range []string{"no journal", "a nil projection stands in", `kind "counter" is listed twice`, "negative Config.Mailbox"} {
		require.ErrorContains(t, err, want)
	}
}

// A projection follows what the aggregates do, and a caller that awaits it reads
// what it has written.
func TestProjections(t *testing.T) {
	t.Parallel()
	totals := projections.InMemory(&map[persistence.StreamID]uint64{})
	definition := projections.Define("totals", 1, projections.On(
		func(_ context.Context, m *map[persistence.StreamID]uint64, e projections.Event[*wrapperspb.UInt64Value]) error {
			(*m)[e.Stream] += e.Data.Value
			return nil
		}))
	node, err := stele.Start(t.Context(), stele.Config{
		Journal: new(memory.Journal), Aggregates: stele.Aggregates{Counters}, Projections: stele.Projections{definition.Into(totals)},
	})
	require.NoError(t, err)
	for i := range 100 {
		want, err := Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(uint64(i)), actors.Await(node.Projections().Await("totals")))
		require.NoError(t, err)
		totals.View(func(m *map[persistence.StreamID]uint64) { require.Equal(t, want.Value, (*m)["counter-a"]) })
	}
	require.NoError(t, node.Projections().Stop(t.Context(), "totals"))
	reply, err := Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(1), actors.Await(node.Projections().Await("totals")))
	require.ErrorIs(t, err, actors.ErrBehind)
	require.ErrorIs(t, err, projections.ErrBehind)
	require.EqualValues(t, 4951, reply.Value, "the command has happened")
	require.Equal(t, persistence.ErrDone, persistence.ErrorKindOf(err))
	require.NotErrorIs(t, err, persistence.ErrUnavailable, "who tries again would count twice")

	for name, nobody := range map[string]actors.Awaitable{
		"misspelt": node.Projections().Await("total"), "another version": node.Projections().Await("totals@2"),
		"zero": projections.Awaited{}, "nil": nil,
	} {
		var receipt actors.Receipt
		_, err = Count.Ask(t.Context(), node, "b", wrapperspb.UInt64(1), actors.Await(nobody), actors.ReceiptTo(&receipt))
		class, known := persistence.Classify(err)
		require.True(t, known, name)
		require.Equal(t, persistence.NotDone, class.Effect, name)
		require.False(t, class.Retry, name)
		require.Zero(t, receipt, name)
	}
	count, err := Count.Ask(t.Context(), node, "b", wrapperspb.UInt64(0))
	require.NoError(t, err)
	require.Zero(t, count.Value, "nothing was asked")

	require.NoError(t, node.Stop(t.Context()))
	require.NoError(t, node.Stop(t.Context()))
}

// Twenty thousand commands on a thousand aggregates are seen live by a projection
// with several workers, each once and in the order of its stream.
func TestProjectionOfManyCommands(t *testing.T) {
	t.Parallel()
	const commands, aggregates, callers = 20_000, 1000, 256
	journals := map[string]func(*testing.T) persistence.Journal{
		"memory":   func(*testing.T) persistence.Journal { return new(memory.Journal) },
		"postgres": func(t *testing.T) persistence.Journal { t.Helper(); return pgtest.Journal(t) },
	}
	for name, open := range journals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			versions := projections.InMemory(&map[persistence.StreamID][]persistence.Version{})
			definition := projections.Define("versions", 1, projections.Any(
				func(_ context.Context, m *map[persistence.StreamID][]persistence.Version, recorded persistence.Recorded) error {
					(*m)[recorded.Stream] = append((*m)[recorded.Stream], recorded.Version)
					return nil
				})).With(projections.Workers(4))
			node, err := stele.Start(t.Context(), stele.Config{
				Journal: open(t), Aggregates: stele.Aggregates{Counters}, Projections: stele.Projections{definition.Into(versions)},
				AskTimeout: 2 * time.Minute, // a busy machine is no failure
			})
			require.NoError(t, err)
			var next atomic.Int64
			var group sync.WaitGroup
			for range callers {
				group.Go(func() { // awaited below
					for i := next.Add(1); i <= commands; i = next.Add(1) {
						if _, err := Count.Ask(t.Context(), node, fmt.Sprint(i%aggregates), wrapperspb.UInt64(1)); err != nil {
							t.Errorf("count: %v", err)
						}
					}
				})
			}
			group.Wait()
			require.NoError(t, node.Projections().CatchUp(t.Context()))

			versions.View(func(m *map[persistence.StreamID][]persistence.Version) {
				require.Len(t, *m, aggregates)
				for stream, seen := range *m {
					require.Len(t, seen, commands/aggregates, stream)
					for i, version := range seen {
						require.EqualValues(t, i+1, version, stream)
					}
				}
			})
			require.NoError(t, node.Stop(t.Context()))
		})
	}
}

// Stop answers what was taken, in virtual time as in real, also for a program whose
// context has ended, and when its time is over it says how many are left.
func TestStop(t *testing.T) {
	t.Parallel()
	within := func(patience time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, patience)
		}
	}
	for name, c := range map[string]struct {
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		limit time.Duration // Config.StopTimeout
		left  int
		takes time.Duration
	}{
		"in time":                   {ctx: within(time.Minute), takes: 5 * time.Second},
		"out of patience":           {ctx: within(time.Second), left: 5, takes: time.Second},
		"beyond the limit":          {ctx: within(time.Minute), limit: 2 * time.Second, left: 5, takes: 2 * time.Second},
		"after a signal":            {ctx: ended, takes: 5 * time.Second},
		"beyond it, after a signal": {ctx: ended, limit: 2 * time.Second, left: 5, takes: 2 * time.Second},
		"after a deadline":          {ctx: within(-time.Second), takes: 5 * time.Second},
		"with a signal meanwhile": {ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, takes: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := faultjournal.New(faultjournal.Config{Journal: new(memory.Journal), Append: func(*persistence.Append, int) faultjournal.Fault {
					return faultjournal.Fault{Delay: 5 * time.Second}
				}})
				node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters}, StopTimeout: c.limit})
				require.NoError(t, err)
				answers := make(chan error, 5)
				for i := range cap(answers) {
					go func() { // ends with the answer
						_, err := Count.Ask(t.Context(), node, fmt.Sprint(i), wrapperspb.UInt64(1))
						answers <- err
					}()
				}
				synctest.Wait()
				ctx, cancel := c.ctx(t.Context())
				defer cancel()
				began := time.Now()

				err = node.Stop(ctx)

				require.Equal(t, c.takes, time.Since(began))
				if c.left == 0 {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, fmt.Sprintf("%d commands unanswered", c.left))
				}
				for range cap(answers) {
					if c.left == 0 {
						require.NoError(t, <-answers)
					} else {
						require.ErrorIs(t, <-answers, persistence.ErrUnknownOutcome)
					}
				}
				require.NoError(t, journal.Close())
			})
		})
	}
}

// ended returns a context that has ended, as that of a program that was told to stop.
func ended(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx, cancel
}

// A node takes its time to stop its projections too, and ends them when it is over.
func TestStopOfProjections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit time.Duration
		seen  bool
	}{"in time": {0, true}, "beyond the limit": {time.Second, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var seen atomic.Bool
				slow := projections.Define("slow", 1, projections.On(func(context.Context, *int, projections.Event[*wrapperspb.UInt64Value]) error {
					time.Sleep(5 * time.Second)
					seen.Store(true)
					return nil
				}))
				node, err := stele.Start(t.Context(), stele.Config{
					Journal: new(memory.Journal), Aggregates: stele.Aggregates{Counters}, Projections: stele.Projections{slow.Into(projections.InMemory(new(int)))},
					StopTimeout: c.limit,
				})
				require.NoError(t, err)
				_, err = Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(1))
				require.NoError(t, err)
				synctest.Wait()
				ctx, cancel := ended(t.Context())
				defer cancel()

				err = node.Stop(ctx)

				require.Equal(t, c.seen, seen.Load())
				if c.seen {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, "wait for projections")
					require.ErrorContains(t, err, "Config.StopTimeout")
				}
				time.Sleep(time.Minute) // for what was left behind
			})
		})
	}
}

// What nobody gave a logger says what operators should know where all programs do.
func TestDefaultLogger(t *testing.T) { //nolint:paralleltest // it sets the logger of the process
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	defer slog.SetDefault(before)
	mad := actors.NewCommand[visit, visited]("mad")
	node, err := stele.Start(t.Context(), stele.Config{
		Journal:     new(memory.Journal),
		Aggregates:  stele.Aggregates{Counters, actors.Define("mad", actors.Handle(mad, func(*struct{}, *actors.Tx, visit) (visited, error) { panic("secret") }))},
		Projections: stele.Projections{projections.Define("mad", 1, projections.On(func(context.Context, *int, projections.Event[*wrapperspb.UInt64Value]) error { panic("secret") })).With(projections.Retries(0, 0)).Into(projections.InMemory(new(int)))},
	})
	require.NoError(t, err)
	_, err = mad.Ask(t.Context(), node, "a", visit{})
	require.ErrorIs(t, err, persistence.ErrRejected)
	_, err = Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(1), actors.Await(node.Projections().Await("mad")))
	require.ErrorIs(t, err, actors.ErrBehind)
	require.NoError(t, node.Stop(t.Context()))

	require.Contains(t, out.String(), `level=ERROR msg="handler panicked" stream=mad-a`)
	require.Contains(t, out.String(), "projection=mad")
	require.NotContains(t, out.String(), "secret")
}

// No package of the library is silent by default.
func TestNothingIsDiscarded(t *testing.T) {
	t.Parallel()
	var found []string
	eachSource(t, func(path string, source []byte) {
		if bytes.Contains(source, []byte("slog.DiscardHandler")) {
			found = append(found, path)
		}
	})
	require.Equal(t, []string{"actors/system.go"}, found, "which silences protoactor")
}
