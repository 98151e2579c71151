package actors_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
)

// A command that is asked again under its key has one effect and the first reply,
// whatever has happened in between.
func TestOnce(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(t *testing.T, system *actors.System) *actors.System{
		"at once": func(_ *testing.T, system *actors.System) *actors.System { return system },
		"after other commands": func(t *testing.T, system *actors.System) *actors.System {
			for i := range 300 {
				_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)}, actors.Once(fmt.Sprint("other ", i)))
				require.NoError(t, err)
			}
			return system
		},
		"after passivation": func(t *testing.T, system *actors.System) *actors.System {
			require.True(t, system.Passivate("list", "a"))
			return system
		},
		"after a restart": func(t *testing.T, system *actors.System) *actors.System {
			journal := system.Journal()
			shut(t, system)
			return open(t, actors.Config{Journal: journal})
		},
		"on another system": func(t *testing.T, system *actors.System) *actors.System {
			return open(t, actors.Config{Journal: system.Journal()})
		},
		"after a handler that panicked": func(t *testing.T, system *actors.System) *actors.System {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Do: panicsLate})
			require.ErrorIs(t, err, persistence.ErrRejected)
			return system
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := open(t, actors.Config{})
			var first, second actors.Receipt
			want, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x", Events: 2}, actors.Once("key"), actors.ReceiptTo(&first))
			require.NoError(t, err)
			require.False(t, first.Repeated)
			system = between(t, system)
			before := stored(t, system.Journal(), "a")

			seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x", Events: 2}, actors.Once("key"), actors.ReceiptTo(&second))

			require.NoError(t, err)
			require.Equal(t, want, seen)
			first.Repeated, first.Events = true, 0
			require.Equal(t, first, second)
			require.Equal(t, before, stored(t, system.Journal(), "a"))
		})
	}
}

// A key belongs to one command of one aggregate.
func TestOnceIsNotConfused(t *testing.T) {
	t.Parallel()
	system := open(t, actors.Config{})
	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Once("key"))
	require.NoError(t, err)

	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "y"}, actors.Once("key"))
	require.Equal(t, persistence.ErrEventIDReused, failure(t, err).Kind)
	require.Equal(t, "other-command", failure(t, err).Reason)
	_, err = GetOf.Ask(t.Context(), system, "a", Get{}, actors.Once("key"))
	require.Equal(t, persistence.ErrEventIDReused, failure(t, err).Kind)
	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "z"}, actors.Once("key2"))
	require.NoError(t, err)
	_, err = PutInto.Ask(t.Context(), system, "b", Put{Tag: "y"}, actors.Once("key"))
	require.NoError(t, err)

	require.Equal(t, []string{"x", "z"}, stored(t, system.Journal(), "a"))
	require.Equal(t, []string{"y"}, stored(t, system.Journal(), "b"))
}

func TestOnceChecksTheKey(t *testing.T) {
	t.Parallel()
	system := open(t, actors.Config{})
	for name, options := range map[string][]actors.AskOption{
		"empty":              {actors.Once("")},
		"too long":           {actors.Once(string(make([]byte, 256)))},
		"beside an id":       {actors.Once("a"), actors.Again(persistence.CommandID{1})},
		"the zero id":        {actors.Again(persistence.CommandID{})},
		"an id beside a key": {actors.Again(persistence.CommandID{1}), actors.Once("a")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, options...)

			require.Equal(t, persistence.ErrInvalid, failure(t, err).Kind)
		})
	}
}

// Accepted without an event is accepted too: the reply is that of the first time.
func TestOnceWithoutEvents(t *testing.T) {
	t.Parallel()
	system := open(t, actors.Config{})
	want, err := GetOf.Ask(t.Context(), system, "a", Get{}, actors.Once("key"))
	require.NoError(t, err)
	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
	require.NoError(t, err)
	require.True(t, system.Passivate("list", "a"))

	seen, err := GetOf.Ask(t.Context(), system, "a", Get{}, actors.Once("key"))

	require.NoError(t, err)
	require.Equal(t, want, seen)
	seen, err = GetOf.Ask(t.Context(), system, "a", Get{})
	require.NoError(t, err)
	require.Equal(t, Seen{Tags: []string{"x"}, Version: 2}, seen, "the system's event counts as a version")
}

// A rejection is not remembered: the same command may succeed later. What was
// accepted stays so, although it would be rejected by then.
func TestOnceAndRejections(t *testing.T) {
	t.Parallel()
	limit := errors.New("full")
	var most atomic.Int64
	full := actors.Define("list", actors.Handle(PutInto, func(l *list, tx *actors.Tx, c Put) (Seen, error) {
		if len(l.tags) >= int(most.Load()) {
			return Seen{}, limit
		}
		return l.put(tx, c)
	}), actors.On((*list).kept))
	system := open(t, actors.Config{Aggregates: []actors.Definition{full}})
	once := func() (Seen, error) {
		return PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Once("key"))
	}

	_, err := once()
	require.Equal(t, limit, err)
	most.Store(1)
	first, err := once()
	require.NoError(t, err)
	second, err := once()
	require.NoError(t, err)

	require.Equal(t, first, second)
	require.Equal(t, []string{"x"}, stored(t, system.Journal(), "a"))
}

// Whoever repeats a command while it is on its way gets its outcome, whatever that
// is.
func TestOnceWhileUnderWay(t *testing.T) {
	t.Parallel()
	down := &persistence.UnavailableError{Reason: "down"}
	for name, c := range map[string]struct {
		fault faultjournal.Fault
		kind  persistence.ErrorKind
		then  []string
	}{
		"committed": {then: []string{"x"}},
		"refused":   {fault: faultjournal.Fault{Before: down}, kind: persistence.ErrUnavailable, then: []string{"x"}},
		"lost":      {fault: faultjournal.Fault{Lost: true}, kind: persistence.ErrUnknownOutcome, then: []string{"x"}},
		"overtaken": {fault: faultjournal.Fault{Foreign: []persistence.Event{foreign("theirs")}}, then: []string{"theirs", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c.fault.Delay = time.Second
				journal := faulty(t, faultjournal.Config{Append: func(_ *persistence.Append, n int) faultjournal.Fault {
					if n == 1 {
						return c.fault
					}
					return faultjournal.Fault{}
				}})
				system := open(t, actors.Config{Journal: journal})

				first := put(t.Context(), system, "a", Put{Tag: "x"}, actors.Once("key"))
				synctest.Wait()
				second := put(t.Context(), system, "a", Put{Tag: "x"}, actors.Once("key"))
				for _, got := range []answer{<-first, <-second} {
					if c.kind == "" {
						require.NoError(t, got.err)
						require.Equal(t, c.then, got.Tags)
					} else {
						require.Equal(t, c.kind, failure(t, got.err).Kind)
					}
				}

				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Once("key"))
				require.NoError(t, err)
				require.Equal(t, c.then, seen.Tags)
				require.Equal(t, c.then, stored(t, journal, "a"))
			})
		})
	}
}

// An outcome that was not known becomes known by the id in the error, on the same
// system and on another.
func TestAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faultjournal.Fault{
		"committed":         {Lost: true},
		"committed later":   {Zombie: time.Minute},
		"committed shortly": {Zombie: time.Nanosecond},
	} {
		for where, elsewhere := range map[string]bool{"here": false, "elsewhere": true} {
			t.Run(name+", "+where, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					journal := faulty(t, faultjournal.Config{Append: func(_ *persistence.Append, n int) faultjournal.Fault {
						if n == 3 {
							return fault
						}
						return faultjournal.Fault{}
					}})
					system := open(t, actors.Config{Journal: journal})
					for i := range 2 {
						_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)})
						require.NoError(t, err)
					}
					_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
					lost := failure(t, err)
					require.Equal(t, persistence.ErrUnknownOutcome, lost.Kind)
					if elsewhere {
						system = open(t, actors.Config{Journal: journal})
					}

					for range 2 {
						seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Again(lost.Command))
						require.NoError(t, err)
						require.Equal(t, Seen{Tags: []string{"0", "1", "x"}, Version: 3}, seen)
						time.Sleep(time.Hour)
					}

					require.Equal(t, []string{"0", "1", "x"}, stored(t, journal, "a"))
					_, err = GetOf.Ask(t.Context(), system, "a", Get{}, actors.Again(lost.Command))
					require.Equal(t, persistence.ErrEventIDReused, failure(t, err).Kind)
				})
			})
		}
	}
}

// Asking again for a command that is still on its way, or asking for it twice at
// the same time, does it once.
func TestAgainWhileUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := faulty(t, faultjournal.Config{
			Append: func(*persistence.Append, int) faultjournal.Fault { return faultjournal.Fault{Delay: 3 * time.Second} },
			Read: func(persistence.StreamID, int) faultjournal.ReadFault {
				return faultjournal.ReadFault{Delay: time.Second}
			},
		})
		system := open(t, actors.Config{Journal: journal})
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
		require.NoError(t, err)
		left, leave := context.WithTimeout(t.Context(), time.Second/2)
		defer leave()
		_, err = PutInto.Ask(left, system, "a", Put{Tag: "y"})
		lost := failure(t, err)
		require.Equal(t, persistence.ErrUnknownOutcome, lost.Kind)

		never := persistence.CommandID(persistence.NewEventID())
		var answers []<-chan answer
		for range 3 {
			answers = append(answers, put(t.Context(), system, "a", Put{Tag: "y"}, actors.Again(lost.Command)))
			answers = append(answers, put(t.Context(), system, "a", Put{Tag: "z"}, actors.Again(never)))
		}
		for i, want := range [][]string{{"x", "y"}, {"x", "y", "z"}, {"x", "y"}, {"x", "y", "z"}, {"x", "y"}, {"x", "y", "z"}} {
			got := <-answers[i]
			require.NoError(t, got.err)
			require.Equal(t, want, got.Tags)
		}

		require.Equal(t, []string{"x", "y", "z"}, stored(t, journal, "a"))
	})
}

// A commit that comes between the search and the decision is found in the end.
func TestAgainWhileItCommits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		under := new(memory.Journal)
		seed(t, under, "a", "0")
		slow := faulty(t, faultjournal.Config{Journal: under, Append: func(*persistence.Append, int) faultjournal.Fault {
			return faultjournal.Fault{Zombie: 2 * time.Second}
		}})
		fast := faulty(t, faultjournal.Config{
			Journal: under,
			Append:  func(*persistence.Append, int) faultjournal.Fault { return faultjournal.Fault{Delay: 2 * time.Second} },
			Read: func(persistence.StreamID, int) faultjournal.ReadFault {
				return faultjournal.ReadFault{Delay: time.Second / 2}
			},
		})
		_, err := PutInto.Ask(t.Context(), open(t, actors.Config{Journal: slow}), "a", Put{Tag: "x"})
		lost := failure(t, err)
		require.Equal(t, persistence.ErrUnknownOutcome, lost.Kind)

		system := open(t, actors.Config{Journal: fast})
		seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Again(lost.Command))

		require.NoError(t, err)
		require.Equal(t, []string{"0", "x"}, seen.Tags)
		require.EqualValues(t, 1, system.Stats().Conflicts)
		require.Equal(t, []string{"0", "x"}, stored(t, under, "a"))
	})
}

// An id that was made by a clock far ahead says nothing of when its command was asked:
// the command is looked for as if its id had no time.
func TestAgainOutlivesAWrongClock(t *testing.T) {
	t.Parallel()
	for name, class := range map[string]func(id persistence.CommandID) actors.AskOption{
		"again": actors.Again,
		"sent": func(id persistence.CommandID) actors.AskOption {
			return actors.Sent(id, time.Now().Add(8*24*time.Hour))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := new(memory.Journal)
				id := persistence.CommandID(persistence.NewEventID())
				binary.BigEndian.PutUint64(id[:8], uint64(time.Now().Add(8*24*time.Hour).UnixMilli())<<16|7<<12)
				system := open(t, actors.Config{Journal: journal, RememberMax: 1})
				_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, class(id))
				require.NoError(t, err)
				for i := range 3 {
					<-time.After(time.Hour)
					_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "y", Events: 999}, actors.Once(fmt.Sprint(i)))
					require.NoError(t, err)
				}
				system = open(t, actors.Config{Journal: journal, RememberMax: 1})

				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, class(id))

				require.NoError(t, err)
				require.Equal(t, 1, seen.Version, "it was not done again")
				require.Equal(t, 1+3*999, len(stored(t, journal, "a"))) //nolint:testifylint // the events would be printed
			})
		})
	}
}

// A command that is too far back to be looked for is not decided a second time.
func TestAgainTooFarBack(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal})
	id := persistence.CommandID(persistence.NewEventID())
	for range 11 {
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x", Events: 999})
		require.NoError(t, err)
	}

	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "y"}, actors.Again(id))

	failed := failure(t, err)
	require.Equal(t, persistence.ErrUnknownOutcome, failed.Kind)
	require.Equal(t, "too-far-back", failed.Reason)
}

// Replies beyond the bounds: a command whose reply must be kept fails before
// anything is stored; another is done, and says so when it is asked again.
func TestLargeReplies(t *testing.T) {
	t.Parallel()
	wide := actors.Define("list", actors.Handle(PutInto, func(l *list, tx *actors.Tx, c Put) (Seen, error) {
		seen, err := l.put(tx, c)
		seen.Tags = append(seen.Tags, string(slices.Repeat([]byte("x"), c.Pad)))
		return seen, err
	}), actors.On((*list).kept))
	system := open(t, actors.Config{Aggregates: []actors.Definition{wide}})

	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x", Pad: 60_000}, actors.Once("key"))
	require.Equal(t, persistence.ErrInvalid, failure(t, err).Kind)
	require.Empty(t, stored(t, system.Journal(), "a"))
	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x", Pad: 40_000}, actors.Once("key"))
	require.NoError(t, err)
	var receipt actors.Receipt
	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "y", Pad: 2000}, actors.ReceiptTo(&receipt))
	require.NoError(t, err)

	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "y", Pad: 2000}, actors.Again(receipt.Command))

	require.Equal(t, persistence.ErrDone, failure(t, err).Kind)
	require.Equal(t, "reply-not-kept", failure(t, err).Reason)
	require.Equal(t, []string{"x", "y"}, stored(t, system.Journal(), "a"))
}

// What is remembered is bounded by number and by age.
func TestForgetting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := open(t, actors.Config{RememberMax: 40, RememberFor: time.Hour})
		once := func(i int) {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)}, actors.Once(fmt.Sprint(i)))
			require.NoError(t, err)
		}
		count := func() int { return len(stored(t, system.Journal(), "a")) }
		for i := range 100 {
			once(i)
		}

		for i := range 40 {
			once(60 + i)
		}
		require.Equal(t, 100, count())
		once(59)
		require.Equal(t, 101, count())
		require.True(t, system.Passivate("list", "a"))
		once(99)
		once(59)
		require.Equal(t, 101, count())
		once(60)
		require.Equal(t, 102, count())
	})
}

// What is old is forgotten when many commands say so.
func TestForgettingByAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := open(t, actors.Config{RememberFor: time.Hour})
		once := func(i int) {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)}, actors.Once(fmt.Sprint(i)))
			require.NoError(t, err)
		}
		count := func() int { return len(stored(t, system.Journal(), "a")) }
		for i := range 40 {
			once(i)
		}
		<-time.After(2 * time.Hour)
		once(40)
		once(0)
		require.Equal(t, 41, count(), "one command alone says nothing")
		for i := range 60 {
			once(41 + i)
		}
		require.Equal(t, 101, count())

		once(0)
		require.Equal(t, 102, count())
		require.True(t, system.Passivate("list", "a"))
		once(0)
		once(50)
		require.Equal(t, 102, count())
	})
}

// The outcome of a sent command stands, a rejection too: also when the state would
// accept it later, also when it was forgotten meanwhile.
func TestSent(t *testing.T) {
	t.Parallel()
	for name, deed := range map[string]deed{"rejected": reject, "rejected after raising": rejectLate, "accepted": well} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refuse atomic.Bool
			refuse.Store(deed != well)
			turncoats := actors.Define("list", actors.Handle(PutInto, func(l *list, tx *actors.Tx, c Put) (Seen, error) {
				if c.Tag == "x" && refuse.Load() {
					c.Do = deed
				}
				return l.put(tx, c)
			}), actors.On((*list).kept), actors.Rejects[list]("no", errRejected))
			journal := new(memory.Journal)
			config := actors.Config{Journal: journal, Aggregates: []actors.Definition{turncoats}, RememberMax: 2}
			system := open(t, config)
			id, born := persistence.CommandID{7: 1}, time.Now()
			check := func() {
				seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Sent(id, born))
				if deed == well {
					require.NoError(t, err)
					require.Equal(t, []string{"x"}, seen.Tags)
					return
				}
				require.ErrorIs(t, err, errRejected)
				require.Equal(t, "no", err.Error())
			}

			check()
			refuse.Store(!refuse.Load())
			check()
			require.True(t, system.Passivate("list", "a"))
			check()
			for i := range 5 {
				_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)}, actors.Once(fmt.Sprint(i)))
				require.NoError(t, err)
			}
			check()
			system = open(t, config)
			check()

			want := []string{"0", "1", "2", "3", "4"}
			if deed == well {
				want = append([]string{"x"}, want...)
			}
			require.Equal(t, want, stored(t, journal, "a"))
		})
	}
}

// Two systems on one journal are asked the same commands by callers who repeat
// them until they know: each has one effect and one reply.
func TestOnceUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				under := new(memory.Journal)
				var systems [2]*actors.System
				for i := range systems {
					random := faultjournal.Random(2*seed+uint64(i), faultjournal.Rates{Before: 0.1, Lost: 0.1, Zombie: 0.1, Delay: time.Second})
					journal := faulty(t, faultjournal.Config{Journal: under, Append: random})
					systems[i] = open(t, actors.Config{Journal: journal, RememberMax: 500})
				}
				var replies sync.Map
				var callers sync.WaitGroup
				for caller := range 6 {
					callers.Go(func() {
						for i := range 30 {
							key := fmt.Sprint((caller/2)*100 + i) // every key is two callers'
							seen := until(t, systems[(caller+i)%2], key)
							if first, known := replies.LoadOrStore(key, seen); known {
								require.Equal(t, first, seen)
							}
						}
					})
				}
				callers.Wait()

				time.Sleep(time.Hour) // zombies rise
				tags := stored(t, under, "a")
				slices.Sort(tags)
				require.Len(t, tags, 90)
				require.Len(t, slices.Compact(tags), 90)
			})
		})
	}
}

// until asks a command until its outcome is known.
func until(t *testing.T, system *actors.System, key string) Seen {
	for range 1000 {
		seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: key}, actors.Once(key))
		switch persistence.ErrorKindOf(err) {
		case persistence.ErrConflict, persistence.ErrUnavailable, persistence.ErrUnknownOutcome, persistence.ErrOverloaded:
			if err != nil {
				time.Sleep(time.Second)
				continue
			}
		}
		require.NoError(t, err)
		return seen
	}
	t.Error("no outcome")
	return Seen{}
}

// The clock of the server was wrong for one command: those before and after are known
// again all the same.
func TestOnceOutlivesAWrongClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"ahead": 8 * 24 * time.Hour, "behind": -8 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var off time.Duration
				journal := memory.New(memory.Config{Now: func() time.Time { return time.Now().Add(off) }})
				system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{lists()}})
				first := map[string]Seen{}
				ask := func(key string) {
					seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: key}, actors.Once(key))
					require.NoError(t, err)
					if before, known := first[key]; known {
						require.Equal(t, before, seen)
					}
					first[key] = seen
				}
				ask("order-77")
				off = wrong
				ask("other")
				off = 0
				ask("third")
				for range 2 {
					system.Restart()
					for _, key := range []string{"order-77", "other", "third"} {
						ask(key)
					}
				}
				require.Len(t, stored(t, journal, "a"), 3)
			})
		})
	}
}

// A key stays that of its command when the command has another name or another form: the
// honest retry, by a program of after the change, gets the first reply.
func TestOnceUnderAnotherName(t *testing.T) {
	t.Parallel()
	rename := upcast.Rename("test.strike", "test.stroke")
	first := open(t, actors.Config{Aggregates: []actors.Definition{bells1()}})
	var receipt actors.Receipt
	_, err := actors.NewCommand[strike1, Heard]("bell").Ask(t.Context(), first, "b", strike1{"old"}, actors.Once("key"), actors.ReceiptTo(&receipt))
	require.NoError(t, err)
	journal := first.Journal()
	shut(t, first)
	again := func(ctx context.Context, system *actors.System, option actors.AskOption) error {
		var got actors.Receipt
		_, err := actors.NewCommand[strike2, Heard]("bell").Ask(ctx, system, "b", strike2{"old"}, option, actors.ReceiptTo(&got))
		if err == nil && !got.Repeated {
			return errors.New("it was done twice")
		}
		return err
	}
	for name, c := range map[string]struct {
		upcasters []upcast.Upcaster
		kind      persistence.ErrorKind
	}{
		"renamed":           {upcasters: []upcast.Upcaster{rename}},
		"renamed twice":     {upcasters: []upcast.Upcaster{upcast.Rename("test.strike", "test.knock"), upcast.Rename("test.knock", "test.stroke")}},
		"mapped":            {upcasters: []upcast.Upcaster{upcast.Map(func(c strike1) (strike2, error) { return strike2(c), nil })}},
		"by no upcaster":    {kind: persistence.ErrUnknownOutcome},
		"by another's":      {upcasters: []upcast.Upcaster{upcast.Rename("test.other", "test.stroke")}, kind: persistence.ErrUnknownOutcome},
		"to something else": {upcasters: []upcast.Upcaster{upcast.Rename("test.strike", "test.chime")}, kind: persistence.ErrEventIDReused},
		"to nothing":        {upcasters: []upcast.Upcaster{upcast.Drop("test.strike")}, kind: persistence.ErrEventIDReused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells2()}, Upcasters: chainOf(t, c.upcasters...)})

			for _, option := range []actors.AskOption{actors.Once("key"), actors.Again(receipt.Command)} {
				err := again(t.Context(), system, option)
				if c.kind == "" {
					require.NoError(t, err)
				} else {
					require.Equal(t, c.kind, failure(t, err).Kind)
				}
			}
			info, err := journal.Stream(t.Context(), "bell-b")
			require.NoError(t, err)
			require.EqualValues(t, 1, info.Version)
		})
	}
}

// In a rolling deploy a key may come to a program of before the change, which does not know
// the name under which the command was done. Whether it is the same command is not known
// there, so it is neither done again nor called another's; the newer program knows.
func TestOnceInAProgramThatDoesNotKnowTheName(t *testing.T) {
	t.Parallel()
	rename := upcast.Rename("test.strike", "test.stroke")
	newer := open(t, actors.Config{Aggregates: []actors.Definition{bells2()}, Upcasters: chainOf(t, rename)})
	strike, stroke := actors.NewCommand[strike1, Heard]("bell"), actors.NewCommand[strike2, Heard]("bell")
	reply, err := stroke.Ask(t.Context(), newer, "b", strike2{"x"}, actors.Once("key"))
	require.NoError(t, err)
	older := open(t, actors.Config{Journal: newer.Journal(), Aggregates: []actors.Definition{bells1()}})

	_, err = strike.Ask(t.Context(), older, "b", strike1{"x"}, actors.Once("key"))

	failed := failure(t, err)
	require.Equal(t, persistence.ErrUnknownOutcome, failed.Kind)
	require.Equal(t, actors.ReasonUnknownCommand, failed.Reason)
	require.ErrorContains(t, err, "test.stroke")
	again, err := stroke.Ask(t.Context(), newer, "b", strike2{"x"}, actors.Once("key"))
	require.NoError(t, err)
	require.Equal(t, reply, again)
	info, err := newer.Journal().Stream(t.Context(), "bell-b")
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Version)
}

// Of a command whose type looks different today only the name is compared: what is
// encoded differently may be the same.
func TestOnceComparesContentOfOneForm(t *testing.T) {
	t.Parallel()
	first := open(t, actors.Config{Aggregates: []actors.Definition{bells1()}})
	old := actors.NewCommand[strike1, Heard]("bell")
	_, err := old.Ask(t.Context(), first, "b", strike1{"old"}, actors.Once("key"))
	require.NoError(t, err)
	_, err = old.Ask(t.Context(), first, "b", strike1{"another"}, actors.Once("key"))
	require.Equal(t, persistence.ErrEventIDReused, failure(t, err).Kind)
	journal := first.Journal()
	shut(t, first)
	system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bells5()}})

	for _, name := range []string{"old", "another"} {
		var receipt actors.Receipt
		_, err = actors.NewCommand[strike5, Heard]("bell").Ask(t.Context(), system, "b", strike5{Name: name}, actors.Once("key"), actors.ReceiptTo(&receipt))

		require.NoError(t, err)
		require.True(t, receipt.Repeated)
	}
}
