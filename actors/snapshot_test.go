package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// A snapshot of a list keeps its tags, and no memory that the list goes on using.
func saveList(l *list) []string     { return slices.Clone(l.tags) }
func loadList(tags []string) *list  { return &list{tags: tags} }
func asTags() actors.Part[list]     { return actors.SnapshotAs(saveList, loadList) }
func every(n int) actors.Part[list] { return actors.SnapshotEvery[list](n) }

// shelf is a journal that shows what is read and what is kept.
type shelf struct {
	*memory.Journal
	read atomic.Int64 // events of streams
	kept func(persistence.Snapshot) error
	load func(*persistence.Snapshot) error
}

func (s *shelf) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		for recorded, err := range s.Journal.Read(ctx, stream, options) {
			s.read.Add(1)
			if !yield(recorded, err) {
				return
			}
		}
	}
}

func (s *shelf) SaveSnapshot(ctx context.Context, snapshot persistence.Snapshot) error {
	if s.kept != nil {
		if err := s.kept(snapshot); err != nil {
			return err
		}
	}
	return s.Journal.SaveSnapshot(ctx, snapshot)
}

func (s *shelf) LoadSnapshot(ctx context.Context, stream persistence.StreamID) (persistence.Snapshot, bool, error) {
	snapshot, found, err := s.Journal.LoadSnapshot(ctx, stream)
	if found && s.load != nil {
		err = s.load(&snapshot)
	}
	return snapshot, found, err
}

// An aggregate with a long history comes back from its snapshot and the events
// after it.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &shelf{Journal: new(memory.Journal)}
		config := actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(every(100), asTags())}}
		system := open(t, config)
		for i := range 950 {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)}, actors.Once(fmt.Sprint(i)))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.EqualValues(t, 9, system.Stats().Snapshots)
		shut(t, system)
		want := stored(t, journal, "a")
		journal.read.Store(0)

		system = open(t, config)
		seen, err := GetOf.Ask(t.Context(), system, "a", Get{})

		require.NoError(t, err)
		require.Equal(t, Seen{Tags: want, Version: 950}, seen)
		require.EqualValues(t, 51, journal.read.Load())
		seen, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "7"}, actors.Once("7"))
		require.NoError(t, err)
		require.Equal(t, want[:8], seen.Tags, "what was done is remembered too")
		require.Zero(t, system.Stats().SnapshotsIgnored)
	})
}

// A rule of the user's says when.
func TestSnapshotWhen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &shelf{Journal: new(memory.Journal)}
		var versions []persistence.Version
		journal.kept = func(s persistence.Snapshot) error { versions = append(versions, s.Version); return nil }
		when := actors.SnapshotWhen(func(l *list, events int) bool {
			if l.tags[len(l.tags)-1] == "panic" {
				panic("no")
			}
			return l.tags[len(l.tags)-1] == "now" || events >= 5
		})
		system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(when, asTags())}})

		for _, tag := range []string{"a", "now", "b", "panic", "c", "d", "e", "f", "g", "now"} {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: tag})
			require.NoError(t, err)
			synctest.Wait()
		}

		require.Equal(t, []persistence.Version{2, 9, 10}, versions)
	})
}

// state is a list whose state is kept as it is.
type openList struct{ Tags []string }

func (l *openList) put(tx *actors.Tx, c Put) (Seen, error) {
	tx.Raise(Kept{Tag: c.Tag})
	return Seen{Tags: slices.Clone(l.Tags)}, nil
}
func (l *openList) kept(e Kept) { l.Tags = append(l.Tags, e.Tag) }

// Whatever is wrong with a snapshot, the events are read instead, and a better one
// takes its place.
func TestUselessSnapshots(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*persistence.Snapshot) error{
		"garbage":         func(s *persistence.Snapshot) error { s.State = []byte("garbage"); return nil },
		"nothing":         func(s *persistence.Snapshot) error { s.State = nil; return nil },
		"another state":   func(s *persistence.Snapshot) error { s.Fingerprint = "1/0/0"; return nil },
		"another stream":  func(s *persistence.Snapshot) error { s.EventID[3]++; return nil },
		"beyond the end":  func(s *persistence.Snapshot) error { s.Version += 10; return nil },
		"another version": func(s *persistence.Snapshot) error { s.Version--; return nil },
		"null": func(s *persistence.Snapshot) error {
			s.State = body(&stelev1.Snapshot{State: []byte("null")})
			return nil
		},
		"a list": func(s *persistence.Snapshot) error {
			s.State = body(&stelev1.Snapshot{State: []byte("[1]")})
			return nil
		},
		"an id of another size": func(s *persistence.Snapshot) error {
			s.State = body(&stelev1.Snapshot{State: []byte("{}"), Remembered: []byte{1}})
			return nil
		},
		"a journal without them": func(*persistence.Snapshot) error { return errors.New("away") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := &shelf{Journal: new(memory.Journal)}
				definition := actors.Define("list", actors.Handle(PutInto, (*openList).put), actors.On((*openList).kept), actors.SnapshotEvery[openList](3))
				config := actors.Config{Journal: journal, Aggregates: []actors.Definition{definition}}
				put := func(system *actors.System, id string) Seen {
					seen, err := PutInto.Ask(t.Context(), system, id, Put{Tag: "x"}, actors.Once(fmt.Sprint(time.Now())))
					require.NoError(t, err)
					time.Sleep(time.Second)
					return seen
				}
				system := open(t, config)
				for range 4 {
					for i := range 40 { // so many that they are read together
						put(system, fmt.Sprint(i))
					}
				}
				require.EqualValues(t, 40, system.Stats().Snapshots)
				shut(t, system)

				journal.load = spoil
				system = open(t, config)
				answers := make([]<-chan answer, 40)
				for i := range answers {
					answers[i] = putTo(t, system, fmt.Sprint(i))
				}
				for _, answered := range answers {
					got := <-answered
					require.NoError(t, got.err)
					require.Len(t, got.Tags, 5)
				}
				journal.load = nil
				time.Sleep(time.Second)

				require.EqualValues(t, 40, system.Stats().Snapshots, "version 5 is past 3")
				if name != "a journal without them" {
					require.EqualValues(t, 40, system.Stats().SnapshotsIgnored)
				}
				shut(t, system)
				system = open(t, config)
				require.Len(t, put(system, "0").Tags, 6)
				require.Zero(t, system.Stats().SnapshotsIgnored)
			})
		})
	}
}

func putTo(t *testing.T, system *actors.System, id string) <-chan answer {
	t.Helper()
	return put(t.Context(), system, id, Put{Tag: "x"})
}

func body(of *stelev1.Snapshot) []byte {
	data, err := proto.Marshal(of)
	if err != nil {
		panic(err)
	}
	return data
}

// A user's function that panics costs a snapshot and nothing else.
func TestSnapshotFunctionsMayPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		as := actors.SnapshotAs(func(l *list) []string {
			if broken.Load() {
				panic("save")
			}
			return saveList(l)
		}, func(tags []string) *list {
			if broken.Load() {
				panic("load")
			}
			return loadList(tags)
		})
		system := open(t, actors.Config{Aggregates: []actors.Definition{lists(every(1), as)}})
		ask := func() {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
			require.NoError(t, err)
			synctest.Wait()
		}
		ask()
		require.EqualValues(t, 1, system.Stats().Snapshots)
		broken.Store(true)
		ask()
		require.True(t, system.Passivate("list", "a"))
		ask()

		stats := system.Stats()
		require.EqualValues(t, 1, stats.Snapshots)
		require.EqualValues(t, 2, stats.SnapshotsDropped)
		require.EqualValues(t, 1, stats.SnapshotsIgnored)
		require.Zero(t, stats.Panics)
	})
}

// Raising the version of the state, or changing its form, leaves old snapshots
// behind; a program of before finds its own again or replays.
func TestStateVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &shelf{Journal: new(memory.Journal)}
		for i, parts := range [][]actors.Part[list]{
			{every(1), asTags()},
			{every(1), asTags(), actors.StateVersion[list](2)},
			{every(1), actors.SnapshotAs(func(l *list) openList { return openList{slices.Clone(l.tags)} }, func(o openList) *list { return &list{o.Tags} })},
			{every(1), asTags()},
		} {
			system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(parts...)}})
			for range 2 {
				_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i)})
				require.NoError(t, err)
				synctest.Wait()
				require.True(t, system.Passivate("list", "a"))
				synctest.Wait()
			}
			require.EqualValues(t, min(i, 1), system.Stats().SnapshotsIgnored, "definition %d", i)
			require.EqualValues(t, 2, system.Stats().Snapshots)
			shut(t, system)
		}
		require.Equal(t, []string{"0", "0", "1", "1", "2", "2", "3", "3"}, stored(t, journal, "a"))
	})
}

// A snapshot shows the events up to its version and no others, whatever fails
// meanwhile, and state(snapshot + tail) is state(all events).
func TestLongSnapshotsUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(28) {
		n := 1 + int(seed%7)
		synctest.Test(t, func(t *testing.T) {
			under := &shelf{Journal: new(memory.Journal)}
			under.kept = func(s persistence.Snapshot) error {
				var kept stelev1.Snapshot
				var tags []string
				if err := errors.Join(proto.Unmarshal(s.State, &kept), json.Unmarshal(kept.GetState(), &tags)); err != nil {
					t.Error(err)
				}
				want, err := history(context.WithoutCancel(t.Context()), under, "a")
				if err != nil || !slices.Equal(want[:len(tags)], tags) || int(s.Version) < len(tags) {
					t.Errorf("snapshot at version %d holds %v of %v, %v", s.Version, tags, want, err)
				}
				return nil
			}
			journal := faulty(t, faultjournal.Config{Journal: under, Append: faultjournal.Random(seed, faultjournal.Rates{
				Before: 0.05, Lost: 0.05, Foreign: 0.05, Delay: time.Second,
				ForeignEvent: func(persistence.StreamID, int) persistence.Event { return foreign("theirs") },
			})})
			system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{lists(every(n), asTags())}})
			deeds := map[int]deed{10: reject, 20: rejectLate, 30: panicsLate, 40: reject}

			for i := range 60 {
				c := Put{Tag: fmt.Sprint(i), Events: 1 + (int(seed)+i)%3, Do: deeds[i]}
				answered := put(t.Context(), system, "a", c, actors.Once(fmt.Sprint(i)))
				switch {
				case i%11 == 0:
					<-answered
					system.Passivate("list", "a")
				case i%(2+int(seed%9)) == 0:
					<-answered
				}
			}
			time.Sleep(time.Minute)

			replayed := open(t, actors.Config{Journal: under})
			want, err := GetOf.Ask(t.Context(), replayed, "a", Get{})
			require.NoError(t, err)
			fresh := open(t, actors.Config{Journal: under, Aggregates: []actors.Definition{lists(every(n), asTags())}})
			seen, err := GetOf.Ask(t.Context(), fresh, "a", Get{})
			require.NoError(t, err)
			require.Equal(t, want, seen)
			require.Zero(t, fresh.Stats().SnapshotsIgnored)
		})
	}
}

// A snapshot of what was decided ahead is not written before that is stored: another
// writer may be faster, and the snapshot would pass for one of its events.
func TestSnapshotWaitsForItsVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		under := &shelf{Journal: new(memory.Journal)}
		kept := 0
		under.kept = func(snapshot persistence.Snapshot) error {
			var body stelev1.Snapshot
			var tags []string
			require.NoError(t, errors.Join(proto.Unmarshal(snapshot.State, &body), json.Unmarshal(body.GetState(), &tags)))
			require.Equal(t, stored(t, under, "a")[:snapshot.Version], tags)
			kept++
			return nil
		}
		journal := faulty(t, faultjournal.Config{
			Journal: under,
			Append: func(_ *persistence.Append, n int) faultjournal.Fault {
				fault := faultjournal.Fault{Delay: time.Second}
				if n == 2 {
					fault.Foreign = []persistence.Event{foreign("theirs")}
				}
				return fault
			},
			Read: func(_ persistence.StreamID, n int) faultjournal.ReadFault {
				if n == 1 {
					return faultjournal.ReadFault{}
				}
				return faultjournal.ReadFault{Delay: 5 * time.Second}
			},
		})
		system := open(t, actors.Config{Journal: journal, AskTimeout: time.Minute, Aggregates: []actors.Definition{lists(every(1), asTags())}})
		first := put(t.Context(), system, "a", Put{Tag: "x"})
		synctest.Wait()
		second := put(t.Context(), system, "a", Put{Tag: "y"})

		require.NoError(t, (<-first).err)
		require.Equal(t, []string{"x", "theirs", "y"}, (<-second).Tags)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Positive(t, kept)
	})
}

func TestSnapshotMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		part actors.Part[list]
		says string
	}{
		"hidden fields": {every(1), "a snapshot of the state: actors_test.list does not survive being stored: its field tags is unexported"},
		"not positive":  {every(0), "SnapshotEvery(0) is not positive"},
		"negative":      {actors.StateVersion[list](-1), "StateVersion(-1) is negative: begin with 1, and raise it"},
		"no rule":       {actors.SnapshotWhen[list](nil), "SnapshotWhen has a nil rule"},
		"no functions":  {actors.SnapshotAs[list, []string](nil, nil), "SnapshotAs has a nil function"},
		"a channel": {
			func(a *actors.Aggregate[list]) {
				every(1)(a)
				actors.SnapshotAs(func(*list) map[string]chan int { return nil }, func(map[string]chan int) *list { return nil })(a)
			}, "its field [] is a chan, which has no form in JSON",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := actors.Check(actors.Config{Aggregates: []actors.Definition{lists(c.part)}})

			require.ErrorContains(t, err, c.says)
		})
	}
	require.NotPanics(t, func() { actors.Define("list", actors.StateVersion[list](1)) })
}

// The kit sees that a snapshot does not hold the whole state.
func TestKitChecksSnapshots(t *testing.T) {
	t.Parallel()
	given := func(as actors.Part[list]) string {
		return failed(func(t actors.TB) { PutInto.Given(t, lists(every(1), as), Kept{Tag: "a"}).When(Put{Tag: "b"}) })
	}

	require.Empty(t, given(asTags()))
	require.Contains(t, given(actors.SnapshotAs(func(l *list) []string { return l.tags[:1] }, loadList)), "the state does not survive a snapshot")
	require.Contains(t, given(actors.SnapshotAs(func(*list) []string { return []string{"\xff"} }, loadList)), "not valid UTF-8")
	require.Contains(t, given(actors.SnapshotAs(saveList, func([]string) *list { panic("x") })), "decode a snapshot")
}
