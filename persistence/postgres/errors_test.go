package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
)

// Some errors of the server prove that nothing was stored.
func TestDefiniteErrors(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"22P02", "22021", "23505", "23502", "40001", "40P01", "42883", "42501", "53100", "53200", "55P03", "25006", "ST001", "ST002"} {
		require.True(t, pgsession.Definite(code), code)
	}
	for _, code := range []string{"", "0", "00000", "01000", "08006", "08007", "40002", "40003", "57014", "57P01", "57P02", "57P03", "58030", "XX000", "XX001", "25P02", "P0001"} {
		require.False(t, pgsession.Definite(code), code)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	kinds := map[string]persistence.ErrorKind{
		"42501": persistence.ErrUnavailable, "42883": persistence.ErrTables, "42P01": persistence.ErrTables, "22P02": persistence.ErrInvalid,
		"23505": persistence.ErrCorrupt, "ST002": persistence.ErrCorrupt, "53100": persistence.ErrUnavailable, "40001": persistence.ErrUnavailable,
	}
	for code, kind := range kinds {
		require.ErrorIs(t, refusal("s-1", pgsession.NewServerError(code, "secret")), kind, code)
	}
}

// Errors of the driver may quote connection strings and values.
func TestPublicErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  error
		want string
	}{
		"a value":       {&pgconn.PgError{Code: "22P02", Message: "invalid input: secret", Detail: "secret"}, "the server answered SQLSTATE 22P02"},
		"a duplicate":   {&pgconn.PgError{Code: "23505", Message: "secret", Detail: "Key (secret)"}, "the server answered SQLSTATE 23505"},
		"a password":    {fmt.Errorf("secret: %w", &pgconn.PgError{Code: "28P01", Message: "password authentication failed"}), "the server answered SQLSTATE 28P01: password authentication failed"},
		"no protocol":   {&pgconn.PgError{}, "the server answered SQLSTATE XX000"},
		"a host":        {&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "connection refused"},
		"a deadline":    {fmt.Errorf("secret: %w", os.ErrDeadlineExceeded), "i/o timeout"},
		"a context":     {fmt.Errorf("secret: %w", context.Canceled), "context canceled"},
		"an end":        {fmt.Errorf("secret: %w", io.ErrUnexpectedEOF), "unexpected EOF"},
		"anything else": {errors.New("secret"), "the driver failed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, appending.Public(c.err), c.want)
			require.EqualError(t, appending.Unavailable("no answer", c.err), "unavailable: no answer: "+c.want)
		})
	}
	require.NoError(t, appending.Public(nil))
	require.NotContains(t, refusal("s-1", pgsession.NewServerError("22P02", "secret")).Error(), "secret")
}

func TestStatementsAreComplete(t *testing.T) {
	t.Parallel()
	s := newStatements("stele")
	files, err := sqlFiles.ReadDir("sql")
	require.NoError(t, err)
	for _, file := range files {
		text, err := sqlFiles.ReadFile("sql/" + file.Name())
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "-- "), "%s says why it is there", file.Name())
		require.Contains(t, fmt.Sprintf("%+v", *s), newStatements("stele").filled(string(text)), "%s is used", file.Name())
	}
	require.NotContains(t, fmt.Sprintf("%+v", *s), "{schema}")
}

func (s *statements) filled(text string) string {
	return filler("stele").Replace(withProof(withoutComments(text)))
}
