package actors_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
)

// A full mailbox refuses at once, and what it has taken is handled.
func TestFullMailbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal, openGate := gated(t)
		system := open(t, actors.Config{Journal: journal, Mailbox: 10})
		answers := tenQueued(t, system)
		began := time.Now()

		for range 3 {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "more"})
			require.ErrorIs(t, err, persistence.ErrOverloaded)
			require.Equal(t, "mailbox-full", failure(t, err).Reason)
		}
		_, err := PutInto.Ask(t.Context(), system, "b", Put{Tag: "x"})
		require.NoError(t, err, "the mailbox of another")
		require.Zero(t, time.Since(began))
		openGate()

		for i, answered := range answers {
			require.Len(t, (<-answered).Tags, i+1)
		}
		seen, err := GetOf.Ask(t.Context(), system, "a", Get{})
		require.NoError(t, err)
		require.Len(t, seen.Tags, 10)
	})
}

func TestMaxInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal, openGate := gated(t)
		system := open(t, actors.Config{Journal: journal, MaxInFlight: 10})
		answers := tenQueued(t, system)

		_, err := PutInto.Ask(t.Context(), system, "b", Put{Tag: "more"})
		require.ErrorIs(t, err, persistence.ErrOverloaded)
		require.Equal(t, "too-many-in-flight", failure(t, err).Reason)
		require.Equal(t, 10, system.Stats().InFlight)
		openGate()

		for _, answered := range answers {
			require.NoError(t, (<-answered).err)
		}
		require.Zero(t, system.Stats().InFlight)
		_, err = PutInto.Ask(t.Context(), system, "b", Put{Tag: "x"})
		require.NoError(t, err)
	})
}

// More aggregates want to be read than may queue for it: those are refused at
// once, the others served.
func TestRecoveryQueueFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		journal := faulty(t, faultjournal.Config{Read: func(persistence.StreamID, int) faultjournal.ReadFault {
			return faultjournal.ReadFault{Until: gate}
		}})
		system := open(t, actors.Config{Journal: journal, Recoveries: 1, AskTimeout: time.Hour})
		const more = 100
		var served, refused atomic.Int64
		for i := range actors.MaxRecoveryQueue + more {
			go func() { // ends with the answer
				_, err := PutInto.Ask(t.Context(), system, fmt.Sprint(i), Put{Tag: "x"})
				if failed, ok := errors.AsType[*persistence.Error](err); ok && failed.Reason == "recoveries-full" {
					refused.Add(1)
				} else if err == nil {
					served.Add(1)
				}
			}()
		}
		synctest.Wait()
		require.Positive(t, refused.Load(), "at once")
		require.LessOrEqual(t, refused.Load(), int64(more))
		close(gate)
		synctest.Wait()

		require.EqualValues(t, actors.MaxRecoveryQueue+more, served.Load()+refused.Load())
		time.Sleep(time.Second)
		for i := range actors.MaxRecoveryQueue + more { // those refused are asked again
			_, err := GetOf.Ask(t.Context(), system, fmt.Sprint(i), Get{})
			require.NoError(t, err)
		}
	})
}

// An aggregate decides ahead of the journal up to a bound and no further.
func TestDepth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		Put
		reads bool
		more  []actors.Part[list]
		want  int
	}{
		"commands":        {want: actors.MaxDepthCalls},
		"reads":           {reads: true, want: actors.MaxDepthCalls},
		"events":          {Put: Put{Events: 100}, want: actors.MaxDepthEvents / 100},
		"events, uneven":  {Put: Put{Events: 300}, want: 4},
		"bytes":           {Put: Put{Pad: 300 << 10}, want: 4},
		"strict":          {more: []actors.Part[list]{actors.Strict[list]()}, want: 1},
		"strict, several": {Put: Put{Events: 5}, more: []actors.Part[list]{actors.Strict[list]()}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				journal := faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
					return faultjournal.Fault{Until: gate}
				}})
				var decided atomic.Int64
				read := actors.NewCommand[Look, Seen]("list")
				system := open(t, actors.Config{Journal: journal, AskTimeout: time.Hour, Aggregates: []actors.Definition{watched(
					func(*actors.Tx, Put) { decided.Add(1) },
					append(c.more, actors.Handle(read, func(l *list, tx *actors.Tx, _ Look) (Seen, error) {
						decided.Add(1)
						return l.get(tx, Get{})
					}))...,
				)}})
				var answers []<-chan answer
				asked := c.want + 20
				for i := range asked {
					if c.reads && i > 0 {
						answered := make(chan answer, 1)
						go func() { // ends with the answer
							seen, err := read.Ask(t.Context(), system, "a", Look{})
							answered <- answer{Seen: seen, err: err}
						}()
						answers = append(answers, answered)
						continue
					}
					answers = append(answers, put(t.Context(), system, "a", c.Put))
					if i == 0 {
						synctest.Wait()
					}
				}
				synctest.Wait()
				require.EqualValues(t, c.want, decided.Load())

				close(gate)

				for _, answered := range answers {
					require.NoError(t, (<-answered).err)
				}
				require.EqualValues(t, asked, decided.Load())
			})
		})
	}
}

// Look is another reading command.
type Look struct{}

func (Look) MessageName() string { return "test.look" }

// One slow stream makes nobody wait but its own callers.
func TestSlowStream(t *testing.T) {
	t.Parallel()
	for name, hide := range map[string]bool{"submitter": false, "own queue": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				slow := faulty(t, faultjournal.Config{Append: func(a *persistence.Append, _ int) faultjournal.Fault {
					if a.Stream == "list-slow" {
						return faultjournal.Fault{Delay: 500 * time.Millisecond}
					}
					return faultjournal.Fault{}
				}})
				journal := persistence.Journal(slow)
				if hide {
					journal = plain{slow}
				}
				system := open(t, actors.Config{Journal: journal})
				began := time.Now()
				late := put(t.Context(), system, "slow", Put{Tag: "x"})
				if hide {
					// A journal that cannot submit takes one batch at a time: what is to be
					// shown is that the actors do not wait on top of that.
					require.Equal(t, 500*time.Millisecond, (<-late).at.Sub(began))
					began = time.Now()
				} else {
					synctest.Wait()
				}
				for i := range 100 {
					_, err := PutInto.Ask(t.Context(), system, fmt.Sprint(i%10), Put{Tag: "x"})
					require.NoError(t, err)
				}
				require.Zero(t, time.Since(began))
				if !hide {
					require.Equal(t, 500*time.Millisecond, (<-late).at.Sub(began))
				}
			})
		})
	}
}

// On a journal that takes 5 ms, 64 aggregates with one caller each reach 200
// commands a second each: no actor waits for another one's commit.
func TestManyOnSlowJournal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const aggregates, seconds = 64, 1
		journal := faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
			return faultjournal.Fault{Delay: 5 * time.Millisecond}
		}})
		system := open(t, actors.Config{Journal: journal})
		ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
		defer cancel()
		var done atomic.Int64
		for i := range aggregates {
			go func() { // ends with ctx
				for ctx.Err() == nil {
					if _, err := PutInto.Ask(ctx, system, fmt.Sprint(i), Put{Tag: "x"}); err == nil {
						done.Add(1)
					}
				}
			}()
		}
		<-ctx.Done()
		synctest.Wait()

		require.GreaterOrEqual(t, float64(done.Load()), 0.9*aggregates*200*seconds)
	})
}

// One hot aggregate does as much: it decides ahead, and the journal stores what
// has come together.
func TestHotOnSlowJournal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := faulty(t, faultjournal.Config{Append: func(*persistence.Append, int) faultjournal.Fault {
			return faultjournal.Fault{Delay: 5 * time.Millisecond}
		}})
		system := open(t, actors.Config{Journal: plain{slow}}) // the own queue joins appends
		const callers, each = 128, 10
		began := time.Now()
		var done atomic.Int64
		for range callers {
			go func() { // ends with its commands
				for range each {
					if _, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}); err == nil {
						done.Add(1)
					}
				}
			}()
		}
		for done.Load() < callers*each {
			time.Sleep(time.Millisecond)
		}

		require.Less(t, time.Since(began), 2*each*5*time.Millisecond+10*time.Millisecond, "%d commits would take %s", callers*each, callers*each*5*time.Millisecond)
	})
}
