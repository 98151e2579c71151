package postgres_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// A writer that decides ahead has appends to a stream in two batches under way, and a stranger
// writes to the stream meanwhile. An append that was decided on one that failed must not be
// stored, whatever stands there.
func TestBatchesBuildOnEachOther(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var built atomic.Int64
	journal := open(t, withSmallBatches(faultyConfig(t, url, func(c *faultyConn) {
		request := c.request
		c.request = append([]byte{}, request...)
		if c.unprove(proofOfBefore) {
			built.Add(1)
		}
		c.request = request
	})))

	r := pipeline(t, journal, other(t, url))

	t.Logf("%d batches built on the one before, %d appends stored, %d refused", built.Load(), r.stored, r.refused)
	require.Positive(t, built.Load(), "no batch rested on another")
	require.Positive(t, r.refused, "the stranger was never first")
	require.Zero(t, r.wrong, "appends stand on events that they were not decided on")
	require.Zero(t, r.lies, "what was told is not what is stored")
}

// Without the proof of the batch before, the same load stores what it must not.
func TestBatchesThatDoNotProveTheOneBefore(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal := open(t, withSmallBatches(faultyConfig(t, url, func(c *faultyConn) { c.unprove(proofOfBefore) })))
	stranger := other(t, url)

	eventually(t, patience, "the missing proof does harm", func() bool {
		r := pipeline(t, journal, stranger)
		return r.wrong+r.lies > 0
	})
}

func withSmallBatches(config postgres.Config) postgres.Config {
	config.BatchEvents = 8
	return config
}

type pipelined struct{ stored, refused, wrong, lies int }

// pipeline lets a writer append to a stream without waiting, each event with the id
// of the one that it was decided on, and a stranger in between.
func pipeline(t *testing.T, journal, stranger persistence.Journal) (r pipelined) {
	t.Helper()
	const rounds, ahead = 40, 48
	stream := persistence.StreamID("p-" + persistence.NewEventID().String())
	require.NoError(t, appendOne(t, stranger, stream, persistence.NoStream, "first").Err)
	var mu sync.Mutex
	told := map[persistence.EventID]error{}
	decidedOn := map[persistence.EventID]persistence.EventID{}
	for round := range rounds {
		events, err := tryRead(t, journal, stream)
		if err != nil {
			r.wrong++ // there is a hole
			return r
		}
		last := events[len(events)-1]
		version, on := last.Version, contentID(&last)
		var chain persistence.Chain
		var waits sync.WaitGroup
		for i := range ahead {
			// Ids that the writer chose would take the slow way, so the payload is the id.
			id := persistence.NewEventID()
			decidedOn[id] = on
			waits.Add(1)
			a := persistence.Append{Stream: stream, Expected: persistence.Exact(version), Events: []persistence.Event{{Type: "t", Payload: id[:]}}}
			err := journal.(persistence.Submitter).Submit(a, &chain, func(o persistence.Outcome) {
				defer waits.Done()
				mu.Lock()
				defer mu.Unlock()
				told[id] = o.Err
			})
			if err != nil {
				waits.Done()
				break
			}
			version, on = version+1, id
			if round%4 == 3 && i == ahead/2 {
				require.NoError(t, appendOne(t, stranger, stream, persistence.Any, "strange").Err)
			}
		}
		waits.Wait()
	}
	stored := map[persistence.EventID]bool{}
	var before persistence.EventID
	events, err := tryRead(t, stranger, stream)
	if err != nil {
		r.wrong++
	}
	for i := range events {
		id := contentID(&events[i])
		if on, own := decidedOn[id]; own {
			stored[id] = true
			if on != before {
				r.wrong++
			}
		}
		before = id
	}
	for id, err := range told {
		switch {
		case err == nil && stored[id]:
			r.stored++
		case err != nil && !stored[id]:
			r.refused++
		default:
			r.lies++
		}
	}
	return r
}

func tryRead(t *testing.T, journal persistence.Journal, stream persistence.StreamID) (events []persistence.Recorded, err error) {
	t.Helper()
	for e, err := range journal.Read(t.Context(), stream, persistence.ReadOptions{}) {
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}

// contentID is the id that a writer has put into an event, or the event's own.
func contentID(e *persistence.Recorded) persistence.EventID {
	if len(e.Payload) == len(e.ID) {
		return persistence.EventID(e.Payload)
	}
	return e.ID
}

// A journal behind a pooler does not see that another server answers, which has lost its newest
// events and has others in their place. The journal's newest event shows it.
func TestServerThatHasLostItsTailIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		unproven bool
		payloads []string
	}{
		"with the proof": {payloads: []string{"y", "z"}}, "without it": {unproven: true, payloads: []string{"y", "z"}},
		"one event needs none": {payloads: []string{"y"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, unproven := pgtest.URL(t), test.unproven
			journal := open(t, faultyConfig(t, url, func(c *faultyConn) {
				if unproven {
					c.unprove(proofOfNewest)
				}
			}))
			for version := range persistence.Version(3) {
				require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(version), "x").Err)
			}
			execute(t, url, "DELETE FROM stele.event WHERE position > 1")
			require.NoError(t, appendOne(t, other(t, url), "t-1", persistence.NoStream, "other").Err)
			require.NoError(t, appendOne(t, other(t, url), "t-1", persistence.Exact(1), "other").Err)

			outcome := appendEach(t, journal, "s-1", persistence.Exact(3), test.payloads...)

			if unproven {
				require.NoError(t, outcome.Err, "then nobody notices the hole")
				return
			}
			require.ErrorIs(t, outcome.Err, persistence.ErrConflict)
			require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(1), "y").Err)
			require.Len(t, readAll(t, journal, "s-1"), 2)
		})
	}
}

// A version that was only read is not known to be stored, so the server looks for it.
func TestStreamThatOthersWroteIsLookedFor(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed})
	require.NoError(t, appendOne(t, other(t, url), "s-1", persistence.NoStream, "x").Err)

	require.ErrorIs(t, appendOne(t, journal, "s-1", persistence.Exact(2), "y").Err, persistence.ErrConflict)
	require.ErrorIs(t, appendOne(t, journal, "none-1", persistence.Exact(2), "y").Err, persistence.ErrConflict)
	require.NoError(t, appendOne(t, journal, "s-1", persistence.Exact(1), "y").Err)
	require.ErrorIs(t, appendOne(t, journal, "s-1", persistence.Exact(1), "y").Err, persistence.ErrConflict)
}

// Journals that append side by side release the order lock early, unless they are
// told not to.
func TestEarlyReleaseIsChosen(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]postgres.EarlyRelease{"auto": postgres.EarlyAuto, "off": postgres.EarlyOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			journals := make([]*postgres.Journal, 2)
			for i := range journals {
				journals[i] = open(t, postgres.Config{URL: url, Durability: postgres.Relaxed, EarlyRelease: config})
			}
			early := func() bool { return scalar(t, url, "SELECT early::int FROM stele.partition") == 1 }
			require.False(t, early())

			both := func(n int) {
				var group sync.WaitGroup
				for i, journal := range journals {
					stream := persistence.StreamID([]string{"a-1", "b-1"}[i])
					group.Go(func() {
						for range n {
							outcome := appendOne(t, journal, stream, persistence.Any, "x")
							require.NoError(t, outcome.Err)
							version := outcome.Last
							require.NoError(t, appendOne(t, journal, stream, persistence.Exact(version), "x").Err)
						}
					})
				}
				group.Wait()
			}
			if config == postgres.EarlyOff {
				both(100)
				require.False(t, early())
				return
			}
			eventually(t, patience, "the lock is released early", func() bool { both(20); return early() })

			both(20)

			require.Len(t, readAll(t, journals[0], "b-1"), len(readAll(t, journals[1], "b-1")))
		})
	}
}
