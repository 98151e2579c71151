package postgres_test

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
)

// Connections that break at one certain moment.

func TestLongConnectionBreaksAtCommit(t *testing.T) {
	t.Parallel()
	appends := map[string]persistence.Append{
		"an exact version": {Expected: persistence.Exact(1)},
		"any version":      {Expected: persistence.Any},
		"an existing one":  {Expected: persistence.StreamExists},
		"chosen ids":       {Expected: persistence.Exact(1), Events: []persistence.Event{{ID: persistence.NewEventID()}, {ID: persistence.NewEventID()}}},
		"a new stream":     {Stream: "new-1", Expected: persistence.NoStream},
	}
	breaks := map[string]func(*faultyConn){
		// The COMMIT trap: the driver calls the resulting error safe to retry.
		"after the server has stored it": func(c *faultyConn) { c.swallow = true },
		"before the server got it":       func(c *faultyConn) { c.drop = true },
		"with half of it sent":           func(c *faultyConn) { c.half = true },
		"with 57P01 instead of an answer, and it is stored": func(c *faultyConn) {
			c.swallow, c.instead = true, errorMessage("FATAL", "57P01", "terminating connection due to administrator command")
		},
		"with a cancelled statement instead of an answer, and it is stored": func(c *faultyConn) {
			c.swallow, c.instead = true, append(errorMessage("ERROR", "57014", "canceling statement"), ready...)
		},
		"with a warning that its replication was not waited for": func(c *faultyConn) {
			c.before = noticeMessage("WARNING", "01000", "canceling wait for synchronous replication due to user request")
		},
	}
	for when, fault := range breaks {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			for name, a := range appends {
				doubts := &doubtCounter{}
				var broken atomic.Int64
				config := faultyConfig(t, url, func(c *faultyConn) {
					if broken.Add(1) == 1 {
						fault(c)
					}
				})
				config.Logger = slog.New(doubts)
				journal := open(t, config)
				if a.Stream == "" {
					a.Stream = persistence.StreamID("s-" + name)
					require.NoError(t, appendOne(t, other(t, url), a.Stream, persistence.NoStream, "first").Err)
				}
				a.Events = append([]persistence.Event{}, a.Events...)
				if len(a.Events) == 0 {
					a.Events = make([]persistence.Event, 2)
				}
				a.Events[0].Type, a.Events[1].Type = "t", "t"

				outcomes, err := journal.Append(t.Context(), a)

				require.NoError(t, err)
				require.NoError(t, outcomes[0].Err, name)
				events := readAll(t, journal, a.Stream)
				want := 3
				if a.Expected == persistence.NoStream {
					want = 2
				}
				require.Len(t, events, want, name)
				require.Equal(t, events[want-2].Version, outcomes[0].First)
				require.Equal(t, events[want-2].Position, outcomes[0].Position)
				require.EqualValues(t, 1, doubts.losses.Load())
				require.NoError(t, journal.Close())
				if a.Stream == "new-1" {
					a.Stream = "" // the next break needs a new one again
				}
			}
		})
	}
}

// Connections break again and again while two batches are under way, and while the journal
// finds out what became of them.
func TestLongConnectionBreaksUnderLoad(t *testing.T) {
	t.Parallel()
	doubts := &doubtCounter{}
	config := faultyConfig(t, pgtest.URL(t), func(c *faultyConn) {
		switch rand.IntN(60) {
		case 0, 1, 2:
			c.swallow = true
		case 3:
			c.half = true
		case 4:
			c.drop = true
		case 5:
			c.swallow, c.instead = true, errorMessage("FATAL", "57P01", "terminating connection due to administrator command")
		case 6:
			c.swallow, c.instead = true, slices.Concat(errorMessage("ERROR", "57014", "canceling statement"), ready)
		case 7:
			c.before = noticeMessage("WARNING", "01000", "canceling wait for synchronous replication due to user request")
		}
	})
	config.BatchEvents = 16
	config.Logger = slog.New(doubts)
	journal := open(t, config)
	w := startWriters(t, journal, 48)

	eventually(t, patience, "enough connections were lost", func() bool { return doubts.losses.Load() > 100 })
	w.stop()

	t.Logf("%s, connections lost %d, events in doubt %d", w.compare(t, journal), doubts.losses.Load(), doubts.events.Load())
}

// Errors of the server which prove that nothing was stored are definite for the caller, and
// the connection stays.
func TestDefiniteErrorsAreTold(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		code string
		want persistence.ErrorKind
	}{
		"disk full":        {"53100", persistence.ErrUnavailable},
		"out of memory":    {"53200", persistence.ErrUnavailable},
		"deadlock":         {"40P01", persistence.ErrUnavailable},
		"serialisation":    {"40001", persistence.ErrUnavailable},
		"lock timeout":     {"55P03", persistence.ErrUnavailable},
		"bad value":        {"22P02", persistence.ErrInvalid},
		"missing function": {"42883", persistence.ErrTables},
		"contradiction":    {"ST002", persistence.ErrCorrupt},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doubts := &doubtCounter{}
			var requests atomic.Int64
			config := faultyConfig(t, pgtest.URL(t), func(conn *faultyConn) {
				// The first try is of two appends; each is then tried alone.
				if requests.Add(1) <= 3 {
					conn.drop, conn.instead = true, append(errorMessage("ERROR", c.code, "secret payload"), ready...)
				}
			})
			config.Logger = slog.New(doubts)
			journal := open(t, config)

			outcomes, err := journal.Append(t.Context(),
				persistence.Append{Stream: "a-1", Events: []persistence.Event{{Type: "t"}}},
				persistence.Append{Stream: "b-1", Expected: persistence.Any, Events: []persistence.Event{{Type: "t"}}})

			require.NoError(t, err)
			for _, outcome := range outcomes {
				require.ErrorIs(t, outcome.Err, c.want)
			}
			require.Zero(t, doubts.events.Load())
			require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)
			require.NoError(t, appendOne(t, journal, "b-1", persistence.NoStream, "x").Err)
		})
	}
}

// A definite error of a later attempt says nothing about the first one, so the journal looks
// for what that one has stored.
func TestDefiniteErrorOfALaterAttempt(t *testing.T) {
	t.Parallel()
	for name, expected := range map[string]persistence.Expected{"exact": persistence.Exact(1), "any": persistence.Any} {
		for first, stored := range map[string]bool{"stored": true, "not stored": false} {
			t.Run(name+", first attempt "+first, func(t *testing.T) {
				t.Parallel()
				url := pgtest.URL(t)
				var requests atomic.Int64
				config := faultyConfig(t, url, func(c *faultyConn) {
					switch requests.Add(1) {
					case 1:
						c.swallow, c.drop = stored, !stored
					case 2:
						c.drop, c.instead = true, slices.Concat(errorMessage("ERROR", "53100", "disk full"), ready)
					}
				})
				journal := open(t, config)
				require.NoError(t, appendOne(t, other(t, url), "s-1", persistence.NoStream, "x").Err)

				outcome := appendOne(t, journal, "s-1", expected, "y")

				if stored {
					require.NoError(t, outcome.Err)
					require.Equal(t, persistence.Version(2), outcome.First)
					require.Len(t, readAll(t, journal, "s-1"), 2)
					return
				}
				require.ErrorIs(t, outcome.Err, persistence.ErrUnavailable)
				require.Len(t, readAll(t, journal, "s-1"), 1)
			})
		}
	}
}

// A session that is of no use is given up, though its connection lives. Another session
// stores what it has refused, unless that one refuses it as well.
func TestUselessSessionsAreGivenUp(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"25006", "0A000", "26000"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			doubts := &doubtCounter{}
			var refusals atomic.Int64
			refusals.Store(1)
			config := faultyConfig(t, pgtest.URL(t), func(conn *faultyConn) {
				if refusals.Add(-1) >= 0 {
					conn.drop, conn.instead = true, append(errorMessage("ERROR", code, "cannot execute INSERT in a read-only transaction"), ready...)
				}
			})
			config.Logger = slog.New(doubts)
			journal := open(t, config)

			require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)
			require.EqualValues(t, 1, doubts.losses.Load())
			refusals.Store(2)
			require.ErrorIs(t, appendOne(t, journal, "a-1", persistence.Exact(1), "y").Err, persistence.ErrUnavailable)
			require.NoError(t, appendOne(t, journal, "a-1", persistence.Exact(1), "z").Err)

			require.EqualValues(t, 3, doubts.losses.Load())
			require.Len(t, readAll(t, journal, "a-1"), 2)
		})
	}
}

// The first attempt hangs in the server when its connection breaks, and goes on
// after the journal has begun to find out about it.
func TestZombieIsStoredOnce(t *testing.T) {
	t.Parallel()
	for name, pooler := range map[string]bool{"fenced": false, "behind a pooler": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			var requests atomic.Int64
			config := faultyConfig(t, url, func(c *faultyConn) { c.hang = requests.Add(1) == 1 })
			config.Pooler = pooler
			config.StatementTimeout = 500 * time.Millisecond
			journal := open(t, config)
			require.NoError(t, appendOne(t, other(t, url), "s-1", persistence.NoStream, "first").Err)
			release := holdOrderLock(t, url)

			outcome := make(chan persistence.Outcome, 1)
			require.NoError(t, journal.Submit(persistence.Append{
				Stream: "s-1", Expected: persistence.Exact(1), Events: []persistence.Event{{Type: "t"}, {Type: "t"}},
			}, nil, func(o persistence.Outcome) { outcome <- o }))
			eventually(t, 10*time.Second, "a second attempt waits", func() bool { return requests.Load() >= 2 })
			release()

			got := <-outcome
			require.NoError(t, got.Err)
			require.Equal(t, persistence.Version(2), got.First)
			require.Len(t, readAll(t, journal, "s-1"), 3)
			// Nothing of the earlier attempts may still come.
			eventually(t, 10*time.Second, "the attempts are over", func() bool {
				return scalar(t, url, "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database() WHERE l.locktype = 'advisory'") == 0
			})
			require.Len(t, readAll(t, journal, "s-1"), 3)
		})
	}
}

// Without a fence an append that named no version cannot be repeated safely. Its outcome is
// unknown, and the error has the ids of its events.
func TestUnfencedAppendIsUnknown(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var requests atomic.Int64
	config := faultyConfig(t, url, func(c *faultyConn) { c.hang = requests.Add(1) == 1 })
	config.Pooler = true
	config.StatementTimeout, config.ResolveTimeout = 300*time.Millisecond, 5*time.Second
	journal := open(t, config)
	release := holdOrderLock(t, url)

	outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "s-1", Expected: persistence.Any, Events: []persistence.Event{{Type: "t"}}})
	release()

	require.NoError(t, err)
	unknown, ok := errors.AsType[*persistence.UnknownOutcomeError](outcomes[0].Err)
	require.True(t, ok, "%v", outcomes[0].Err)
	require.Len(t, unknown.IDs, 1)
	eventually(t, 10*time.Second, "the hanging attempt is over", func() bool {
		info, err := journal.Stream(t.Context(), "s-1")
		return err == nil && info.Version == 1
	})
	require.Equal(t, unknown.IDs[0], readAll(t, journal, "s-1")[0].ID)
}

// Attempts that are all sent and never answered end in time, too.
func TestUnansweredAppendIsUnknown(t *testing.T) {
	t.Parallel()
	config := pgtest.Config(t)
	config.StatementTimeout, config.ResolveTimeout = 200*time.Millisecond, time.Second
	journal := open(t, config)
	release := holdOrderLock(t, config.URL)
	defer release()

	outcome := appendOne(t, journal, "s-1", persistence.NoStream, "x")

	require.ErrorIs(t, outcome.Err, persistence.ErrUnknownOutcome)
	release()
	eventually(t, patience, "the journal answers again", func() bool {
		return appendOne(t, journal, "s-2", persistence.Any, "x").Err == nil
	})
}
