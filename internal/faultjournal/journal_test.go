package faultjournal_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Without faults it keeps every promise, so what a test sees with faults is due
// to them.
func TestJournal(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(testing.TB) persistence.Journal {
		return faultjournal.New(faultjournal.Config{Journal: new(memory.Journal)})
	})
}

// Nor does it break one by being slow.
func TestSlowJournal(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(testing.TB) persistence.Journal {
		return faultjournal.New(faultjournal.Config{
			Journal: new(memory.Journal), Append: faultjournal.Random(1, faultjournal.Rates{Delay: 200 * time.Microsecond}),
		})
	})
}

func one(stream persistence.StreamID, expected persistence.Expected, text string) persistence.Append {
	return persistence.Append{Stream: stream, Expected: expected, Events: []persistence.Event{event(text)}}
}

func event(text string) persistence.Event {
	return persistence.Event{Type: "noted", Payload: []byte(text)}
}

func stored(t *testing.T, journal persistence.Journal, stream persistence.StreamID) (texts []string) {
	t.Helper()
	for recorded, err := range journal.Read(t.Context(), stream, persistence.ReadOptions{}) {
		if errors.Is(err, persistence.ErrStreamNotFound) {
			return nil
		}
		require.NoError(t, err)
		texts = append(texts, string(recorded.Payload))
	}
	return texts
}

func TestFaults(t *testing.T) {
	t.Parallel()
	down := &persistence.UnavailableError{Reason: "down"}
	cases := map[string]struct {
		fault faultjournal.Fault
		want  error
		found []string
	}{
		"before the commit":     {faultjournal.Fault{Before: down}, down, nil},
		"after the commit":      {faultjournal.Fault{Lost: true}, persistence.ErrUnknownOutcome, []string{"ours"}},
		"another writer":        {faultjournal.Fault{Foreign: []persistence.Event{event("theirs")}}, persistence.ErrConflict, []string{"theirs"}},
		"commit after all":      {faultjournal.Fault{Zombie: time.Hour}, persistence.ErrUnknownOutcome, []string{"ours"}},
		"late but well":         {faultjournal.Fault{Delay: time.Minute}, nil, []string{"ours"}},
		"lost, and in conflict": {faultjournal.Fault{Lost: true, Foreign: []persistence.Event{event("theirs")}}, persistence.ErrConflict, []string{"theirs"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := faultjournal.New(faultjournal.Config{
					Journal: new(memory.Journal), Append: func(*persistence.Append, int) faultjournal.Fault { return c.fault },
				})
				began := time.Now()

				outcomes, err := journal.Append(t.Context(), one("a", persistence.NoStream, "ours"))
				require.NoError(t, err)

				require.ErrorIs(t, outcomes[0].Err, c.want)
				require.Equal(t, c.fault.Delay, time.Since(began))
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				require.Equal(t, c.found, stored(t, journal, "a"))
				require.NoError(t, journal.Close())
			})
		})
	}
}

// What was decided on top of a failed append fails with it, also when it has not
// come to the front yet.
func TestChainBreaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := faultjournal.New(faultjournal.Config{
			Journal: new(memory.Journal),
			Append: func(_ *persistence.Append, n int) faultjournal.Fault {
				return faultjournal.Fault{Delay: time.Second, Lost: n == 2}
			},
		})
		var chain persistence.Chain
		var order []int
		outcomes := make([]error, 4)
		for i := range outcomes {
			require.NoError(t, journal.Submit(one("a", persistence.Exact(persistence.Version(i)), "x"), &chain, func(o persistence.Outcome) {
				order, outcomes[i] = append(order, i), o.Err
			}))
		}

		time.Sleep(time.Minute)
		synctest.Wait()

		require.Equal(t, []int{0, 1, 2, 3}, order)
		require.NoError(t, outcomes[0])
		for _, err := range outcomes[1:] {
			require.Same(t, outcomes[1], err)
		}
		require.Len(t, stored(t, journal, "a"), 2)
		require.ErrorIs(t, journal.Submit(one("a", persistence.Any, "y"), &chain, nil), persistence.ErrUnknownOutcome)
		require.NoError(t, journal.Close())
	})
}

func TestReadFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		faults := []faultjournal.ReadFault{{Err: broken, Events: 1}, {Err: broken}, {Delay: time.Hour}, {}}
		journal := faultjournal.New(faultjournal.Config{
			Journal: new(memory.Journal),
			Read:    func(_ persistence.StreamID, n int) faultjournal.ReadFault { return faults[n-1] },
		})
		_, err := journal.Append(t.Context(), one("a", persistence.Any, "x"), one("a", persistence.Any, "y"))
		require.NoError(t, err)
		began := time.Now()
		var seen []int
		var errs []error
		for range faults {
			n := 0
			var last error
			for _, err := range journal.Read(t.Context(), "a", persistence.ReadOptions{}) {
				if last = err; err == nil {
					n++
				}
			}
			seen, errs = append(seen, n), append(errs, last)
		}

		require.Equal(t, []int{1, 0, 2, 2}, seen)
		require.Equal(t, []error{broken, broken, nil, nil}, errs)
		require.Equal(t, time.Hour, time.Since(began))
		require.NoError(t, journal.Close())
	})
}

// A seed means the same faults, and every sort of them comes up.
func TestRandomIsAFunctionOfTheSeed(t *testing.T) {
	t.Parallel()
	rates := faultjournal.Rates{
		Before: 0.2, Lost: 0.2, Zombie: 0.2, Foreign: 0.2, Delay: time.Second,
		ForeignEvent: func(persistence.StreamID, int) persistence.Event { return event("theirs") },
	}
	plan := func(seed uint64) (faults []faultjournal.Fault) {
		choose := faultjournal.Random(seed, rates)
		for n := range 100 {
			faults = append(faults, choose(&persistence.Append{Stream: "a"}, n+1))
		}
		return faults
	}
	first := plan(7)

	require.Equal(t, first, plan(7))
	require.NotEqual(t, first, plan(8))
	for name, sort := range map[string]func(faultjournal.Fault) bool{
		"before":  func(f faultjournal.Fault) bool { return f.Before != nil },
		"lost":    func(f faultjournal.Fault) bool { return f.Lost },
		"zombie":  func(f faultjournal.Fault) bool { return f.Zombie > 0 },
		"foreign": func(f faultjournal.Fault) bool { return f.Foreign != nil },
		"none": func(f faultjournal.Fault) bool {
			return f.Before == nil && !f.Lost && f.Zombie == 0 && f.Foreign == nil
		},
	} {
		require.True(t, slices.ContainsFunc(first, sort), name)
	}
}
