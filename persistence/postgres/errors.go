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

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/puddle/v2"

	"github.com/stele-es/stele/persistence"
)

// serverError is what a server answered. Its message is kept only for classes of
// errors whose messages cannot quote stored data.
type serverError struct {
	code    string
	message string
}

func (e *serverError) Error() string {
	if e.message == "" {
		return "the server answered SQLSTATE " + e.code
	}
	return fmt.Sprintf("the server answered SQLSTATE %s: %s", e.code, e.message)
}

func newServerError(code, message string) *serverError {
	switch {
	case code == "": // a server that does not speak the protocol
		return &serverError{code: "XX000"}
	case len(code) == 5 && strings.Contains("08 25 28 3D 40 42 53 55 57", code[:2]):
		return &serverError{code: code, message: message}
	}
	return &serverError{code: code}
}

// errUnproven is why an append's connection is given up although it answered.
var errUnproven = errors.New("the answer does not tell whether the append was stored")

// public reduces an error of the driver to what may be shown: the driver's own
// texts quote connection strings, hosts, users and values.
func public(err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*serverError](err); ok {
		return own
	}
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok {
		return newServerError(answered.Code, answered.Message)
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return os.ErrDeadlineExceeded
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, errUnproven, errUndecodable, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New("the driver failed")
}

func unavailable(reason string, err error) *persistence.UnavailableError {
	return &persistence.UnavailableError{Reason: reason, Err: public(err)}
}

func errClosed() error { return &persistence.UnavailableError{Reason: "the journal is closed"} }

// unreachable translates an error of a first connection. A pooler refuses settings
// that it does not know by a text of its own.
func unreachable(err error) error {
	answered, ok := errors.AsType[*pgconn.PgError](err)
	if ok && answered.Code == "08P01" && strings.Contains(answered.Message, "unsupported startup parameter") {
		return &persistence.InvalidError{Field: "pooler", Reason: "is not set, and a pooler in between refuses the settings of a session: set Config.Pooler"}
	}
	return unavailable("the server cannot be reached", err)
}

// readOnly is what a standby answers to who wants to write.
const readOnly = "25006"

// definite reports whether an error that the server answered, on a connection
// that stayed usable, proves that nothing was stored. Everything else may have
// been stored: 57P01 looks like a clean abort, and of such commits more than
// half had been done.
func definite(code string) bool {
	switch code {
	case "40001", "40P01", "55P03", readOnly:
		return true
	case "40003", "":
		return false
	}
	switch code[:min(2, len(code))] {
	case "22", "23", "42", "53", "ST":
		return true
	}
	return false
}

// refusal translates a definite error into what an append's writer can do.
func refusal(stream persistence.StreamID, err *serverError) error {
	switch {
	case err.code == notPermitted:
		return &persistence.UnavailableError{Reason: "the role may not execute the journal's functions", Err: err}
	case strings.HasPrefix(err.code, "42"):
		return &persistence.SchemaError{Want: newest(), Fix: fixSchema}
	case strings.HasPrefix(err.code, "22"):
		return &persistence.InvalidError{Field: "events", Reason: "are refused by the server with SQLSTATE " + err.code}
	case strings.HasPrefix(err.code, "23"), strings.HasPrefix(err.code, "ST"):
		return &persistence.CorruptError{Stream: stream, Reason: "the append function contradicts itself", Err: err}
	}
	return &persistence.UnavailableError{Reason: "the server refused for now", Err: err}
}

// notPermitted is what the server answers to a role without a right.
const notPermitted = "42501"

// permitted makes an error of its own of what an operator has not given the
// program's role the right to do: to try again is of no use.
func permitted(what string, err error) error {
	if answered, ok := errors.AsType[*serverError](err); ok && answered.code == notPermitted {
		return &persistence.InvalidError{Field: what, Reason: "is not permitted to the role of the program, see postgres.RolesSQL"}
	}
	return err
}

// readError translates an error of a read. Reads change nothing, so whatever is
// not understood is unavailability.
func readError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, puddle.ErrClosedPool) {
		return errClosed()
	}
	if kind, ok := errors.AsType[*persistence.CorruptError](err); ok {
		return kind
	}
	if lost, ok := errors.AsType[*persistence.LostTailError](err); ok {
		return lost
	}
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok && (answered.Code == "42P01" || answered.Code == "3F000" || answered.Code == "42883") {
		return &persistence.SchemaError{Want: newest(), Fix: fixSchema}
	}
	return unavailable("the server did not answer", err)
}

// syncWaitCancelled recognises the warning that a commit is on this server only
// although its replication was to be waited for. Its text depends on the
// server's language, so every warning of its class counts.
func syncWaitCancelled(notice *pgproto3.NoticeResponse) bool {
	return weakCommit(notice.Code, notice.SeverityUnlocalized, notice.Severity)
}

func weakCommit(code, unlocalized, severity string) bool {
	return code == "01000" && (unlocalized == "WARNING" || severity == "WARNING")
}

func errLeft(ctx context.Context) error {
	return &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
}

// notBegun translates an error from before anything was sent that changes data.
func notBegun(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errLeft(ctx)
	}
	return readError(ctx, err)
}

// stageError translates an error of a statement or a commit that was sent: unless
// the server proves that nothing was done, it may have been.
func stageError(stream persistence.StreamID, expected persistence.Expected, ids []persistence.EventID, err error) error {
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok && definite(answered.Code) {
		return refusal(stream, newServerError(answered.Code, answered.Message))
	}
	return &persistence.UnknownOutcomeError{Stream: stream, Expected: expected, IDs: ids, Err: public(err)}
}

func contradiction(stream persistence.StreamID) error {
	return &persistence.CorruptError{Stream: stream, Reason: "a function of the journal contradicts itself"}
}
