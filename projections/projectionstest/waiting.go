package projectionstest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// brief is the deadline of callers who cannot wait, and prompt is when they must have
// an answer, also on a machine that does much else.
const (
	brief  = 200 * time.Millisecond
	prompt = 2500 * time.Millisecond
)

func waitingCases[T any]() map[string]check[T] {
	return map[string]check[T]{
		"a caller with a deadline does not wait for somebody else's transaction": respectsDeadlines[T],
		"no caller of a runner waits for the target beyond the deadline":         respectsDeadlinesOfRunner[T],
		"what is said of a projection does not wait for its handler":             answersBesideHandler[T],
		"what would wait for the handler that asks is refused at once":           refusesWaitsInHandler[T],
		"a transaction inside of a handler is answered at once":                  answersTransactionsInHandler[T],
	}
}

func respectsDeadlines[T any](ctx context.Context, s Subject[T]) error {
	return occupied(ctx, s, func() error {
		var problems []error
		for what, call := range map[string]func(context.Context) error{
			"Update": func(ctx context.Context) error { return s.Target.Update(ctx, lockAndRegister) },
			"Transact": func(ctx context.Context) error {
				return s.Target.Transact(ctx, func(ctx context.Context, _ T, book projections.Book) error { return lockAndRegister(ctx, book) })
			},
		} {
			short, cancel := context.WithTimeout(ctx, brief)
			err := promptly(what, func() error { return call(short) })
			cancel()
			left := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, persistence.ErrUnavailable)
			problems = append(problems, want(left, "%s answered %v", what, err))
		}
		return errors.Join(problems...)
	})
}

func respectsDeadlinesOfRunner[T any](ctx context.Context, s Subject[T]) error {
	journal, _, err := history(ctx, streams)
	if err != nil {
		return err
	}
	config := projections.Config{Journal: journal, Projections: []projections.Projection{define(s, 1, nil).Into(s.Target)}, Grace: time.Second}
	return running(ctx, config, func(runner *projections.Runner) error {
		err := runner.CatchUp(ctx)
		return errors.Join(err, occupied(ctx, s, func() error { return allCalls(ctx, runner) }))
	})
}

func answersBesideHandler[T any](ctx context.Context, s Subject[T]) error {
	return inHandler(ctx, s, func(ctx context.Context, runner *projections.Runner) error {
		var problems []error
		for what, call := range map[string]func(context.Context) error{
			"Info": func(ctx context.Context) error { _, err := runner.Info(ctx, "sums"); return err },
			"State": func(ctx context.Context) error {
				_, err := runner.State(ctx, "sums")
				return want(err == nil || errors.Is(err, persistence.ErrInvalid), "%v", err) // most targets keep none
			},
			"List": func(ctx context.Context) error { _, err := runner.List(ctx, projections.ListOptions{}); return err },
			"Parked": func(ctx context.Context) error {
				_, err := runner.Parked(ctx, "sums", persistence.Position{}, 0)
				return err
			},
			"Health": func(ctx context.Context) error { runner.Health(ctx); return nil },
		} {
			problems = append(problems, promptly(what, func() error { return call(ctx) }))
		}
		return errors.Join(problems...)
	})
}

func refusesWaitsInHandler[T any](ctx context.Context, s Subject[T]) error {
	return inHandler(ctx, s, func(ctx context.Context, runner *projections.Runner) error {
		var problems []error
		for what, call := range map[string]func(context.Context) error{
			"Stop":    func(ctx context.Context) error { return runner.Stop(ctx, "sums") },
			"Start":   func(ctx context.Context) error { return runner.Start(ctx, "sums") },
			"Reset":   func(ctx context.Context) error { return runner.Reset(ctx, "sums") },
			"Delete":  func(ctx context.Context) error { return runner.Delete(ctx, "sums", projections.DeleteOptions{}) },
			"Switch":  func(ctx context.Context) error { return runner.Switch(ctx, "sums", 1) },
			"Redrive": func(ctx context.Context) error { return runner.Redrive(ctx, "sums", "") },
			"Discard": func(ctx context.Context) error { return runner.Discard(ctx, "sums", persistence.Position{Offset: 1}) },
			"CatchUp": runner.CatchUp,
			"WaitFor": func(ctx context.Context) error { return runner.WaitFor(ctx, "sums", persistence.Position{Offset: 7}) },
		} {
			err := promptly(what, func() error { return call(ctx) })
			problems = append(problems, want(errors.Is(err, persistence.ErrInvalid) && strings.Contains(err.Error(), "handler"), "%s answered %v", what, err))
			if what == "Stop" {
				problems = append(problems, want(err != nil && strings.Contains(err.Error(), "Halt"), "%s does not name Halt: %v", what, err))
			}
		}
		return errors.Join(problems...)
	})
}

func answersTransactionsInHandler[T any](ctx context.Context, s Subject[T]) error {
	return inHandler(ctx, s, func(ctx context.Context, _ *projections.Runner) error {
		short, cancel := context.WithTimeout(ctx, brief)
		defer cancel()
		return promptly("Update", func() error { // some targets can
			if err := s.Target.Update(short, lockAndRegister); err != nil && errors.Is(err, errSlow) {
				return err
			}
			return nil
		})
	})
}

// allCalls makes every call of a runner that may wait, each with a deadline, side by side.
func allCalls(ctx context.Context, runner *projections.Runner) error {
	calls := map[string]func(context.Context) error{
		"Info":   func(ctx context.Context) error { _, err := runner.Info(ctx, "sums"); return err },
		"State":  func(ctx context.Context) error { _, err := runner.State(ctx, "sums"); return err },
		"List":   func(ctx context.Context) error { _, err := runner.List(ctx, projections.ListOptions{}); return err },
		"Health": func(ctx context.Context) error { runner.Health(ctx); return nil },
		"Parked": func(ctx context.Context) error {
			_, err := runner.Parked(ctx, "sums", persistence.Position{}, 0)
			return err
		},
		"Stop":    func(ctx context.Context) error { return runner.Stop(ctx, "sums") },
		"Start":   func(ctx context.Context) error { return runner.Start(ctx, "sums") },
		"Reset":   func(ctx context.Context) error { return runner.Reset(ctx, "sums") },
		"Switch":  func(ctx context.Context) error { return runner.Switch(ctx, "sums", 1) },
		"Redrive": func(ctx context.Context) error { return runner.Redrive(ctx, "sums", "") },
		"Discard": func(ctx context.Context) error { return runner.Discard(ctx, "sums", persistence.Position{Offset: 1}) },
		"WaitFor": func(ctx context.Context) error {
			return runner.WaitFor(ctx, "sums", persistence.Position{Offset: 1 << 40})
		},
		"Delete": func(ctx context.Context) error { return runner.Delete(ctx, "sums", projections.DeleteOptions{}) },
	}
	answered := make(chan error, len(calls))
	for what, call := range calls {
		go func() { // ends within what is prompt, see promptly
			short, cancel := context.WithTimeout(ctx, brief)
			defer cancel()
			err := promptly(what, func() error { return call(short) })
			if !errors.Is(err, errSlow) {
				err = nil // done or refused, as the target can
			}
			answered <- err
		}()
	}
	var problems []error
	for range calls {
		problems = append(problems, <-answered)
	}
	return errors.Join(problems...)
}

func lockAndRegister(ctx context.Context, book projections.Book) error {
	if err := book.Lock(ctx, "other"); err != nil {
		return err
	}
	return book.Register(ctx, projections.Registration{Name: "other", Version: 1, Created: time.Now()})
}

var errSlow = errors.New("too slow")

// promptly returns the error of a call, or one that says that it took too long.
func promptly(what string, call func() error) error {
	answered := make(chan error, 1)
	go func() { answered <- call() }() // ends when the one ends that it waits for
	timer := time.NewTimer(prompt)
	defer timer.Stop()
	select {
	case err := <-answered:
		return err
	case <-timer.C:
		return fmt.Errorf("%s: %w", what, errSlow)
	}
}

// occupied calls body while another transaction is open, which has written and holds
// the lock of a projection.
func occupied[T any](ctx context.Context, s Subject[T], body func() error) error {
	begun, leave := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() { // ends below
		ended <- s.Target.Transact(ctx, func(ctx context.Context, tx T, book projections.Book) error {
			if err := errors.Join(s.Add(ctx, tx, "held", 1), lockAndRegister(ctx, book)); err != nil {
				return err
			}
			close(begun)
			<-leave
			return nil
		})
	}()
	select {
	case <-begun:
	case err := <-ended:
		return err
	}
	err := body()
	close(leave)
	return errors.Join(err, <-ended)
}

// inHandler calls body once from inside of the handler of a running projection, with
// a deadline far beyond what is prompt, and checks that the projection goes on.
func inHandler[T any](ctx context.Context, s Subject[T], body func(context.Context, *projections.Runner) error) error {
	journal, sums, err := history(ctx, 2*streams)
	if err != nil {
		return err
	}
	var runner *projections.Runner
	var once sync.Once
	found := make(chan error, 1)
	definition := define(s, 1, func(ctx context.Context, _ *persistence.Recorded) error {
		once.Do(func() {
			patient, cancel := context.WithTimeout(ctx, 2*prompt)
			defer cancel()
			found <- body(patient, runner)
		})
		return nil
	})
	runner, err = projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{definition.Into(s.Target)}})
	if err != nil {
		return err
	}
	return runningWith(ctx, runner, func() error {
		select {
		case err = <-found:
		case <-ctx.Done():
			err = errors.New("the handler has not ended")
		}
		return errors.Join(err, runner.CatchUp(ctx), same(ctx, s.Sums, sums))
	})
}
