package projectionstest

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

func heartbeatCases[T any]() map[string]check[T] {
	return map[string]check[T]{
		"signs of life come back as they were given last":      keepsBeats[T],
		"who leaves a part leaves its own only":                leavesOwnPartOnly[T],
		"of runners that begin together one takes over":        beginsWithOneOwner[T],
		"of two runners one has the projection, until it dies": changesOwnerAfterDeath[T],
	}
}

func keepsBeats[T any](ctx context.Context, s Subject[T]) error {
	for _, body := range []func(context.Context, projections.Book) error{
		func(ctx context.Context, book projections.Book) error {
			return errors.Join(book.Beat(ctx, "one/1", 7), book.Beat(ctx, "two/2", 1<<40), book.Beat(ctx, "one/1", 8))
		},
		func(ctx context.Context, book projections.Book) error {
			return errors.Join(isAlive(ctx, book, map[string]int64{"one/1": 8, "two/2": 1 << 40}),
				book.Forget(ctx, "one/1", 7), book.Forget(ctx, "nobody", 1))
		},
		func(ctx context.Context, book projections.Book) error {
			return errors.Join(isAlive(ctx, book, map[string]int64{"one/1": 8, "two/2": 1 << 40}), book.Forget(ctx, "one/1", 8))
		},
		func(ctx context.Context, book projections.Book) error {
			return isAlive(ctx, book, map[string]int64{"two/2": 1 << 40})
		},
	} {
		if err := s.Target.Update(ctx, body); err != nil {
			return err
		}
	}
	err := s.Target.Update(ctx, func(ctx context.Context, book projections.Book) error {
		return errors.Join(book.Beat(ctx, "two/2", 3), book.Beat(ctx, "three/3", 3), book.Forget(ctx, "two/2", 3), errBack)
	})
	return errors.Join(want(errors.Is(err, errBack), "the error of body came back as %v", err),
		s.Target.Update(ctx, func(ctx context.Context, book projections.Book) error {
			return isAlive(ctx, book, map[string]int64{"two/2": 1 << 40})
		}))
}

func leavesOwnPartOnly[T any](ctx context.Context, s Subject[T]) error {
	var first, second projections.Worker
	nodes := func(one, other string) func(context.Context, projections.Book) error {
		return func(ctx context.Context, book projections.Book) error {
			rows, err := book.Workers(ctx, "p", 1)
			return errors.Join(err, want(len(rows) == 2 && rows[0].Node == one && rows[1].Node == other, "the workers are %+v", rows))
		}
	}
	for _, body := range []func(context.Context, projections.Book) error{
		divided,
		func(ctx context.Context, book projections.Book) (err error) {
			first, err = book.TakeOver(ctx, key(0), "one")
			return err
		},
		func(ctx context.Context, book projections.Book) (err error) {
			if second, err = book.TakeOver(ctx, key(0), "two"); err == nil {
				_, err = book.TakeOver(ctx, key(512), "two")
			}
			return err
		},
		func(ctx context.Context, book projections.Book) error { return book.Release(ctx, key(0), first.Epoch) },
		nodes("two", "two"),
		func(ctx context.Context, book projections.Book) error { return book.Release(ctx, key(0), second.Epoch) },
		nodes("", "two"),
		func(ctx context.Context, book projections.Book) error {
			return book.Save(ctx, key(0), second.Epoch, place(0), projections.Worker{High: 512, Checkpoint: place(5), Moved: moment})
		},
	} {
		if err := s.Target.Update(ctx, body); err != nil {
			return err
		}
	}
	return nil
}

func beginsWithOneOwner[T any](ctx context.Context, s Subject[T]) error {
	journal, sums, err := history(ctx, 100)
	if err != nil {
		return err
	}
	counted := &counting[T]{Target: s.Target}
	config := projections.Config{Journal: journal, Projections: []projections.Projection{define(s, 1, nil).Into(counted)}}
	var begin func(left int, all []*projections.Runner) error
	begin = func(left int, all []*projections.Runner) error {
		if left > 0 {
			return running(ctx, config, func(runner *projections.Runner) error { return begin(left-1, append(all, runner)) })
		}
		for _, runner := range all {
			if err := runner.CatchUp(ctx); err != nil {
				return err
			}
		}
		took := counted.took.Load()
		return want(took == 1, "%d have taken over", took)
	}
	return errors.Join(begin(6, nil), same(ctx, s.Sums, sums))
}

func changesOwnerAfterDeath[T any](ctx context.Context, s Subject[T]) error {
	journal, sums, err := history(ctx, 100)
	if err != nil {
		return err
	}
	dying := &mortal[T]{Target: s.Target}
	config := projections.Config{
		Journal: journal, Node: "one", Projections: []projections.Projection{define(s, 1, nil).Into(dying)}, TakeOverAfter: 2 * time.Second,
	}
	one, err := projections.New(config)
	if err != nil {
		return err
	}
	first := lifecycle.Start(ctx, lifecycle.Component{Name: "runner", Run: one.Run})
	err = one.CatchUp(ctx)
	config.Node, config.Projections = "two", []projections.Projection{define(s, 1, nil).Into(s.Target)}
	err = errors.Join(err, running(ctx, config, func(two *projections.Runner) error {
		before, err := owner(ctx, s.Target)
		for range 20 {
			err = errors.Join(err, write(ctx, journal, sums, 10), two.CatchUp(ctx))
		}
		after, err2 := owner(ctx, s.Target)
		err = errors.Join(err, err2, want(before.Epoch == after.Epoch && before.Node == after.Node, "the owner was %s in epoch %d, and is %s in epoch %d",
			before.Node, before.Epoch, after.Node, after.Epoch))
		dying.dead.Store(true)
		return errors.Join(err, write(ctx, journal, sums, 50), two.CatchUp(ctx), same(ctx, s.Sums, sums))
	}))
	return errors.Join(err, first.Stop(ctx))
}

func isAlive(ctx context.Context, book projections.Book, wanted map[string]int64) error {
	beats, err := book.Beats(ctx)
	return errors.Join(err, want(maps.Equal(beats, wanted), "the signs of life are %v, not %v", beats, wanted))
}

// owner is the only worker of the suite's projection.
func owner(ctx context.Context, store projections.Store) (w projections.Worker, err error) {
	err = store.Update(ctx, func(ctx context.Context, book projections.Book) error {
		rows, err := book.Workers(ctx, "sums", 1)
		if len(rows) > 0 {
			w = rows[0]
		}
		return errors.Join(err, want(len(rows) == 1, "there are %d workers", len(rows)))
	})
	return w, err
}

// counting is a target that counts who takes over.
type counting[T any] struct {
	projections.Target[T]
	took atomic.Int32
}

// Update fulfils [projections.Store].
func (c *counting[T]) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	took := false
	err := c.Target.Update(ctx, func(ctx context.Context, book projections.Book) error {
		took = false
		return body(ctx, takingOver{book, &took})
	})
	if err == nil && took {
		c.took.Add(1)
	}
	return err
}

type takingOver struct {
	projections.Book
	took *bool
}

// TakeOver fulfils [projections.Book].
func (t takingOver) TakeOver(ctx context.Context, part projections.PartKey, node string) (projections.Worker, error) {
	*t.took = true
	return t.Book.TakeOver(ctx, part, node)
}

// mortal is a target that a process sees until it dies.
type mortal[T any] struct {
	projections.Target[T]
	dead atomic.Bool
}

var errDead = &persistence.UnavailableError{Reason: "the process is dead"}

// Update fulfils [projections.Store].
func (m *mortal[T]) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Target.Update(ctx, body)
}

// Transact fulfils [projections.Target].
func (m *mortal[T]) Transact(ctx context.Context, body func(context.Context, T, projections.Book) error) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Target.Transact(ctx, body)
}
