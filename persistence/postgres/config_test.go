package postgres_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

func TestConfigIsCheckedAtOnce(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.ParseConfig("postgres://nobody@localhost/none")
	require.NoError(t, err)
	const fine = "postgres://nobody@localhost/none"
	cases := map[string]struct {
		config postgres.Config
		want   []string
	}{
		"nothing":           {postgres.Config{}, []string{"URL is empty"}},
		"two places":        {postgres.Config{URL: fine, Pool: pool}, []string{"URL and Pool are both set"}},
		"no URL":            {postgres.Config{URL: "postgres://x:secret@host:port/db"}, []string{"URL is not a connection string"}},
		"reserved schema":   {postgres.Config{URL: fine, Schema: "pg_stele"}, []string{`schema must not begin with "pg_"`}},
		"long schema":       {postgres.Config{URL: fine, Schema: strings.Repeat("s", 64)}, []string{"schema must have 1 to 63 bytes"}},
		"schema with NUL":   {postgres.Config{URL: fine, Schema: "a\x00b"}, []string{"schema must be UTF-8 without control characters"}},
		"unknown promise":   {postgres.Config{URL: fine, Durability: 7}, []string{"durability is neither"}},
		"negative numbers":  {postgres.Config{URL: fine, BatchEvents: -1, StreamNames: -2}, []string{"batch events is negative", "stream names is negative"}},
		"negative times":    {postgres.Config{URL: fine, PollInterval: -1, CloseTimeout: -time.Hour}, []string{"poll interval is negative", "close timeout is negative"}},
		"several at a time": {postgres.Config{Schema: "\n", ReadConnections: -3}, []string{"URL is empty", "schema must be", "read connections is negative"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := postgres.Open(t.Context(), c.config)

			require.ErrorIs(t, err, persistence.ErrInvalid)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "secret")
			require.Equal(t, err.Error(), strings.Replace(postgres.Migrate(t.Context(), c.config).Error(), "migrate", "open", 1))
		})
	}
}

// Open does not change the configuration of its caller.
func TestConfigBelongsToTheCaller(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.ParseConfig(pgtest.URL(t))
	require.NoError(t, err)
	before := pool.Copy()
	config := postgres.Config{Pool: pool, Durability: postgres.Relaxed, ReadConnections: 3}

	open(t, config)

	require.Equal(t, before.MaxConns, pool.MaxConns)
	require.Equal(t, before.ConnConfig.RuntimeParams, pool.ConnConfig.RuntimeParams)
	require.Equal(t, before.ConnConfig.ConnectTimeout, pool.ConnConfig.ConnectTimeout)
}

func TestOpenRefusesServersThatCannotKeepThePromise(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	with := func(name, value string) postgres.Config {
		pool, err := pgxpool.ParseConfig(url)
		require.NoError(t, err)
		pool.ConnConfig.RuntimeParams[name] = value
		return postgres.Config{Pool: pool}
	}

	_, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	require.ErrorContains(t, err, "fsync = off")

	server := pgtest.Server(t, pgtest.Durable)
	require.NoError(t, postgres.Migrate(t.Context(), postgres.Config{URL: server.URL()}))
	url = server.URL()
	open(t, postgres.Config{URL: url})
	for _, weak := range []string{"off", "local", "remote_write"} {
		_, err = postgres.Open(t.Context(), with("synchronous_commit", weak))
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, "synchronous_commit")
	}
	open(t, with("synchronous_commit", "remote_apply"))
	relaxed := with("synchronous_commit", "off")
	relaxed.Durability = postgres.Relaxed
	open(t, relaxed)
}

// Errors are read by people who may not see the connection string or the data.
func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	config := pgtest.Config(t)
	journal := open(t, config)
	server := pgtest.Server(t)
	secret := "5ecret"

	var errs []error
	for _, url := range []string{
		"postgres://user:" + secret + "@127.0.0.1:1/" + secret,
		"postgres://" + secret + ":" + secret + "@/none?host=/nowhere/" + secret,
		"host=/nowhere user=x password=" + secret + " dbname=" + secret + " sslmode=wrong",
		strings.Replace(server.URL(), "/postgres?", "/"+secret+"?", 1),
		strings.Replace(server.URL(), "postgres@", secret+":"+secret+"@", 1),
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: url, ConnectTimeout: time.Second})
		require.Error(t, err)
		errs = append(errs, err, postgres.Migrate(t.Context(), postgres.Config{URL: url, ConnectTimeout: time.Second}))
	}
	outcomes, err := journal.Append(t.Context(),
		persistence.Append{Stream: "s-1", Expected: persistence.Exact(4), Events: []persistence.Event{{Type: "t", Payload: []byte(secret)}}},
		persistence.Append{Stream: "s-1", Expected: persistence.StreamExists, Events: []persistence.Event{{Type: "t", Metadata: persistence.Metadata{secret: persistence.String(secret)}}}})
	require.NoError(t, err)
	errs = append(errs, outcomes[0].Err, outcomes[1].Err)
	for _, err := range errs {
		require.NotContains(t, strings.ReplaceAll(err.Error(), `role "`+secret, ""), secret+"@")
		require.NotContains(t, err.Error(), "postgres://")
		require.NotContains(t, err.Error(), "password="+secret)
		if !strings.Contains(err.Error(), "does not exist") { // the server names the database or role that is missing
			require.NotContains(t, err.Error(), secret)
		}
	}
}

// The error of a journal that cannot be opened says what is wrong and what to do, and not where
// the journal is.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	server := pgtest.Server(t)
	require.NoError(t, postgres.Migrate(t.Context(), postgres.Config{URL: server.URL()}))
	execute(t, server.URL(), "CREATE ROLE nothing LOGIN; CREATE ROLE outside LOGIN")
	execute(t, server.URL(), "CREATE DATABASE closed")
	execute(t, server.URL(), "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
	for _, encoding := range []string{"EUC_JP", "LATIN1", "SQL_ASCII"} {
		execute(t, server.URL(), "CREATE DATABASE other_"+encoding+" ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	}
	as := func(role string, url string) string { return strings.Replace(url, "postgres@", role+"@", 1) }
	unknown, err := pgxpool.ParseConfig("postgres://ann:opensesame@nowhere.example/none")
	require.NoError(t, err)
	unknown.ConnConfig.LookupFunc = func(context.Context, string) ([]string, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "nowhere.example", IsNotFound: true}
	}
	cases := map[string]struct {
		config postgres.Config
		kind   persistence.ErrorKind
		says   []string
	}{
		"nonsense":            {postgres.Config{URL: "nonsense"}, persistence.ErrInvalid, []string{"is not a connection string", "postgres://user:password@host"}},
		"a wrong port":        {postgres.Config{URL: "postgres://ann:opensesame@127.0.0.1:1/none"}, persistence.ErrUnavailable, []string{"nothing listens at the host and port"}},
		"no socket":           {postgres.Config{URL: "host=/nowhere/at/all user=ann password=opensesame dbname=none"}, persistence.ErrUnavailable, []string{"no socket of a server"}},
		"an unknown host":     {postgres.Config{Pool: unknown}, persistence.ErrUnavailable, []string{"no host has the name"}},
		"a missing database":  {postgres.Config{URL: server.DatabaseURL("missing")}, persistence.ErrUnavailable, []string{"no database of the name in the URL"}},
		"a missing role":      {postgres.Config{URL: as("ann", server.URL())}, persistence.ErrUnavailable, []string{"refuses the role or its password"}},
		"no right to connect": {postgres.Config{URL: as("outside", server.DatabaseURL("closed"))}, persistence.ErrUnavailable, []string{"GRANT CONNECT"}},
		"no rights":           {postgres.Config{URL: as("nothing", server.URL()), Durability: postgres.Relaxed}, persistence.ErrUnavailable, []string{"postgres.RolesSQL"}},
		"no right to migrate": {postgres.Config{URL: as("nothing", server.DatabaseURL("other_latin1")), Durability: postgres.Relaxed, Migrate: true}, persistence.ErrInvalid, []string{"LATIN1"}},
		"no right to create":  {postgres.Config{URL: as("nothing", server.URL()), Schema: "own", Durability: postgres.Relaxed, Migrate: true}, persistence.ErrInvalid, []string{"may create schemas"}},
		"no flushes":          {postgres.Config{URL: url}, persistence.ErrInvalid, []string{"fsync = off", "Config.Durability: postgres.Relaxed"}},
		"EUC_JP":              {postgres.Config{URL: server.DatabaseURL("other_euc_jp"), Durability: postgres.Relaxed, Migrate: true}, persistence.ErrInvalid, []string{"server_encoding = EUC_JP", "ENCODING 'UTF8' TEMPLATE template0"}},
		"SQL_ASCII":           {postgres.Config{URL: server.DatabaseURL("other_sql_ascii"), Durability: postgres.Relaxed, Migrate: true}, persistence.ErrInvalid, []string{"server_encoding = SQL_ASCII"}},
		"no tables":           {postgres.Config{URL: pgtest.Database(t), Durability: postgres.Relaxed}, persistence.ErrTables, []string{"postgres.Migrate"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := postgres.Open(t.Context(), c.config)

			require.ErrorIs(t, err, c.kind)
			for _, text := range c.says {
				require.ErrorContains(t, err, text)
			}
			for _, secret := range []string{"opensesame", "nowhere", "127.0.0.1"} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}
