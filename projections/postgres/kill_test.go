package postgres_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	journalpg "github.com/stele-es/stele/persistence/postgres"
	journallite "github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/postgres"
	"github.com/stele-es/stele/projections/sqlite"
)

var kills = flag.Int("kills", 5, "how often the processes of the tests are killed or halted")

// shortTakeOver lets children that live for a moment come to do something between two kills.
const shortTakeOver = 50 * time.Millisecond

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{"project": project})
	goleak.VerifyTestMain(pgtest.Main(m))
}

// added is the event that counts, and noise one that nobody handles.
type added struct{ N int }

func (added) MessageName() string { return "added" }

// place is a journal with three projections beside it: what each event was, and how
// often, in rows without any constraint; the same through a batch or a state. On
// Postgres there is one more in the transactions of the appends.
type place struct {
	journal persistence.Journal
	all     []projections.Projection
	query   func(ctx context.Context, text string) ([]string, error)
	close   func() error
}

const rows = "CREATE TABLE IF NOT EXISTS seen (model text, stream text, version bigint, n bigint)"

func openPlace(ctx context.Context, text string) (*place, error) {
	kind, where, _ := strings.Cut(text, " ")
	if kind == "sqlite" {
		return openSQLite(ctx, where)
	}
	return openPostgres(ctx, where)
}

func openPostgres(ctx context.Context, url string) (*place, error) {
	behind, err := journalpg.Open(ctx, journalpg.Config{URL: url, Durability: journalpg.Relaxed})
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, errors.Join(err, behind.Close())
	}
	target, err := postgres.Open(ctx, postgres.Config{Pool: pool, Migrate: true, IdleTimeout: 300 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	const insert = "INSERT INTO seen VALUES ($1, $2, $3, $4)"
	setup := projections.Setup(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, rows)
		return err
	})
	one := projections.Define("rows", 1, setup, projections.On(func(ctx context.Context, tx pgx.Tx, e projections.Event[added]) error {
		_, err := tx.Exec(ctx, insert, "rows", string(e.Stream), int64(e.Version), e.Data.N)
		return err
	})).With(projections.Workers(2))
	batch := projections.Define("batches", 1, projections.Setup(func(_ context.Context, batch *pgx.Batch) error {
		batch.Queue(rows)
		return nil
	}), projections.On(func(_ context.Context, batch *pgx.Batch, e projections.Event[added]) error {
		batch.Queue(insert, "batches", string(e.Stream), int64(e.Version), e.Data.N)
		return nil
	}))
	state := projections.Define("state", 1, projections.On(counting))
	journal, err := postgres.Inline(ctx, behind, pool, projections.Define("inline", 1, setup, projections.On(func(ctx context.Context, tx pgx.Tx, e projections.Event[added]) error {
		_, err := tx.Exec(ctx, insert, "inline", string(e.Stream), int64(e.Version), e.Data.N)
		return err
	})))
	if err != nil {
		return nil, errors.Join(err, behind.Close())
	}
	query := func(ctx context.Context, text string) ([]string, error) {
		found, err := pool.Query(ctx, text)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(found, pgx.RowTo[string])
	}
	return &place{journal, []projections.Projection{one.Into(target), batch.Into(postgres.Batched(target)), state.Into(projections.Persist[counts](target))}, query, func() error {
		err := journal.Close()
		pool.Close()
		return err
	}}, nil
}

func openSQLite(ctx context.Context, directory string) (*place, error) {
	journal, err := journallite.Open(ctx, journallite.Config{Path: directory + "/journal.db", Relaxed: true})
	if err != nil {
		return nil, err
	}
	target, err := sqlite.Open(ctx, sqlite.Config{Path: directory + "/views.db"})
	if err != nil {
		return nil, errors.Join(err, journal.Close())
	}
	one := projections.Define("rows", 1, projections.Setup(func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, rows)
		return err
	}), projections.On(func(ctx context.Context, tx *sql.Tx, e projections.Event[added]) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO seen VALUES (?, ?, ?, ?)", "rows", string(e.Stream), int64(e.Version), e.Data.N)
		return err
	})).With(projections.Workers(2))
	state := projections.Define("state", 1, projections.On(counting))
	query := func(ctx context.Context, text string) (all []string, err error) {
		found, err := target.DB().QueryContext(ctx, text)
		if err != nil {
			return nil, err
		}
		defer found.Close()
		for found.Next() {
			var row string
			if err := found.Scan(&row); err != nil {
				return nil, err
			}
			all = append(all, row)
		}
		return all, found.Err()
	}
	return &place{journal, []projections.Projection{one.Into(target), state.Into(projections.Persist[counts](target))}, query, func() error {
		return errors.Join(target.Close(), journal.Close())
	}}, nil
}

// counts is a state that emits a running number for every event.
type counts struct {
	Events int
	Sum    map[string]int
}

func counting(_ context.Context, s *projections.State[counts], e projections.Event[added]) error {
	if s.Value.Sum == nil {
		s.Value.Sum = map[string]int{}
	}
	s.Value.Events++
	s.Value.Sum[string(e.Stream)] += e.Data.N
	return projections.Emit(s, added{N: s.Value.Events})
}

// project projects, and writes, until it is killed. The first argument says where: "postgres
// URL" or "sqlite DIRECTORY", with "silent " before it for one that only projects. The second
// is how long it waits for others before it takes over.
func project(ctx context.Context, arguments []string) error {
	where, silent := strings.CutPrefix(arguments[0], "silent ")
	takeOverAfter, err := time.ParseDuration(arguments[1])
	if err != nil {
		return err
	}
	p, err := openPlace(ctx, where)
	if err != nil {
		return err
	}
	runner, err := projections.New(projections.Config{Journal: p.journal, Projections: p.all, TakeOverAfter: takeOverAfter})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "up")
	if !silent {
		go p.write(ctx) // until the process is killed
	}
	return runner.Run(ctx)
}

// write appends to many streams at once.
func (p *place) write(ctx context.Context) {
	for i := rand.IntN(1000); ; i++ {
		var appends []persistence.Append
		for j := range 8 {
			appends = append(appends, persistence.Append{
				Stream: persistence.StreamID(fmt.Sprintf("a-%d", (i*8+j)%100)), Expected: persistence.Any,
				Events: []persistence.Event{{Type: "added", Payload: fmt.Appendf(nil, `{"N":%d}`, i)}, {Type: "noise"}},
			})
		}
		if _, err := p.journal.Append(ctx, appends...); err != nil {
			return
		}
	}
}

// start runs a child until it is killed, and returns when it is up. One that a busy machine
// keeps from reaching its server begins again.
func start(t *testing.T, where string, takeOverAfter time.Duration) *killtest.Child {
	t.Helper()
	for range 10 {
		child := killtest.Start(t, "project", where, takeOverAfter.String())
		if _, up := child.Line(); up {
			return child
		}
	}
	require.FailNow(t, "the child does not come up")
	return nil
}

// within waits for a time on the real clock, which children live by.
func within(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func TestLongKilled(t *testing.T) {
	t.Parallel()
	places := map[string]func(*testing.T) string{
		"postgres": func(t *testing.T) string { t.Helper(); return "postgres " + pgtest.URL(t) },
		"sqlite":   func(t *testing.T) string { t.Helper(); return "sqlite " + t.TempDir() },
	}
	for name, where := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := where(t)
			for range *kills {
				child := start(t, where, shortTakeOver)
				within(t, 50*time.Millisecond+rand.N(400*time.Millisecond))
				child.Kill()
			}
			requireOnce(t, where)
		})
	}
}

// requireOnce lets the projections catch up and compares what they have made with
// the events, one by one.
func requireOnce(t *testing.T, where string) {
	t.Helper()
	p, err := openPlace(t.Context(), where)
	require.NoError(t, err)
	defer func() { require.NoError(t, p.close()) }()
	runner, err := projections.New(projections.Config{Journal: p.journal, Projections: p.all})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	group := lifecycle.Start(ctx, lifecycle.Component{Name: "runner", Run: runner.Run})
	defer func() { require.NoError(t, group.Stop(ctx)) }()
	require.NoError(t, runner.CatchUp(ctx))

	want, events := map[string]int{}, 0
	for page, err := range p.journal.ReadAll(ctx, persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		for i := range page.Events {
			if e := &page.Events[i]; e.Type == "added" {
				events++
				want[fmt.Sprintf("%s@%d", e.Stream, e.Version)]++
			}
		}
	}
	require.NotZero(t, events)
	models, err := p.query(ctx, "SELECT DISTINCT model FROM seen ORDER BY model")
	require.NoError(t, err)
	for _, model := range models {
		seen, err := p.query(ctx, "SELECT stream || '@' || version FROM seen WHERE model = '"+model+"'")
		require.NoError(t, err)
		got := map[string]int{}
		for _, event := range seen {
			got[event]++
		}
		require.Equal(t, want, got, model)
	}
	folded, _, err := projections.Fold(ctx, p.journal, projections.Define("state", 1, projections.On(counting)), projections.FoldOptions[counts]{})
	require.NoError(t, err)
	state, err := runner.State(ctx, "state")
	require.NoError(t, err)
	wanted, err := json.Marshal(folded)
	require.NoError(t, err)
	require.Equal(t, string(wanted), string(state))
	require.Equal(t, events, folded.Events)
	info, err := p.journal.Stream(ctx, projections.EmitStream("state"))
	require.NoError(t, err)
	require.EqualValues(t, events, info.Version, "emitted once each")
	t.Logf("%d events, each applied once in %s and the state", events, cmp.Or(strings.Join(models, ", "), "nothing"))
}
