package actors_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
)

// At every version, position and time the state is what the events up to there come
// to, wherever snapshots stand.
func TestLongStateAt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			definition := lists(every(rapid.SampledFrom([]int{1, 3, 7, 1000}).Draw(rt, "every")), asTags())
			system := actorstest.Start(t, definition)
			type moment struct {
				version  persistence.Version
				position persistence.Position
				at       time.Time
			}
			moments := []moment{}
			for i := range rapid.IntRange(1, 40).Draw(rt, "commands") {
				var receipt actors.Receipt
				_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: fmt.Sprint(i), Events: rapid.IntRange(1, 3).Draw(rt, "events")}, actors.ReceiptTo(&receipt))
				require.NoError(t, err)
				moments = append(moments, moment{receipt.Version, receipt.Position, time.Now()})
				putTags(t, system, "other", "x")
				<-time.After(time.Second)
			}
			synctest.Wait()
			want := []string{}
			for recorded, err := range system.Journal().Read(t.Context(), "list-a", persistence.ReadOptions{}) {
				require.NoError(t, err)
				event, err := actorsDecode(definition, recorded)
				require.NoError(t, err)
				want = append(want, event.Tag)
			}
			check := func(count persistence.Version, options actors.StateOptions) {
				state, version, err := definition.StateAt(t.Context(), system.Journal(), "a", options)
				require.NoError(t, err)
				require.Equal(t, count, version)
				require.Equal(t, want[:count], append([]string{}, state.tags...))
			}
			for version := range want {
				check(persistence.Version(version+1), actors.StateOptions{UntilVersion: persistence.Version(version + 1)})
			}
			for _, m := range moments {
				check(m.version, actors.StateOptions{Until: m.position})
				check(m.version, actors.StateOptions{Until: persistence.Position{Offset: m.position.Offset + 1}})
				check(m.version, actors.StateOptions{UntilTime: m.at})
				check(m.version, actors.StateOptions{UntilTime: m.at.Add(time.Second - 1)})
			}
			check(persistence.Version(len(want)), actors.StateOptions{})
			check(0, actors.StateOptions{UntilTime: moments[0].at.Add(-1)})
			check(1, actors.StateOptions{UntilVersion: 1, UntilTime: time.Now(), Until: moments[0].position})
			require.Equal(t, 2, system.Stats().Active, "nobody was woken")
		})
	})
}

// actorsDecode is the event of a list.
func actorsDecode(of actors.Definition, recorded persistence.Recorded) (event Kept, err error) {
	for _, t := range actors.Events(of)["list"] {
		if t.Name() == recorded.Type {
			message, err := t.Decode(recorded.Payload)
			kept, _ := message.(Kept)
			return kept, err
		}
	}
	return event, fmt.Errorf("no type %s", recorded.Type)
}

// A snapshot that is not newer spares what came before it; a newer one is of no use.
func TestStateAtUsesSnapshots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		definition := lists(every(10), asTags())
		system := actorstest.Start(t, definition)
		for i := range 25 {
			putTags(t, system, "a", fmt.Sprint(i))
		}
		<-time.After(time.Second)
		require.EqualValues(t, 2, system.Stats().Snapshots)
		// What lies before the last one can no longer be read.
		_, err := system.Journal().Truncate(t.Context(), "list-a", 20)
		require.NoError(t, err)

		state, version, err := definition.StateAt(t.Context(), system.Journal(), "a", actors.StateOptions{UntilVersion: 22})
		require.NoError(t, err)
		require.EqualValues(t, 22, version)
		require.Len(t, state.tags, 22)
		state.tags[0] = "the caller's" // which may change it
		state, _, err = definition.StateAt(t.Context(), system.Journal(), "a", actors.StateOptions{UntilVersion: 20})
		require.NoError(t, err)
		require.Equal(t, "0", state.tags[0])
		_, _, err = definition.StateAt(t.Context(), system.Journal(), "a", actors.StateOptions{UntilVersion: 19})
		require.ErrorIs(t, err, persistence.ErrTruncated)
	})
}

// One that is not of this program, or not of this stream, is passed over.
func TestStateAtWithoutSnapshots(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		load func(*persistence.Snapshot) error
		read int64
	}{
		"as it is":      {func(*persistence.Snapshot) error { return nil }, 1 + 5},
		"other stream":  {func(s *persistence.Snapshot) error { s.EventID[0]++; return nil }, 1 + 25},
		"other program": {func(s *persistence.Snapshot) error { s.Fingerprint = "?"; return nil }, 25},
		"damaged":       {func(s *persistence.Snapshot) error { s.State = []byte("?"); return nil }, 25},
		"away":          {func(*persistence.Snapshot) error { return &persistence.UnavailableError{Reason: "away"} }, 25},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				definition, journal := lists(every(10), asTags()), &shelf{Journal: new(memory.Journal), load: c.load}
				system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{definition}})
				for i := range 25 {
					putTags(t, system, "a", fmt.Sprint(i))
				}
				synctest.Wait()
				journal.read.Store(0)

				state, version, err := definition.StateAt(t.Context(), journal, "a", actors.StateOptions{})

				require.NoError(t, err)
				require.EqualValues(t, 25, version)
				require.Len(t, state.tags, 25)
				require.Equal(t, c.read, journal.read.Load())
			})
		})
	}
}

func TestStateAtRefusals(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	seed(t, journal, "a", "1", "2")
	seed(t, journal, "short", "1", "2", "3")
	_, err := journal.Truncate(t.Context(), "list-short", 2)
	require.NoError(t, err)
	seed(t, journal, "reborn", "1", "2")
	_, err = journal.Delete(t.Context(), "list-reborn", persistence.Any)
	require.NoError(t, err)
	seed(t, journal, "gone", "1")
	_, err = journal.Delete(t.Context(), "list-gone", persistence.Any)
	require.NoError(t, err)
	between := time.Now()
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	<-time.After(time.Millisecond)
	seed(t, journal, "reborn", "again")
	for id, event := range map[string]persistence.Event{
		"unknown": {Type: "test.unknown"}, "damaged": {Type: "test.kept", Payload: []byte("?")},
	} {
		_, err := journal.Append(t.Context(), persistence.Append{Stream: persistence.StreamID("list-" + id), Expected: persistence.Any, Events: []persistence.Event{foreign("1"), event}})
		require.NoError(t, err)
	}
	for name, c := range map[string]struct {
		id      string
		options actors.StateOptions
		is      persistence.ErrorKind
	}{
		"no stream":                   {"none", actors.StateOptions{}, persistence.ErrStreamNotFound},
		"a deleted stream":            {"gone", actors.StateOptions{UntilVersion: 1}, persistence.ErrStreamNotFound},
		"an id that is none":          {"", actors.StateOptions{}, persistence.ErrInvalid},
		"a version to come":           {"a", actors.StateOptions{UntilVersion: 3}, persistence.ErrInvalid},
		"a position to come":          {"a", actors.StateOptions{Until: persistence.Position{Offset: 1000}}, persistence.ErrInvalid},
		"a position elsewhere":        {"a", actors.StateOptions{Until: persistence.Position{Part: 1, Offset: 1}}, persistence.ErrInvalid},
		"a truncated stream":          {"short", actors.StateOptions{}, persistence.ErrTruncated},
		"an earlier life by version":  {"reborn", actors.StateOptions{UntilVersion: 2}, persistence.ErrTruncated},
		"an earlier life by position": {"reborn", actors.StateOptions{Until: head.Of(0)}, persistence.ErrTruncated},
		"an earlier life by time":     {"reborn", actors.StateOptions{UntilTime: between}, persistence.ErrTruncated},
		"an event without On":         {"unknown", actors.StateOptions{}, persistence.ErrCorrupt},
		"a damaged event":             {"damaged", actors.StateOptions{}, persistence.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, version, err := lists().StateAt(t.Context(), journal, c.id, c.options)
			require.ErrorIs(t, err, c.is)
			require.Nil(t, state)
			require.Zero(t, version)
			require.NotContains(t, err.Error(), "?")
		})
	}

	for id, want := range map[string]string{"unknown": "1", "reborn": "again"} {
		options := actors.StateOptions{UntilVersion: 1}
		if id == "reborn" {
			options.UntilVersion = 4 // behind the tombstone
		}
		state, version, err := lists().StateAt(t.Context(), journal, id, options)
		require.NoError(t, err, "what is wrong comes later")
		require.Equal(t, options.UntilVersion, version)
		require.Equal(t, []string{want}, state.tags)
	}
	_, _, err = actors.Define[list]("list").StateAt(t.Context(), journal, "a", actors.StateOptions{})
	require.ErrorContains(t, err, "handles no command")
}

// Old events are read as those of today, and a version counts what is stored.
func TestStateAtUpcasts(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Upcaster{From: "old", To: []string{"test.kept"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
		return []upcast.Raw{raw.As("test.kept", []byte(`{"Tag":"x"}`)), raw.As("test.kept", []byte(`{"Tag":"y"}`))}, nil
	}})
	require.NoError(t, err)
	journal := new(memory.Journal)
	_, err = journal.Append(t.Context(), persistence.Append{Stream: "list-a", Events: []persistence.Event{foreign("1"), {Type: "old"}, foreign("3")}})
	require.NoError(t, err)

	state, version, err := lists().StateAt(t.Context(), journal, "a", actors.StateOptions{UntilVersion: 2, Upcasters: chain})

	require.NoError(t, err)
	require.EqualValues(t, 2, version)
	require.Equal(t, "1 x y", strings.Join(state.tags, " "))
}

// A long history needs no more memory than a page of it.
func TestStateAtIsBounded(t *testing.T) { //nolint:paralleltest // it measures the heap of all
	const events = 20_000
	journal := new(memory.Journal)
	padded := foreign(strings.Repeat("x", 1000))
	for range events / 100 {
		batch := make([]persistence.Event, 100)
		for i := range batch {
			batch[i] = padded
		}
		outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "count-a", Expected: persistence.Any, Events: batch})
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
	}
	type count struct{ n, most uint64 }
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	counts := actors.Define("count",
		actors.Handle(actors.NewCommand[Get, Seen]("count"), func(*count, *actors.Tx, Get) (Seen, error) { return Seen{}, nil }),
		actors.On(func(c *count, _ Kept) {
			if c.n++; c.n%5000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				c.most = max(c.most, now.HeapAlloc)
			}
		}))

	state, version, err := counts.StateAt(t.Context(), journal, "a", actors.StateOptions{})

	require.NoError(t, err)
	require.EqualValues(t, events, version)
	require.EqualValues(t, events, state.n)
	require.Less(t, state.most, before.HeapAlloc+8<<20, "of 20 MB of events")
}
