package pgsession

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/persistence"
)

// The codes that packages act on one by one.
const (
	// ReadOnly is the answer of a standby to a write, and of a server to a session that
	// began while its role or its database was read-only.
	ReadOnly = "25006"
	// NotPermitted is the answer to a role that lacks a right.
	NotPermitted = "42501"
)

// ServerError is an error that a server has answered. It has the server's message only for
// classes of errors whose messages cannot quote stored data.
type ServerError struct {
	// Code is the SQLSTATE.
	Code string
	// Message is the server's own text, or empty.
	Message string
}

// Error fulfils error.
func (e *ServerError) Error() string {
	if e.Message == "" {
		return "the server answered SQLSTATE " + e.Code
	}
	return fmt.Sprintf("the server answered SQLSTATE %s: %s", e.Code, e.Message)
}

// NewServerError makes an error of the parts of an answer that may be shown.
func NewServerError(code, message string) *ServerError {
	switch {
	case code == "": // a server that does not speak the protocol
		return &ServerError{Code: "XX000"}
	case len(code) == 5 && strings.Contains("08 25 28 3D 40 42 53 55 57", code[:2]):
		return &ServerError{Code: code, Message: message}
	}
	return &ServerError{Code: code}
}

// UnfitError says that a server answers but is not fit for the session.
type UnfitError struct {
	// Code is the SQLSTATE that the server would have answered.
	Code string
	// Reason says what the server is, and what to do.
	Reason string
}

// Error fulfils error.
func (e *UnfitError) Error() string { return e.Reason }

// Code returns the SQLSTATE of an error that a server has answered, and "" for any other
// error.
func Code(err error) string {
	if own, ok := errors.AsType[*ServerError](err); ok {
		return own.Code
	}
	if unfit, ok := errors.AsType[*UnfitError](err); ok {
		return unfit.Code
	}
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answered.Code
	}
	return ""
}

// Definite reports whether an answer, on a connection that stayed usable, proves that
// nothing was stored. After any other answer it may have been: 57P01 looks like a clean
// abort, and more than half of the commits that got it had been done. A session gets 25P03
// when it has left a transaction open, before it asks for the commit.
func Definite(code string) bool {
	switch code {
	case "40001", "40P01", "55P03", "25P03", ReadOnly:
		return true
	case "40003", "":
		return false
	}
	switch code[:min(2, len(code))] {
	case "0A", "22", "23", "26", "3F", "42", "53", "ST":
		return true
	}
	return false
}

// Spent reports whether the session that got an answer is of no use any more, though its
// connection may live. It began while the server was read-only, its prepared statements are
// gone or belong to other tables, or the server is ending it. A new session may succeed.
func Spent(code string) bool {
	switch code {
	case ReadOnly, "0A000", "25P03", "25P04", "26000", "42P05", "XX000":
		return true
	}
	return len(code) == 5 && (code[:2] == "08" || code[:3] == "57P")
}

// Passing reports whether an answer is about the server and not about the statement: the
// server is stopping, starting, full or a standby, or it has ended the session.
func Passing(code string) bool {
	switch code {
	case ReadOnly, "25P03", "25P04", "26000":
		return true
	}
	return len(code) == 5 && (code[:2] == "08" || code[:2] == "53" || code[:3] == "57P")
}

// Collided reports whether a transaction was undone because of other transactions, and may
// be tried again.
func Collided(code string) bool { return code == "40001" || code == "40P01" }

// NoTables reports whether an answer says that tables, functions or their schema are missing.
func NoTables(code string) bool {
	switch code {
	case "42P01", "3F000", "42883":
		return true
	}
	return false
}

// WeakCommit recognises the warning that the server did not wait for the replication of a
// commit, although it should have. The text depends on the server's language, so every
// warning of this class counts.
func WeakCommit(code, unlocalized, severity string) bool {
	return code == "01000" && (unlocalized == "WARNING" || severity == "WARNING")
}

// Public reduces an error of the driver to what may be shown. The driver's own texts quote
// connection strings, hosts, users and values.
func Public(err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*ServerError](err); ok {
		return own
	}
	if unfit, ok := errors.AsType[*UnfitError](err); ok {
		return unfit
	}
	if invalid, ok := errors.AsType[*persistence.InvalidError](err); ok {
		return invalid
	}
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok {
		return NewServerError(answered.Code, answered.Message)
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return os.ErrDeadlineExceeded
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errDriver
}

var errDriver = errors.New("the driver failed")

// Unreachable translates the error of a session that cannot begin, and says what to do. It
// does not say where the server is, because that is part of the connection string.
func Unreachable(err error) error {
	if invalid, ok := errors.AsType[*persistence.InvalidError](err); ok {
		return invalid
	}
	if unfit, ok := errors.AsType[*UnfitError](err); ok {
		return &persistence.UnavailableError{Reason: unfit.Reason}
	}
	answered, ok := errors.AsType[*pgconn.PgError](err)
	if ok && strings.Contains(answered.Message, "unsupported startup parameter") {
		return &persistence.InvalidError{Field: "pooler", Reason: "is not set, and a pooler in between refuses the settings of a session: set Config.Pooler"}
	}
	look, cause := advice(err), Public(err)
	if look != "" && cause == errDriver { //nolint:errorlint // it says nothing more
		cause = nil
	}
	return &persistence.UnavailableError{Reason: "the server cannot be reached" + look, Err: cause}
}

// advice says what to look at, behind a colon.
func advice(err error) string {
	switch code := Code(err); {
	case code == "28P01" || code == "28000":
		return ": it refuses the role or its password, so look at both in the URL and at the server's pg_hba.conf"
	case code == "3D000":
		return ": it has no database of the name in the URL"
	case code == NotPermitted:
		return ": the role may not connect to the database, so GRANT CONNECT to it"
	case code == "53300":
		return ": it has no connection left, so raise max_connections or use fewer"
	case code == "57P03":
		return ": it is starting or stopping"
	case code != "":
		return ""
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok && name.IsNotFound {
		return ": no host has the name in the URL"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ": nothing listens at the host and port in the URL"
	case errors.Is(err, os.ErrNotExist):
		return ": the directory in the URL has no socket of a server"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ": there is no way to the host in the URL"
	case isTLS(err):
		return ": it and the URL do not agree about TLS, so look at sslmode and sslrootcert"
	case pgconn.Timeout(err):
		return ": the host in the URL does not answer in time"
	}
	return ""
}

func isTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, header := errors.AsType[tls.RecordHeaderError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	return certificate || header || authority || err != nil && strings.Contains(err.Error(), "server refused TLS connection")
}

// NotAURL is the reason why a text is no connection string. The driver's own reason quotes the
// text.
const NotAURL = "is not a connection string: write postgres://user:password@host:5432/database, or host=… user=… dbname=…"
