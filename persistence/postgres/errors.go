package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
)

// serverError is an error that a server has answered.
type serverError = pgsession.ServerError

// The codes that the server raises when a program remembers something that is no longer
// true; see unproven in the migrations.
const (
	otherJournal = "ST004"
)

// missingJournal returns an error when the journal itself is not in the database. Another
// session would find the same.
func missingJournal(err error) error {
	switch code := pgsession.Code(err); {
	case pgsession.NoTables(code):
		return &persistence.TablesError{Want: newest(), Fix: fixSchema}
	case code == otherJournal:
		return &persistence.ReplacedError{Reason: "the tables were emptied or made anew since the journal was opened: start the program again, or bring back what was there"}
	}
	return nil
}

// outdated reports whether an error says that streams have other ids than this journal
// knows, because the server has lost its newest data. If so, it forgets the ids.
func (j *Journal) outdated(err error) bool {
	if pgsession.Code(err) != appending.OtherStream {
		return false
	}
	j.committer.Forget()
	j.pool.Reset() // new sessions are asked for the events that readers were given
	return true
}

// refusal translates a definite error for the caller of an append.
func refusal(stream persistence.StreamID, err *serverError) error {
	switch {
	case err.Code == pgsession.NotPermitted:
		return notPermitted(err)
	case err.Code == pgsession.ReadOnly:
		return &persistence.UnavailableError{Reason: "the server is a standby, or the role or the database is read-only", Err: err}
	case missingJournal(err) != nil:
		return missingJournal(err)
	case strings.HasPrefix(err.Code, "42"):
		return &persistence.TablesError{Want: newest(), Fix: fixSchema}
	case err.Code == appending.OtherStream:
		return &persistence.UnavailableError{Reason: "the server has lost its newest data, try again", Err: err}
	case strings.HasPrefix(err.Code, "22"):
		return &persistence.InvalidError{Field: "events", Reason: "are refused by the server with SQLSTATE " + err.Code}
	case strings.HasPrefix(err.Code, "23"), strings.HasPrefix(err.Code, "ST"):
		return &persistence.CorruptError{Stream: stream, Reason: "the append function contradicts itself", Err: err}
	}
	return &persistence.UnavailableError{Reason: "the server refused for now", Err: err}
}

// notPermitted says which rights a program's role lacks.
func notPermitted(err error) error {
	return &persistence.UnavailableError{Reason: "the role may not read the journal's tables or execute its functions: give it its rights by postgres.RolesSQL, as after each migration", Err: appending.Public(err)}
}

// permissionError makes [*persistence.InvalidError] of an error that says that the program's
// role lacks a right. Trying again is of no use.
func permissionError(what string, err error) error {
	if answered, ok := errors.AsType[*serverError](err); ok && answered.Code == pgsession.NotPermitted {
		return &persistence.InvalidError{Field: what, Reason: "is not permitted to the role of the program, see postgres.RolesSQL"}
	}
	return err
}

// readError translates an error of a read. A read changes nothing, so every error without a
// meaning of its own is unavailability.
func readError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return journalkit.CallerLeft(ctx)
	}
	if errors.Is(err, puddle.ErrClosedPool) {
		return journalkit.Closed()
	}
	if kind, ok := errors.AsType[*persistence.CorruptError](err); ok {
		return kind
	}
	if lost, ok := errors.AsType[*persistence.LostTailError](err); ok {
		return lost
	}
	if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting {
		return pgsession.Unreachable(err)
	}
	if lasting := missingJournal(err); lasting != nil {
		return lasting
	}
	if pgsession.Code(err) == pgsession.NotPermitted {
		return notPermitted(err)
	}
	return appending.Unavailable("the server did not answer", err)
}

// notBegun translates an error from before any request was sent that changes data.
func notBegun(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return journalkit.CallerLeft(ctx)
	}
	return readError(ctx, err)
}

// stageError translates an error of a statement or a commit that changes data. The outcome
// is unknown, unless nothing went out or the server proves that nothing was done.
func stageError(stream persistence.StreamID, expected persistence.Expected, ids []persistence.EventID, err error) error {
	// The driver says that nothing went out on a closed connection, even when it has closed
	// the connection because no answer to the commit came. That proves nothing.
	if pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed) {
		return appending.Unavailable("the connection was lost before it was asked for", err)
	}
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok && pgsession.Definite(answered.Code) {
		return refusal(stream, pgsession.NewServerError(answered.Code, answered.Message))
	}
	return &persistence.UnknownOutcomeError{Stream: stream, Expected: expected, IDs: ids, Err: appending.Public(err)}
}
