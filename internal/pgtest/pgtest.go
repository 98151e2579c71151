// Package pgtest gives tests throw-away Postgres databases.
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
//
//	journal := pgtest.Journal(t)                     // on a database of its own
//	pool := pgtest.Open(t)                           // a migrated database, by hand
//	server := pgtest.Server(t, pgtest.Durable)       // a server to kill, pause and restart
//	through := pgtest.Pooler(t)                      // a PgBouncer before the shared server
//
// Databases are made on the server that STELE_TEST_POSTGRES names, or on one that
// this process starts at the first need. Where there is no server the test fails
// and says what to do; it is never skipped.
//
// Tests get a database each, not a schema, because advisory locks are per
// database: in one database tests would wait for each other's order locks.
package pgtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/persistence/postgres"
)

// Durable makes a private server flush to the disk.
var Durable pgserver.Option = pgserver.Durable

// SlowFlush makes a private server flush to a disk that is slower by this much.
func SlowFlush(longer time.Duration) pgserver.Option { return pgserver.SlowFlush(longer) }

// Server runs a private server until the end of the test. Without options it is
// as the shared one: a killed process loses nothing, a lost machine everything.
func Server(t testing.TB, options ...pgserver.Option) *pgserver.Server {
	t.Helper()
	server, err := pgserver.Start(t.Context(), options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

// Pooler runs a PgBouncer that pools by transaction in front of the shared server, until the
// end of the test. settings are further lines of its configuration. Pooler returns a function
// that turns the connection string of a database into the one that leads through the pooler.
func Pooler(t testing.TB, settings ...string) (through func(url string) string) {
	t.Helper()
	server, err := shared.url(t.Context())
	require.NoError(t, err)
	pooler, err := pgserver.StartPooler(t.Context(), server, settings...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pooler.Stop()) })
	return func(url string) string {
		t.Helper()
		config, err := pgconn.ParseConfig(url)
		require.NoError(t, err)
		return pooler.URL(config.Database)
	}
}

// Journal opens a journal on a database of its own and closes it at the end of
// the test.
func Journal(t testing.TB) *postgres.Journal {
	t.Helper()
	journal, err := postgres.Open(t.Context(), Config(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	return journal
}

// Config is the configuration of a journal on a migrated database of its own. It
// is relaxed, because the shared server does not flush.
func Config(t testing.TB) postgres.Config {
	t.Helper()
	return postgres.Config{URL: URL(t), Durability: postgres.Relaxed}
}

// Open returns a pool on a migrated database of its own.
func Open(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), URL(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// URL is the connection string of an own database that holds a fresh journal in
// the schema "stele". The database is dropped at the end of the test.
func URL(t testing.TB) string {
	t.Helper()
	template, err := shared.template(t.Context())
	require.NoError(t, err)
	copied := database(t, template)
	// A copy is another journal.
	require.NoError(t, execute(t.Context(), copied, "UPDATE stele.journal SET id = gen_random_uuid()"))
	return copied
}

// Database is the connection string of an own empty database, which is dropped
// at the end of the test.
func Database(t testing.TB) string {
	t.Helper()
	return database(t, "template0")
}

func database(t testing.TB, template string) string {
	t.Helper()
	server, err := shared.url(t.Context())
	require.NoError(t, err)
	// The time tells leftovers from those in use.
	name := fmt.Sprintf("%s%d_%08x", databasePrefix, time.Now().Unix(), rand.Uint32())
	require.NoError(t, execute(t.Context(), server, "CREATE DATABASE "+name+" TEMPLATE "+template))
	t.Cleanup(func() {
		// The test's own context is done by then.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) //nolint:forbidigo // the test is over
		defer cancel()
		require.NoError(t, execute(ctx, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"))
	})
	return withDatabase(server, name)
}

// Backup keeps a copy of a database, which must have no connections. It returns a function
// that puts the copy in the place of the database. It is still the same journal.
func Backup(t testing.TB, url string) (restore func()) {
	t.Helper()
	server, err := shared.url(t.Context())
	require.NoError(t, err)
	config, err := pgconn.ParseConfig(url)
	require.NoError(t, err)
	name, kept := config.Database, config.Database+"_kept"
	require.NoError(t, execute(t.Context(), server, "CREATE DATABASE "+kept+" TEMPLATE "+name))
	return func() {
		t.Helper()
		require.NoError(t, execute(t.Context(), server, "DROP DATABASE "+name+" WITH (FORCE)"))
		require.NoError(t, execute(t.Context(), server, "ALTER DATABASE "+kept+" RENAME TO "+name))
	}
}

const (
	databasePrefix = "stele_test_"
	templatePrefix = "stele_template_"
)

// Main wraps the main function of tests, so that the server that this process has started is
// gone when the tests are done. In processes without it the kernel ends the server.
func Main(m *testing.M) interface{ Run() int } { return mainFunc(m.Run) }

type mainFunc func() int

func (f mainFunc) Run() int {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // tests provoke what it would report
	code := f()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		return max(code, 1)
	}
	return code
}

// shared is the one server of a test process.
var shared sharedServer

type sharedServer struct {
	mu       sync.Mutex
	address  string
	err      error
	own      *pgserver.Server
	migrated string
}

// url finds or starts the server, once.
func (s *sharedServer) url(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(ctx)
}

func (s *sharedServer) find(ctx context.Context) (string, error) {
	if s.address != "" || s.err != nil {
		return s.address, s.err
	}
	if s.address = os.Getenv("STELE_TEST_POSTGRES"); s.address != "" {
		if s.err = dropLeftovers(ctx, s.address); s.err != nil {
			s.err = fmt.Errorf("use the server of STELE_TEST_POSTGRES: %w", s.err)
		}
		return s.address, s.err
	}
	if s.own, s.err = pgserver.Start(context.WithoutCancel(ctx)); s.err == nil {
		s.address = s.own.URL()
	}
	return s.address, s.err
}

func (s *sharedServer) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == nil {
		return nil
	}
	return s.own.Stop()
}

// template makes a migrated database to copy others from, unless there is one: a copy takes
// half the time of a migration. All processes that know the same migrations share it.
func (s *sharedServer) template(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	server, err := s.find(ctx)
	if s.migrated != "" || err != nil {
		return s.migrated, err
	}
	name, err := templateName()
	if err != nil {
		return "", err
	}
	if err := makeTemplate(ctx, server, name); err != nil {
		return "", fmt.Errorf("make the template %s: %w", name, err)
	}
	s.migrated = name
	return name, nil
}

// templateName names the template by the text of its migrations.
func templateName() (string, error) {
	migrations, err := postgres.Migrations("stele")
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	err = fs.WalkDir(migrations, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations, path)
		hash.Write(text)
		return err
	})
	return fmt.Sprintf("%s%x", templatePrefix, hash.Sum(nil)[:8]), err
}

func makeTemplate(ctx context.Context, server, name string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// Other processes may do the same at this moment.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		return err
	}
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil || exists {
		return err
	}
	// It gets its name when it is complete.
	raw := name + "_raw"
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + raw + " WITH (FORCE)", "CREATE DATABASE " + raw + " TEMPLATE template0"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := postgres.Migrate(ctx, postgres.Config{URL: withDatabase(server, raw)}); err != nil {
		return err
	}
	for _, sql := range []string{"ALTER DATABASE " + raw + " WITH ALLOW_CONNECTIONS false", "ALTER DATABASE " + raw + " RENAME TO " + name} {
		if err := retryInUse(ctx, func() error { _, err := conn.Exec(ctx, sql); return err }); err != nil {
			return err
		}
	}
	return nil
}

// retryInUse tries again while a connection that was closed is still counted.
func retryInUse(ctx context.Context, do func() error) error {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for range 1000 {
		err := do()
		if answered, ok := errors.AsType[*pgconn.PgError](err); !ok || answered.Code != "55006" {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-poll.C:
		}
	}
	return do()
}

// dropLeftovers drops the databases of test processes that have died, on a server that
// outlives them.
func dropLeftovers(ctx context.Context, server string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database d WHERE datname LIKE $1 AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)", databasePrefix+"%")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if !old(name) {
			continue
		}
		if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

// old reports whether the test of a database must have ended long ago.
func old(name string) bool {
	made, _, _ := strings.Cut(strings.TrimPrefix(name, databasePrefix), "_")
	seconds, err := strconv.ParseInt(made, 10, 64)
	return err == nil && time.Since(time.Unix(seconds, 0)) > 24*time.Hour
}

func execute(ctx context.Context, server, sql string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return retryInUse(ctx, func() error { _, err := conn.Exec(ctx, sql); return err })
}

// withDatabase changes the database in a connection string, in either form that libpq knows.
func withDatabase(server, name string) string {
	if u, err := url.Parse(server); err == nil && u.Scheme != "" {
		u.Path = "/" + name
		return u.String()
	}
	return server + " dbname=" + name
}
