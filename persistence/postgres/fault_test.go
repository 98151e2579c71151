package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// Servers that are killed, paused and restarted under load, and what writers
// were told compared with what is there in the end.

func TestOutagesUnderLoad(t *testing.T) {
	t.Parallel()
	faults := map[string]struct {
		rounds int
		strike func(*testing.T, *pgserver.Server)
	}{
		"backends are terminated": {8, func(t *testing.T, s *pgserver.Server) {
			admin(t, s, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stele'")
		}},
		"a backend is killed": {4, func(t *testing.T, s *pgserver.Server) {
			s.KillBackend(admin(t, s, "SELECT pid FROM pg_stat_activity WHERE application_name = 'stele' ORDER BY random() LIMIT 1"))
			awaken(t, s)
		}},
		"the server is killed": {3, func(t *testing.T, s *pgserver.Server) {
			require.NoError(t, s.Kill())
			require.NoError(t, s.Restart(t.Context()))
		}},
		"the server is paused": {1, func(t *testing.T, s *pgserver.Server) {
			s.Pause()
			pass(t, 2500*time.Millisecond)
			s.Resume()
		}},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Server(t)
			doubts := &doubtCounter{}
			config := postgres.Config{
				URL: server.URL(), Migrate: true, Durability: postgres.Relaxed,
				StatementTimeout: time.Second, ConnectTimeout: time.Second, Logger: slog.New(doubts),
			}
			journal := open(t, config)
			w := startWriters(t, journal, 32)

			for range fault.rounds {
				w.progress(t, 300)
				fault.strike(t, server)
			}
			w.progress(t, 300)
			w.stop()

			t.Logf("%s: %s, events in doubt %d", name, w.compare(t, journal), doubts.events.Load())
			require.Positive(t, doubts.events.Load(), "no fault met an append")
		})
	}
}

// writers append without a pause until they are stopped: some each to a stream of
// its own and expecting its version, some to shared ones, with and without ids.
type writers struct {
	journal persistence.Journal
	quit    atomic.Bool
	group   sync.WaitGroup
	acks    atomic.Int64

	mu   sync.Mutex
	told map[string]error // what was said of each append, by its label
}

func startWriters(t *testing.T, journal persistence.Journal, count int) *writers {
	t.Helper()
	w := &writers{journal: journal, told: map[string]error{}}
	for i := range count {
		w.group.Go(func() { w.write(t.Context(), i) })
	}
	t.Cleanup(w.stop)
	return w
}

func (w *writers) write(ctx context.Context, writer int) {
	version := persistence.Version(0)
	for attempt := 0; !w.quit.Load(); attempt++ {
		label := fmt.Sprintf("%d/%d", writer, attempt)
		a := persistence.Append{
			Stream: persistence.StreamID(fmt.Sprintf("own-%d", writer)), Expected: persistence.Exact(version),
			Events: []persistence.Event{{Type: "t", Payload: []byte(label)}, {Type: "t", Payload: []byte(label)}},
		}
		shared := writer % 4
		if shared != 0 {
			a.Stream, a.Expected = persistence.StreamID(fmt.Sprintf("shared-%d", shared)), persistence.Any
		}
		if shared == 2 {
			a.Events[0].ID, a.Events[1].ID = persistence.NewEventID(), persistence.NewEventID()
		}
		outcome := w.append(ctx, label, a)
		switch {
		case outcome.Err == nil:
			version = outcome.Last
		case shared == 0:
			// Only a look at the stream tells where to go on.
			info, err := w.journal.Stream(ctx, a.Stream)
			if err == nil {
				version = info.Version
			}
		}
	}
}

func (w *writers) append(ctx context.Context, label string, a persistence.Append) persistence.Outcome {
	outcomes, err := w.journal.Append(ctx, a)
	outcome := persistence.Outcome{Err: err}
	if err == nil {
		outcome = outcomes[0]
	}
	if outcome.Err == nil {
		w.acks.Add(1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[label] = outcome.Err
	return outcome
}

// progress waits until so many more appends were acknowledged.
func (w *writers) progress(t *testing.T, more int64) {
	t.Helper()
	want := w.acks.Load() + more
	eventually(t, 60*time.Second, "appends go on", func() bool { return w.acks.Load() >= want })
}

func (w *writers) stop() {
	w.quit.Store(true)
	w.group.Wait()
}

// compare reads everything and requires that nothing acknowledged is lost,
// nothing refused is stored, nothing is stored twice or in part, and nothing is
// left unknown.
func (w *writers) compare(t *testing.T, journal persistence.Journal) string {
	t.Helper()
	stored, last := map[string]int{}, int64(0)
	versions := map[persistence.StreamID]persistence.Version{}
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		for _, e := range page.Events {
			require.Equal(t, last+1, e.Position.Offset)
			last = e.Position.Offset
			require.Equal(t, versions[e.Stream]+1, e.Version)
			versions[e.Stream] = e.Version
			stored[string(e.Payload)]++
		}
	}
	var acked, definite, unknown, lost, anyway, twice int
	for label, err := range w.told {
		count := stored[label]
		switch {
		case err == nil:
			acked++
			if count == 0 {
				lost++
			}
		case errors.Is(err, persistence.ErrUnknownOutcome):
			unknown++
		default:
			definite++
			if count > 0 {
				anyway++
			}
			require.True(t, errors.Is(err, persistence.ErrUnavailable) || errors.Is(err, persistence.ErrConflict), "%v", err)
		}
		if count > 2 {
			twice++
		}
		require.NotEqual(t, 1, count, "an append is stored in part")
	}
	counts := fmt.Sprintf("acked %d, definite %d, unknown %d, acked but lost %d, refused but stored %d, twice %d", acked, definite, unknown, lost, anyway, twice)
	require.Zero(t, lost+anyway+twice+unknown, counts)
	return counts
}

// doubtCounter counts the events whose connection was lost, as the journal logs
// them.
type doubtCounter struct{ events, losses atomic.Int64 }

func (*doubtCounter) Enabled(context.Context, slog.Level) bool { return true }

func (d *doubtCounter) Handle(_ context.Context, record slog.Record) error {
	if record.Message == "journal connection lost" {
		d.losses.Add(1)
		record.Attrs(func(a slog.Attr) bool {
			if a.Key == "events" {
				d.events.Add(a.Value.Int64())
			}
			return true
		})
	}
	return nil
}

func (d *doubtCounter) WithAttrs([]slog.Attr) slog.Handler { return d }
func (d *doubtCounter) WithGroup(string) slog.Handler      { return d }

// Connections that break at one certain moment.

func TestConnectionBreaksAtCommit(t *testing.T) {
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

// Connections break again and again with two batches under way, and while what
// became of them is being found out.
func TestConnectionBreaksUnderLoad(t *testing.T) {
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

// Errors of the server that say for sure that nothing was stored are told as
// such, and the connection stays.
func TestDefiniteErrorsAreTold(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		code string
		want persistence.Kind
	}{
		"disk full":        {"53100", persistence.ErrUnavailable},
		"out of memory":    {"53200", persistence.ErrUnavailable},
		"deadlock":         {"40P01", persistence.ErrUnavailable},
		"serialisation":    {"40001", persistence.ErrUnavailable},
		"lock timeout":     {"55P03", persistence.ErrUnavailable},
		"bad value":        {"22P02", persistence.ErrInvalid},
		"missing function": {"42883", persistence.ErrSchema},
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

// A definite error of a later attempt says nothing of the first one, which is
// looked for.
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

// A server that has become a standby is left for the one that a new connection
// finds.
func TestStandbyIsLeft(t *testing.T) {
	t.Parallel()
	doubts := &doubtCounter{}
	var requests atomic.Int64
	config := faultyConfig(t, pgtest.URL(t), func(conn *faultyConn) {
		if requests.Add(1) == 1 {
			conn.drop, conn.instead = true, append(errorMessage("ERROR", "25006", "cannot execute INSERT in a read-only transaction"), ready...)
		}
	})
	config.Logger = slog.New(doubts)
	journal := open(t, config)

	require.ErrorIs(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err, persistence.ErrUnavailable)
	require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)

	require.EqualValues(t, 1, doubts.losses.Load())
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

// Without a fence an append that named no version cannot be repeated safely: it
// is said to be unknown, with the ids that tell.
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

// What cannot be found out in time is unknown; what was never sent is not.
func TestUnresolvedAppendIsUnknown(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	journal := open(t, postgres.Config{
		URL: server.URL(), Migrate: true, Durability: postgres.Relaxed, ResolveTimeout: time.Second,
		StatementTimeout: 300 * time.Millisecond, ConnectTimeout: 300 * time.Millisecond,
	})
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
	server.Pause()

	outcomes, err := journal.Append(t.Context(), persistence.Append{
		Stream: "s-1", Expected: persistence.Exact(1), Events: []persistence.Event{{ID: persistence.EventID{1}, Type: "t"}, {ID: persistence.EventID{2}, Type: "t"}},
	})

	require.NoError(t, err)
	unknown, ok := errors.AsType[*persistence.UnknownOutcomeError](outcomes[0].Err)
	require.True(t, ok, "%v", outcomes[0].Err)
	require.Equal(t, &persistence.UnknownOutcomeError{
		Stream: "s-1", Expected: persistence.Exact(1), IDs: []persistence.EventID{{1}, {2}}, Err: unknown.Err,
	}, unknown)
	server.Resume()
	eventually(t, 30*time.Second, "the journal answers again", func() bool {
		return appendOne(t, journal, "s-2", persistence.Any, "x").Err == nil
	})
}

// While the server is away callers learn it at once, and appends go on soon after
// it is back.
func TestServerAwayIsToldAtOnce(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	journal := open(t, postgres.Config{URL: server.URL(), Migrate: true, Durability: postgres.Relaxed, ConnectTimeout: time.Second})
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
	require.NoError(t, server.Kill())

	var unavailable *persistence.UnavailableError
	eventually(t, 20*time.Second, "the journal says that the server is away", func() bool {
		outcome := appendOne(t, journal, "s-2", persistence.Any, "x")
		require.ErrorIs(t, outcome.Err, persistence.ErrUnavailable)
		var ok bool
		unavailable, ok = errors.AsType[*persistence.UnavailableError](outcome.Err)
		return ok && unavailable.RetryAfter > 0
	})
	began := time.Now()
	var refused int
	for range 1000 {
		err := journal.Submit(persistence.Append{Stream: "s-2", Expected: persistence.Any, Events: []persistence.Event{{Type: "t"}}}, nil, func(persistence.Outcome) {})
		if errors.Is(err, persistence.ErrUnavailable) {
			refused++
		}
	}
	require.Less(t, time.Since(began), 500*time.Millisecond)
	require.Greater(t, refused, 900)

	// Long enough for the breaker to have doubled its pause some times.
	eventually(t, patience, "the pause is long", func() bool {
		outcome := appendOne(t, journal, "s-2", persistence.Any, "x")
		refused, ok := errors.AsType[*persistence.UnavailableError](outcome.Err)
		return ok && refused.RetryAfter > 3*time.Second
	})
	require.NoError(t, server.Restart(t.Context()))
	began = time.Now()
	eventually(t, patience, "the journal answers again", func() bool {
		return appendOne(t, journal, "s-3", persistence.Any, "x").Err == nil
	})
	require.Less(t, time.Since(began), 3*time.Second, "the end of the pause is not waited for")
}

// The connections for reading that a restart has ended are replaced unnoticed.
func TestReadsSurviveRestarts(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	journal := open(t, postgres.Config{URL: server.URL(), Migrate: true, Durability: postgres.Relaxed})
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
	readers := func() {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 10 {
					pages, err := journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "s-1", Limit: 1}})
					if err == nil {
						_, err = journal.Head(t.Context())
					}
					if err != nil || len(pages[0].Events) != 1 {
						t.Errorf("%v", err)
					}
				}
			})
		}
		group.Wait()
		require.Len(t, readAll(t, journal, "s-1"), 1)
	}
	readers()

	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(t.Context()))
	readers()

	admin(t, server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stele'")
	readers()
}

// A journal that is closed while its server hangs does not hang.
func TestCloseWhileTheServerHangs(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	journal, err := postgres.Open(t.Context(), postgres.Config{
		URL: server.URL(), Migrate: true, Durability: postgres.Relaxed, CloseTimeout: 200 * time.Millisecond,
	})
	require.NoError(t, err)
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
	server.Pause()
	submit := func(expected persistence.Expected) <-chan persistence.Outcome {
		outcome := make(chan persistence.Outcome, 1)
		require.NoError(t, journal.Submit(persistence.Append{Stream: "s-1", Expected: expected, Events: []persistence.Event{{Type: "t"}}}, nil,
			func(o persistence.Outcome) { outcome <- o }))
		return outcome
	}
	sent, waits := submit(persistence.Exact(1)), submit(persistence.Exact(2))

	began := time.Now()
	require.NoError(t, journal.Close())

	require.Less(t, time.Since(began), 10*time.Second)
	require.ErrorIs(t, (<-sent).Err, persistence.ErrUnknownOutcome)
	require.ErrorIs(t, (<-waits).Err, persistence.ErrUnavailable)
	server.Resume()
}

// open opens a journal until the end of the test.
func open(t *testing.T, config postgres.Config) *postgres.Journal {
	t.Helper()
	journal, err := postgres.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	return journal
}

// other opens a second journal on the same tables.
func other(t *testing.T, url string) *postgres.Journal {
	t.Helper()
	return open(t, postgres.Config{URL: url, Durability: postgres.Relaxed})
}

func appendOne(t *testing.T, journal persistence.Journal, stream persistence.StreamID, expected persistence.Expected, payload string) persistence.Outcome {
	t.Helper()
	outcomes, err := journal.Append(t.Context(), persistence.Append{
		Stream: stream, Expected: expected, Events: []persistence.Event{{Type: "t", Payload: []byte(payload)}},
	})
	if err != nil {
		return persistence.Outcome{Err: err}
	}
	return outcomes[0]
}

func readAll(t *testing.T, journal persistence.Journal, stream persistence.StreamID) []persistence.Recorded {
	t.Helper()
	var events []persistence.Recorded
	for e, err := range journal.Read(t.Context(), stream, persistence.ReadOptions{}) {
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

// eventually polls until done is true.
func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !done() {
		require.True(t, time.Now().Before(deadline), "gave up waiting until %s", what)
		pass(t, 5*time.Millisecond)
	}
}

// pass lets time go by.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// admin runs a statement on a server and returns the number in its first row.
func admin(t *testing.T, server *pgserver.Server, sql string) int {
	t.Helper()
	awaken(t, server)
	return scalar(t, server.URL(), sql)
}

// awaken waits until a server that recovers takes connections.
func awaken(t *testing.T, server *pgserver.Server) {
	t.Helper()
	eventually(t, 30*time.Second, "the server takes connections", func() bool {
		conn, err := pgx.Connect(t.Context(), server.URL())
		if err != nil {
			return false
		}
		_, err = conn.Exec(t.Context(), "SELECT 1")
		return err == nil && conn.Close(t.Context()) == nil
	})
}

func scalar(t *testing.T, url, sql string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), sql)
	require.NoError(t, err)
	defer rows.Close()
	number := 0
	if rows.Next() {
		values, err := rows.Values()
		require.NoError(t, err)
		switch v := values[0].(type) {
		case int32:
			number = int(v)
		case int64:
			number = int(v)
		}
	}
	rows.Close()
	require.NoError(t, rows.Err())
	return number
}

// holdOrderLock keeps every append of a database waiting until it is released.
func holdOrderLock(t *testing.T, url string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "SELECT pg_advisory_lock($1, 0)", postgres.LockKey("stele"))
	require.NoError(t, err)
	return sync.OnceFunc(func() { require.NoError(t, conn.Close(t.Context())) })
}

// faultyConfig is a configuration whose append connections call strike before
// each request goes out. It may break the connection.
func faultyConfig(t *testing.T, url string, strike func(*faultyConn)) postgres.Config {
	t.Helper()
	pool, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	dial := pool.ConnConfig.DialFunc
	pool.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &faultyConn{Conn: conn, strike: strike}, nil
	}
	return postgres.Config{Pool: pool, Durability: postgres.Relaxed, StatementTimeout: 2 * time.Second}
}

// faultyConn is a connection that misbehaves at the requests that store events.
// Every other request passes.
type faultyConn struct {
	net.Conn
	strike func(*faultyConn)

	// mu guards what follows: a request is written while another goroutine waits for
	// the answer to it.
	mu sync.Mutex

	// The faults of the request about to go out.
	drop    bool   // it never reaches the server
	half    bool   // half of it does, and the connection ends
	swallow bool   // the server's answer never reaches the client, and the connection ends
	hang    bool   // no answer reaches the client any more
	instead []byte // what the client gets for an answer
	before  []byte // what the client gets before the answer

	dropped [][]byte     // what the client gets for requests that were dropped
	answer  bytes.Buffer // for the client
	ended   bool         // nothing follows
}

var errCut = errors.New("the connection was cut")

// storing are the beginnings of the requests that store events.
var storing = [][]byte{[]byte("\x00stele_append\x00\x00\x01\x00\x01"), []byte("\x00stele_append_checked\x00\x00\x01\x00\x01")}

func (c *faultyConn) Write(p []byte) (int, error) {
	if !slices.ContainsFunc(storing, func(name []byte) bool { return bytes.Contains(p, name) }) {
		return c.Conn.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strike(c)
	switch {
	case c.half:
		_, _ = c.Conn.Write(p[:len(p)/2])
		return 0, c.cut()
	case c.drop && c.instead == nil:
		return 0, c.cut()
	case c.drop:
		// An empty request is answered by a sign of readiness, which lets the reader find
		// what it is to say instead.
		c.dropped = append(c.dropped, c.instead)
		c.drop, c.instead = false, nil
		_, err := c.Conn.Write([]byte{'S', 0, 0, 0, 4})
		return len(p), err
	}
	return c.Conn.Write(p)
}

// Read hands the server's messages on one by one, so that a fault that was
// planted before an answer is met when the answer comes.
func (c *faultyConn) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		if c.answer.Len() > 0 {
			defer c.mu.Unlock()
			return c.answer.Read(p)
		}
		ended := c.ended
		c.mu.Unlock()
		if ended {
			return 0, c.cut()
		}
		message, err := c.receive()
		if err != nil {
			return 0, err
		}
		c.mu.Lock()
		c.pass(message)
		c.mu.Unlock()
	}
}

func (c *faultyConn) receive() ([]byte, error) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(c.Conn, header); err != nil {
		return nil, err
	}
	message := make([]byte, 1+binary.BigEndian.Uint32(header[1:]))
	copy(message, header)
	_, err := io.ReadFull(c.Conn, message[5:])
	return message, err
}

func (c *faultyConn) pass(message []byte) {
	last := message[0] == 'Z'
	switch {
	case c.hang:
	case c.swallow:
		if last {
			c.swallow, c.ended = false, true
			c.answer.Write(c.instead)
		}
	case len(c.dropped) > 0:
		c.answer.Write(c.dropped[0])
		c.dropped = c.dropped[1:]
	default:
		c.answer.Write(c.before)
		c.before = nil
		c.answer.Write(message)
	}
}

func (c *faultyConn) cut() error {
	_ = c.Close()
	return errCut
}

// ready is the server's sign that it waits for the next request.
var ready = []byte{'Z', 0, 0, 0, 5, 'I'}

func errorMessage(severity, code, text string) []byte { return report('E', severity, code, text) }
func noticeMessage(severity, code, text string) []byte {
	return report('N', severity, code, text)
}

func report(kind byte, severity, code, text string) []byte {
	body := "S" + severity + "\x00V" + severity + "\x00C" + code + "\x00M" + text + "\x00\x00"
	message := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(message, body...)
}
