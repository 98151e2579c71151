package projectionstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// written is the event of the suite.
type written struct{ N int }

// MessageName fulfils codec.Named.
func (written) MessageName() string { return "projectionstest.written" }

// streams is the number of streams in the histories of the suite.
const streams = 7

// history is a journal of n events, and what a read model must make of them.
func history(ctx context.Context, n int) (*memory.Journal, map[string]int, error) {
	journal := new(memory.Journal)
	sums := map[string]int{}
	return journal, sums, write(ctx, journal, sums, n)
}

func write(ctx context.Context, journal *memory.Journal, sums map[string]int, n int) error {
	for i := range n {
		stream := fmt.Sprintf("a-%d", i%streams)
		outcomes, err := journal.Append(ctx, persistence.Append{Stream: persistence.StreamID(stream), Expected: persistence.Any, Events: []persistence.Event{
			{Type: written{}.MessageName(), Payload: fmt.Appendf(nil, `{"N":%d}`, i+1)},
		}})
		if err != nil {
			return err
		}
		if outcomes[0].Err != nil {
			return outcomes[0].Err
		}
		sums[stream] += i + 1
	}
	return nil
}

// define makes the projection of the suite, whose handler may fail first.
func define[T any](s Subject[T], version int, before func(ctx context.Context, e *persistence.Recorded) error) *projections.Definition[T] {
	return projections.Define("sums", version, projections.On(func(ctx context.Context, tx T, e projections.Event[written]) error {
		if before != nil {
			if err := before(ctx, &e.Recorded); err != nil {
				return err
			}
		}
		return s.Add(ctx, tx, string(e.Stream), e.Data.N)
	}), projections.Truncate(func(ctx context.Context, tx T) error {
		for i := range streams {
			if err := s.Add(ctx, tx, fmt.Sprintf("a-%d", i), 0); err != nil {
				return err
			}
		}
		return nil
	}))
}

// running runs a projection during body.
func running(ctx context.Context, config projections.Config, body func(*projections.Runner) error) error {
	config.ProveMessages = true
	runner, err := projections.New(config)
	if err != nil {
		return err
	}
	return runningWith(ctx, runner, func() error { return body(runner) })
}

func runningWith(ctx context.Context, runner *projections.Runner, body func() error) error {
	group := lifecycle.Start(ctx, lifecycle.Component{Name: "runner", Run: runner.Run})
	err := body()
	return errors.Join(err, group.Stop(ctx))
}

func same(ctx context.Context, sums func(context.Context) (map[string]int, error), wanted map[string]int) error {
	got, err := sums(ctx)
	return errors.Join(err, want(maps.Equal(got, wanted), "the read model is %v, not %v", got, wanted))
}

func runCases[T any]() map[string]check[T] {
	return map[string]check[T]{
		"the read model and the book are one transaction":                           commitsModelWithBook[T],
		"each event is applied once":                                                appliesOnce[T],
		"each event is applied once by several workers that are divided anew":       appliesOnceInParts[T],
		"each event is applied once though handlers, transactions and runners fail": appliesOnceDespiteFailures[T],
		"two runners on one projection have one effect":                             runsTwiceWithOneEffect[T],
		"what waits behind an event that was set aside keeps its order":             keepsOrderBehindParked[T],
		"a handler that overruns its time or ends its goroutine holds up no others": survivesBadHandlers[T],
		"a reset begins at the beginning":                                           resets[T],
	}
}

func commitsModelWithBook[T any](ctx context.Context, s Subject[T]) error {
	err := s.Target.Transact(ctx, func(ctx context.Context, tx T, book projections.Book) error {
		return errors.Join(s.Add(ctx, tx, "kept", 1), divided(ctx, book))
	})
	if err != nil {
		return err
	}
	err = s.Target.Transact(ctx, func(ctx context.Context, tx T, book projections.Book) error {
		return errors.Join(s.Add(ctx, tx, "lost", 1), book.Unregister(ctx, "p", 1), errBack)
	})
	if err := want(errors.Is(err, errBack), "the error of body came back as %v", err); err != nil {
		return err
	}
	all, err := everything(ctx, s.Target)
	sums, err2 := s.Sums(ctx)
	registrations, _ := all[0].([]projections.Registration)
	return errors.Join(err, err2, want(len(registrations) == 1, "the book kept %d registrations", len(registrations)),
		want(sums["kept"] == 1, "the read model is %v", sums), want(s.Loose || sums["lost"] == 0, "what was rolled back is in %v", sums))
}

func appliesOnce[T any](ctx context.Context, s Subject[T]) error {
	journal, sums, err := history(ctx, 1200)
	if err != nil {
		return err
	}
	config := projections.Config{Journal: journal, Projections: []projections.Projection{define(s, 1, nil).Into(s.Target)}}
	return running(ctx, config, func(runner *projections.Runner) error {
		err := runner.CatchUp(ctx)
		if err == nil {
			err = write(ctx, journal, sums, 300)
		}
		return errors.Join(err, runner.CatchUp(ctx), same(ctx, s.Sums, sums))
	})
}

func appliesOnceInParts[T any](ctx context.Context, s Subject[T]) error {
	journal, sums, err := history(ctx, 700)
	for _, n := range []int{4, 16, 2, 1, 8} {
		if err != nil {
			return err
		}
		definition := define(s, 1, nil).With(projections.Workers(n))
		config := projections.Config{Journal: journal, Projections: []projections.Projection{definition.Into(s.Target)}}
		err = running(ctx, config, func(runner *projections.Runner) error {
			err := runner.CatchUp(ctx)
			info, err2 := runner.Info(ctx, "sums")
			return errors.Join(err, err2, want(len(info.Workers) == n, "there are %d workers, not %d", len(info.Workers), n),
				write(ctx, journal, sums, 100))
		})
	}
	return errors.Join(err, running(ctx, projections.Config{Journal: journal, Projections: []projections.Projection{define(s, 1, nil).Into(s.Target)}},
		func(runner *projections.Runner) error {
			return errors.Join(runner.CatchUp(ctx), same(ctx, s.Sums, sums))
		}))
}

func appliesOnceDespiteFailures[T any](ctx context.Context, s Subject[T]) error {
	if s.Loose {
		return nil // some come twice
	}
	journal, sums, err := history(ctx, 1000)
	if err != nil {
		return err
	}
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same every time
	var mu sync.Mutex                     // protects chance
	dice := func(one int) bool {
		mu.Lock()
		defer mu.Unlock()
		return chance.IntN(one) == 0
	}
	definition := define(s, 1, func(context.Context, *persistence.Recorded) error {
		switch {
		case dice(300):
			return errBack
		case dice(300):
			panic("on purpose") //nolint:forbidigo // it is what is tested
		}
		return nil
	}).With(projections.Workers(2), projections.Retries(100, time.Microsecond))
	hurt := &hurting[T]{Target: s.Target, dice: dice}
	config := projections.Config{Journal: journal, Projections: []projections.Projection{definition.Into(hurt)}}
	for i := range 6 { // each is cut off somewhere
		err := running(ctx, config, func(runner *projections.Runner) error {
			cut, cancel := context.WithTimeout(ctx, time.Duration(20*(i+1))*time.Millisecond)
			defer cancel()
			_ = runner.CatchUp(cut)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return running(ctx, config, func(runner *projections.Runner) error {
		return errors.Join(runner.CatchUp(ctx), same(ctx, s.Sums, sums))
	})
}

func runsTwiceWithOneEffect[T any](ctx context.Context, s Subject[T]) error {
	if s.Loose {
		return nil // a stale owner may repeat some
	}
	journal, sums, err := history(ctx, 2000)
	if err != nil {
		return err
	}
	config := projections.Config{Journal: journal, Projections: []projections.Projection{define(s, 1, nil).Into(s.Target)}}
	return running(ctx, config, func(one *projections.Runner) error {
		return running(ctx, config, func(two *projections.Runner) error {
			err := errors.Join(one.CatchUp(ctx), two.CatchUp(ctx))
			for range 20 {
				err = errors.Join(err, write(ctx, journal, sums, 50))
			}
			return errors.Join(err, one.CatchUp(ctx), two.CatchUp(ctx), same(ctx, s.Sums, sums))
		})
	})
}

func keepsOrderBehindParked[T any](ctx context.Context, s Subject[T]) error {
	return parking(ctx, s)
}

func survivesBadHandlers[T any](ctx context.Context, s Subject[T]) error {
	return unruly(ctx, s)
}

func resets[T any](ctx context.Context, s Subject[T]) error {
	journal, sums, err := history(ctx, 200)
	if err != nil {
		return err
	}
	config := projections.Config{Journal: journal, Projections: []projections.Projection{define(s, 1, nil).Into(s.Target)}}
	return running(ctx, config, func(runner *projections.Runner) error {
		err := errors.Join(runner.CatchUp(ctx), runner.Reset(ctx, "sums"), runner.CatchUp(ctx))
		for stream := range sums {
			sums[stream] *= 2 // the suite's Truncate empties nothing
		}
		return errors.Join(err, same(ctx, s.Sums, sums))
	})
}

// parking lets the third event of one stream fail, and checks that the others of
// the stream wait while those of other streams go on.
func parking[T any](ctx context.Context, s Subject[T]) error {
	journal, sums, err := history(ctx, 10*streams)
	if err != nil {
		return err
	}
	var mu sync.Mutex // protects broken and order
	broken, order := true, []persistence.Version(nil)
	definition := define(s, 1, func(_ context.Context, e *persistence.Recorded) error {
		mu.Lock()
		defer mu.Unlock()
		if e.Stream != "a-3" {
			return nil
		}
		if broken && e.Version == 3 {
			return errBack
		}
		order = append(order, e.Version)
		return nil
	}).With(projections.OnFailure(projections.Park), projections.Retries(1, time.Microsecond))
	config := projections.Config{Journal: journal, Projections: []projections.Projection{definition.Into(s.Target)}}
	return running(ctx, config, func(runner *projections.Runner) error {
		if err := runner.CatchUp(ctx); err != nil {
			return err
		}
		aside, err := runner.Parked(ctx, "sums", persistence.Position{}, 0)
		got, err2 := s.Sums(ctx)
		err = errors.Join(err, err2, want(len(aside) == 8, "%d are set aside, not 8", len(aside)),
			want(got["a-2"] == sums["a-2"] && got["a-3"] < sums["a-3"], "with one set aside the read model is %v", got))
		mu.Lock()
		broken, order = false, nil
		mu.Unlock()
		err = errors.Join(err, runner.Redrive(ctx, "sums", "a-3"), write(ctx, journal, sums, streams), runner.CatchUp(ctx), same(ctx, s.Sums, sums))
		left, err2 := runner.Parked(ctx, "sums", persistence.Position{}, 0)
		mu.Lock()
		defer mu.Unlock()
		for i := range order {
			err = errors.Join(err, want(order[i] == persistence.Version(3+i), "the order was %v", order))
		}
		return errors.Join(err, err2, want(len(left) == 0, "there are left %+v", left), want(len(order) == 9, "the order was %v", order))
	})
}

// unruly lets one event's handler overrun its time, and go on with the context that has
// ended, and another's end its goroutine. Both are over at some time: what cannot be
// applied is set aside, and the rest has its effect once.
func unruly[T any](ctx context.Context, s Subject[T]) error {
	journal, sums, err := history(ctx, 5*streams)
	if err != nil {
		return err
	}
	definition := define(s, 1, func(ctx context.Context, e *persistence.Recorded) error {
		switch {
		case e.Stream == "a-1" && e.Version == 3:
			<-ctx.Done()
		case e.Stream == "a-2" && e.Version == 2:
			runtime.Goexit()
		}
		return nil
	}).With(projections.OnFailure(projections.Park), projections.Retries(1, time.Microsecond), projections.Timeout(300*time.Millisecond))
	config := projections.Config{Journal: journal, Projections: []projections.Projection{definition.Into(s.Target)}}
	return running(ctx, config, func(runner *projections.Runner) error {
		if err := runner.CatchUp(ctx); err != nil {
			return err
		}
		aside, err := runner.Parked(ctx, "sums", persistence.Position{}, 0)
		got, err2 := s.Sums(ctx)
		lanes := map[string]int{}
		for _, parked := range aside {
			lanes[parked.Lane]++
		}
		for stream := range lanes {
			delete(sums, stream)
			delete(got, stream)
		}
		_, late := lanes["a-1"]
		delete(lanes, "a-1") // unless the handler has succeeded all the same
		return errors.Join(err, err2, want(maps.Equal(lanes, map[string]int{"a-2": 4}), "besides the late one there are set aside %v", lanes),
			want(maps.Equal(got, sums), "the read model is %v, not %v, late %v", got, sums, late))
	})
}

// hurting is a target that fails before a transaction or behind it.
type hurting[T any] struct {
	projections.Target[T]
	dice func(one int) bool
}

// Update fulfils [projections.Store].
func (h *hurting[T]) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	return h.hurt(func() error { return h.Target.Update(ctx, body) })
}

// Transact fulfils [projections.Target].
func (h *hurting[T]) Transact(ctx context.Context, body func(context.Context, T, projections.Book) error) error {
	return h.hurt(func() error { return h.Target.Transact(ctx, body) })
}

func (h *hurting[T]) hurt(do func() error) error {
	if h.dice(25) {
		return &persistence.UnavailableError{Reason: "broken before"}
	}
	err := do()
	if err == nil && h.dice(25) {
		return &persistence.UnavailableError{Reason: "broken behind"}
	}
	return err
}
