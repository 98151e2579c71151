package actors_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
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

// Where the lists of a system of clocks stand, and of which type they are.
var listStream = actors.OpenListOf("clock")

const listType = "$stele.open"

// noise appends events that have nothing to do with what is sent.
func noise(t *testing.T, journal persistence.Journal, count int) {
	t.Helper()
	for ; count > 0; count -= persistence.MaxAppendEvents {
		events := make([]persistence.Event, min(count, persistence.MaxAppendEvents))
		for i := range events {
			events[i].Type = "noise"
		}
		store(t, journal, "noise-1", events...)
	}
}

func store(t *testing.T, journal persistence.Journal, stream persistence.StreamID, events ...persistence.Event) {
	t.Helper()
	outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: stream, Expected: persistence.Any, Events: events})
	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
}

// listed returns the parts of lists that can be read.
func listed(t *testing.T, journal persistence.Journal) (parts []*stelev1.OpenSends) {
	t.Helper()
	info, err := journal.Stream(t.Context(), listStream)
	if err != nil {
		require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		return nil
	}
	for recorded, err := range journal.Read(t.Context(), listStream, persistence.ReadOptions{From: info.First}) {
		require.NoError(t, err)
		part := &stelev1.OpenSends{}
		require.NoError(t, proto.Unmarshal(recorded.Payload, part))
		parts = append(parts, part)
	}
	return parts
}

// scans says from where the first reading of the global sequence begins.
type scans struct {
	persistence.Journal
	mu    sync.Mutex            // protects the rest
	from  persistence.Positions // of the first reading
	begun bool
}

func (s *scans) Unwrap() persistence.Journal { return s.Journal }

// again has the next reading be the first.
func (s *scans) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = false
}

// began is where the first reading began.
func (s *scans) began() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.from.Of(0).Offset
}

func (s *scans) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun, s.from = true, options.After
	}
	return s.Journal.ReadAll(ctx, options)
}

func startOn(t *testing.T, journal persistence.Journal) *actorstest.System {
	t.Helper()
	return actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}})
}

// A start reads on from the last list, and finds what was open at its time, what came
// after it, and not what has ended since.
func TestOpenList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &scans{Journal: new(memory.Journal)}
		system := startOn(t, journal)
		for i := range 5 {
			arm(t, system, fmt.Sprint("early", i), Arm{Name: "x", Delay: time.Hour, Key: "k"})
		}
		noise(t, journal, 99_000)
		<-time.After(time.Minute)
		synctest.Wait()
		require.Empty(t, listed(t, journal), "it does not pay yet")
		noise(t, journal, 1000)
		<-time.After(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, system.Stats().OpenLists)
		arm(t, system, "early1", Arm{Cancel: "k"})
		arm(t, system, "late", Arm{Name: "y", Delay: time.Hour})
		_, err := journal.Delete(t.Context(), "clock-early2", persistence.Any)
		require.NoError(t, err)
		_, err = journal.Delete(t.Context(), "clock-early3", persistence.Any)
		require.NoError(t, err)
		arm(t, system, "early3", Arm{Name: "again", Delay: time.Hour})
		require.Len(t, listed(t, journal), 1)
		require.Len(t, listed(t, journal)[0].GetStreams(), 5)

		journal.again()
		system.Restart()
		<-time.After(2 * time.Hour)
		synctest.Wait()

		require.GreaterOrEqual(t, journal.began(), int64(100_000))
		require.Zero(t, system.Stats().OpenListsIgnored)
		require.Equal(t, []string{"x"}, heard(system, "early0"))
		require.Empty(t, heard(system, "early1"))
		require.Empty(t, heard(system, "early2"))
		require.Equal(t, []string{"again"}, heard(system, "early3"))
		require.Equal(t, []string{"y"}, heard(system, "late"))
		require.Zero(t, system.Stats().Pending)
	})
}

// long is a journal whose list of what is open has several parts, and in which one
// clock rings in an hour.
func long(t *testing.T) *memory.Journal {
	t.Helper()
	journal := new(memory.Journal)
	system := startOn(t, journal)
	arm(t, system, "a", Arm{Name: "x", Delay: time.Hour})
	system.Stop()
	payload, err := proto.Marshal(&stelev1.Sends{Open: 1, Next: time.Now().Add(24 * time.Hour).UnixMicro()})
	require.NoError(t, err)
	for i := range 10_000 {
		store(t, journal, persistence.StreamID(fmt.Sprintf("clock-%s%d", strings.Repeat("x", 190), i)), persistence.Event{Type: "$stele.sent", Payload: payload})
	}
	noise(t, journal, 100_000)
	return journal
}

// A process that dies at any point of writing a list, or is in doubt about it, leaves a
// journal in which the next start finds all that is open.
func TestLongCrashWhileListing(t *testing.T) {
	t.Parallel()
	for step := 1; step <= 4; step++ { // each part of the second list, and truncating the first
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprint("step ", step, ", done ", done), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { crashWhileListing(t, step, done) })
			})
		}
	}
}

func crashWhileListing(t *testing.T, step int, done bool) {
	inner := long(t)
	journal := &dying{Journal: inner, fail: 3 + step, done: done, truncates: step == 4}
	system := startOn(t, journal)
	<-time.After(time.Minute)
	synctest.Wait()
	require.EqualValues(t, 1, system.Stats().OpenLists)
	noise(t, inner, 110_000)
	<-time.After(time.Minute)
	synctest.Wait()
	system.Crash()
	journal.mend()
	<-time.After(time.Minute)
	synctest.Wait()
	require.Zero(t, system.Stats().OpenListsIgnored)
	noise(t, inner, 110_000)
	<-time.After(time.Minute)
	synctest.Wait()
	require.NotZero(t, system.Stats().OpenLists)
	parts := len(listed(t, inner)) // a failure should not print them
	require.Equal(t, 3, parts, "and what was before is given up")

	system.Restart()
	<-time.After(2 * time.Hour)
	synctest.Wait()

	require.Equal(t, []string{"x"}, heard(system, "a"))
	require.Zero(t, system.Stats().OpenListsIgnored)
}

// dying is a journal that fails from some append to the stream of lists on, before it
// is done or after, or when it is to truncate.
type dying struct {
	persistence.Journal
	mu              sync.Mutex // protects the rest
	fail, appends   int
	done, truncates bool
}

func (d *dying) mend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail, d.truncates = 0, false
}

func (d *dying) Unwrap() persistence.Journal { return d.Journal }

func (d *dying) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if appends[0].Stream != listStream || d.fail == 0 {
		return d.Journal.Append(ctx, appends...)
	}
	if d.appends++; d.appends < d.fail {
		return d.Journal.Append(ctx, appends...)
	}
	if d.done && d.appends == d.fail {
		if _, err := d.Journal.Append(ctx, appends...); err != nil {
			return nil, err
		}
	}
	return nil, &persistence.UnavailableError{Reason: "dead"}
}

func (d *dying) Truncate(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.truncates && !d.done {
		return 0, &persistence.UnavailableError{Reason: "dead"}
	}
	first, err := d.Journal.Truncate(ctx, stream, before)
	if d.truncates {
		err = &persistence.UnavailableError{Reason: "dead"}
	}
	return first, err
}

// Two systems write lists to one stream, and never one of parts of both.
func TestTwoList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := long(t)
		systems := []*actorstest.System{startOn(t, dawdling{journal, 30 * time.Millisecond}), startOn(t, dawdling{journal, 20 * time.Millisecond})}
		<-time.After(time.Minute)
		synctest.Wait()
		noise(t, journal, 110_000)
		<-time.After(time.Minute)
		synctest.Wait()
		written := systems[0].Stats().OpenLists + systems[1].Stats().OpenLists
		require.GreaterOrEqual(t, written, uint64(2))
		systems[1].Stop()

		systems[0].Crash()
		<-time.After(2 * time.Hour)
		synctest.Wait()

		require.Zero(t, systems[0].Stats().OpenListsIgnored)
		require.Equal(t, []string{"x"}, heard(systems[0], "a"))
	})
}

// dawdling is a journal that takes its time to append.
type dawdling struct {
	persistence.Journal
	delay time.Duration
}

func (s dawdling) Unwrap() persistence.Journal { return s.Journal }

func (s dawdling) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	<-time.After(s.delay)
	return s.Journal.Append(ctx, appends...)
}

// A list that is wrong is counted and passed over, for an older one or for the events.
func TestLongWrongList(t *testing.T) {
	t.Parallel()
	identity := func(j persistence.Journal) []byte {
		id := j.Identity()
		return id[:]
	}
	for name, spoil := range map[string]func(j persistence.Journal) []persistence.Event{
		"not decodable": func(persistence.Journal) []persistence.Event {
			return []persistence.Event{{Type: listType, Payload: []byte("\xff")}}
		},
		"another type": func(j persistence.Journal) []persistence.Event {
			return []persistence.Event{part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{100_000}, Last: true}, "other")}
		},
		"of another journal": func(persistence.Journal) []persistence.Event {
			return []persistence.Event{part(&stelev1.OpenSends{Journal: make([]byte, 16), Positions: []int64{100_000}, Last: true}, "")}
		},
		"behind the end": func(j persistence.Journal) []persistence.Event {
			return []persistence.Event{part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{200_000}, Last: true}, "")}
		},
		"of another partition": func(j persistence.Journal) []persistence.Event {
			return []persistence.Event{part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{1, 1}, Last: true}, "")}
		},
		"negative": func(j persistence.Journal) []persistence.Event {
			return []persistence.Event{part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{-1}, Last: true}, "")}
		},
		"without a part": func(j persistence.Journal) []persistence.Event {
			return []persistence.Event{
				part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{100_000}}, ""),
				part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{100_000}, Part: 2, Last: true}, ""),
			}
		},
		"of parts of two lists": func(j persistence.Journal) []persistence.Event {
			return []persistence.Event{
				part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{100_000}, List: []byte("a")}, ""),
				part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{100_000}, List: []byte("b"), Part: 1, Last: true}, ""),
			}
		},
		"of another kind": func(j persistence.Journal) []persistence.Event {
			return []persistence.Event{part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{100_000}, Last: true, Streams: []*stelev1.OpenSends_Stream{{Name: "list-a", Open: 1}}}, "")}
		},
		"with nothing open": func(j persistence.Journal) []persistence.Event {
			return []persistence.Event{part(&stelev1.OpenSends{Journal: identity(j), Positions: []int64{100_000}, Last: true, Streams: []*stelev1.OpenSends_Stream{{Name: "clock-a"}}}, "")}
		},
	} {
		for _, older := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", older ", older), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					journal := &scans{Journal: new(memory.Journal)}
					system := startOn(t, journal)
					arm(t, system, "a", Arm{Name: "x", Delay: time.Hour})
					noise(t, journal, 99_000)
					if older {
						noise(t, journal, 1000)
					}
					<-time.After(time.Minute)
					synctest.Wait()
					system.Stop()
					store(t, journal, listStream, spoil(journal)...)
					journal.again()
					system.Restart()
					<-time.After(2 * time.Hour)
					synctest.Wait()

					require.Equal(t, []string{"x"}, heard(system, "a"))
					require.EqualValues(t, 1, system.Stats().OpenListsIgnored)
					require.Equal(t, older, journal.began() > 0)
				})
			})
		}
	}
}

func part(p *stelev1.OpenSends, kind string) persistence.Event {
	payload, _ := proto.Marshal(p) // of valid text
	if kind == "" {
		kind = listType
	}
	return persistence.Event{Type: kind, Payload: payload}
}
