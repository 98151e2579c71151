package actors_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// While the journal takes nothing, callers get a typed error long before their
// deadline, no activation comes and goes because of it, and afterwards all is as
// it was.
func TestJournalAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		kind persistence.ErrorKind
	}{
		"away":       {&persistence.UnavailableError{Reason: "down", RetryAfter: 3 * time.Second}, persistence.ErrUnavailable},
		"overloaded": {&persistence.UnavailableError{Reason: "full", Overloaded: true}, persistence.ErrOverloaded},
		"read-only":  {&persistence.TablesError{Have: 1, Want: 2, Fix: "stele migrate up"}, persistence.ErrUnavailable},
		"odd":        {errors.New("no idea"), persistence.ErrUnknownOutcome},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var away atomic.Bool
				var appends atomic.Int64
				journal := faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
					appends.Add(1)
					if away.Load() {
						return faultjournal.Fault{Before: c.err}
					}
					return faultjournal.Fault{}
				}})
				system := open(t, actors.Config{Journal: journal})
				want := []string{}
				for i := range 10 {
					want = append(want, fmt.Sprint(i))
					_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)})
					require.NoError(t, err)
				}
				away.Store(true)
				before := appends.Load()

				for range 20 {
					began := time.Now()
					_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "lost"})
					failed := failure(t, err)
					require.Equal(t, c.kind, failed.Kind)
					require.ErrorIs(t, err, c.err)
					require.Zero(t, time.Since(began))
					if name == "away" {
						require.Equal(t, 3*time.Second, failed.RetryAfter)
					}
					time.Sleep(time.Second)
				}

				require.EqualValues(t, 20, appends.Load()-before, "nobody tries by himself")
				require.Zero(t, system.Stats().Passivations)
				require.Equal(t, 1, system.Stats().Active)
				away.Store(false)
				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "back"})
				require.NoError(t, err)
				require.Equal(t, append(want, "back"), seen.Tags)
			})
		})
	}
}

// Who was decided on top of a failed append is told as much as is known.
func TestBehindAFailedAppend(t *testing.T) {
	t.Parallel()
	down := &persistence.UnavailableError{Reason: "down"}
	for name, c := range map[string]struct {
		fault                 faultjournal.Fault
		first, behind         persistence.ErrorKind
		unknown, storedAtLast int
	}{
		"away":    {faultjournal.Fault{Before: down}, persistence.ErrUnavailable, persistence.ErrUnavailable, 0, 0},
		"unknown": {faultjournal.Fault{Lost: true}, persistence.ErrUnknownOutcome, persistence.ErrUnknownOutcome, 2, 1},
		"corrupt": {faultjournal.Fault{Before: &persistence.CorruptError{Reason: "lost tail"}}, persistence.ErrCorrupt, persistence.ErrCorrupt, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := faulty(t, faultjournal.Config{Append: func(_ *persistence.Append, n int) faultjournal.Fault {
					if n > 1 {
						return faultjournal.Fault{}
					}
					fault := c.fault
					fault.Delay = time.Second
					return fault
				}})
				system := open(t, actors.Config{Journal: journal})
				first := put(t.Context(), system, "a", Put{Tag: "1"})
				synctest.Wait()
				behind := put(t.Context(), system, "a", Put{Tag: "2"})
				synctest.Wait()
				rejected := put(t.Context(), system, "a", Put{Do: reject})
				synctest.Wait()

				require.Equal(t, c.first, failure(t, (<-first).err).Kind)
				require.Equal(t, c.behind, failure(t, (<-behind).err).Kind)
				// What raised nothing surely did nothing, and what it showed never was.
				failed := failure(t, (<-rejected).err)
				require.Equal(t, persistence.ErrUnavailable, failed.Kind)
				require.NotErrorIs(t, failed, persistence.ErrUnknownOutcome)
				require.EqualValues(t, c.unknown, system.Stats().Unknown)
				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "3"})
				require.NoError(t, err)
				require.Len(t, seen.Tags, c.storedAtLast+1)
			})
		})
	}
}

// choosy is a journal whose queue is full for the n-th append.
type choosy struct {
	*faultjournal.Journal
	n, full int
}

func (j *choosy) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if j.n++; j.n == j.full {
		return &persistence.UnavailableError{Reason: "full", Overloaded: true}
	}
	return j.Journal.Submit(a, chain, done)
}

// Nothing is decided on top of an append that the journal did not take, not even when
// another writer brings about the version that it would have made. What was decided
// before it is stored.
func TestBehindARefusedAppend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &choosy{full: 2, Journal: faulty(t, faultjournal.Config{Append: func(_ *persistence.Append, n int) faultjournal.Fault {
			fault := faultjournal.Fault{Delay: time.Second}
			if n == 2 {
				fault.Foreign = []persistence.Event{foreign("theirs")}
			}
			return fault
		}})}
		system := open(t, actors.Config{Journal: journal})
		var answers [3]<-chan answer
		for i := range answers {
			answers[i] = put(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)})
			synctest.Wait()
		}

		require.Equal(t, []string{"0"}, (<-answers[0]).Tags)
		require.ErrorIs(t, (<-answers[1]).err, persistence.ErrOverloaded)
		require.Equal(t, []string{"0", "theirs", "2"}, (<-answers[2]).Tags)
		require.Equal(t, []string{"0", "theirs", "2"}, stored(t, journal, "a"))
	})
}

// The state is read when somebody asks for it, not because it was lost.
func TestRebuiltLazily(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		journal := faulty(t, faultjournal.Config{
			Append: func(_ *persistence.Append, n int) faultjournal.Fault { return faultjournal.Fault{Lost: n == 1} },
			Read: func(persistence.StreamID, int) faultjournal.ReadFault {
				reads.Add(1)
				return faultjournal.ReadFault{}
			},
		})
		system := open(t, actors.Config{Journal: journal})
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "1"})
		require.ErrorIs(t, err, persistence.ErrUnknownOutcome)
		synctest.Wait()
		require.EqualValues(t, 1, reads.Load())

		seen, err := GetOf.Ask(t.Context(), system, "a", Get{})
		require.NoError(t, err)
		require.Equal(t, []string{"1"}, seen.Tags, "the outcome is known by now")
		require.EqualValues(t, 2, reads.Load())
	})
}

// A stream that cannot be read is not tried for every command: between attempts
// callers get the error at once, with the time after which to try again.
func TestReadFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		events int
		kind   persistence.ErrorKind
	}{
		"away":                {&persistence.UnavailableError{Reason: "down"}, 0, persistence.ErrUnavailable},
		"in the middle":       {&persistence.UnavailableError{Reason: "down"}, 2, persistence.ErrUnavailable},
		"overloaded":          {&persistence.UnavailableError{Reason: "busy", Overloaded: true}, 0, persistence.ErrOverloaded},
		"of no kind":          {errors.New("no idea"), 0, persistence.ErrUnavailable},
		"a context's":         {context.DeadlineExceeded, 0, persistence.ErrUnavailable},
		"unknown, of a read":  {&persistence.UnknownOutcomeError{}, 0, persistence.ErrUnavailable},
		"gone under the hand": {&persistence.StreamNotFoundError{Stream: "list-a"}, 2, persistence.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var broken atomic.Bool
				var reads atomic.Int64
				journal := faulty(t, faultjournal.Config{Read: func(persistence.StreamID, int) faultjournal.ReadFault {
					reads.Add(1)
					if broken.Load() {
						return faultjournal.ReadFault{Err: c.err, Events: c.events}
					}
					return faultjournal.ReadFault{}
				}})
				seed(t, journal.Journal, "a", "1", "2", "3")
				broken.Store(true)
				system := open(t, actors.Config{Journal: journal})

				var last time.Duration
				for range 1000 {
					began := time.Now()
					_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
					failed := failure(t, err)
					require.Equal(t, c.kind, failed.Kind)
					require.ErrorIs(t, err, c.err)
					require.Positive(t, failed.RetryAfter)
					require.LessOrEqual(t, failed.RetryAfter, 6*time.Second)
					require.Zero(t, time.Since(began))
					last = failed.RetryAfter
					time.Sleep(100 * time.Millisecond)
				}
				require.Less(t, reads.Load(), int64(40), "of 1000 commands in 100 s")
				broken.Store(false)
				time.Sleep(last)
				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
				require.NoError(t, err)
				require.Equal(t, []string{"1", "2", "3", "x"}, seen.Tags)
			})
		})
	}
}

// A reader that makes no progress is given up after 30 s, and the aggregate
// works when the journal does.
func TestReadHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := faulty(t, faultjournal.Config{Read: func(_ persistence.StreamID, n int) faultjournal.ReadFault {
			if n == 1 {
				return faultjournal.ReadFault{Delay: time.Hour}
			}
			return faultjournal.ReadFault{}
		}})
		system := open(t, actors.Config{Journal: journal, AskTimeout: time.Hour})
		began := time.Now()

		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})

		require.Equal(t, persistence.ErrUnavailable, failure(t, err).Kind)
		require.Equal(t, 30*time.Second, time.Since(began))
		time.Sleep(time.Second)
		_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
		require.NoError(t, err)
	})
}

// Whose callers have all left is not read, unless somebody waits whose command
// was decided before.
func TestRecoveryForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var read atomic.Int64
		journal := faulty(t, faultjournal.Config{Read: func(stream persistence.StreamID, _ int) faultjournal.ReadFault {
			if stream == "list-first" {
				return faultjournal.ReadFault{Until: gate}
			}
			read.Add(1)
			return faultjournal.ReadFault{}
		}})
		system := open(t, actors.Config{Journal: journal, Recoveries: 1})
		first := put(t.Context(), system, "first", Put{Tag: "x"})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for i := range 5 {
			put(ctx, system, fmt.Sprint(i), Put{Tag: "x"})
		}
		<-ctx.Done()
		synctest.Wait()
		close(gate)
		require.NoError(t, (<-first).err)
		synctest.Wait()

		require.Zero(t, read.Load())
		_, err := PutInto.Ask(t.Context(), system, "1", Put{Tag: "y"})
		require.NoError(t, err)
		require.EqualValues(t, 1, read.Load())
	})
}

// A command that lost to another writer waits for the rebuild, while those in the
// mailbox behind it have been given up: it must not be forgotten with them.
func TestRebuildForSomebody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		journal := faulty(t, faultjournal.Config{
			Append: func(a *persistence.Append, n int) faultjournal.Fault {
				if a.Stream != "list-a" || n > 1 {
					return faultjournal.Fault{}
				}
				return faultjournal.Fault{Delay: time.Second, Foreign: []persistence.Event{foreign("theirs")}}
			},
			Read: func(stream persistence.StreamID, _ int) faultjournal.ReadFault {
				if stream == "list-busy" {
					return faultjournal.ReadFault{Until: gate}
				}
				return faultjournal.ReadFault{}
			},
		})
		system := open(t, actors.Config{Journal: journal, Recoveries: 1, Aggregates: []actors.Definition{lists(actors.Strict[list]())}})
		ours := put(t.Context(), system, "a", Put{Tag: "ours"})
		synctest.Wait()
		busy := put(t.Context(), system, "busy", Put{Tag: "x"}) // keeps the only worker
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		impatient := put(ctx, system, "a", Put{Tag: "impatient"})
		require.ErrorIs(t, (<-impatient).err, persistence.ErrUnavailable)
		synctest.Wait()

		close(gate)

		require.NoError(t, (<-busy).err)
		got := <-ours
		require.NoError(t, got.err)
		require.Equal(t, []string{"theirs", "ours"}, got.Tags)
	})
}

// twisted is a journal that gives back what it should not.
type twisted struct {
	plain
	twist func(*persistence.Recorded)
}

func (j twisted) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		for recorded, err := range j.Journal.Read(ctx, stream, options) {
			if err == nil {
				j.twist(&recorded)
			}
			if !yield(recorded, err) {
				return
			}
		}
	}
}

// What is stored wrongly is said to every caller and never skipped. After the
// repair, which is the next program, the aggregate works.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	const at = 3
	for name, c := range map[string]struct {
		twist func(*persistence.Recorded)
		says  string
	}{
		"unknown type":      {func(r *persistence.Recorded) { r.Type = "test.gone" }, "kind list has no On for event type test.gone"},
		"no type":           {func(r *persistence.Recorded) { r.Type = "" }, "has no On"},
		"garbage":           {func(r *persistence.Recorded) { r.Payload = []byte("secret\x00") }, "decode test.kept: not valid JSON"},
		"nothing":           {func(r *persistence.Recorded) { r.Payload = nil }, "decode test.kept"},
		"null":              {func(r *persistence.Recorded) { r.Payload = []byte("null") }, "decode test.kept"},
		"wrong field":       {func(r *persistence.Recorded) { r.Payload = []byte(`{"Tag":77}`) }, "field Tag has the wrong type"},
		"two values":        {func(r *persistence.Recorded) { r.Payload = append(r.Payload, r.Payload...) }, "more than one"},
		"hole":              {func(r *persistence.Recorded) { r.Version++ }, "follows version 2"},
		"twice":             {func(r *persistence.Recorded) { r.Version-- }, "follows version 2"},
		"On panics":         {func(r *persistence.Recorded) { r.Payload = []byte(`{"Tag":"panic"}`) }, "On for test.kept panicked with a string"},
		"unmarshal panics":  {func(r *persistence.Recorded) { r.Type = Touchy{}.MessageName() }, "panicked with a string"},
		"protobuf, garbage": {func(r *persistence.Recorded) { r.Type, r.Payload = "google.protobuf.UInt64Value", []byte("\xff\xff") }, "decode google.protobuf.UInt64Value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner := new(memory.Journal)
				seed(t, inner, "a", "1", "2", "3", "4")
				var repaired atomic.Bool
				journal := twisted{plain{inner}, func(r *persistence.Recorded) {
					if r.Version == at && !repaired.Load() {
						c.twist(r)
					}
				}}
				system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{touchy()}})

				for range 10 {
					_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
					failed := failure(t, err)
					require.Equal(t, persistence.ErrCorrupt, failed.Kind)
					require.Zero(t, failed.RetryAfter, "waiting mends nothing")
					corrupt, ok := errors.AsType[*persistence.CorruptError](err)
					require.True(t, ok)
					require.EqualValues(t, "list-a", corrupt.Stream)
					require.InDelta(t, at, float64(corrupt.Version), 1)
					require.Contains(t, err.Error(), c.says)
					require.NotContains(t, err.Error(), "secret")
					_, err = PutInto.Ask(t.Context(), system, "b", Put{Tag: "x"})
					require.NoError(t, err, "a neighbour")
					time.Sleep(10 * time.Second)
				}
				require.Equal(t, []string{"1", "2", "3", "4"}, stored(t, inner, "a"))
				repaired.Store(true)
				time.Sleep(time.Minute)
				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
				require.NoError(t, err)
				require.Equal(t, []string{"1", "2", "3", "4", "x"}, seen.Tags)
			})
		})
	}
}

// Touchy is an event whose own code panics when it is read.
type Touchy struct{}

func (Touchy) MessageName() string           { return "test.touchy" }
func (*Touchy) UnmarshalJSON(_ []byte) error { panic("secret") }

func touchy() actors.Definition {
	return actors.Define("list",
		actors.Handle(PutInto, (*list).put),
		actors.On(func(l *list, e Kept) {
			if e.Tag == "panic" {
				panic("secret")
			}
			l.kept(e)
		}),
		actors.On(func(*list, Touchy) {}),
		actors.On(func(*list, *wrapperspb.UInt64Value) {}),
	)
}

// The system's own events count as versions, and no On sees them.
func TestSystemEvents(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	seed(t, journal, "a", "1")
	_, err := journal.Append(t.Context(), persistence.Append{
		Stream: "list-a", Expected: persistence.Any, Events: []persistence.Event{{Type: "$stele.receipt", Payload: []byte("no JSON")}},
	})
	require.NoError(t, err)
	system := open(t, actors.Config{Journal: journal})

	seen, err := GetOf.Ask(t.Context(), system, "a", Get{})
	require.NoError(t, err)
	require.Equal(t, Seen{Tags: []string{"1"}, Version: 2}, seen)
	seen, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "2"}, actors.IfVersion(2))
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, seen.Tags)
}
