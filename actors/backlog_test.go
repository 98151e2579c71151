package actors_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// counting counts the events that are read of streams.
type counting struct {
	*memory.Journal
	events atomic.Int64
}

func (c *counting) Unwrap() persistence.Journal { return c.Journal }

func (c *counting) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		for recorded, err := range c.Journal.Read(ctx, stream, options) {
			c.events.Add(1)
			if !yield(recorded, err) {
				return
			}
		}
	}
}

// toldTo is the event of a clock that has sent a Put to a list.
func toldTo(t *testing.T, list, tag string) persistence.Event {
	t.Helper()
	due := time.Now().UnixMicro()
	sent := &stelev1.Sent{Kind: "list", Id: list, Command: "test.put", Payload: []byte(`{"Tag":"` + tag + `"}`), Due: due}
	payload, err := proto.Marshal(&stelev1.Sends{Sent: []*stelev1.Sent{sent}, Open: 1, Next: due})
	require.NoError(t, err)
	return persistence.Event{Type: "$stele.sent", Payload: payload}
}

// keptBy is the event of a list that a command has raised.
func keptBy(t *testing.T, id persistence.CommandID, tag string) persistence.Event {
	t.Helper()
	headers, err := proto.Marshal(&stelev1.Headers{CommandId: id[:], Command: "test.put", Digest: make([]byte, 16)})
	require.NoError(t, err)
	return persistence.Event{Type: "test.kept", Payload: []byte(`{"Tag":"` + tag + `"}`), Headers: headers}
}

// What a crash has left open is looked for in the streams of those it was sent to. That
// reads each of these streams once more and not once for each command.
func TestBacklogIsLookedForInOnePass(t *testing.T) {
	t.Parallel()
	const senders, past = 600, 5000
	for name, parts := range map[string][]actors.Part[list]{"without snapshots": nil, "with snapshots": {every(100), asTags()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := &counting{Journal: new(memory.Journal)}
				for i := range senders {
					store(t, journal, persistence.StreamID(fmt.Sprint("clock-", i)), toldTo(t, "l", fmt.Sprint(i)))
				}
				done := map[string]int{}
				for i := range past {
					id, tag := persistence.CommandID(persistence.NewEventID()), "past"
					if i%10 == 0 { // some were done, and their senders have not heard of it
						tag = fmt.Sprint(i / 10)
						id = actors.SentID(persistence.StreamID("clock-"+tag), 1, 0)
						done[tag]++
					}
					store(t, journal, "list-l", keptBy(t, id, tag))
				}
				system := actorstest.StartWith(t, actors.Config{
					Journal: journal, Aggregates: []actors.Definition{clocks(actors.Result(PutInto, hearTold)), lists(parts...)},
				})

				<-time.After(2 * time.Minute)
				synctest.Wait()

				require.Zero(t, system.Stats().Pending)
				tags := map[string]int{}
				for _, event := range system.Events("list-l") {
					tags[event.(Kept).Tag]++ //nolint:forcetypeassert // it raises nothing else
				}
				for i := range senders {
					require.Equal(t, 1, tags[fmt.Sprint(i)], i)
					require.Len(t, heard(system, fmt.Sprint(i)), 1, i)
				}
				stored := int64(past + senders)
				require.Less(t, journal.events.Load(), 3*stored+4*senders)
			})
		})
	}
}

// Callers who all ask again have the stream read once for all of them.
func TestAskingAgainReadsOnce(t *testing.T) {
	t.Parallel()
	const callers, past = 500, 9000
	for name, full := range map[string]bool{"with room": false, "without room for all": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := &counting{Journal: new(memory.Journal)}
				ids := make([]persistence.CommandID, callers)
				for i := range ids {
					ids[i] = persistence.CommandID(persistence.NewEventID())
				}
				for i := range past {
					id := persistence.CommandID(persistence.NewEventID())
					if i < callers && i%2 == 0 {
						id = ids[i]
					}
					store(t, journal, "list-a", keptBy(t, id, ""))
				}
				system := open(t, actors.Config{Journal: journal})
				_, err := GetOf.Ask(t.Context(), system, "a", Get{})
				require.NoError(t, err)
				if full {
					system.FillHistories()
				}
				before := journal.events.Load()

				var group sync.WaitGroup
				errs := make([]error, callers)
				for i, id := range ids {
					group.Go(func() {
						_, errs[i] = PutInto.Ask(t.Context(), system, "a", Put{Tag: "new"}, actors.Again(id))
					})
				}
				group.Wait()
				require.NoError(t, errors.Join(errs...))

				require.Less(t, journal.events.Load()-before, int64(4*past))
				tags := stored(t, journal, "a")
				require.Len(t, tags, past+callers/2)
				require.Equal(t, slices.Repeat([]string{"new"}, callers/2), tags[past:])
			})
		})
	}
}

// What was held of the stream is given back when nobody has asked for a minute, and
// when the aggregate leaves memory.
func TestHistoryIsGivenBack(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*testing.T, *actors.System){
		"after a minute": func(t *testing.T, system *actors.System) {
			t.Helper()
			<-time.After(61 * time.Second)
			<-put(t.Context(), system, "a", Put{Tag: "later"})
		},
		"with the aggregate": func(t *testing.T, system *actors.System) {
			t.Helper()
			require.True(t, system.Passivate("list", "a"))
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				system := open(t, actors.Config{Journal: new(memory.Journal)})
				<-put(t.Context(), system, "a", Put{Tag: "x"})
				<-put(t.Context(), system, "a", Put{Tag: "y"}, actors.Again(persistence.CommandID(persistence.NewEventID())))
				<-put(t.Context(), system, "a", Put{Tag: "z"})
				require.Equal(t, 3, system.Histories())

				leave(t, system)

				require.Zero(t, system.Histories())
			})
		})
	}
}

// A timer that an aggregate has set for itself needs no search: what it has open says
// whether it has rung.
func TestOwnTimersAreNotLookedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &counting{Journal: new(memory.Journal)}
		config := actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}, RememberMax: 1}
		system := actorstest.StartWith(t, config)
		arm(t, system, "a", Arm{Name: "x", Delay: time.Hour})
		for i := range 50 {
			_, err := ArmClock.Ask(t.Context(), system, "a", Arm{Raise: true}, actors.Once(fmt.Sprint(i)))
			require.NoError(t, err)
		}
		system.Stop()
		<-time.After(2 * time.Hour)
		system.Restart()
		before := journal.events.Load()
		<-time.After(time.Minute)
		synctest.Wait()

		require.LessOrEqual(t, journal.events.Load()-before, int64(60))
		require.Zero(t, system.Stats().Pending)
		require.Equal(t, "x", heard(system, "a")[50])
	})
}

// What was truncated may hold the command that is looked for, so nobody can say that it
// was not done.
func TestTruncatedCommandIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	journal, born := new(memory.Journal), time.Now()
	config := actors.Config{Journal: journal, RememberMax: 1, Aggregates: []actors.Definition{lists(every(5), asTags())}}
	system := open(t, config)
	sent := persistence.CommandID{7: 1}
	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Sent(sent, born))
	require.NoError(t, err)
	for i := range 20 {
		<-put(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)}, actors.Once(fmt.Sprint(i)))
	}
	require.NoError(t, system.Close(t.Context()))
	_, err = journal.Truncate(t.Context(), "list-a", 10)
	require.NoError(t, err)
	system = open(t, config)

	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Sent(sent, born))

	require.Equal(t, persistence.ErrUnknownOutcome, failure(t, err).Kind)
	seen, err := GetOf.Ask(t.Context(), system, "a", Get{})
	require.NoError(t, err)
	require.Len(t, seen.Tags, 21)
}

// blinking is a journal that cannot be read backward, once.
type blinking struct {
	persistence.Journal
	blinked atomic.Bool
}

func (b *blinking) Unwrap() persistence.Journal { return b.Journal }

func (b *blinking) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	if options.Backward && b.blinked.CompareAndSwap(false, true) {
		return func(yield func(persistence.Recorded, error) bool) {
			yield(persistence.Recorded{}, &persistence.UnavailableError{Reason: "away"})
		}
	}
	return b.Journal.Read(ctx, stream, options)
}

// A search that has failed knows nothing, also when it goes on with what others have
// stored since.
func TestSearchThatFailedKnowsNothing(t *testing.T) {
	t.Parallel()
	under, born := new(memory.Journal), time.Now()
	system := open(t, actors.Config{Journal: &blinking{Journal: under}, RememberMax: 1})
	other := open(t, actors.Config{Journal: under, RememberMax: 1})
	sent := persistence.CommandID{7: 1}
	_, err := PutInto.Ask(t.Context(), other, "a", Put{Tag: "x"}, actors.Sent(sent, born))
	require.NoError(t, err)
	for i := range 5 {
		<-put(t.Context(), other, "a", Put{}, actors.Once(fmt.Sprint(i)))
	}
	_, err = GetOf.Ask(t.Context(), system, "a", Get{})
	require.NoError(t, err)
	_, err = PutInto.Ask(t.Context(), system, "a", Put{}, actors.Sent(persistence.CommandID{7: 2}, born))
	require.Equal(t, persistence.ErrUnavailable, failure(t, err).Kind)
	<-put(t.Context(), other, "a", Put{Tag: "o"}, actors.Once("o"))
	<-put(t.Context(), system, "a", Put{Tag: "p"}) // in conflict, and read again

	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Sent(sent, born))

	require.NoError(t, err)
	require.Equal(t, []string{"x", "", "", "", "", "", "o", "p"}, stored(t, under, "a"))
}
