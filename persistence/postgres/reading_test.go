package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// A reader notices events that were deleted by hand, and never skips them.
func TestHolesAreCorruption(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal := other(t, url)
	for i := range 6 {
		require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(persistence.Version(i)), "x").Err)
	}
	execute(t, url, "DELETE FROM stele.event WHERE position IN (1, 4)")

	read := func(options persistence.ReadOptions) (versions []persistence.Version, err error) {
		for e, err := range journal.Read(t.Context(), "s-1", options) {
			if err != nil {
				return versions, err
			}
			versions = append(versions, e.Version)
		}
		return versions, nil
	}
	_, err := read(persistence.ReadOptions{})
	require.ErrorIs(t, err, persistence.ErrCorrupt)
	_, err = read(persistence.ReadOptions{From: 2})
	require.ErrorIs(t, err, persistence.ErrCorrupt)
	_, err = read(persistence.ReadOptions{Backward: true})
	require.ErrorIs(t, err, persistence.ErrCorrupt)
	versions, err := read(persistence.ReadOptions{Backward: true, Limit: 2})
	require.NoError(t, err)
	require.Equal(t, []persistence.Version{6, 5}, versions)

	pages, err := journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "s-1", Limit: 9}, {Stream: "s-1", From: 2, Limit: 2}})
	require.NoError(t, err)
	require.ErrorIs(t, pages[0].Err, persistence.ErrCorrupt)
	require.NoError(t, pages[1].Err)

	for after, want := range map[int64]string{0: "no event at position 1", 1: "no event at position 4", 3: "no event at position 4"} {
		var failed error
		for _, failed = range journal.ReadAll(t.Context(), persistence.ReadAllOptions{After: persistence.Positions{after}}) {
			if failed != nil {
				break
			}
		}
		require.ErrorIs(t, failed, persistence.ErrCorrupt)
		require.ErrorContains(t, failed, want)
	}
	execute(t, url, "DELETE FROM stele.stream")
	fresh := other(t, url)
	for _, err := range fresh.ReadAll(t.Context(), persistence.ReadAllOptions{After: persistence.Positions{4}}) {
		require.ErrorIs(t, err, persistence.ErrCorrupt, "an event without its stream")
	}
}

// Events of another process wake a reader, which finds their streams.
func TestEventsOfOtherProcessesAreSeen(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	reader, writer := other(t, url), other(t, url)
	require.NoError(t, appendOne(t, reader, "s-1", persistence.NoStream, "x").Err)
	head, err := reader.Head(t.Context())
	require.NoError(t, err)
	woken := make(chan error, 1)
	go func() { woken <- reader.Wait(t.Context(), head) }() // ends with the append

	require.NoError(t, appendOne(t, writer, "s-2", persistence.NoStream, "y").Err)

	require.NoError(t, <-woken)
	require.Len(t, readAll(t, reader, "s-2"), 1)
	require.ErrorIs(t, appendOne(t, reader, "s-2", persistence.NoStream, "z").Err, persistence.ErrConflict)
	require.NoError(t, appendOne(t, reader, "s-2", persistence.Exact(1), "z").Err)
	for page, err := range reader.ReadAll(t.Context(), persistence.ReadAllOptions{After: head}) {
		require.NoError(t, err)
		require.Len(t, page.Events, 2)
		require.Equal(t, persistence.StreamID("s-2"), page.Events[0].Stream)
	}
}

// Writers of several processes share one sequence without a gap. Of those that expect the same
// version one succeeds.
func TestProcessesShareTheSequence(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var writers sync.WaitGroup
	const processes, appends = 3, 60
	for process := range processes {
		journal := other(t, url)
		for writer := range 4 {
			writers.Go(func() {
				for i := range appends {
					stream := persistence.StreamID(fmt.Sprintf("shared-%d", (writer+i)%3))
					outcome := appendOne(t, journal, stream, persistence.Any, fmt.Sprint(process, writer, i))
					if outcome.Err != nil {
						t.Error(outcome.Err)
						return
					}
				}
			})
		}
	}
	writers.Wait()

	journal := other(t, url)
	seen := map[string]bool{}
	versions := map[persistence.StreamID]persistence.Version{}
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: 50}) {
		require.NoError(t, err)
		for _, e := range page.Events {
			require.False(t, seen[string(e.Payload)])
			seen[string(e.Payload)] = true
			require.Equal(t, versions[e.Stream]+1, e.Version)
			versions[e.Stream] = e.Version
		}
	}
	require.Len(t, seen, processes*4*appends)
}

// Readers that leave give their connection back. There is one for all of them, so otherwise the
// next one could not read.
func TestLeavingReadersReleaseTheirConnection(t *testing.T) {
	t.Parallel()
	config := pgtest.Config(t)
	config.ReadConnections = 1
	journal := open(t, config)
	for i := range 5 {
		require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(persistence.Version(i)), "x").Err)
	}

	for range 20 {
		for _, err := range journal.Read(t.Context(), "s-1", persistence.ReadOptions{}) {
			require.NoError(t, err)
			for _, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: 1}) { // in the midst of the other
				require.NoError(t, err)
				break
			}
			break
		}
		impatient, leave := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Microsecond, leave)
		for _, err := range journal.Read(impatient, "s-1", persistence.ReadOptions{}) { // in time or not
			require.True(t, err == nil || errors.Is(err, context.Canceled), "%v", err)
		}
		leave()
	}

	require.Len(t, readAll(t, journal, "s-1"), 5)
}

// Pages of large events hold as many as their bytes allow, and the server is not
// asked for many more.
func TestPagesOfLargeEvents(t *testing.T) {
	t.Parallel()
	journal := pgtest.Journal(t)
	large := bytes.Repeat([]byte("x"), 300<<10)
	const events = 40
	for i := range events {
		require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(persistence.Version(i)), string(large)).Err)
	}

	var sizes []int
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{PageBytes: 1 << 20}) {
		require.NoError(t, err)
		sizes = append(sizes, len(page.Events))
	}

	for _, size := range sizes[:len(sizes)-1] {
		require.Equal(t, 3, size)
	}
	require.Len(t, readAll(t, journal, "s-1"), events)
}

// A refused append releases the order lock with its transaction.
func TestConflictsHoldNoLock(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal := other(t, url)
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
	const conflicts = 10_000
	var done sync.WaitGroup
	done.Add(conflicts)

	for i := range conflicts {
		expected := []persistence.Expected{persistence.NoStream, persistence.Exact(2), persistence.Exact(9)}[i%3]
		stream := persistence.StreamID(fmt.Sprintf("s-%d", 1+i%200))
		if stream != "s-1" {
			expected = persistence.Exact(5)
		}
		require.NoError(t, journal.Submit(persistence.Append{Stream: stream, Expected: expected, Events: []persistence.Event{{Type: "t"}}}, nil,
			func(o persistence.Outcome) {
				defer done.Done()
				if _, ok := o.Err.(*persistence.ConflictError); !ok { //nolint:errorlint // the error itself, not a wrapped one
					t.Errorf("%v", o.Err)
				}
			}))
	}
	done.Wait()

	require.Zero(t, scalar(t, url, "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database() WHERE l.locktype = 'advisory'"))
	stranger := other(t, url)
	began := time.Now()
	require.NoError(t, appendOne(t, stranger, "s-2", persistence.NoStream, "x").Err)
	require.Less(t, time.Since(began), time.Second)
	require.Len(t, readAll(t, journal, "s-1"), 1)
}

// Streams that the memory has no room for are asked for again.
func TestMoreStreamsThanNamesKept(t *testing.T) {
	t.Parallel()
	config := pgtest.Config(t)
	config.StreamNames = 10
	journal := open(t, config)
	const Cache = 200
	for round := range 2 {
		appends := make([]persistence.Append, Cache)
		for i := range appends {
			appends[i] = persistence.Append{
				Stream: persistence.StreamID(fmt.Sprintf("s-%d", i)), Expected: persistence.Exact(persistence.Version(round)),
				Events: []persistence.Event{{Type: "t", Payload: fmt.Appendf(nil, "%d/%d", i, round)}},
			}
		}
		outcomes, err := journal.Append(t.Context(), appends...)
		require.NoError(t, err)
		for _, o := range outcomes {
			require.NoError(t, o.Err)
		}
	}

	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		for _, e := range page.Events {
			require.Equal(t, fmt.Sprintf("s-%s/%d", e.Stream[2:], e.Version-1), "s-"+string(e.Payload))
		}
	}
	require.Len(t, readAll(t, journal, "s-7"), 2)
}

func TestOpenRefusesStandbys(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	require.NoError(t, postgres.Migrate(t.Context(), postgres.Config{URL: server.URL()}))
	require.NoError(t, server.Kill())
	require.NoError(t, server.BecomeStandby())
	require.NoError(t, server.Restart(t.Context()))

	_, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL(), Durability: postgres.Relaxed})

	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.ErrorContains(t, err, "standby")
}

func TestAClaimedPlaceWakesNobody(t *testing.T) {
	t.Parallel()
	journal := pgtest.Journal(t)
	for _, after := range []int64{7, math.MaxInt64} {
		for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{After: persistence.Positions{after}}) {
			require.NoError(t, err)
			require.Equal(t, persistence.Positions{after}, page.Next)
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()

	require.ErrorIs(t, journal.Wait(gone, nil), context.Canceled, "nothing was stored")
}

// A reader far behind asks for one flush, not for one at each page, because a flush includes all
// events that are visible.
func TestOnePageFlushesAllThatIsVisible(t *testing.T) {
	t.Parallel()
	for name, release := range map[string]postgres.EarlyRelease{"early": postgres.EarlyOn, "late": postgres.EarlyOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := postgres.Config{URL: pgtest.URL(t), Durability: postgres.Relaxed, EarlyRelease: release}
			writer := open(t, config)
			for i := range 6 {
				require.NoError(t, appendOne(t, writer, "s-1", persistence.Exact(persistence.Version(i)), "x").Err)
			}
			reader := open(t, config)
			require.Zero(t, postgres.Flushed(reader))

			for page, err := range reader.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: 2}) {
				require.NoError(t, err)
				require.Len(t, page.Events, 2)
				break
			}

			require.EqualValues(t, 6, postgres.Flushed(reader))
		})
	}
}
