package projectionstest

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/projections"
)

var journal = persistence.JournalID{1, 2, 3}

// place is a checkpoint at a position.
func place(offset int64) tail.Checkpoint {
	checkpoint := tail.Checkpoint{Journal: journal}
	if offset > 0 {
		checkpoint.Marks = []tail.Mark{{Position: persistence.Position{Offset: offset}, EventID: persistence.EventID{byte(offset)}}}
	}
	return checkpoint
}

// moment is a time as stores keep it.
var moment = time.UnixMicro(1_700_000_000_123_456).UTC()

func registration(name string, version int) projections.Registration {
	return projections.Registration{
		Name: name, Version: version, Active: true, Effects: true, Ready: true, Fingerprint: "f", Until: place(7),
		Switching: true, Successor: 3, Changes: 5, Created: moment,
	}
}

func key(low int) projections.PartKey { return projections.PartKey{Name: "p", Version: 1, Low: low} }

// divided is a version of two workers.
func divided(ctx context.Context, book projections.Book) error {
	if err := book.Register(ctx, registration("p", 1)); err != nil {
		return err
	}
	return book.Divide(ctx, "p", 1, []projections.Worker{
		{Low: 0, High: 512, Checkpoint: place(0), Moved: moment},
		{Low: 512, High: 1024, Checkpoint: place(0), Moved: moment},
	})
}

// in runs bodies in transactions of the book, one after the other, until one fails.
func in[T any](ctx context.Context, s Subject[T], bodies ...func(context.Context, projections.Book) error) error {
	for _, body := range bodies {
		if err := s.Target.Update(ctx, body); err != nil {
			return err
		}
	}
	return nil
}

func bookCases[T any]() map[string]check[T] {
	return map[string]check[T]{
		"registrations come back as they were, by name and version":  keepsRegistrations[T],
		"what is unregistered is gone with all it had":               unregistersAll[T],
		"what body refuses or panics with leaves nothing":            undoesAfterErrors[T],
		"what body leaves by ending its goroutine is undone":         undoesAfterGoexit[T],
		"what is changed and refused is as before":                   undoesChanges[T],
		"who takes a part over raises its epoch and gets all of it":  takesOver[T],
		"a save of an earlier epoch is fenced":                       fencesEarlierEpoch[T],
		"a save behind a wish is fenced":                             fencesBehindRequest[T],
		"a save of a part that was divided anew is fenced":           fencesDividedPart[T],
		"a save of a part that was deleted and made again is fenced": fencesRecreatedPart[T],
		"a save of a part that is gone is fenced":                    fencesMissingPart[T],
		"a save from another checkpoint is fenced":                   fencesOtherCheckpoint[T],
		"what is set aside comes back by position, a part at a time": keepsParkedEvents[T],
		"who locks changes what nobody else changes meanwhile":       locksAgainstOthers[T],
		"who takes over waits for a save that is under way":          takesOverAfterSave[T],
	}
}

func keepsRegistrations[T any](ctx context.Context, s Subject[T]) error {
	return in(ctx, s, func(ctx context.Context, book projections.Book) error {
		for _, r := range []projections.Registration{registration("q", 1), registration("p", 2), registration("p", 1)} {
			if err := book.Register(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}, func(ctx context.Context, book projections.Book) error {
		all, err := book.Registrations(ctx, "")
		wanted := []projections.Registration{registration("p", 1), registration("p", 2), registration("q", 1)}
		return errors.Join(err, want(reflect.DeepEqual(all, wanted), "registrations are %+v", all))
	}, func(ctx context.Context, book projections.Book) error {
		all, err := book.Registrations(ctx, "p")
		return errors.Join(err, want(len(all) == 2, "of one name there are %d", len(all)))
	}, func(ctx context.Context, book projections.Book) error {
		return book.Register(ctx, projections.Registration{Name: "p", Version: 1, Stopped: true, Created: moment})
	}, func(ctx context.Context, book projections.Book) error {
		all, err := book.Registrations(ctx, "p")
		wanted := projections.Registration{Name: "p", Version: 1, Stopped: true, Created: moment}
		return errors.Join(err, want(reflect.DeepEqual(all[0], wanted), "replaced, it is %+v", all[0]))
	})
}

func unregistersAll[T any](ctx context.Context, s Subject[T]) error {
	return in(ctx, s, divided, func(ctx context.Context, book projections.Book) error {
		return book.Park(ctx, parked(3, "a"))
	}, func(ctx context.Context, book projections.Book) error {
		return book.Unregister(ctx, "p", 1)
	}, func(ctx context.Context, book projections.Book) error {
		all, err := book.Registrations(ctx, "p")
		workers, err2 := book.Workers(ctx, "p", 1)
		aside, err3 := book.Parked(ctx, "p", 1, persistence.Position{}, 10)
		_, err4 := book.TakeOver(ctx, key(0), "n")
		return errors.Join(err, err2, err3, want(len(all)+len(workers)+len(aside) == 0, "there are left %v, %v, %v", all, workers, aside),
			want(errors.Is(err4, projections.ErrNotFound), "taking it over is %v", err4))
	})
}

func undoesAfterErrors[T any](ctx context.Context, s Subject[T]) error {
	err := in(ctx, s, func(ctx context.Context, book projections.Book) error {
		return errors.Join(divided(ctx, book), book.Park(ctx, parked(3, "a")), errBack)
	})
	if err := want(errors.Is(err, errBack), "the error of body came back as %v", err); err != nil {
		return err
	}
	func() {
		defer func() { _ = recover() }()
		_ = in(ctx, s, func(ctx context.Context, book projections.Book) error {
			_ = divided(ctx, book)
			panic("on purpose") //nolint:forbidigo // it is what is tested
		})
	}()
	return in(ctx, s, func(ctx context.Context, book projections.Book) error {
		all, err := book.Registrations(ctx, "")
		workers, err2 := book.Workers(ctx, "p", 1)
		aside, err3 := book.Parked(ctx, "p", 1, persistence.Position{}, 10)
		return errors.Join(err, err2, err3, want(len(all)+len(workers)+len(aside) == 0, "there are left %v, %v, %v", all, workers, aside))
	})
}

func undoesAfterGoexit[T any](ctx context.Context, s Subject[T]) error {
	for what, transaction := range map[string]func(func()) error{
		"Update": func(end func()) error {
			return s.Target.Update(ctx, func(ctx context.Context, book projections.Book) error {
				err := divided(ctx, book)
				end()
				return err
			})
		},
		"Transact": func(end func()) error {
			return s.Target.Transact(ctx, func(ctx context.Context, tx T, book projections.Book) error {
				err := errors.Join(s.Add(ctx, tx, "lost", 1), divided(ctx, book))
				end()
				return err
			})
		},
	} {
		var group sync.WaitGroup
		group.Go(func() { _ = transaction(runtime.Goexit) }) // awaited below
		group.Wait()
		all, err := everything(ctx, s.Target)
		if err != nil {
			return err
		}
		registrations, _ := all[0].([]projections.Registration)
		sums, err := s.Sums(ctx)
		if err := errors.Join(err, want(len(registrations) == 0, "%s has left %v", what, registrations),
			want(s.Loose || sums["lost"] == 0, "%s has left %v", what, sums)); err != nil {
			return err
		}
	}
	return nil
}

func undoesChanges[T any](ctx context.Context, s Subject[T]) error {
	if err := in(ctx, s, divided, func(ctx context.Context, book projections.Book) error { return book.Park(ctx, parked(3, "a")) }); err != nil {
		return err
	}
	before, err := everything(ctx, s.Target)
	if err != nil {
		return err
	}
	err = in(ctx, s, func(ctx context.Context, book projections.Book) error {
		_, err := book.TakeOver(ctx, key(0), "n")
		return errors.Join(err, book.Fence(ctx, "p", 1), book.Park(ctx, parked(4, "b")), book.Unpark(ctx, "p", 1, persistence.Position{Offset: 3}),
			book.Divide(ctx, "p", 1, []projections.Worker{{High: 1024, Checkpoint: place(1), Moved: moment}}),
			book.UnparkAll(ctx, "p", 1), book.Unregister(ctx, "p", 1), errBack)
	})
	after, err2 := everything(ctx, s.Target)
	return errors.Join(err2, want(errors.Is(err, errBack), "the error of body came back as %v", err),
		want(reflect.DeepEqual(before, after), "it was %+v and is %+v", before, after))
}

func takesOver[T any](ctx context.Context, s Subject[T]) error {
	saved := projections.Worker{
		High: 512, Checkpoint: place(9), Sub: 2, SubOf: persistence.EventID{7}, State: []byte(`{"a":1}`), Cause: "because", Moved: moment,
	}
	var first, second projections.Worker
	err := in(ctx, s, divided, func(ctx context.Context, book projections.Book) (err error) {
		first, err = book.TakeOver(ctx, key(0), "one")
		return err
	}, func(ctx context.Context, book projections.Book) error {
		return book.Save(ctx, key(0), first.Epoch, place(0), saved)
	}, func(ctx context.Context, book projections.Book) error {
		workers, err := book.Workers(ctx, "p", 1)
		return errors.Join(err, want(len(workers) == 2 && workers[0].Cause == "because" && workers[1].Low == 512, "the workers are %+v", workers))
	}, func(ctx context.Context, book projections.Book) (err error) {
		second, err = book.TakeOver(ctx, key(0), "two")
		return err
	})
	saved.Epoch, saved.Node, saved.Cause = second.Epoch, "two", ""
	return errors.Join(err, want(second.Epoch > first.Epoch, "epoch %d follows %d", second.Epoch, first.Epoch),
		want(reflect.DeepEqual(second, saved), "taken over it is %+v", second))
}

func fencesEarlierEpoch[T any](ctx context.Context, s Subject[T]) error {
	return fencedBy(ctx, s, func(ctx context.Context, book projections.Book) error {
		_, err := book.TakeOver(ctx, key(0), "two")
		return err
	})
}

func fencesBehindRequest[T any](ctx context.Context, s Subject[T]) error {
	err := fencedBy(ctx, s, func(ctx context.Context, book projections.Book) error { return book.Fence(ctx, "p", 1) })
	return errors.Join(err, in(ctx, s, func(ctx context.Context, book projections.Book) error {
		workers, err := book.Workers(ctx, "p", 1)
		return errors.Join(err, want(workers[0].Node == "" && workers[1].Node == "", "an owner is left in %+v", workers))
	}))
}

func fencesDividedPart[T any](ctx context.Context, s Subject[T]) error {
	return fencedBy(ctx, s, divided)
}

func fencesRecreatedPart[T any](ctx context.Context, s Subject[T]) error {
	return fencedBy(ctx, s, func(ctx context.Context, book projections.Book) error {
		return errors.Join(book.Unregister(ctx, "p", 1), divided(ctx, book))
	})
}

func fencesMissingPart[T any](ctx context.Context, s Subject[T]) error {
	return fencedBy(ctx, s, func(ctx context.Context, book projections.Book) error { return book.Unregister(ctx, "p", 1) })
}

func fencesOtherCheckpoint[T any](ctx context.Context, s Subject[T]) error {
	var owner projections.Worker
	if err := in(ctx, s, divided, func(ctx context.Context, book projections.Book) (err error) {
		owner, err = book.TakeOver(ctx, key(0), "one")
		return err
	}); err != nil {
		return err
	}
	for _, from := range []int64{1, 2} {
		err := in(ctx, s, func(ctx context.Context, book projections.Book) error {
			return book.Save(ctx, key(0), owner.Epoch, place(from), projections.Worker{High: 512, Checkpoint: place(5), Moved: moment})
		})
		if err := want(errors.Is(err, persistence.ErrFenced), "from %d it is %v", from, err); err != nil {
			return err
		}
	}
	return nil
}

func keepsParkedEvents[T any](ctx context.Context, s Subject[T]) error {
	return in(ctx, s, divided, func(ctx context.Context, book projections.Book) error {
		return errors.Join(book.Park(ctx, parked(12, "a")), book.Park(ctx, parked(5, "b")), book.Park(ctx, parked(7, "a")), book.Park(ctx, parked(100, "c")))
	}, func(ctx context.Context, book projections.Book) error {
		again := parked(7, "a")
		again.Cause, again.Attempts, again.Retry, again.Sub = "other", 9, true, 4
		again.EventID, again.Stream, again.Lane = persistence.EventID{77}, "b-2", "b"
		return errors.Join(book.Park(ctx, again), book.Unpark(ctx, "p", 1, persistence.Position{Offset: 12}), book.Unpark(ctx, "p", 1, persistence.Position{Offset: 13}))
	}, func(ctx context.Context, book projections.Book) error {
		first, err := book.Parked(ctx, "p", 1, persistence.Position{}, 2)
		rest, err2 := book.Parked(ctx, "p", 1, persistence.Position{Offset: 7}, 2)
		again := parked(7, "a")
		again.Cause, again.Attempts, again.Retry, again.Sub = "other", 9, true, 4
		again.EventID, again.Stream, again.Lane = persistence.EventID{77}, "b-2", "b"
		return errors.Join(err, err2, want(reflect.DeepEqual(first, []projections.Parked{parked(5, "b"), again}), "the first are %+v", first),
			want(reflect.DeepEqual(rest, []projections.Parked{parked(100, "c")}), "the rest is %+v", rest))
	}, func(ctx context.Context, book projections.Book) error {
		return book.UnparkAll(ctx, "p", 1)
	}, func(ctx context.Context, book projections.Book) error {
		left, err := book.Parked(ctx, "p", 1, persistence.Position{}, 2)
		return errors.Join(err, want(len(left) == 0, "there are left %+v", left))
	})
}

func locksAgainstOthers[T any](ctx context.Context, s Subject[T]) error {
	if err := in(ctx, s, divided); err != nil {
		return err
	}
	const writers, times = 4, 10
	var group sync.WaitGroup
	failures := make([]error, writers)
	for i := range writers {
		group.Go(func() { // awaited below
			for range times {
				failures[i] = errors.Join(failures[i], in(ctx, s, increment))
			}
		})
	}
	group.Wait()
	return errors.Join(errors.Join(failures...), in(ctx, s, func(ctx context.Context, book projections.Book) error {
		all, err := book.Registrations(ctx, "p")
		return errors.Join(err, want(all[0].Changes == 5+writers*times, "of %d changes %d are left", writers*times, all[0].Changes-5))
	}))
}

func takesOverAfterSave[T any](ctx context.Context, s Subject[T]) error {
	var owner, next projections.Worker
	if err := in(ctx, s, divided, func(ctx context.Context, book projections.Book) (err error) {
		owner, err = book.TakeOver(ctx, key(0), "one")
		return err
	}); err != nil {
		return err
	}
	began, failure := make(chan struct{}), make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() { // awaited below
		<-began
		failure <- in(ctx, s, func(ctx context.Context, book projections.Book) (err error) {
			next, err = book.TakeOver(ctx, key(0), "two")
			return err
		})
	})
	var once sync.Once
	err := in(ctx, s, func(ctx context.Context, book projections.Book) error {
		err := book.Save(ctx, key(0), owner.Epoch, place(0), projections.Worker{High: 512, Checkpoint: place(5), Moved: moment})
		once.Do(func() { close(began) })
		return err
	})
	group.Wait()
	return errors.Join(err, <-failure, want(next.Checkpoint.String() == place(5).String(), "the next owner begins at %s", next.Checkpoint))
}

func increment(ctx context.Context, book projections.Book) error {
	if err := book.Lock(ctx, "p"); err != nil {
		return err
	}
	all, err := book.Registrations(ctx, "p")
	if err != nil {
		return err
	}
	all[0].Changes++
	return book.Register(ctx, all[0])
}

// fencedBy checks that an owner cannot save, nor add to the read model, once
// something has happened in between.
func fencedBy[T any](ctx context.Context, s Subject[T], between func(context.Context, projections.Book) error) error {
	var owner projections.Worker
	err := s.Target.Update(ctx, func(ctx context.Context, book projections.Book) (err error) {
		if err := divided(ctx, book); err != nil {
			return err
		}
		owner, err = book.TakeOver(ctx, key(0), "one")
		return err
	})
	if err != nil {
		return err
	}
	if err := s.Target.Update(ctx, between); err != nil {
		return err
	}
	err = s.Target.Transact(ctx, func(ctx context.Context, tx T, book projections.Book) error {
		if err := s.Add(ctx, tx, "fenced", 1); err != nil {
			return err
		}
		return book.Save(ctx, key(0), owner.Epoch, place(0), projections.Worker{High: 512, Checkpoint: place(5), Moved: moment})
	})
	if err := want(errors.Is(err, persistence.ErrFenced), "the save is %v", err); err != nil || s.Loose {
		return err
	}
	sums, err := s.Sums(ctx)
	return errors.Join(err, want(sums["fenced"] == 0, "the fenced owner has had an effect: %v", sums))
}

// everything is all that the books have of the version.
func everything(ctx context.Context, store projections.Store) (all []any, err error) {
	err = store.Update(ctx, func(ctx context.Context, book projections.Book) error {
		registrations, err := book.Registrations(ctx, "")
		workers, err2 := book.Workers(ctx, "p", 1)
		aside, err3 := book.Parked(ctx, "p", 1, persistence.Position{}, 100)
		all = []any{registrations, workers, aside}
		return errors.Join(err, err2, err3)
	})
	return all, err
}

func parked(offset int64, lane string) projections.Parked {
	return projections.Parked{
		Name: "p", Version: 1, Position: persistence.Position{Offset: offset}, Stream: persistence.StreamID(lane + "-1"),
		EventID: persistence.EventID{byte(offset)}, Sub: 1, Lane: lane,
		Cause: "because", Attempts: 2, At: moment,
	}
}
