package pgsession_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// The settings that statements rest on win over those of a connection string, however it writes
// them. The others of the string stay.
func TestPrepareWinsOverTheConnectionString(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t) + "&DateStyle=german&client_encoding=latin1&Search_Path=public&work_mem=64kB&application_name=mine"
	for _, o := range []pgsession.Options{
		{Name: "stele", Server: pgsession.Writable, Planner: true},
		{Name: "stele", Server: pgsession.Primary, Planner: true},
	} {
		config, err := pgx.ParseConfig(url)
		require.NoError(t, err)
		pgsession.Prepare(config, o)
		conn, err := pgx.ConnectConfig(t.Context(), config)
		require.NoError(t, err)
		defer conn.Close(t.Context())

		for name, want := range map[string]string{
			"DateStyle": "ISO, MDY", "client_encoding": "UTF8", "search_path": "pg_catalog, pg_temp", "jit": "off", "work_mem": "64kB", "application_name": "mine",
			"default_transaction_isolation": "read committed", "statement_timeout": "0",
		} {
			var have string
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&have))
			require.Equal(t, want, have, name)
		}
		_, err = conn.Exec(t.Context(), "SET client_encoding = latin1")
		require.NoError(t, err)
		require.ErrorIs(t, pgsession.Prove(t.Context(), conn.PgConn(), o), persistence.ErrInvalid)
	}
}

// A transaction in a session of somebody else leaves the session as it was.
func TestBeginIsForOneTransaction(t *testing.T) {
	t.Parallel()
	hostile, _ := pgtest.Hostile(t, pgtest.Database, "idle_session_timeout", "statement_timeout")
	conn, err := pgx.Connect(t.Context(), hostile)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	settings := func(on pgx.Tx) (found string) {
		const sql = "SELECT string_agg(s.name || '=' || s.setting, ' ' ORDER BY s.name) FROM pg_settings s WHERE s.name <> 'transaction_isolation'"
		row := conn.QueryRow
		if on != nil {
			row = on.QueryRow
		}
		require.NoError(t, row(t.Context(), sql, pgx.QueryExecModeExec).Scan(&found))
		return found
	}
	before := settings(nil)

	tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{BeginQuery: pgsession.Begin(pgsession.Writing, "idle_in_transaction_session_timeout", "30000")})
	require.NoError(t, err)
	inside := settings(tx)
	require.NoError(t, tx.Commit(t.Context()))

	require.Equal(t, before, settings(nil))
	for _, want := range []string{"client_encoding=UTF8", "bytea_output=hex", "jit=off", "lock_timeout=0", "idle_in_transaction_session_timeout=30000", "TimeZone=Asia/Kathmandu"} {
		require.Contains(t, inside, want)
	}
}

// The answers of a server have these meanings for a caller.
func TestAnswersOfAServer(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]struct{ spent, definite, passing, collided, missing bool }{
		"25006": {spent: true, definite: true, passing: true},
		"0A000": {spent: true, definite: true},
		"26000": {spent: true, definite: true, passing: true},
		"42P05": {spent: true, definite: true},
		"25P03": {spent: true, definite: true, passing: true},
		"57P01": {spent: true, passing: true},
		"57P03": {spent: true, passing: true},
		"08006": {spent: true, passing: true},
		"XX000": {spent: true},
		"53100": {definite: true, passing: true},
		"40001": {definite: true, collided: true},
		"40P01": {definite: true, collided: true},
		"55P03": {definite: true},
		"23505": {definite: true},
		"42P01": {definite: true, missing: true},
		"3F000": {definite: true, missing: true},
		"42883": {definite: true, missing: true},
		"57014": {},
		"40003": {},
		"":      {},
	} {
		require.Equal(t, want.spent, pgsession.Spent(code), "spent %s", code)
		require.Equal(t, want.definite, pgsession.Definite(code), "definite %s", code)
		require.Equal(t, want.passing, pgsession.Passing(code), "passing %s", code)
		require.Equal(t, want.collided, pgsession.Collided(code), "collided %s", code)
		require.Equal(t, want.missing, pgsession.NoTables(code), "no tables %s", code)
	}
}

func TestUnreachableSaysWhatToLookAt(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"nothing listens":                  fmt.Errorf("dial opensesame: %w", os.NewSyscallError("connect", syscall.ECONNREFUSED)),
		"no host has the name":             &net.DNSError{Err: "no such host", Name: "opensesame", IsNotFound: true},
		"no socket of a server":            &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENOENT)},
		"no way to the host":               os.NewSyscallError("connect", syscall.EHOSTUNREACH),
		"refuses the role or its password": &pgconn.PgError{Code: "28P01", Message: "password authentication failed"},
		"no database of the name":          &pgconn.PgError{Code: "3D000"},
		"no connection left":               &pgconn.PgError{Code: "53300"},
		"starting or stopping":             &pgconn.PgError{Code: "57P03"},
		"agree about TLS":                  errors.New("tls error: server refused TLS connection"),
		"is a standby":                     &pgsession.UnfitError{Code: pgsession.ReadOnly, Reason: "the server is a standby"},
	} {
		got := pgsession.Unreachable(err)
		require.ErrorIs(t, got, persistence.ErrUnavailable, want)
		require.ErrorContains(t, got, want)
		require.NotContains(t, got.Error(), "opensesame")
	}
	got := pgsession.Unreachable(&pgconn.PgError{Code: "08P01", Message: "unsupported startup parameter: jit"})
	require.ErrorIs(t, got, persistence.ErrInvalid)
	require.ErrorContains(t, got, "set Config.Pooler")
}
