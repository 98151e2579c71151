package actors_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// The domain of these tests: a meter counts, and says in whatever it answers what it
// has counted, so that an answer shows on which state it was decided.
type (
	Count   struct{}
	Counted struct{}
	Peek    struct{}
	Reading struct{ N int }
	Refuse  struct{ Raise bool }
	Ask     struct {
		Meter string
		Raise bool
	}
	Asked struct{ Answer string }

	meter struct{ n int }
	asker struct{ answers []string }
)

func (Count) MessageName() string   { return "test.count" }
func (Counted) MessageName() string { return "test.counted" }
func (Peek) MessageName() string    { return "test.peek" }
func (Reading) MessageName() string { return "test.reading" }
func (Refuse) MessageName() string  { return "test.refuse" }
func (Ask) MessageName() string     { return "test.ask" }
func (Asked) MessageName() string   { return "test.asked" }

var (
	CountUp  = actors.NewCommand[Count, Reading]("meter")
	PeekAt   = actors.NewCommand[Peek, Reading]("meter")
	RefuseIt = actors.NewCommand[Refuse, Reading]("meter")
	AskMeter = actors.NewCommand[Ask, Reading]("asker")
)

// at is the rejection of a meter that has counted so much.
func at(n int) error { return errors.New("at " + fmt.Sprint(n)) }

// meters have a look at each decision that raises nothing.
func meters(look func(what string, n int), more ...actors.Part[meter]) *actors.Aggregate[meter] {
	return actors.Define("meter", append([]actors.Part[meter]{
		actors.Handle(CountUp, func(m *meter, tx *actors.Tx, _ Count) (Reading, error) {
			tx.Raise(Counted{})
			return Reading{m.n}, nil
		}),
		actors.Handle(PeekAt, func(m *meter, _ *actors.Tx, _ Peek) (Reading, error) { return Reading{m.n}, nil }),
		actors.Handle(RefuseIt, func(m *meter, tx *actors.Tx, c Refuse) (Reading, error) {
			n := m.n
			if c.Raise {
				tx.Raise(Counted{})
			}
			return Reading{}, at(n)
		}),
		actors.On(func(m *meter, _ Counted) { m.n++ }),
		actors.React(mirrorOf, func(m *meter, _ *actors.Tx, e actors.Event[Kept]) error {
			if look != nil {
				look(e.Data.Tag, m.n)
			}
			return nil
		}),
	}, more...)...)
}

// askers have meters refuse what they send.
func askers() *actors.Aggregate[asker] {
	return actors.Define("asker",
		actors.Handle(AskMeter, func(a *asker, tx *actors.Tx, c Ask) (Reading, error) {
			RefuseIt.Send(tx, c.Meter, Refuse{Raise: c.Raise})
			return Reading{}, nil
		}),
		actors.Result(RefuseIt, func(_ *asker, tx *actors.Tx, _ Reading, err error) error {
			tx.Raise(Asked{err.Error()})
			return nil
		}),
		actors.On(func(a *asker, e Asked) { a.answers = append(a.answers, e.Answer) }),
	)
}

// counted is how much a meter has counted by what is stored up to a position.
func counted(t tester, journal persistence.Reader, id string, upTo int64) (n int) {
	for recorded, err := range journal.Read(t.Context(), persistence.StreamID("meter-"+id), persistence.ReadOptions{}) {
		if errors.Is(err, persistence.ErrStreamNotFound) {
			return 0
		}
		require.NoError(t, err)
		if recorded.Type == "test.counted" && recorded.Position.Offset <= upTo {
			n++
		}
	}
	return n
}

const everything = 1 << 60

func countUp(t *testing.T, to actors.Asker, id string, times int) {
	t.Helper()
	for range times {
		_, err := CountUp.Ask(t.Context(), to, id, Count{})
		require.NoError(t, err)
	}
}

// Whatever rests on an answer is decided on what all processes have written. A plain
// read may show an older state, until a proof has failed.
func TestAnswersWithConsequencesAreCurrent(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, err error) int {
		t.Helper()
		var n int
		_, scanned := fmt.Sscanf(err.Error(), "at %d", &n)
		require.NoError(t, scanned)
		return n
	}
	cases := map[string]func(t *testing.T, to actors.Asker) int{
		"a read that asks for it": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			total, err := PeekAt.Ask(t.Context(), to, "a", Peek{}, actors.Fresh())
			require.NoError(t, err)
			return total.N
		},
		"a rejection that asks for it": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			_, err := RefuseIt.Ask(t.Context(), to, "a", Refuse{}, actors.Fresh())
			return refused(t, err)
		},
		"a rejection after raising that asks for it": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			_, err := RefuseIt.Ask(t.Context(), to, "a", Refuse{Raise: true}, actors.Fresh())
			return refused(t, err)
		},
		"a rejection under a key": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			_, err := RefuseIt.Ask(t.Context(), to, "a", Refuse{}, actors.Once("k"))
			return refused(t, err)
		},
		"a reply under a key": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			total, err := PeekAt.Ask(t.Context(), to, "a", Peek{}, actors.Once("k"))
			require.NoError(t, err)
			return total.N
		},
		"a rejection of what is asked again": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			_, err := RefuseIt.Ask(t.Context(), to, "a", Refuse{}, actors.Again(persistence.CommandID(persistence.NewEventID())))
			return refused(t, err)
		},
		"a reply to what is asked again": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			total, err := PeekAt.Ask(t.Context(), to, "a", Peek{}, actors.Again(persistence.CommandID(persistence.NewEventID())))
			require.NoError(t, err)
			return total.N
		},
		"a version that the aggregate has by now": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			total, err := PeekAt.Ask(t.Context(), to, "a", Peek{}, actors.IfVersion(3))
			require.NoError(t, err)
			return total.N
		},
		"a version that the aggregate had": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			_, err := PeekAt.Ask(t.Context(), to, "a", Peek{}, actors.IfVersion(1))
			conflict, ok := errors.AsType[*persistence.ConflictError](err)
			require.True(t, ok, err)
			return int(conflict.Actual) //nolint:gosec // a small one
		},
		"a rejection that is remembered": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			_, err := RefuseIt.Ask(t.Context(), to, "a", Refuse{}, actors.Sent(persistence.CommandID(persistence.NewEventID()), time.Now()))
			return refused(t, err)
		},
		"a rejection after raising that is remembered": func(t *testing.T, to actors.Asker) int {
			t.Helper()
			_, err := RefuseIt.Ask(t.Context(), to, "a", Refuse{Raise: true}, actors.Sent(persistence.CommandID(persistence.NewEventID()), time.Now()))
			return refused(t, err)
		},
	}
	for name, ask := range cases {
		for kind, more := range map[string][]actors.Part[meter]{"": nil, " of a strict kind": {actors.Strict[meter]()}} {
			t.Run(name+kind, func(t *testing.T) {
				t.Parallel()
				journal := new(memory.Journal)
				config := actors.Config{Journal: journal, Aggregates: []actors.Definition{meters(nil, more...)}, Delivering: true}
				one, other := open(t, config), open(t, config)
				countUp(t, one, "a", 1)
				total, err := PeekAt.Ask(t.Context(), other, "a", Peek{})
				require.NoError(t, err)
				require.Equal(t, 1, total.N)
				countUp(t, one, "a", 2)
				total, err = PeekAt.Ask(t.Context(), other, "a", Peek{})
				require.NoError(t, err)
				require.Equal(t, 1, total.N, "a plain read is answered from memory")

				require.Equal(t, 3, ask(t, other))

				total, err = PeekAt.Ask(t.Context(), other, "a", Peek{})
				require.NoError(t, err)
				require.Equal(t, 3, total.N, "the state was read again")
			})
		}
	}
}

// A reaction that raises nothing leaves nothing behind, so it must have seen all that
// was stored before its event, whoever wrote it.
func TestReactionsAreDecidedOnACurrentState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var decided atomic.Int64
		aggregates := []actors.Definition{lists(), meters(func(_ string, n int) { decided.Store(int64(n)) })}
		journal := new(memory.Journal)
		reacting := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: aggregates})
		other := open(t, actors.Config{Journal: journal, Aggregates: aggregates, Delivering: true})
		total, err := PeekAt.Ask(t.Context(), reacting, "a", Peek{})
		require.NoError(t, err)
		require.Zero(t, total.N)

		for n := range 3 {
			countUp(t, other, "a", 1)
			putTags(t, other, "l", "a/now")
			<-time.After(time.Second)
			require.EqualValues(t, n+1, decided.Load())
		}
	})
}

// A stream that was deleted, or written again since, is not the one in memory.
func TestFreshAfterDeleting(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{meters(nil)}, Delivering: true})
	fresh := func() int {
		total, err := PeekAt.Ask(t.Context(), system, "a", Peek{}, actors.Fresh())
		require.NoError(t, err)
		return total.N
	}
	require.Zero(t, fresh(), "there is no stream")
	countUp(t, system, "a", 3)
	require.Equal(t, 3, fresh())

	_, err := journal.Delete(t.Context(), "meter-a", persistence.Any)
	require.NoError(t, err)
	require.Zero(t, fresh(), "deleted")
	for range 2 {
		outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "meter-a", Expected: persistence.Any, Events: []persistence.Event{
			{Type: "test.counted", Payload: []byte("{}")}, {Type: "test.counted", Payload: []byte("{}")},
		}})
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
	}
	require.Equal(t, 4, fresh(), "written again")
	_, err = journal.Truncate(t.Context(), "meter-a", 8)
	require.NoError(t, err)
	require.Equal(t, 4, fresh(), "what was truncated has happened")
}

// looked is a journal that counts how often it is asked, takes its time to answer, and
// stops asking for the head while it is held.
type looked struct {
	persistence.Journal
	delay                 time.Duration
	heads, pages, streams atomic.Int64
	hold                  atomic.Pointer[chan struct{}]
	fail                  atomic.Pointer[error]
}

func (l *looked) Unwrap() persistence.Journal { return l.Journal }

func (l *looked) Head(ctx context.Context) (persistence.Positions, error) {
	l.heads.Add(1)
	<-time.After(l.delay)
	if hold := l.hold.Load(); hold != nil {
		select {
		case <-*hold:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err := l.fail.Load(); err != nil {
		return nil, *err
	}
	return l.Journal.Head(ctx)
}

func (l *looked) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	if requests[0].Limit < actors.FirstPage { // not to recover
		l.pages.Add(1)
		l.streams.Add(int64(len(requests)))
		<-time.After(l.delay)
	}
	pages, _ := persistence.As[persistence.PageReader](l.Journal)
	return pages.ReadPages(ctx, requests)
}

// While nobody else writes a proof is one question for the head, shared by all who wait
// for one, and no stream is looked at.
func TestProofIsCheapForOneProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const aggregates = 20
		journal := &looked{delay: time.Millisecond, Journal: faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
			return faultjournal.Fault{Delay: time.Millisecond}
		}})}
		system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{meters(nil, actors.LogCommands[meter](actors.Outcomes))}, Delivering: true})
		for i := range aggregates {
			countUp(t, system, fmt.Sprint(i), 1)
		}
		<-time.After(time.Second)
		heads, pages := journal.heads.Load(), journal.pages.Load()

		for range 50 {
			// Others are on their way to the journal meanwhile: their outcomes are waited for.
			for i := range aggregates {
				go func() { _, _ = CountUp.Ask(context.Background(), system, fmt.Sprint("other ", i), Count{}) }() //nolint:forbidigo // it ends with the answer
			}
			answered := make(chan error, aggregates)
			for i := range aggregates {
				go func() { // ends with the answer
					total, err := PeekAt.Ask(context.Background(), system, fmt.Sprint(i), Peek{}, actors.Fresh()) //nolint:forbidigo // as above
					if err == nil && total.N != 1 {
						err = fmt.Errorf("answered %d", total.N)
					}
					answered <- err
				}()
			}
			for range aggregates {
				require.NoError(t, <-answered)
			}
			<-time.After(300 * time.Millisecond) // for the log of commands
		}

		require.LessOrEqual(t, journal.heads.Load()-heads, int64(120), "50 rounds of 20 proofs")
		require.Equal(t, pages, journal.pages.Load())
	})
}

// When others write, the streams of those who wait are looked at in one read.
func TestProofIsSharedWhenOthersWrite(t *testing.T) {
	t.Parallel()
	const aggregates = 20
	for name, wrap := range map[string]func(persistence.Journal) persistence.Journal{
		"with pages":    func(j persistence.Journal) persistence.Journal { return j },
		"without pages": func(j persistence.Journal) persistence.Journal { return plain{j} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				under := new(memory.Journal)
				journal := &looked{delay: time.Millisecond, Journal: wrap(under)}
				system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{meters(nil)}, Delivering: true})
				other := open(t, actors.Config{Journal: under, Aggregates: []actors.Definition{meters(nil)}, Delivering: true})
				for i := range aggregates {
					countUp(t, system, fmt.Sprint(i), 1)
				}
				want := 1
				for round := range 50 {
					countUp(t, other, "0", 1)
					want++
					before := journal.streams.Load()
					answered := make(chan error, aggregates)
					for i := range aggregates {
						go func() { // ends with the answer
							total, err := PeekAt.Ask(context.Background(), system, fmt.Sprint(i), Peek{}, actors.Fresh()) //nolint:forbidigo // as above
							if err == nil && i == 0 && total.N != want {
								err = fmt.Errorf("answered %d in round %d", total.N, round)
							}
							answered <- err
						}()
					}
					for range aggregates {
						require.NoError(t, <-answered)
					}
					require.LessOrEqual(t, journal.streams.Load()-before, int64(aggregates))
				}
				if _, can := persistence.As[persistence.PageReader](journal); can {
					require.LessOrEqual(t, journal.heads.Load(), int64(10))
				}
				require.LessOrEqual(t, journal.pages.Load(), int64(120))
			})
		})
	}
}

// A proof that does not come in time is a typed error, and no old state is answered; who
// leaves knows that nothing was done.
func TestProofThatDoesNotCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &looked{Journal: new(memory.Journal)}
		system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{meters(nil)}, Delivering: true})
		countUp(t, system, "a", 1)
		hold := make(chan struct{})
		journal.hold.Store(&hold)

		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := PeekAt.Ask(ctx, system, "a", Peek{}, actors.Fresh())
		require.Equal(t, persistence.ErrUnavailable, failure(t, err).Kind)
		require.Equal(t, 200*time.Millisecond, time.Since(began))

		total, err := PeekAt.Ask(t.Context(), system, "a", Peek{})
		require.NoError(t, err)
		require.Equal(t, 1, total.N, "who needs no proof does not wait")
		countUp(t, system, "a", 1)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		_, err = PeekAt.Ask(ctx, system, "b", Peek{}, actors.Once("k"))
		require.NoError(t, err, "the append proves it")
		require.Zero(t, time.Since(began))

		_, err = PeekAt.Ask(ctx, system, "a", Peek{}, actors.Fresh())
		require.Equal(t, persistence.ErrUnavailable, failure(t, err).Kind)
		require.Equal(t, 30*time.Second-200*time.Millisecond, time.Since(began))

		journal.hold.Store(nil)
		close(hold)
		away := error(&persistence.UnavailableError{Reason: "away"})
		journal.fail.Store(&away)
		_, err = PeekAt.Ask(t.Context(), system, "a", Peek{}, actors.Fresh())
		require.Equal(t, persistence.ErrUnavailable, failure(t, err).Kind)
		journal.fail.Store(nil)
		total, err = PeekAt.Ask(t.Context(), system, "a", Peek{}, actors.Fresh())
		require.NoError(t, err)
		require.Equal(t, 2, total.N)
	})
}

// A decision behind events that are on their way is proven by those that are decided
// after it, or by a question of its own, and is made again when somebody else was faster.
func TestProofInThePipeline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		foreign int // the append before which somebody else writes
		want    int
	}{
		"nobody else writes":                      {0, 1},
		"somebody else writes before what it saw": {1, 3},
		"somebody else writes behind it":          {2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := &looked{Journal: faulty(t, faultjournal.Config{Append: func(_ *persistence.Append, n int) faultjournal.Fault {
					fault := faultjournal.Fault{Delay: time.Duration(n) * time.Second}
					if n == c.foreign {
						fault.Foreign = []persistence.Event{{Type: "test.counted", Payload: []byte("{}")}}
					}
					return fault
				}})}
				system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{meters(nil)}, Delivering: true})
				answers := make(chan Reading, 3)
				count := func() {
					total, _ := CountUp.Ask(context.Background(), system, "a", Count{}) //nolint:forbidigo // it ends with the answer
					answers <- total
				}
				go count()
				synctest.Wait()
				seen := make(chan Reading, 1)
				go func() { // ends with the answer
					total, _ := PeekAt.Ask(context.Background(), system, "a", Peek{}, actors.Fresh()) //nolint:forbidigo // as above
					seen <- total
				}()
				synctest.Wait()
				go count()
				<-answers
				<-answers

				total := <-seen
				if c.foreign == 1 { // all were decided again, side by side
					require.Contains(t, []int{2, 3}, total.N)
				} else {
					require.Equal(t, c.want, total.N)
				}
				require.Zero(t, journal.heads.Load(), "the appends have told")
			})
		})
	}
}

// mistaken panics in Submit, on the activation's goroutine, when it is armed: a mistake
// that no handler makes. It takes nothing then.
type mistaken struct {
	persistence.Submitter
	armed atomic.Bool
}

func (m *mistaken) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if m.armed.Load() {
		panic("a mistake in the journal")
	}
	return m.Submitter.Submit(a, chain, done)
}

// What an aggregate had on its way when it crashed, it has written and does not know.
func TestProofAfterACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := faulty(t, faultjournal.Config{Append: func(a *persistence.Append, n int) faultjournal.Fault {
			return faultjournal.Fault{Delay: time.Second}
		}})
		writer := &mistaken{Submitter: journal}
		system := open(t, actors.Config{Journal: struct {
			persistence.Journal
			persistence.Submitter
		}{journal, writer}})
		first := put(t.Context(), system, "a", Put{Tag: "1"})
		synctest.Wait()
		writer.armed.Store(true)
		crashes := put(t.Context(), system, "a", Put{Tag: "2"})
		synctest.Wait()
		require.Equal(t, "crash", failure(t, (<-first).err).Reason)
		require.Equal(t, "crash", failure(t, (<-crashes).err).Reason)
		seen, err := GetOf.Ask(t.Context(), system, "a", Get{})
		require.NoError(t, err)
		require.Empty(t, seen.Tags, "the state was read before the first was stored")
		<-time.After(2 * time.Second)

		fresh, err := GetOf.Ask(t.Context(), system, "a", Get{}, actors.Fresh())
		require.NoError(t, err)
		require.Equal(t, []string{"1"}, fresh.Tags)
	})
}

// A rejection of a sent command that stands in a stream was decided on all that stands
// before it, also when the handler had raised something first.
func TestRememberedRejectionsAreDecidedWhereTheyStand(t *testing.T) {
	t.Parallel()
	for name, raise := range map[string]bool{"clean": false, "after raising": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				under := new(memory.Journal)
				reads := 0
				journal := faulty(t, faultjournal.Config{Journal: under, Read: func(stream persistence.StreamID, _ int) faultjournal.ReadFault {
					if reads++; reads == 2 { // between the decision and what is stored of it
						_, err := under.Append(context.WithoutCancel(t.Context()), persistence.Append{Stream: stream, Expected: persistence.Any, Events: []persistence.Event{{Type: "test.counted", Payload: []byte("{}")}}})
						require.NoError(t, err)
					}
					return faultjournal.ReadFault{}
				}})
				system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{meters(nil)}, Delivering: true})
				countUp(t, system, "a", 1)

				_, refusal := RefuseIt.Ask(t.Context(), system, "a", Refuse{Raise: raise}, actors.Sent(persistence.CommandID(persistence.NewEventID()), time.Now()))

				for recorded, err := range under.Read(t.Context(), "meter-a", persistence.ReadOptions{}) {
					require.NoError(t, err)
					if recorded.Type == "$stele.receipt" {
						require.EqualError(t, refusal, at(counted(t, under, "a", recorded.Position.Offset)).Error())
					}
				}
			})
		})
	}
}

// Two systems write to the same aggregates at random, on a journal that fails. Every
// answer with consequences can be explained by a state that was real at a moment between
// asking and answering; a reaction by one that shows all that was before its event; and
// what is remembered by the state where it stands.
func TestLongTwoSystemsAreExplainable(t *testing.T) {
	t.Parallel()
	const ids = 3
	type reaction struct{ id, tag string }
	var mu sync.Mutex // protects reactions
	var reactions map[reaction]int
	aggregates := []actors.Definition{lists(), askers(), meters(func(tag string, n int) {
		id, _, _ := strings.Cut(tag, "/")
		mu.Lock()
		defer mu.Unlock()
		reactions[reaction{id, tag}] = n // the last decision holds
	}, actors.SnapshotEvery[meter](4), actors.SnapshotAs(func(m *meter) Reading { return Reading{m.n} }, func(t Reading) *meter { return &meter{t.N} }))}
	actorstest.Simulation{
		Aggregates: aggregates, Seeds: 12, Config: actors.Config{Idle: 20 * time.Second},
		Rates: actorstest.Rates{Before: 0.05, Lost: 0.05, Zombie: 0.05, Read: 0.05, Delay: time.Second},
	}.Run(t, func(t *testing.T, run *actorstest.Run) {
		reactions = map[reaction]int{}
		systems := []actors.Asker{run, run.Beside()}
		journal := run.Journal()
		now := func(id string) int { return counted(t, journal, id, everything) }
		for i := range 6 {
			run.Go(func(c *actorstest.Caller) {
				for n := range 25 {
					id, to := fmt.Sprint(c.Chance.IntN(ids)), systems[c.Chance.IntN(2)]
					low := now(id)
					seen := -1
					options := []actors.AskOption{actors.Fresh()}
					if c.Chance.IntN(2) == 0 {
						options = []actors.AskOption{actors.Once(fmt.Sprint(i, n))}
					}
					switch c.Chance.IntN(5) {
					case 0:
						_, _ = CountUp.Ask(t.Context(), to, id, Count{})
					case 1:
						if total, err := PeekAt.Ask(t.Context(), to, id, Peek{}, options...); err == nil {
							seen = total.N
						}
					case 2:
						_, err := RefuseIt.Ask(t.Context(), to, id, Refuse{Raise: c.Chance.IntN(2) == 0}, options...)
						_, _ = fmt.Sscanf(err.Error(), "at %d", &seen)
					case 3:
						_, _ = PutInto.Ask(t.Context(), to, "l", Put{Tag: fmt.Sprint(id, "/", i, ".", n)})
					case 4:
						_, _ = AskMeter.Ask(t.Context(), to, id, Ask{Meter: id, Raise: c.Chance.IntN(2) == 0})
					}
					if seen >= 0 {
						require.GreaterOrEqual(t, seen, low)
						require.LessOrEqual(t, seen, now(id))
					}
					c.Pause(3 * time.Second)
				}
			})
		}
		run.Settle()

		for recorded, err := range journal.Read(t.Context(), "list-l", persistence.ReadOptions{}) {
			if errors.Is(err, persistence.ErrStreamNotFound) {
				break
			}
			require.NoError(t, err)
			event, err := run.Decode(recorded)
			require.NoError(t, err)
			tag := event.(Kept).Tag //nolint:forcetypeassert // a list raises nothing else
			id, _, _ := strings.Cut(tag, "/")
			n, reacted := reactions[reaction{id, tag}]
			require.True(t, reacted, tag)
			require.GreaterOrEqual(t, n, counted(t, journal, id, recorded.Position.Offset), tag)
		}
		for i := range ids {
			id := fmt.Sprint(i)
			for _, event := range run.Events(persistence.StreamID("asker-" + id)) {
				var n int
				_, err := fmt.Sscanf(event.(Asked).Answer, "at %d", &n) //nolint:forcetypeassert // an asker raises nothing else
				require.NoError(t, err)
			}
			require.NoError(t, remembered(t.Context(), journal, id))
		}
	})
}

// remembered checks the rejections in the stream of a meter against what stands before
// each.
func remembered(ctx context.Context, journal persistence.Reader, id string) error {
	counts := 0
	for recorded, err := range journal.Read(ctx, persistence.StreamID("meter-"+id), persistence.ReadOptions{}) {
		if errors.Is(err, persistence.ErrStreamNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if recorded.Type == "test.counted" {
			counts++
		}
		text, err := actors.RefusalIn(recorded.Headers)
		if err != nil {
			return err
		}
		if text != "" && text != at(counts).Error() {
			return fmt.Errorf("version %d of %s says %q behind %d", recorded.Version, recorded.Stream, text, counts)
		}
	}
	return nil
}

// Spans cover what a set of positions covers, but for what many gaps have made forget.
func TestSpans(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var spans actors.Spans
		have := map[int64]bool{}
		chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)) //nolint:gosec // to be repeated
		for next, left := int64(1), []actors.Span(nil); next < 200; {
			run := actors.Span{First: next, Last: next + chance.Int64N(4)}
			next = run.Last + 1
			switch chance.IntN(4) {
			case 0: // somebody else's
			case 1: // its outcome comes late
				left = append(left, run)
			default:
				left = append(left, run)
				for _, i := range chance.Perm(len(left)) {
					spans.Add(left[i].First, left[i].Last)
					for at := left[i].First; at <= left[i].Last; at++ {
						have[at] = true
					}
				}
				left = nil
			}
			after := chance.Int64N(next)
			upTo := after + chance.Int64N(next-after+1)
			whole := true
			for at := after + 1; at <= upTo; at++ {
				whole = whole && have[at]
			}
			if covered := spans.Cover(after, upTo); !whole {
				require.False(t, covered, "%v has %d to %d", spans, after, upTo)
			} else if upTo-after < 3 && next-after < 10 {
				require.True(t, covered, "%v lacks %d to %d", spans, after, upTo)
			}
			require.LessOrEqual(t, len(spans), 16)
		}
	})
}
