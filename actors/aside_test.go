package actors_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
)

// The domain of these tests: a bell that sets timers for itself, in several programs
// one after the other, which do not agree on what its timers look like.
type (
	// Chime sets timers for the bell, and has a list told of some.
	Chime struct {
		Names []string
		After time.Duration
		Told  []string
	}
	// The timer, as different programs know it.
	strike1 struct{ Name string }
	strike2 struct{ Name string }         // under another stored name
	strike3 struct{ Label string }        // with another field
	strike4 struct{ Name int }            // with a field of another type
	strike5 struct{ Name, Volume string } // with one field more
	Struck  struct{ Name string }

	bell struct{}
)

func (Chime) MessageName() string   { return "test.chime" }
func (strike1) MessageName() string { return "test.strike" }
func (strike2) MessageName() string { return "test.stroke" }
func (strike3) MessageName() string { return "test.strike" }
func (strike4) MessageName() string { return "test.strike" }
func (strike5) MessageName() string { return "test.strike" }
func (Struck) MessageName() string  { return "test.struck" }

var ChimeBell = actors.NewCommand[Chime, Heard]("bell")

// bells is the bell of a program that knows the timer as C.
func bells[C any](of func(string) C, name func(C) string, more ...actors.Part[bell]) *actors.Aggregate[bell] {
	strike := actors.NewCommand[C, Heard]("bell")
	return actors.Define("bell", append([]actors.Part[bell]{
		actors.Handle(ChimeBell, func(_ *bell, tx *actors.Tx, c Chime) (Heard, error) {
			for _, name := range c.Names {
				strike.SendAfter(tx, c.After, tx.ID, of(name), actors.Key(name))
			}
			for _, tag := range c.Told {
				PutInto.Send(tx, "l", Put{Tag: tag})
			}
			return Heard{}, nil
		}),
		actors.Handle(strike, func(_ *bell, tx *actors.Tx, c C) (Heard, error) {
			tx.Raise(Struck{name(c)})
			return Heard{}, nil
		}),
		actors.On(func(*bell, Struck) {}), actors.Sends[bell](),
	}, more...)...)
}

func bells1() *actors.Aggregate[bell] {
	return bells(func(s string) strike1 { return strike1{s} }, func(c strike1) string { return c.Name })
}

func bells2(more ...actors.Part[bell]) *actors.Aggregate[bell] {
	return bells(func(s string) strike2 { return strike2{s} }, func(c strike2) string { return c.Name }, more...)
}

func bells3() *actors.Aggregate[bell] {
	return bells(func(s string) strike3 { return strike3{s} }, func(c strike3) string { return c.Label })
}

func bells4() *actors.Aggregate[bell] {
	return bells(func(s string) strike4 { return strike4{len(s)} }, func(strike4) string { return "4" })
}

func bells5() *actors.Aggregate[bell] {
	return bells(func(s string) strike5 { return strike5{s, "loud"} }, func(c strike5) string { return c.Name + c.Volume })
}

// chime has a bell of a system set timers.
func chime(t *testing.T, system actors.Asker, c Chime) {
	t.Helper()
	_, err := ChimeBell.Ask(t.Context(), system, "b", c)
	require.NoError(t, err)
}

func struck(system *actorstest.System) (names []string) {
	for _, event := range system.Events("bell-b") {
		names = append(names, event.(Struck).Name) //nolint:forcetypeassert // it raises nothing else
	}
	return names
}

// lines is a logger whose lines can be counted.
type lines struct {
	mu   sync.Mutex // protects text
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (l *lines) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), words)
}

func chainOf(t *testing.T, upcasters ...upcast.Upcaster) *upcast.Chain {
	t.Helper()
	chain, err := upcast.New(upcasters...)
	require.NoError(t, err)
	return chain
}

func healthOf(t *testing.T, system *actorstest.System, part string) actors.Health {
	t.Helper()
	for _, health := range system.Health() {
		if health.Part == part {
			return health
		}
	}
	require.Fail(t, "no part "+part)
	return actors.Health{}
}

// A timer that the next program cannot read is set aside, and everybody can see it:
// it is neither consumed nor given up, it holds up no other timer, and the first
// program that can read it fires it.
func TestUnreadableTimers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		next   func() *actors.Aggregate[bell]
		cause  string
		chain  []upcast.Upcaster
		mended func(t *testing.T) (*actors.Aggregate[bell], *upcast.Chain)
	}{
		"its stored name is another": {
			func() *actors.Aggregate[bell] { return bells2() }, "no Handle for test.strike", nil,
			func(t *testing.T) (*actors.Aggregate[bell], *upcast.Chain) {
				t.Helper()
				return bells2(), chainOf(t, upcast.Rename("test.strike", "test.stroke"))
			},
		},
		"a field has another name": {
			bells3, `unknown field "Name"`, nil,
			func(t *testing.T) (*actors.Aggregate[bell], *upcast.Chain) {
				t.Helper()
				return bells3(), chainOf(t, upcast.Map(func(old strike1) (strike3, error) { return strike3{old.Name}, nil }))
			},
		},
		"a field has another type": {
			bells4, "wrong type", nil,
			func(t *testing.T) (*actors.Aggregate[bell], *upcast.Chain) { t.Helper(); return bells1(), nil },
		},
		"an upcaster makes two of it": {
			func() *actors.Aggregate[bell] { return bells2() }, "upcasters make 2 commands of test.strike",
			[]upcast.Upcaster{{From: "test.strike", To: []string{"test.stroke"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
				one := raw.As("test.stroke", raw.Payload)
				return []upcast.Raw{one, one}, nil
			}}},
			func(t *testing.T) (*actors.Aggregate[bell], *upcast.Chain) { t.Helper(); return bells1(), nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal, logged := new(memory.Journal), new(lines)
				first := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells1()}})
				chime(t, first, Chime{Names: []string{"old"}, After: time.Minute})
				first.Stop()

				next := actorstest.StartWith(t, actors.Config{
					Journal: journal, Logger: logged.logger(), Aggregates: []actors.Definition{c.next()}, Upcasters: chainOf(t, c.chain...), GiveUpAfter: 10 * time.Minute,
				})
				chime(t, next, Chime{Names: []string{"new"}, After: 2 * time.Minute})
				<-time.After(5 * time.Minute)
				sends := healthOf(t, next, "sends")
				require.Equal(t, persistence.Yellow, sends.Level)
				require.Contains(t, sends.Reason, "1 set aside")
				<-time.After(30 * time.Minute)
				require.Equal(t, persistence.Red, healthOf(t, next, "sends").Level)

				require.Len(t, struck(next), 1, "what came later is not held up")
				parked := next.Parked()
				require.Len(t, parked, 1)
				require.Equal(t, "bell-b test.strike", parked[0].Kind+"-"+parked[0].ID+" "+parked[0].Command)
				require.ErrorContains(t, parked[0].Cause, c.cause)
				require.Equal(t, 1, logged.count("sent command set aside"), "one line says it: %s", &logged.text)
				require.Equal(t, 1, next.Stats().Pending)
				next.Stop()

				definition, chain := c.mended(t)
				last := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{definition}, Upcasters: chain})
				<-time.After(time.Minute)
				synctest.Wait()
				require.Len(t, struck(last), 2)
				require.Equal(t, "old", struck(last)[1])
				require.Empty(t, last.Parked())
				require.Zero(t, last.Stats().Pending)
				require.Equal(t, actors.Health{Part: "sends"}, healthOf(t, last, "sends"))
			})
		})
	}
}

// Retry has what is set aside tried once more, and cancelling takes it away.
func TestUnreadableTimerIsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		first := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells1()}})
		chime(t, first, Chime{Names: []string{"old", "older"}})
		first.Crash()
		first.Stop()
		next := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells2()}})
		<-time.After(time.Minute)
		synctest.Wait()
		set := len(next.Parked())

		require.True(t, next.Retry("bell", "b") || set == 0)
		<-time.After(time.Minute)
		synctest.Wait()
		require.Len(t, next.Parked(), set)

		chime(t, next, Chime{Names: []string{"old", "older"}, After: time.Second}) // under the same keys
		<-time.After(time.Minute)
		synctest.Wait()
		require.Empty(t, next.Parked())
		require.Zero(t, next.Stats().Pending)
	})
}

// An upcaster that drops a command says that nothing is to come of it.
func TestDroppedTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		first := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells1()}})
		chime(t, first, Chime{Names: []string{"old"}, After: time.Minute})
		first.Stop()
		next := actorstest.StartWith(t, actors.Config{
			Journal: journal, Aggregates: []actors.Definition{bells2()}, Upcasters: chainOf(t, upcast.Drop("test.strike")),
		})
		<-time.After(2 * time.Minute)
		synctest.Wait()

		require.Empty(t, struck(next))
		require.Empty(t, next.Parked())
		require.Zero(t, next.Stats().Pending)
	})
}

// What one aggregate has sent to another stays in its order: the second waits behind
// the first that cannot be read, and what goes elsewhere does not.
func TestUnreadableSendHoldsUpItsLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		all := []actors.Definition{bells1()}
		first := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: all})
		chime(t, first, Chime{Told: []string{"1", "2"}}) // nobody hosts lists
		<-time.After(time.Minute)
		first.Stop()
		deaf := actors.Define("list", actors.Handle(GetOf, (*list).get))
		next := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells1(), deaf}, GiveUpAfter: 10 * time.Minute})
		chime(t, next, Chime{Names: []string{"own"}})
		<-time.After(30 * time.Minute)

		require.Equal(t, []string{"own"}, struck(next))
		require.Len(t, next.Parked(), 1)
		require.Empty(t, stored(t, journal, "l"))
		next.Stop()
		last := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells1(), lists()}})
		<-time.After(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"1", "2"}, stored(t, journal, "l"))
		require.Empty(t, last.Parked())
	})
}

// During a rolling deploy the program of yesterday sets aside what it would read in
// part, and the one of tomorrow does it.
func TestRollingDeployOfTimers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		yesterday := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells1()}})
		tomorrow := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells5()}})
		chime(t, tomorrow, Chime{Names: []string{"a"}, After: time.Minute})
		chime(t, yesterday, Chime{Names: []string{"b"}, After: time.Minute}) // it holds the timer a too
		<-time.After(5 * time.Minute)
		synctest.Wait()

		require.ElementsMatch(t, []string{"aloud", "b"}, struck(tomorrow))
		require.Zero(t, tomorrow.Stats().Pending)
	})
}

// What another program has done meanwhile is not shown as set aside any more.
func TestSetAsideIsDoneElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		tomorrow := actors.Config{Journal: journal, Aggregates: []actors.Definition{bells5()}}
		first := actorstest.StartWith(t, tomorrow)
		chime(t, first, Chime{Names: []string{"a"}, After: time.Minute})
		chime(t, first, Chime{Names: []string{"far"}, After: 24 * time.Hour})
		first.Stop()
		yesterday := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells1()}})
		<-time.After(5 * time.Minute)
		synctest.Wait()
		require.Len(t, yesterday.Parked(), 1)

		second := actorstest.StartWith(t, tomorrow)
		<-time.After(5 * time.Minute)
		synctest.Wait()

		require.Equal(t, []string{"aloud"}, struck(second))
		require.Empty(t, yesterday.Parked())
		require.Equal(t, persistence.Green, healthOf(t, yesterday, "sends").Level)
	})
}

// The outcome of a command reaches the sender, also when its stored name has changed
// between the command and its outcome.
func TestOutcomeUnderAnotherName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		putAgain := actors.NewCommand[put2, Seen]("list")
		tell := actors.Result(PutInto, func(*clock, *actors.Tx, Seen, error) error { return errRejected })
		first := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(tell), lists()}})
		_, err := TellClock.Ask(t.Context(), first, "a", Tell{List: "l", Put: Put{Tag: "x"}})
		require.NoError(t, err)
		<-time.After(time.Minute)
		first.Stop()
		require.Equal(t, []string{"x"}, stored(t, journal, "l"), "it is done, and the outcome not handled")

		var heard []string
		result := actors.Result(putAgain, func(_ *clock, tx *actors.Tx, reply Seen, err error) error {
			heard = append(heard, reply.Tags...)
			return err
		})
		renamed := actors.Define("list", actors.Handle(putAgain, func(*list, *actors.Tx, put2) (Seen, error) { panic("it was done") }), actors.On((*list).kept))
		next := actorstest.StartWith(t, actors.Config{
			Journal: journal, Aggregates: []actors.Definition{clocks(result), renamed}, Upcasters: chainOf(t, upcast.Rename("test.put", "test.put2")),
		})
		<-time.After(time.Minute)
		synctest.Wait()

		require.Equal(t, []string{"x"}, heard)
		require.Empty(t, next.Parked())
		require.Zero(t, next.Stats().Pending)
	})
}

type put2 Put

func (put2) MessageName() string { return "test.put2" }

// A command for a kind that nobody hosts is no secret: a line after half a minute, and
// one when it is given up, however many there are.
func TestUndeliveredIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logged := new(lines)
		system := actorstest.StartWith(t, actors.Config{Logger: logged.logger(), Aggregates: []actors.Definition{bells1()}, GiveUpAfter: 10 * time.Minute})
		chime(t, system, Chime{Told: []string{"1", "2", "3"}})
		<-time.After(25 * time.Second)
		require.Zero(t, logged.count("level=WARN"))
		<-time.After(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, 1, logged.count("sent command not delivered yet"))
		require.Equal(t, persistence.Yellow, healthOf(t, system, "sends").Level)
		<-time.After(30 * time.Minute)
		synctest.Wait()

		require.Equal(t, 1, logged.count("sent command given up"))
		require.Equal(t, 2, logged.count("level=WARN"), "%s", &logged.text)
		require.Zero(t, system.Stats().Pending)
	})
}

// A command in the log that cannot be decoded any more does not hide those behind it.
func TestLogOfUnreadableCommands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, journal, logging := t.Context(), new(memory.Journal), actors.LogCommands[bell](actors.Contents)
		first := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{
			bells(func(s string) strike1 { return strike1{s} }, func(c strike1) string { return c.Name }, logging),
		}})
		chime(t, first, Chime{Names: []string{"old"}})
		<-time.After(time.Minute)
		chime(t, first, Chime{})
		<-time.After(time.Minute)
		first.Stop()
		next, err := actors.Open(ctx, actors.Config{Journal: journal, Aggregates: []actors.Definition{
			bells(func(string) strike4 { return strike4{} }, func(strike4) string { return "" }, logging),
		}})
		require.NoError(t, err)

		var contents []any
		var problems []error
		for command, err := range next.Commands(ctx, "bell", persistence.ReadOptions{}) {
			require.NoError(t, err)
			contents, problems = append(contents, command.Content), append(problems, command.ContentErr)
		}

		// What was sent may be logged before what has sent it.
		require.ElementsMatch(t, []any{Chime{Names: []string{"old"}}, nil, Chime{}}, contents)
		for i, content := range contents {
			if content == nil {
				require.ErrorIs(t, problems[i], persistence.ErrCorrupt)
			} else {
				require.NoError(t, problems[i])
			}
		}
		require.NoError(t, next.Close(ctx))
	})
}

type (
	rated1 struct{ Stars int }
	rated2 struct{ Points int } // under the same stored name
)

func (rated1) MessageName() string { return "test.rated" }
func (rated2) MessageName() string { return "test.rated" }

// raters is a kind that answers with R, and sends to itself and to others of its kind.
func raters[R any](of func() R, heard func(R, error)) *actors.Aggregate[bell] {
	rate := actors.NewCommand[Ring, R]("rater")
	return actors.Define("rater",
		actors.Handle(rate, func(_ *bell, tx *actors.Tx, c Ring) (R, error) {
			tx.Raise(Struck(c))
			return of(), nil
		}),
		actors.Handle(actors.NewCommand[Chime, Heard]("rater"), func(_ *bell, tx *actors.Tx, _ Chime) (Heard, error) {
			rate.Send(tx, "other", Ring{"x"})
			return Heard{}, nil
		}),
		actors.Result(rate, func(_ *bell, _ *actors.Tx, reply R, err error) error { heard(reply, err); return err }),
		actors.On(func(*bell, Struck) {}))
}

// A reply of another form is neither made up nor lost: whoever repeats the command hears
// that it is done, and an outcome waits for a program that can read it.
func TestRepliesOfAnotherForm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, journal, broken := t.Context(), new(memory.Journal), errors.New("not now")
		rate1, rate2 := actors.NewCommand[Ring, rated1]("rater"), actors.NewCommand[Ring, rated2]("rater")
		one := func() rated1 { return rated1{5} }
		first := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{raters(one, func(rated1, error) { panic("not now") })}})
		_, err := rate1.Ask(ctx, first, "a", Ring{"x"}, actors.Once("k"))
		require.NoError(t, err)
		_, err = actors.NewCommand[Chime, Heard]("rater").Ask(ctx, first, "a", Chime{})
		require.NoError(t, err)
		<-time.After(time.Minute)
		first.Stop()

		var heard []string
		note := func(reply rated2, err error) { heard = append(heard, fmt.Sprint(reply, err)) }
		two := func() rated2 { panic(broken) }
		next := actorstest.StartWith(t, actors.Config{
			Journal: journal, Aggregates: []actors.Definition{raters(two, note)}, GiveUpAfter: 10 * time.Minute,
		})
		_, err = rate2.Ask(ctx, next, "a", Ring{"x"}, actors.Once("k"))
		require.ErrorIs(t, err, persistence.ErrDone)
		<-time.After(30 * time.Minute)
		synctest.Wait()
		require.Empty(t, heard)
		require.Len(t, next.Parked(), 1)
		next.Stop()

		last := actorstest.StartWith(t, actors.Config{
			Journal: journal, Aggregates: []actors.Definition{raters(two, note)}, Upcasters: chainOf(t, upcast.Upcaster{From: "test.rated", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
				return []upcast.Raw{raw.As("test.rated", bytes.ReplaceAll(raw.Payload, []byte("Stars"), []byte("Points")))}, nil
			}}),
		})
		reply, err := rate2.Ask(ctx, last, "a", Ring{"x"}, actors.Once("k"))
		require.NoError(t, err)
		require.Equal(t, rated2{5}, reply)
		<-time.After(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"{5} <nil>"}, heard)
		require.Empty(t, last.Parked())
	})
}

// What is open is found in the streams, whatever was done and cancelled around it.
func TestCheckOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, journal := t.Context(), new(memory.Journal)
		check := func(definition actors.Definition, upcasters ...upcast.Upcaster) error {
			unreadable, err := actors.CheckOpen(ctx, journal, chainOf(t, upcasters...), definition)
			require.NoError(t, err)
			return unreadable
		}
		require.NoError(t, check(bells2()))
		system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells1()}})
		chime(t, system, Chime{Names: []string{"done"}, After: time.Second})
		chime(t, system, Chime{Names: []string{"open", "replaced"}, After: time.Hour, Told: []string{"elsewhere"}})
		chime(t, system, Chime{Names: []string{"replaced"}, After: time.Minute})
		<-time.After(2 * time.Minute)

		require.NoError(t, check(bells1()))
		require.ErrorContains(t, check(bells2()), "test.strike, which bell-b has sent to bell-b: kind bell has no Handle for test.strike")
		require.ErrorContains(t, check(bells3()), `unknown field "Name"`)
		require.NoError(t, check(bells2(), upcast.Rename("test.strike", "test.stroke")))
		require.NoError(t, check(bells2(), upcast.Drop("test.strike")))
		require.NoError(t, check(lists()), "it sends nothing")

		<-time.After(time.Hour)
		synctest.Wait()
		require.NoError(t, check(bells2()), "all are done")
		left, leave := context.WithCancel(ctx)
		leave()
		_, err := actors.CheckOpen(left, journal, nil, bells2())
		require.Error(t, err)
	})
}
