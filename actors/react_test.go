package actors_test

import (
	"errors"
	"fmt"
	"strings"
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
	"github.com/stele-es/stele/persistence/upcast"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// The domain of these tests: a mirror copies the tags that lists get, those of the
// form "id/…". What a test wants to go wrong it does in look.
type (
	mirror struct{ Tags []string }
	Copied struct {
		Tag, From string
	}
)

func (Copied) MessageName() string { return "test.copied" }

func mirrors(look func(tx *actors.Tx, tag string) error, more ...actors.Part[mirror]) *actors.Aggregate[mirror] {
	return actors.Define("mirror", append([]actors.Part[mirror]{
		actors.React(mirrorOf, func(m *mirror, tx *actors.Tx, e actors.Event[Kept]) error {
			if look != nil {
				if err := look(tx, e.Data.Tag); err != nil {
					return err
				}
			}
			tx.Raise(Copied{Tag: e.Data.Tag, From: fmt.Sprintf("%s@%d", e.Stream, e.Version)})
			return nil
		}),
		actors.On(func(m *mirror, e Copied) { m.Tags = append(m.Tags, e.Tag) }),
	}, more...)...)
}

func mirrorOf(e actors.Event[Kept]) string {
	id, _, found := strings.Cut(e.Data.Tag, "/")
	if !found {
		return ""
	}
	return id
}

func putTags(t *testing.T, system actors.Asker, list string, tags ...string) {
	t.Helper()
	for _, tag := range tags {
		_, err := PutInto.Ask(t.Context(), system, list, Put{Tag: tag})
		require.NoError(t, err)
	}
}

// copied are the tags in a mirror.
func copied(system *actorstest.System, id string) string {
	var tags []string
	for _, event := range system.Events(persistence.StreamID("mirror-" + id)) {
		tags = append(tags, event.(Copied).Tag) //nolint:forcetypeassert // it raises nothing else
	}
	return strings.Join(tags, " ")
}

func TestReact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, lists(), mirrors(nil))

		putTags(t, system, "l", "a/1", "nobody's", "b/1", "a/2")
		putTags(t, system, "m", "a/3")
		<-time.After(time.Second)
		system.Restart()
		putTags(t, system, "l", "b/2")
		<-time.After(time.Second)

		require.Equal(t, "a/1 a/2 a/3", copied(system, "a"))
		require.Equal(t, "b/1 b/2", copied(system, "b"))
		require.Equal(t, Copied{Tag: "a/2", From: "list-l@4"}, system.Events("mirror-a")[1])
	})
}

// The event is the cause of what comes of it, under an id that says so.
func TestReactionHasOrigin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		var ids []persistence.CommandID
		aggregates := []actors.Definition{lists(), mirrors(func(tx *actors.Tx, _ string) error {
			ids = append(ids, tx.CommandID)
			return nil
		})}
		system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: aggregates})
		putTags(t, system, "l", "a/1", "a/2")
		<-time.After(time.Second)

		causes, recorded := headersOf(t, journal, "l")
		require.Len(t, ids, 2)
		for reaction, err := range journal.Read(t.Context(), "mirror-a", persistence.ReadOptions{}) {
			require.NoError(t, err)
			var about stelev1.Headers
			require.NoError(t, proto.Unmarshal(reaction.Headers, &about))
			i := reaction.Version - 1
			require.Equal(t, recorded[i].ID[:], about.GetCausationId())
			require.Equal(t, causes[i].GetCorrelationId(), about.GetCorrelationId())
			require.Equal(t, "test.kept", about.GetCommand())
			require.Equal(t, ids[i][:], about.GetCommandId())
			require.Equal(t, recorded[i].Position.Offset, about.GetReacted().GetOffset())
		}
	})
}

// The process dies when the reaction is stored and nobody knows that yet, or before.
func TestReactionOverCrashes(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]actorstest.Fault{
		"before it is stored":        {Delay: 10 * time.Second},
		"stored and not known to be": {Lost: true},
		"stored later":               {Zombie: time.Minute},
		"stored twice":               {Twice: time.Minute},
		"known, and not noted":       {},
	} {
		for snapshots, more := range map[string][]actors.Part[mirror]{"": nil, ", with snapshots": {actors.SnapshotEvery[mirror](1)}} {
			t.Run(name+snapshots, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					journal := actorstest.Faulty(new(memory.Journal), func(a *persistence.Append, n int) actorstest.Fault {
						switch {
						case a.Stream == "mirror-a" && n%2 == 1:
							return fault
						case a.Stream == "mirror-b": // so that the page is not done when the process dies
							return actorstest.Fault{Delay: time.Second}
						}
						return actorstest.Fault{}
					})
					system := actorstest.StartWith(t, actors.Config{
						Journal: journal, Aggregates: []actors.Definition{lists(), mirrors(nil, more...)}, Idle: time.Second,
					})
					var want []string
					for i := range 6 {
						tag := fmt.Sprint("a/", i)
						putTags(t, system, "l", tag, fmt.Sprint("b/", i))
						<-time.After(time.Second / 2)
						system.Crash()
						want = append(want, tag)
						<-time.After(3 * time.Second)
					}
					system.Crash()
					<-time.After(10 * time.Minute)

					require.Equal(t, strings.Join(want, " "), copied(system, "a"))
					require.Equal(t, strings.ReplaceAll(strings.Join(want, " "), "a/", "b/"), copied(system, "b"))
					require.NoError(t, journal.Close())
				})
			})
		}
	}
}

// Where it is lost how far everybody has come, the aggregates know it, however long
// ago it was: it does not depend on what else they remember.
func TestReactionIsKnownForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		config := actors.Config{Journal: journal, RememberMax: 1, RememberFor: time.Second, Aggregates: []actors.Definition{
			lists(), mirrors(nil, actors.SnapshotEvery[mirror](10)), // the last one holds all
		}}
		first := actorstest.StartWith(t, config)
		for i := range 30 {
			putTags(t, first, "l", fmt.Sprint("a/", i))
		}
		<-time.After(time.Second)
		before := copied(first, "a")
		require.Len(t, strings.Fields(before), 30)
		first.Stop()
		<-time.After(1000 * time.Hour)

		second := actorstest.StartWith(t, config) // with checkpoints of its own
		putTags(t, second, "l", "a/last")
		<-time.After(time.Minute)

		require.Equal(t, before+" a/last", copied(second, "a"))
	})
}

// An event at which a key goes on failing is set aside with what follows for it, and
// nobody else waits. Mended, all of it is applied in order.
func TestReactionIsSetAside(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(tx *actors.Tx) error{
		"an error":              func(*actors.Tx) error { return errors.New("not now") },
		"an error after events": func(tx *actors.Tx) error { tx.Raise(Copied{}); return errors.New("not now") },
		"a panic":               func(*actors.Tx) error { panic("not now") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var broken atomic.Bool
				broken.Store(true)
				var tries atomic.Int64
				system := actorstest.Start(t, lists(), mirrors(func(tx *actors.Tx, tag string) error {
					if tag == "a/2" && broken.Load() {
						tries.Add(1)
						return fail(tx)
					}
					return nil
				}))
				name := actors.ReactionsOf(mirrors(nil))[0].Name()

				putTags(t, system, "l", "a/1", "a/2", "b/1", "a/3", "b/2")
				<-time.After(time.Minute)
				synctest.Wait()

				require.Equal(t, "a/1", copied(system, "a"))
				require.Equal(t, "b/1 b/2", copied(system, "b"))
				require.EqualValues(t, 4, tries.Load())
				parked, err := system.Reactions().Parked(t.Context(), name, persistence.Position{}, 0)
				require.NoError(t, err)
				require.Len(t, parked, 2)
				require.Equal(t, "a", parked[0].Lane)
				require.NotEmpty(t, parked[0].Cause)
				require.Empty(t, parked[1].Cause, "stands behind it")

				system.Crash() // what was set aside stays
				putTags(t, system, "l", "a/4", "b/3")
				require.NoError(t, system.Reactions().Redrive(t.Context(), name, "a"))
				<-time.After(time.Minute)
				require.Equal(t, "a/1", copied(system, "a"))

				broken.Store(false)
				system.Crash()
				<-time.After(time.Minute)
				require.NoError(t, system.Reactions().Redrive(t.Context(), name, ""))
				<-time.After(time.Minute)
				putTags(t, system, "l", "a/5")
				<-time.After(time.Minute)
				require.Equal(t, "a/1 a/2 a/3 a/4 a/5", copied(system, "a"))
				require.Equal(t, "b/1 b/2 b/3", copied(system, "b"))
				require.Zero(t, system.Stats().InFlight)
			})
		})
	}
}

// Discarding the one that fails lets those behind it go on.
func TestReactionIsDiscarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, lists(), mirrors(func(_ *actors.Tx, tag string) error {
			if tag == "a/1" {
				return errors.New("never")
			}
			return nil
		}))
		name := "reactions-mirror"
		putTags(t, system, "l", "a/1", "a/2", "a/3")
		<-time.After(time.Minute)
		require.Empty(t, copied(system, "a"))

		parked, err := system.Reactions().Parked(t.Context(), name, persistence.Position{}, 0)
		require.NoError(t, err)
		require.NoError(t, system.Reactions().Discard(t.Context(), name, parked[0].Position))
		<-time.After(time.Minute)

		require.Equal(t, "a/2 a/3", copied(system, "a"))
	})
}

// One that was applied late, when others had passed it, is not applied again though
// that was not noted.
func TestLateReactionOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := new(memory.Journal)
		key := func(e actors.Event[Kept]) string { return "all" }
		definition := actors.Define("mirror",
			actors.React(key, func(_ *mirror, tx *actors.Tx, e actors.Event[Kept]) error {
				tx.Raise(Copied{Tag: e.Data.Tag})
				return nil
			}),
			actors.On(func(m *mirror, e Copied) { m.Tags = append(m.Tags, e.Tag) }))
		system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(), definition}})
		putTags(t, system, "l", "1", "2", "3")
		<-time.After(time.Minute)
		require.Equal(t, "1 2 3", copied(system, "all"))
		reactions := actors.ReactionsOf(definition)[0]

		for stored, err := range journal.Read(t.Context(), "list-l", persistence.ReadOptions{}) {
			require.NoError(t, err)
			id, react, err := reactions.Take(system, &stored)
			require.NoError(t, err)
			require.Equal(t, "all", id)
			require.NoError(t, react(t.Context(), true))
			require.NoError(t, react(t.Context(), false))
		}
		require.Equal(t, "1 2 3", copied(system, "all"))

		// One that was never applied is, though it is late.
		seed(t, journal, "m", "4")
		for stored, err := range journal.Read(t.Context(), "list-m", persistence.ReadOptions{}) {
			require.NoError(t, err)
			stored.Position.Offset = 1
			stored.Sub = 1
			_, react, err := reactions.Take(system, &stored)
			require.NoError(t, err)
			require.NoError(t, react(t.Context(), true))
			require.NoError(t, react(t.Context(), true))
		}
		<-time.After(time.Minute)
		require.Equal(t, "1 2 3 4 4", copied(system, "all"), "once late, and once for where it really stands")
	})
}

// A late one that nobody can know is not applied on a guess, and holds up nobody.
func TestLateReactionTooFarBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal, definition := new(memory.Journal), mirrors(nil)
		system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(), definition}})
		for range 101 {
			events := make([]persistence.Event, 100)
			for i := range events {
				events[i] = persistence.Event{Type: "test.copied", Payload: []byte("{}")}
			}
			outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "mirror-a", Expected: persistence.Any, Events: events})
			require.NoError(t, err)
			require.NoError(t, outcomes[0].Err)
		}
		event := persistence.Recorded{Event: foreign("a/1"), Stream: "list-l", Version: 1, Position: persistence.Position{Offset: 1}, At: time.Now()}
		_, react, err := actors.ReactionsOf(definition)[0].Take(system, &event)
		require.NoError(t, err)

		err = react(t.Context(), true)

		require.Equal(t, persistence.ErrRejected, failure(t, err).Kind)
		require.Equal(t, "too-far-back", failure(t, err).Reason)
		require.Len(t, system.Events("mirror-a"), 10_100)
	})
}

// An aggregate that is quarantined is alone in that.
func TestReactionInQuarantine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := actors.NewCommand[Get, Seen]("mirror")
		system := actorstest.Start(t, lists(), mirrors(nil, actors.Handle(broken, func(*mirror, *actors.Tx, Get) (Seen, error) { panic("always") })))
		for range 5 {
			_, err := broken.Ask(t.Context(), system, "a", Get{})
			require.ErrorIs(t, err, persistence.ErrRejected)
		}
		putTags(t, system, "l", "a/1", "b/1")
		<-time.After(5 * time.Second)

		require.Equal(t, "b/1", copied(system, "b"))
		parked, err := system.Reactions().Parked(t.Context(), "reactions-mirror", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Len(t, parked, 1)
		require.Contains(t, parked[0].Cause, "quarantined")
		<-time.After(time.Minute)
		require.NoError(t, system.Reactions().Redrive(t.Context(), "reactions-mirror", ""))
		<-time.After(time.Second)
		require.Equal(t, "a/1", copied(system, "a"))
	})
}

// A journal that is away is no fault of the events.
func TestReactionWaitsForTheJournal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		journal := actorstest.Faulty(new(memory.Journal), func(a *persistence.Append, _ int) actorstest.Fault {
			if away.Load() && a.Stream.Category() == "mirror" {
				return actorstest.Fault{Before: &persistence.UnavailableError{Reason: "away"}}
			}
			return actorstest.Fault{}
		})
		system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(), mirrors(nil)}})
		away.Store(true)
		putTags(t, system, "l", "a/1", "b/1", "a/2")
		<-time.After(10 * time.Minute)
		require.Empty(t, copied(system, "a"))
		away.Store(false)
		<-time.After(10 * time.Second)

		require.Equal(t, "a/1 a/2", copied(system, "a"))
		require.Equal(t, "b/1", copied(system, "b"))
		parked, err := system.Reactions().Parked(t.Context(), "reactions-mirror", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Empty(t, parked)
		system.Stop()
		require.NoError(t, journal.Close())
	})
}

// Many keys and one event to which an old one became several.
func TestReactionsSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain, err := upcast.New(upcast.Upcaster{From: "many", To: []string{"test.kept"}, Upcast: func(raw upcast.Raw) (results []upcast.Raw, err error) {
			for i := range 3 {
				results = append(results, raw.As("test.kept", fmt.Appendf(nil, `{"Tag":"%d/x"}`, i)))
			}
			return append(results, raw.As("test.kept", []byte(`{"Tag":"0/y"}`))), nil
		}})
		require.NoError(t, err)
		var most, now atomic.Int64
		system := actorstest.StartWith(t, actors.Config{
			Upcasters: chain,
			Journal: actorstest.Faulty(new(memory.Journal), func(a *persistence.Append, _ int) actorstest.Fault {
				if a.Stream.Category() == "mirror" {
					return actorstest.Fault{Delay: time.Second}
				}
				return actorstest.Fault{}
			}),
			Aggregates: []actors.Definition{lists(), mirrors(func(*actors.Tx, string) error {
				most.Store(max(most.Load(), now.Add(1)))
				time.AfterFunc(time.Second-1, func() { now.Add(-1) })
				return nil
			})},
		})
		for i := range 400 {
			seed(t, system.Journal(), "l", fmt.Sprint(i, "/z"))
		}
		_, err = system.Journal().Append(t.Context(), persistence.Append{Stream: "old", Expected: persistence.Any, Events: []persistence.Event{{Type: "many"}}})
		require.NoError(t, err)
		<-time.After(time.Minute)
		synctest.Wait()

		require.Equal(t, "0/z 0/x 0/y", copied(system, "0"))
		require.Equal(t, "1/z 1/x", copied(system, "1"))
		for i := 3; i < 400; i++ {
			require.Equal(t, fmt.Sprint(i, "/z"), copied(system, fmt.Sprint(i)))
		}
		require.LessOrEqual(t, most.Load(), int64(256))
		require.Greater(t, most.Load(), int64(100))
		system.Stop()
		require.NoError(t, system.Journal().Close())
	})
}

// What was over when the kind began to react sets off nothing.
func TestReactSince(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, lists(), mirrors(nil, actors.ReactSince[mirror](time.Now().Add(time.Minute))))
		putTags(t, system, "l", "a/1")
		<-time.After(2 * time.Minute)
		putTags(t, system, "l", "a/2")
		<-time.After(time.Second)

		require.Equal(t, "a/2", copied(system, "a"))
	})
}

// An id that no aggregate can have and an event that cannot be read are set aside.
func TestReactionToNonsense(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, lists(), mirrors(nil))
		seed(t, system.Journal(), "l", `\u0001/1`, "a/1")
		_, err := system.Journal().Append(t.Context(), persistence.Append{
			Stream: "list-l", Expected: persistence.Any, Events: []persistence.Event{{Type: "test.kept", Payload: []byte("?")}, foreign("a/2")},
		})
		require.NoError(t, err)
		<-time.After(time.Minute)

		require.Equal(t, "a/1 a/2", copied(system, "a"))
		parked, err := system.Reactions().Parked(t.Context(), "reactions-mirror", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Len(t, parked, 2)
		require.Equal(t, "\x01", parked[0].Lane)
		require.Equal(t, "list-l", parked[1].Lane)
		require.NotContains(t, parked[1].Cause, "?")
	})
}

func TestReactionMistakes(t *testing.T) {
	t.Parallel()
	key := func(actors.Event[nameless]) string { return "" }
	for name, c := range map[string]struct {
		of   actors.Definition
		says string
	}{
		"nobody delivers": {mirrors(nil), "aggregate mirror reacts to events and nobody delivers them: start it with package stele"},
		"twice":           {mirrors(nil, actors.React(mirrorOf, func(*mirror, *actors.Tx, actors.Event[Kept]) error { return nil })), "two reactions to test.kept: remove one React"},
		"no key":          {actors.Define("mirror", actors.React(nil, func(*mirror, *actors.Tx, actors.Event[Kept]) error { return nil })), "the reaction to test.kept lacks its key or its method"},
		"no method":       {actors.Define("mirror", actors.React[mirror](mirrorOf, nil)), "lacks its key or its method"},
		"no name":         {actors.Define("mirror", actors.React(key, func(*mirror, *actors.Tx, actors.Event[nameless]) error { return nil })), "reaction to actors_test.nameless"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := actors.Open(t.Context(), actors.Config{Journal: new(memory.Journal), Aggregates: []actors.Definition{c.of}})
			require.ErrorContains(t, err, c.says)
		})
	}
	require.Empty(t, actors.ReactionsOf(nil, lists(), (*actors.Aggregate[list])(nil)))
}

// Whatever goes wrong, each aggregate reacts to the events that are for it, once and in
// the order in which they happened.
func TestLongSimulatedReactions(t *testing.T) {
	t.Parallel()
	simulation := simulated(10)
	simulation.Aggregates = append(simulation.Aggregates, mirrors(nil, actors.SnapshotEvery[mirror](3)))
	simulation.Run(t, func(t *testing.T, run *actorstest.Run) {
		for caller := range 4 {
			run.Go(func(c *actorstest.Caller) {
				for i := range 15 {
					tag := fmt.Sprintf("%d/%d.%d", i%3, caller, i)
					insist(t, c, func() (Seen, error) {
						return PutInto.Ask(t.Context(), run, fmt.Sprint(caller%2), Put{Tag: tag}, actors.Once(tag))
					})
					c.Pause(3 * time.Second)
				}
			})
		}
		for range 5 {
			run.Pause(20 * time.Second)
			run.Crash()
		}
		run.Settle()

		want, events := map[string][]string{}, 0
		for page, err := range run.Journal().ReadAll(t.Context(), persistence.ReadAllOptions{}) {
			require.NoError(t, err)
			for _, recorded := range page.Events {
				if recorded.Type == "test.kept" {
					event, err := actorsDecode(lists(), recorded)
					require.NoError(t, err)
					id, _, _ := strings.Cut(event.Tag, "/")
					want[id] = append(want[id], event.Tag)
					events++
				}
			}
			if page.AtHead {
				break
			}
		}
		require.Equal(t, 60, events)
		for id, tags := range want {
			require.Equal(t, strings.Join(tags, " "), copied(run.System, id))
		}
		parked, err := run.Reactions().Parked(t.Context(), "reactions-mirror", persistence.Position{}, 0)
		require.NoError(t, err)
		require.Empty(t, parked)
	})
}
