package projections_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// process is what one process sees of a store: it can die, so that nothing of what it
// does reaches the store any more, or be halted for a while.
type process struct {
	*projections.Books
	dead atomic.Bool
	gate atomic.Pointer[chan struct{}]
}

func (p *process) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	if gate := p.gate.Load(); gate != nil {
		<-*gate
	}
	if p.dead.Load() {
		return &persistence.UnavailableError{Reason: "the process is dead"}
	}
	return p.Books.Update(ctx, body)
}

// View is not that of the books, which would be a way around.
func (p *process) View(ctx context.Context, body func(context.Context, projections.Book) error) error {
	return p.Update(ctx, body)
}

func ownerOf(t *testing.T, store projections.Store) projections.Worker {
	t.Helper()
	rows := rowsOf(t, store, "sums", 1)
	require.NotEmpty(t, rows)
	return rows[0]
}

// Of two runners the first has the projection and keeps it; the other waits and says so.
func TestOneOwnerStays(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		sink, books := new(told), new(projections.Books)
		projection := projections.Define("sums", 1, projections.On(sink.tell(1))).Into(projections.External(sink, books))
		one, _ := w.run(projections.Config{Node: "one"}, projection)
		settle()
		var log bytes.Buffer
		two, _ := w.run(projections.Config{Node: "two", Logger: slog.New(slog.NewTextHandler(&log, nil))}, projection)
		settle()
		owner := ownerOf(t, books)
		require.True(t, strings.HasPrefix(owner.Node, "one/"), owner.Node)
		var last persistence.Position
		for range 1000 {
			last = w.add("a-1", 1)
			time.Sleep(30 * time.Millisecond)
		}
		w.waitFor(one, "sums", last)
		w.waitFor(two, "sums", last)

		require.Len(t, sink.heard(), 1000, "each once")
		require.Equal(t, owner.Epoch, ownerOf(t, books).Epoch)
		require.Equal(t, 1, strings.Count(log.String(), "this one waits for it to end"), log.String())
		info, err := two.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Equal(t, projections.Elsewhere, info.Status)
		require.Contains(t, info.Cause, "runs on one/")
		require.Contains(t, info.Cause, "gives no sign of life for 5s")
		health := two.Health(t.Context())[0]
		require.Equal(t, projections.Green, health.Level)
		require.Contains(t, health.Reason, "runs on one/")
		status, err := two.Status("sums")
		require.NoError(t, err)
		require.Equal(t, projections.Elsewhere, status)
	})
}

// Who waits takes over soon when the owner ends, and within a bound when it dies.
func TestTakesOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end         func(owner *process, stop func())
		least, most time.Duration
	}{
		"from one that ends":          {func(_ *process, stop func()) { stop() }, 0, 1100 * time.Millisecond},
		"from one that is killed":     {func(owner *process, _ func()) { owner.dead.Store(true) }, 3900 * time.Millisecond, 6100 * time.Millisecond},
		"from one that cannot say so": {func(owner *process, stop func()) { owner.dead.Store(true); stop() }, 3900 * time.Millisecond, 6100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, w world) {
				books := new(projections.Books)
				first := &process{Books: books}
				definition := projections.Define("sums", 1, projections.On(inState))
				one, stop := w.run(projections.Config{Node: "one"}, definition.Into(projections.Persist[sums](first)))
				w.waitFor(one, "sums", w.add("a-1", 1))
				two, _ := w.run(projections.Config{Node: "two"}, definition.Into(projections.Persist[sums](books)))
				time.Sleep(10*time.Second + 333*time.Millisecond)
				c.end(first, stop)
				began := time.Now()

				w.waitFor(two, "sums", w.add("a-1", 2))

				require.Greater(t, time.Since(began), c.least)
				require.Less(t, time.Since(began), c.most)
				require.True(t, strings.HasPrefix(ownerOf(t, books).Node, "two/"))
				beats := map[string]int64{}
				require.NoError(t, books.Update(t.Context(), func(ctx context.Context, book projections.Book) (err error) {
					beats, err = book.Beats(ctx)
					return err
				}))
				require.Len(t, beats, 1, "nothing is left of the one that is gone: %v", beats)
			})
		})
	}
}

// A process that was halted finds out that it has lost its projection, and waits.
func TestHaltedOwner(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		first := &process{Books: books}
		definition := projections.Define("sums", 1, projections.On(inState))
		one, _ := w.run(projections.Config{Node: "one"}, definition.Into(projections.Persist[sums](first)))
		w.waitFor(one, "sums", w.add("a-1", 1))
		two, _ := w.run(projections.Config{Node: "two"}, definition.Into(projections.Persist[sums](books)))
		settle()
		halt := make(chan struct{})
		first.gate.Store(&halt)
		last := w.add("a-1", 2)
		time.Sleep(30 * time.Second)
		w.waitFor(two, "sums", last)
		owner := ownerOf(t, books)
		require.True(t, strings.HasPrefix(owner.Node, "two/"), owner.Node)

		first.gate.Store(nil)
		close(halt)
		for range 100 {
			last = w.add("a-1", 1)
			time.Sleep(time.Second)
		}

		w.waitFor(one, "sums", last)
		require.Equal(t, owner.Epoch, ownerOf(t, books).Epoch, "it stays with the one that has it")
		info, err := one.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Equal(t, projections.Elsewhere, info.Status)
		folded, _, err := projections.Fold(t.Context(), w, definition, projections.FoldOptions[sums]{})
		require.NoError(t, err)
		require.Equal(t, 103, folded.Of["a-1"])
		state, err := two.State(t.Context(), "sums")
		require.NoError(t, err)
		require.Contains(t, string(state), `"a-1":103`)
	})
}

// While the store is away nobody can give a sign of life, and nobody is taken for dead.
func TestTheTimeInWhichNobodyCouldLookIsNotHeldAgainstTheOwner(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		store := &switched{Books: new(projections.Books)}
		projection := projections.Define("sums", 1, projections.On(inState)).Into(projections.Persist[sums](store))
		one, _ := w.run(projections.Config{Node: "one"}, projection)
		w.waitFor(one, "sums", w.add("a-1", 1))
		_, _ = w.run(projections.Config{Node: "two"}, projection)
		settle()
		owner := ownerOf(t, store.Books)
		for range 20 {
			store.away.Store(true)
			time.Sleep(time.Minute + 77*time.Millisecond)
			store.away.Store(false)
			w.add("a-1", 1)
			time.Sleep(10 * time.Second)
		}
		require.Equal(t, owner.Node, ownerOf(t, store.Books).Node)
	})
}

// A projection that has failed on one runner is tried by another one, which may be of a
// newer program: once by each, until somebody wishes something.
func TestTakesOverWhatHasFailed(t *testing.T) {
	t.Parallel()
	for name, mended := range map[string]bool{"by a program that can": true, "by one that cannot either": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, w world) {
				books := new(projections.Books)
				var calls atomic.Int32
				version := func(broken bool) projections.Projection {
					return projections.Define("sums", 1, projections.On(func(_ context.Context, _ *projections.State[sums], e projections.Event[added]) error {
						calls.Add(1)
						if broken && e.Data.N < 0 {
							return errBroken
						}
						return nil
					})).With(projections.Retries(2, time.Millisecond)).Into(projections.Persist[sums](books))
				}
				one, _ := w.run(projections.Config{Node: "one"}, version(true))
				last := w.add("a-1", -1)
				require.ErrorIs(t, one.WaitFor(t.Context(), "sums", last), projections.ErrBehind)
				two, _ := w.run(projections.Config{Node: "two"}, version(!mended))
				time.Sleep(time.Hour)
				settle()

				infoOne, err := one.Info(t.Context(), "sums")
				require.NoError(t, err)
				infoTwo, err := two.Info(t.Context(), "sums")
				require.NoError(t, err)
				if mended {
					require.NoError(t, two.WaitFor(t.Context(), "sums", last))
					require.NoError(t, one.WaitFor(t.Context(), "sums", last))
					require.Equal(t, projections.Live, infoTwo.Status)
					require.Equal(t, projections.Elsewhere, infoOne.Status)
					return
				}
				require.EqualValues(t, 6, calls.Load(), "three times by each")
				require.Equal(t, projections.Failed, infoOne.Status)
				require.Equal(t, projections.Failed, infoTwo.Status)
				for _, runner := range []*projections.Runner{one, two} {
					err := runner.WaitFor(t.Context(), "sums", last)
					require.ErrorIs(t, err, projections.ErrBehind)
					require.ErrorContains(t, err, "broken on purpose")
				}
			})
		})
	}
}

// Programs that want different numbers of workers, as during a deployment, do not divide
// the projection anew against each other.
func TestRunnersThatDifferInWorkers(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books, sink := new(projections.Books), new(told)
		version := func(workers int) projections.Projection {
			return projections.Define("sums", 1, projections.On(sink.tell(1))).With(projections.Workers(workers)).Into(projections.External(sink, books))
		}
		one, stop := w.run(projections.Config{Node: "one"}, version(2))
		w.waitFor(one, "sums", w.add("a-1", 1))
		settle()
		two, _ := w.run(projections.Config{Node: "two"}, version(4))
		epochs := func() (all []int64) {
			for _, row := range rowsOf(t, books, "sums", 1) {
				all = append(all, row.Epoch)
			}
			return all
		}
		before := epochs()
		for i := range 100 {
			w.add(persistence.StreamID(fmt.Sprint("a-", i)), 1)
			time.Sleep(time.Second)
		}
		require.NoError(t, one.CatchUp(t.Context()))
		require.NoError(t, two.CatchUp(t.Context()))
		require.Equal(t, before, epochs())
		require.Len(t, sink.heard(), 101)

		stop()
		w.waitFor(two, "sums", w.add("a-1", 1))
		time.Sleep(time.Minute)

		require.Len(t, epochs(), 4, "as the one says that has it")
		require.Len(t, sink.heard(), 102)
	})
}

// The parts of one projection may be on several runners; a wait sees all of them.
func TestPartsOnSeveralRunners(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books, sink := new(projections.Books), new(told)
		projection := projections.Define("sums", 1, projections.On(sink.tell(1))).With(projections.Workers(2)).Into(projections.External(sink, books))
		low, high := halves{low: true}, halves{}
		one, stop := w.run(projections.Config{Node: "one", Placement: low}, projection)
		two, _ := w.run(projections.Config{Node: "two", Placement: high}, projection)
		var last persistence.Position
		for i := range 50 {
			last = w.add(persistence.StreamID(fmt.Sprint("a-", i)), 1)
			if i%10 == 0 {
				w.waitFor(one, "sums", last)
				w.waitFor(two, "sums", last)
			}
		}
		w.waitFor(one, "sums", last)
		require.Len(t, sink.heard(), 50)
		stop()
	})
}

// halves places the lower part of two, or the other one.
type halves struct{ low bool }

func (h halves) Owns(worker string) (bool, <-chan struct{}) {
	return strings.HasSuffix(worker, "/0") == h.low, nil
}

// A command whose events a projection does not choose is not waited for where it runs on
// another runner, which saves only now and then that it has passed over them.
func TestNobodyWaitsForWhatIsNotChosen(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		sink := new(told)
		projection := projections.Define("sums", 1, projections.On(sink.tell(1))).With(projections.FromKinds("a"), projections.Workers(4)).
			Into(projections.External(sink, new(projections.Books)))
		one, _ := w.run(projections.Config{Node: "one"}, projection)
		w.waitFor(one, "sums", w.add("a-1", 1))
		two, _ := w.run(projections.Config{Node: "two"}, projection)
		settle()
		for i := range 20 {
			began := time.Now()
			w.waitFor(two, "sums", w.add("b-1", 1, 2))
			require.Less(t, time.Since(began), 10*time.Millisecond)
			began = time.Now()
			w.waitFor(two, "sums", w.add(persistence.StreamID(fmt.Sprint("a-", i)), 1))
			require.Less(t, time.Since(began), 100*time.Millisecond)
			require.Len(t, sink.heard(), i+2)
			last := w.add("b-1", 1)
			w.waitFor(two, "sums", last)
			last.Offset++
			brief, cancel := context.WithTimeout(t.Context(), time.Second)
			require.ErrorIs(t, two.WaitFor(brief, "sums", last), projections.ErrBehind, "the journal has not come so far")
			cancel()
		}
	})
}
