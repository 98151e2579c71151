package stele_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
	pgtarget "github.com/stele-es/stele/projections/postgres"
	sqlitetarget "github.com/stele-es/stele/projections/sqlite"
)

// An echo hears what all counters are told.
type (
	echo   struct{}
	echoed struct {
		Of string
		N  uint64
	}
)

func (echoed) MessageName() string { return "test.echoed" }

var echoes = actors.Define("echo",
	actors.React(func(e actors.Event[*wrapperspb.UInt64Value]) string { return string(e.Stream) },
		func(_ *echo, tx *actors.Tx, e actors.Event[*wrapperspb.UInt64Value]) error {
			tx.Raise(echoed{fmt.Sprint(e.Version), e.Data.Value})
			return nil
		}),
	actors.On(func(*echo, echoed) {}),
)

// Whatever becomes of the nodes, and however many there are, every event of others
// has its effect once and in order, on every journal.
func TestReactions(t *testing.T) {
	t.Parallel()
	const rounds, counters, each = 6, 5, 20
	stores := map[string]func(*testing.T) projections.Store{
		"memory": func(*testing.T) projections.Store { return new(projections.Books) },
		"sqlite": func(t *testing.T) projections.Store {
			t.Helper()
			target, err := sqlitetarget.Open(t.Context(), sqlitetarget.Config{Path: filepath.Join(t.TempDir(), "views.db")})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, target.Close()) })
			return target
		},
		"postgres": func(t *testing.T) projections.Store {
			t.Helper()
			target, err := pgtarget.Open(t.Context(), pgtarget.Config{Pool: pgtest.Open(t), Migrate: true})
			require.NoError(t, err)
			return target
		},
	}
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal, store := open(t), stores[name](t)
			start := func() *stele.Node {
				node, err := stele.Start(t.Context(), stele.Config{
					Journal: journal, Aggregates: stele.Aggregates{Counters, echoes}, Checkpoints: store,
					Runtime: actors.Config{AskTimeout: 2 * time.Minute}, // a busy machine is no failure
				})
				require.NoError(t, err)
				return node
			}
			halt := func(node *stele.Node) { // without time for anything
				gone, cancel := context.WithCancel(t.Context())
				cancel()
				_ = node.Stop(gone)
				_ = node.Stop(t.Context()) // waits for the rest, and says the same
			}
			for range rounds {
				one, other := start(), start()
				for i := range each {
					_, err := Count.Ask(t.Context(), one, fmt.Sprint(i%counters), wrapperspb.UInt64(1))
					require.NoError(t, err)
				}
				if rand.N(2) == 0 {
					<-time.After(rand.N(30 * time.Millisecond)) // wherever they are by then
				}
				halt(one)
				halt(other)
			}
			last := start()
			require.NoError(t, last.Projections().CatchUp(t.Context()))
			require.NoError(t, last.Stop(t.Context()))

			require.Equal(t, rounds*each, echoedOnce(t, journal, counters))
		})
	}
}

// echoedOnce requires that the echo of each counter has heard all that the counter was
// told, once and in order, and returns how much that is.
func echoedOnce(t *testing.T, journal persistence.Reader, counters int) (total int) {
	t.Helper()
	for counter := range counters {
		stream := persistence.StreamID(fmt.Sprint("counter-", counter))
		told, err := journal.Stream(t.Context(), stream)
		require.NoError(t, err)
		var heard, want []string
		for recorded, err := range journal.Read(t.Context(), "echo-"+stream, persistence.ReadOptions{}) {
			require.NoError(t, err)
			heard = append(heard, strings.Split(string(recorded.Payload), `"`)[3])
		}
		for version := range told.Version {
			want = append(want, fmt.Sprint(version+1))
		}
		require.Equal(t, want, heard, stream)
		total += len(want)
	}
	return total
}

// reacting as first argument makes the test program a node that counts and reacts until
// it is killed.
const reacting = "-react"

// countAndReact counts for each line that it is given, and says so.
func countAndReact(ctx context.Context, where string) error {
	journal, store, _, err := openBoth(ctx, where)
	if err != nil {
		return err
	}
	node, err := stele.Start(ctx, stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters, echoes}, Checkpoints: store})
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if _, err := Count.Ask(ctx, node, lines.Text(), wrapperspb.UInt64(1)); err != nil {
			return err
		}
		fmt.Println("counted")
	}
	return errors.New("nobody counts any more")
}

// openBoth opens a journal and a store of checkpoints: by the URL of a Postgres, or in a
// folder.
func openBoth(ctx context.Context, where string) (journal persistence.Journal, store projections.Store, closeBoth func() error, err error) {
	if strings.HasPrefix(where, "postgres") {
		pool, err := pgxpool.New(ctx, where)
		if err != nil {
			return nil, nil, nil, err
		}
		journal, err := postgres.Open(ctx, postgres.Config{URL: where, Durability: postgres.Relaxed}) // as the server of the tests
		if err != nil {
			return nil, nil, nil, err
		}
		store, err := pgtarget.Open(ctx, pgtarget.Config{Pool: pool, Migrate: true})
		return journal, store, func() error { pool.Close(); return journal.Close() }, err
	}
	journal, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(where, "journal.db")})
	if err != nil {
		return nil, nil, nil, err
	}
	target, err := sqlitetarget.Open(ctx, sqlitetarget.Config{Path: filepath.Join(where, "views.db")})
	return journal, target, func() error { return errors.Join(target.Close(), journal.Close()) }, err
}

// The same with processes that are killed in the middle of it.
func TestReactionsAreKilled(t *testing.T) {
	t.Parallel()
	const kills, counters = 8, 3
	for name, where := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { t.Helper(); return t.TempDir() },
		"postgres": func(t *testing.T) string { t.Helper(); return pgtest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := where(t)
			counted := 0
			for range kills {
				child := exec.CommandContext(t.Context(), os.Args[0], reacting, where)
				child.Stderr = t.Output()
				in, err := child.StdinPipe()
				require.NoError(t, err)
				out, err := child.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, child.Start())
				answers := bufio.NewScanner(out)
				for range 5 + rand.N(60) {
					_, err := fmt.Fprintln(in, rand.N(counters))
					require.NoError(t, err)
					require.True(t, answers.Scan(), "it does not count")
					counted++
				}
				require.NoError(t, child.Process.Kill())
				_ = child.Wait() // it was killed
			}

			journal, store, closeBoth, err := openBoth(t.Context(), where)
			require.NoError(t, err)
			last, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{Counters, echoes}, Checkpoints: store})
			require.NoError(t, err)
			for counter := range counters { // so that there is one of each
				_, err := Count.Ask(t.Context(), last, fmt.Sprint(counter), wrapperspb.UInt64(1))
				require.NoError(t, err)
			}
			require.NoError(t, last.Projections().CatchUp(t.Context()))
			require.NoError(t, last.Stop(t.Context()))
			total := echoedOnce(t, journal, counters)
			require.GreaterOrEqual(t, total, counted+counters)
			t.Logf("%d events, each reacted to once", total)
			require.NoError(t, closeBoth())
		})
	}
}

func TestReactionsNeedCheckpoints(t *testing.T) {
	t.Parallel()
	_, err := stele.Start(t.Context(), stele.Config{Journal: new(memory.Journal), Aggregates: stele.Aggregates{echoes}})
	require.ErrorContains(t, err, "set Config.Checkpoints to a target of package projections/postgres or sqlite")
}
