package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// Servers are killed, paused and restarted under load. In the end the outcomes that writers
// got are compared with the stored events.

func TestLongOutagesUnderLoad(t *testing.T) {
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
			// The stream has to be read to find out where to go on.
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

// doubtCounter counts the events whose connection was lost, by the journal's log.
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

// An outcome that cannot be found out in time is unknown, except that of an append which was
// never sent.
func TestUnresolvedAppendIsUnknown(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	journal := open(t, postgres.Config{
		URL: server.URL(), Migrate: true, Durability: postgres.Relaxed, ResolveTimeout: time.Second,
		StatementTimeout: time.Second, ConnectTimeout: time.Second,
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

// Callers get an error at once while the server is away. Appends go on soon after it is back.
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
	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = journal.Head(impatient) // leaves a connection on which nobody answers
	require.ErrorIs(t, err, persistence.ErrUnavailable)
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
