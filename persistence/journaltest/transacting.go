package journaltest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

// transacting are the cases of a [persistence.Transactor].
var transacting = cases{
	"a transaction stores all its appends":                                transactStores,
	"a transaction sees its own appends":                                  transactSees,
	"nothing of a transaction is seen before its commit":                  transactHidden,
	"an error of a transaction's body comes back and nothing is stored":   transactFails,
	"a transaction whose body panics stores nothing":                      transactPanics,
	"the first append that fails poisons a transaction":                   transactPoisoned,
	"reading a missing stream does not poison a transaction":              transactReads,
	"ids are idempotent in a transaction":                                 transactNamed,
	"the expected version decides in a transaction":                       transactExpected,
	"a rolled back transaction leaves no gap":                             transactGapless,
	"a transaction that has ended refuses every call":                     transactOver,
	"a transaction whose caller has left stores nothing":                  transactLeft,
	"a waiting reader wakes on a transaction":                             transactWakes,
	"writers wait for a transaction and continue after it":                transactWaits,
	"transactions of many writers are stored whole":                       transactMany,
	"a transaction without appends commits":                               transactEmpty,
	"a call that would wait for its own transaction is refused":           transactInside,
	"closing during transactions stores each of them whole or not at all": transactClosed,
}

type body = func(ctx context.Context, tx persistence.Transaction) error

func transact(j journal, do body) error {
	return ability[persistence.Transactor](j.Journal).Transact(j.ctx, do)
}

// commits requires that a transaction with these appends commits, and that each succeeds.
func commits(j journal, appends ...persistence.Append) (outcomes []persistence.Outcome) {
	j.t.Helper()
	require.NoError(j.t, transact(j, func(_ context.Context, tx persistence.Transaction) (err error) {
		outcomes, err = tx.Append(appends...)
		return err
	}))
	require.Len(j.t, outcomes, len(appends))
	return outcomes
}

func to(stream persistence.StreamID, expected persistence.Expected, events ...persistence.Event) persistence.Append {
	return persistence.Append{Stream: stream, Expected: expected, Events: events}
}

func transactStores(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("old-1", 2)
	var first, second []persistence.Outcome

	err := transact(j, func(_ context.Context, tx persistence.Transaction) (err error) {
		first, err = tx.Append(to("old-1", persistence.Exact(2), notes("old", 2)...), to("new-1", persistence.NoStream, notes("new", 3)...))
		require.NoError(t, err)
		second, err = tx.Append(to("old-1", persistence.Exact(4), note("old 3")), to("new-2", persistence.Any, note("new")), to("new-2", persistence.StreamExists), to("new-3", persistence.Any))
		return err
	})

	require.NoError(t, err)
	require.Equal(t, []persistence.Outcome{
		{First: 3, Last: 4, Position: persistence.Position{Offset: 3}}, {First: 1, Last: 3, Position: persistence.Position{Offset: 5}},
	}, first)
	require.Equal(t, []persistence.Outcome{
		{First: 5, Last: 5, Position: persistence.Position{Offset: 8}}, {First: 1, Last: 1, Position: persistence.Position{Offset: 9}}, {Last: 1}, {},
	}, second)
	require.Equal(t, []string{"old-1 1", "old-1 2", "old 1", "old 2", "new 1", "new 2", "new 3", "old 3", "new"}, textsOf(j.all()))
	require.Equal(t, []string{"old-1 1", "old-1 2", "old 1", "old 2", "old 3"}, textsOf(j.events("old-1")))
	require.Equal(t, persistence.StreamInfo{Stream: "new-1", Version: 3, First: 1, Begin: 1}, j.info("new-1"))
	require.Equal(t, []string{"new-1", "new-2", "old-1"}, namesOf(j, persistence.ListOptions{}))
	j.missing("new-3")
	require.Equal(t, persistence.Version(6), j.store("old-1", persistence.Exact(5), note("after")).First)
	cameBack(j, "new-1", notes("new", 3))
}

func transactSees(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("old-1", 3)
	j.truncate("old-1", 2)
	j.create("empty-1", nil)

	err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
		sees := func(stream persistence.StreamID, options persistence.ReadOptions, want ...string) {
			events, err := tx.Read(stream, options)
			require.NoError(t, err)
			require.Equal(t, want, textsOf(events))
		}
		sees("old-1", persistence.ReadOptions{}, "old-1 2", "old-1 3")
		_, err := tx.Append(to("old-1", persistence.Exact(3), note("4")), to("new-1", persistence.NoStream, notes("new", 2)...))
		require.NoError(t, err)
		sees("old-1", persistence.ReadOptions{}, "old-1 2", "old-1 3", "4")
		sees("old-1", persistence.ReadOptions{Backward: true, Limit: 2}, "4", "old-1 3")
		sees("old-1", persistence.ReadOptions{From: 4}, "4")
		sees("new-1", persistence.ReadOptions{Filter: where(func(r *persistence.Recorded) bool { return r.Version == 2 })}, "new 2")
		sees("empty-1", persistence.ReadOptions{})
		_, err = tx.Append(to("new-1", persistence.Exact(2), note("new 3")), to("empty-1", persistence.NoStream, note("first")))
		require.NoError(t, err)
		sees("new-1", persistence.ReadOptions{}, "new 1", "new 2", "new 3")
		sees("empty-1", persistence.ReadOptions{}, "first")
		events, err := tx.Read("new-1", persistence.ReadOptions{From: 2, Limit: 1})
		require.NoError(t, err)
		require.Equal(t, persistence.Version(2), events[0].Version)
		require.NotEqual(t, persistence.EventID{}, events[0].ID)
		return nil
	})

	require.NoError(t, err)
	require.Len(t, j.all(), 3+1+2+1+1)
}

// transactHidden reads the journal while a transaction is open. Readers must not wait for
// it and must not see anything of it.
func transactHidden(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("old-1", 2)
	look := func() {
		require.Len(t, j.events("old-1"), 2)
		j.missing("new-1")
		require.Equal(t, []persistence.StreamInfo{{Stream: "old-1", Version: 2, First: 1, Begin: 1}}, j.list(persistence.ListOptions{}))
		require.Len(t, j.all(), 2)
		require.Equal(t, int64(2), j.head().Of(0).Offset)
	}

	for _, failure := range []error{errors.New("changed his mind"), nil} {
		look()
		err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
			_, err := tx.Append(to("old-1", persistence.Exact(2), note("3")), to("new-1", persistence.NoStream, note("1")))
			require.NoError(t, err)
			look()
			return failure
		})
		require.ErrorIs(t, err, failure)
	}
	require.Len(t, j.all(), 4)
}

func transactFails(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("old-1", 1)
	reason := errors.New("changed his mind")

	j.unchanged(func() {
		for _, appends := range [][]persistence.Append{nil, {to("old-1", persistence.Any, note("2"))}, {to("old-1", persistence.Any, note("2")), to("new-1", persistence.Any, named(notes("n", 3)...)...)}} {
			err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(appends...)
				require.NoError(t, err)
				return reason
			})
			require.Equal(t, reason, err, "the error of the body comes back unchanged")
		}
		err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
			_, err := tx.Append(to("old-1", persistence.Exact(9), note("2")))
			require.ErrorIs(t, err, persistence.ErrConflict)
			return reason
		})
		require.Equal(t, reason, err, "the error of the body comes before that of the transaction")
	})
	j.missing("new-1")
	require.Equal(t, persistence.Version(2), j.store("old-1", persistence.Exact(1), note("2")).First)
}

func transactPanics(t *testing.T, s suite) {
	j := s.open(t)
	reason := errors.New("out of luck")
	append := func(tx persistence.Transaction) {
		_, err := tx.Append(to("new-1", persistence.NoStream, note("n")))
		require.NoError(t, err)
	}

	require.PanicsWithError(t, reason.Error(), func() {
		_ = transact(j, func(_ context.Context, tx persistence.Transaction) error {
			append(tx)
			panic(reason) //nolint:forbidigo // a body of a user may do this
		})
	})
	ended := make(chan struct{})
	go func() { // ends itself, as a failing test does
		defer close(ended)
		_ = transact(j, func(_ context.Context, tx persistence.Transaction) error {
			append(tx)
			runtime.Goexit()
			return nil
		})
	}()
	<-ended

	j.missing("new-1")
	require.Empty(t, j.all())
	commits(j, to("new-1", persistence.NoStream, note("n")))
	require.Len(t, j.all(), 1)
}

func transactPoisoned(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("old-1", 2)
	held := described("held")
	j.store("old-2", persistence.NoStream, held...)
	other := described("other")
	other[0].ID = held[0].ID

	for what, c := range map[string]struct {
		append persistence.Append
		kind   persistence.ErrorKind
	}{
		"conflict": {to("old-1", persistence.Exact(1), note("n")), persistence.ErrConflict},
		"missing":  {to("new-9", persistence.StreamExists, note("n")), persistence.ErrStreamNotFound},
		"reused":   {to("old-2", persistence.Any, other...), persistence.ErrEventIDReused},
		"invalid":  {to("old-1", persistence.Any, persistence.Event{}), persistence.ErrInvalid},
		"nameless": {to("", persistence.Any, note("n")), persistence.ErrInvalid},
	} {
		j.unchanged(func() {
			var first error
			fine := to("new-1", persistence.Any, note("n"))
			err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(fine)
				require.NoError(t, err)
				outcomes, err := tx.Append(fine, c.append, fine)
				require.ErrorIs(t, err, c.kind, what)
				require.Empty(t, outcomes)
				first = err
				for _, append := range []persistence.Append{fine, to("old-1", persistence.Exact(9), note("n")), {}} {
					outcomes, err = tx.Append(append)
					require.Equal(t, first, err, "a poisoned transaction answers with its first error")
					require.Empty(t, outcomes)
				}
				_, err = tx.Read("old-1", persistence.ReadOptions{})
				require.Equal(t, first, err)
				return nil
			})
			require.Equal(t, first, err, "a body that ignores the error commits nothing")
		})
		j.missing("new-1")
	}
}

func transactReads(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("cut-1", 3)
	j.truncate("cut-1", 3)

	err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
		for range 2 { // before the first append and after it
			_, err := tx.Read("missing-1", persistence.ReadOptions{})
			require.ErrorIs(t, err, persistence.ErrStreamNotFound)
			_, err = tx.Read("cut-1", persistence.ReadOptions{From: 1})
			require.ErrorIs(t, err, persistence.ErrTruncated)
			_, err = tx.Read("cut-1", persistence.ReadOptions{Limit: -1})
			require.ErrorIs(t, err, persistence.ErrInvalid)
			_, err = tx.Read("cut\x00", persistence.ReadOptions{})
			require.ErrorIs(t, err, persistence.ErrInvalid)
			_, err = tx.Append(to("new-1", persistence.Any, note("n")))
			require.NoError(t, err)
		}
		return nil
	})

	require.NoError(t, err)
	require.Len(t, j.events("new-1"), 2)
}

func transactNamed(t *testing.T, s suite) {
	j := s.open(t)
	stored, fresh := described("stored"), described("fresh")
	first := j.store("old-1", persistence.NoStream, stored...)
	first.Duplicate = true

	err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
		outcomes, err := tx.Append(to("old-1", persistence.NoStream, stored...), to("old-1", persistence.Exact(3), fresh...), to("new-1", persistence.NoStream, fresh...))
		require.NoError(t, err)
		require.Equal(t, first, outcomes[0])
		require.False(t, outcomes[1].Duplicate)
		again, err := tx.Append(to("old-1", persistence.NoStream, fresh...))
		require.NoError(t, err)
		outcomes[1].Duplicate = true
		require.Equal(t, outcomes[1], again[0], "a transaction recognises its own ids at once")
		return nil
	})
	require.NoError(t, err)

	require.True(t, j.store("old-1", persistence.NoStream, fresh...).Duplicate)
	require.True(t, j.store("old-1", persistence.NoStream, stored...).Duplicate)
	require.True(t, j.store("new-1", persistence.Any, fresh...).Duplicate)
	require.Len(t, j.all(), 9)
	lost := described("lost")
	require.Error(t, transact(j, func(_ context.Context, tx persistence.Transaction) error {
		_, err := tx.Append(to("old-1", persistence.Any, lost...))
		require.NoError(t, err)
		return errors.New("changed his mind")
	}))
	require.False(t, j.store("old-1", persistence.Exact(6), lost...).Duplicate, "ids that were rolled back are not recognised")
}

func transactExpected(t *testing.T, s suite) {
	j := s.open(t)
	eachLife(j, func(life life, stream persistence.StreamID, expected persistence.Expected, what string) {
		head := j.head()

		err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
			_, err := tx.Append(to(stream, expected, notes("new", 2)...))
			return err
		})

		if life.admits(expected) {
			require.NoError(t, err, what)
			require.Equal(t, life.info.Version+2, j.info(stream).Version, what)
			return
		}
		conflict, _ := errors.AsType[*persistence.ConflictError](err)
		require.Equal(t, &persistence.ConflictError{Stream: stream, Expected: expected, Actual: life.info.Version}, conflict, what)
		require.True(t, samePlace(head, j.head()), what)
	})
}

func transactGapless(t *testing.T, s suite) {
	j := s.open(t)
	for i := range 12 {
		err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
			outcomes, err := tx.Append(to("gap-1", persistence.Any, notes(fmt.Sprint(i), 2)...), to(persistence.StreamID(fmt.Sprintf("gap-%d", i)), persistence.Any, note("n")))
			require.NoError(t, err)
			require.Equal(t, j.head().Of(0).Offset+1, outcomes[0].Position.Offset)
			if i%3 != 0 {
				return errors.New("changed his mind")
			}
			return nil
		})
		require.Equal(t, i%3 == 0, err == nil)
		if i%2 == 0 {
			j.store("gap-1", persistence.Any, note(fmt.Sprint("between ", i)))
		}
	}

	require.Len(t, j.all(), 4*3+6) // checks that positions have no gap
	require.Len(t, j.events("gap-1"), 4*2+6)
	require.Equal(t, []string{"gap-0", "gap-1", "gap-3", "gap-6", "gap-9"}, namesOf(j, persistence.ListOptions{}))
}

func transactOver(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("old-1", 1)
	for _, failure := range []error{nil, errors.New("changed his mind")} {
		var over persistence.Transaction
		err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
			over = tx
			_, err := tx.Append(to("old-1", persistence.Any, note("n")))
			require.NoError(t, err)
			return failure
		})
		require.ErrorIs(t, err, failure)

		j.unchanged(func() {
			_, err = over.Append(to("old-1", persistence.Any, note("late")))
			require.ErrorIs(t, err, persistence.ErrInvalid)
			_, err = over.Read("old-1", persistence.ReadOptions{})
			require.ErrorIs(t, err, persistence.ErrInvalid)
		})
	}
}

func transactLeft(t *testing.T, s suite) {
	j := s.open(t)
	left := j
	var leave context.CancelFunc
	left.ctx, leave = context.WithCancel(j.ctx)

	err := transact(left, func(ctx context.Context, tx persistence.Transaction) error {
		_, err := tx.Append(to("left-1", persistence.NoStream, note("n")), to("left-2", persistence.NoStream, note("n")))
		require.NoError(t, err)
		leave()
		require.Error(t, ctx.Err(), "the body's context ends with the caller's")
		return nil
	})
	if err != nil { // otherwise the caller left too late
		require.True(t, errors.Is(err, persistence.ErrUnavailable) || errors.Is(err, persistence.ErrUnknownOutcome), "%v", err)
	}
	if errors.Is(err, persistence.ErrUnavailable) {
		require.Empty(t, j.all())
	}
	require.Len(t, j.events("left-2"), len(j.events("left-1")), "a transaction is stored whole or not at all")

	err = transact(left, func(context.Context, persistence.Transaction) error {
		t.Error("the body was called although the caller has left")
		return nil
	})
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	commits(j, to("next-1", persistence.NoStream, note("n")))
}

func transactWakes(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("wake-1", 1)
	head := j.head()
	woken := make(chan error, 1)
	go func() { // ends with the commit or with the case's context
		_, err := waitNext(j, head)
		woken <- err
	}()

	commits(j, to("wake-1", persistence.Any, note("n")))

	require.NoError(t, <-woken)
}

// transactWaits lets others begin to write while a transaction is open. Their writes must
// take effect after it, in their order.
func transactWaits(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("old-1", 1)
	const others = 4
	var group errgroup.Group
	var p *pipeline
	submits := has[persistence.Submitter](j.Journal)

	err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
		_, err := tx.Append(to("old-1", persistence.Exact(1), note("2")))
		require.NoError(t, err)
		for i := range others {
			group.Go(func() error {
				_, err := j.Append(j.ctx, to("old-1", persistence.Any, note("other")), to(persistence.StreamID(fmt.Sprintf("other-%d", i)), persistence.NoStream, note("other")))
				return err
			})
		}
		if submits {
			p = newPipeline(j, 3, new(persistence.Chain))
			p.submit("old-2", persistence.NoStream, note("submitted 1"))
			p.submit("old-2", persistence.Exact(1), note("submitted 2"))
			p.submit("old-2", persistence.Exact(1), note("submitted late"))
			require.Empty(t, p.settled, "no writer commits before the transaction that began to write first")
		}
		_, err = tx.Append(to("old-1", persistence.Exact(2), note("3")))
		require.NoError(t, err)
		return nil
	})

	require.NoError(t, err)
	require.NoError(t, group.Wait())
	if submits {
		outcomes := p.wait()
		require.NoError(t, outcomes[0].Err)
		require.NoError(t, outcomes[1].Err)
		require.ErrorIs(t, outcomes[2].Err, persistence.ErrConflict)
		require.Equal(t, []string{"submitted 1", "submitted 2"}, textsOf(j.events("old-2")))
	}
	require.Equal(t, []string{"old-1 1", "2", "3", "other", "other", "other", "other"}, textsOf(j.events("old-1")))
	require.Equal(t, []string{"old-1 1", "2", "3"}, textsOf(j.all()[:3]))
}

// transactMany lets writers append to two streams in a transaction, while others append to
// one of them and readers follow. The halves of a transaction must stand side by side.
func transactMany(t *testing.T, s suite) {
	j := s.open(t)
	const writers, rounds = 6, 8
	var l ledger
	var group errgroup.Group
	for writer := range writers {
		group.Go(func() error {
			for round := range rounds {
				if err := appendPair(j, &l, writer, round); err != nil {
					return err
				}
			}
			return nil
		})
		group.Go(func() error {
			for attempt := range rounds {
				if outcome := l.attempt(j, sharedStream(attempt), persistence.Any, labelled(100+writer, attempt, 1)...); outcome.Err != nil {
					return outcome.Err
				}
			}
			return nil
		})
	}

	if has[persistence.Submitter](j.Journal) {
		for writer := range 2 {
			group.Go(func() error {
				for round := range rounds / 2 {
					if err := pipelineOnce(j, &l, 200+writer, round); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}

	require.NoError(t, group.Wait())
	l.verify(j)
	wholePairs(j)
}

// wholePairs requires that both halves of a pair stand side by side.
func wholePairs(j journal) {
	j.t.Helper()
	all := append(j.all(), persistence.Recorded{})
	for i, recorded := range all {
		if recorded.Type == "left" {
			require.Equal(j.t, "right", all[i+1].Type, "the appends of a transaction are stored side by side")
		}
	}
}

// appendPair appends to two streams in a transaction. Every third transaction fails.
func appendPair(j journal, l *ledger, writer, round int) error {
	left, right := sharedStream(writer+round), sharedStream(writer+round+1)
	events := [2][]persistence.Event{labelled(writer, 2*round, 1+round%2), labelled(writer, 2*round+1, 1)}
	events[0][len(events[0])-1].Type, events[1][0].Type = "left", "right"
	changed := errors.New("changed his mind")
	var outcomes []persistence.Outcome
	err := transact(j, func(_ context.Context, tx persistence.Transaction) (err error) {
		outcomes, err = tx.Append(to(left, persistence.Any, events[0]...))
		if err != nil {
			return err
		}
		runtime.Gosched() // lets others write
		more, err := tx.Append(to(right, persistence.Any, events[1]...))
		outcomes = append(outcomes, more...)
		if round%3 == 2 {
			return changed
		}
		return err
	})
	if err != nil {
		outcomes = []persistence.Outcome{{Err: err}, {Err: err}}
	}
	l.write(left, events[0], outcomes[0])
	l.write(right, events[1], outcomes[1])
	if round%3 == 2 && errors.Is(err, changed) || round%3 != 2 && err == nil {
		return nil
	}
	return fmt.Errorf("round %d: %w", round, err)
}

func transactEmpty(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("old-1", 1)
	j.unchanged(func() {
		require.NoError(t, transact(j, func(context.Context, persistence.Transaction) error { return nil }))
		require.Empty(t, commits(j))
		require.Equal(t, []persistence.Outcome{{Last: 1}, {}}, commits(j, to("old-1", persistence.Exact(1)), to("new-1", persistence.NoStream)))
		for _, guard := range []persistence.Append{to("old-1", persistence.Exact(9)), to("new-1", persistence.StreamExists)} {
			err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
				if _, err := tx.Append(to("other-1", persistence.NoStream, note("guarded"))); err != nil {
					return err
				}
				_, err := tx.Append(guard)
				return err
			})
			require.ErrorIs(t, err, persistence.ErrConflict, "an append without events guards a transaction")
		}
	})
	j.missing("other-1")
	j.missing("new-1")
}

func transactInside(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("old-1", 3)
	err := ability[persistence.Transactor](j.Journal).Transact(j.ctx, func(ctx context.Context, tx persistence.Transaction) error {
		outcomes, err := j.Append(ctx, to("before-1", persistence.NoStream, note("before")))
		require.NoError(t, err, "others do not wait before the first append of a transaction")
		require.NoError(t, outcomes[0].Err)
		if _, err := tx.Append(to("inside-1", persistence.NoStream, note("inside"))); err != nil {
			return err
		}
		for name, call := range map[string]func(context.Context) error{
			"Append": func(ctx context.Context) error {
				_, err := j.Append(ctx, to("lost-1", persistence.Any, note("lost")))
				return err
			},
			"Create":   func(ctx context.Context) error { return j.Create(ctx, "lost-2", nil) },
			"Truncate": func(ctx context.Context) error { _, err := j.Truncate(ctx, "old-1", 2); return err },
			"Delete":   func(ctx context.Context) error { _, err := j.Delete(ctx, "old-1", persistence.Any); return err },
			"Transact": func(ctx context.Context) error {
				return ability[persistence.Transactor](j.Journal).Transact(ctx, func(_ context.Context, tx persistence.Transaction) error {
					_, err := tx.Append(to("lost-3", persistence.Any, note("lost")))
					return err
				})
			},
		} {
			patient, cancel := context.WithTimeout(ctx, late)
			require.ErrorIs(t, call(patient), persistence.ErrInvalid, name)
			cancel()
		}
		events, err := collect(j.Read(ctx, "old-1", persistence.ReadOptions{}))
		require.NoError(t, err, "readers do not wait for a transaction")
		require.Len(t, events, 3)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"inside"}, textsOf(j.events("inside-1")))
	for _, stream := range []persistence.StreamID{"lost-1", "lost-2", "lost-3"} {
		j.missing(stream)
	}
}

func transactClosed(t *testing.T, s suite) {
	store := s.Store(t)
	j := s.use(t, store(t))
	const writers = 4
	var l ledger
	var group errgroup.Group
	swing := make(chan struct{}, writers)
	for writer := range writers {
		group.Go(func() error {
			for round := 0; ; round += 3 { // only the rounds that commit
				if err := appendPair(j, &l, writer, round); err != nil {
					return err
				}
				if round == 6 {
					swing <- struct{}{}
				}
			}
		})
	}
	for range writers {
		<-swing
	}

	require.NoError(t, j.Close())

	err := group.Wait()
	require.True(t, errors.Is(err, persistence.ErrUnavailable) || errors.Is(err, persistence.ErrUnknownOutcome), "%v", err)
	if s.survives {
		again := s.use(t, store(t))
		l.verify(again)
		wholePairs(again)
	}
}
