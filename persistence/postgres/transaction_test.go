package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// joined is a journal and a connection to its database with a table of the
// program's own.
func joined(t *testing.T) (*postgres.Journal, *pgx.Conn) {
	t.Helper()
	config := pgtest.Config(t)
	config.PollInterval = time.Hour // only a nudge wakes
	journal := open(t, config)
	conn, err := pgx.Connect(t.Context(), config.URL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(contextOfCleanup(t))) })
	_, err = conn.Exec(t.Context(), "CREATE TABLE own (n int)")
	require.NoError(t, err)
	return journal, conn
}

func one(stream persistence.StreamID, expected persistence.Expected) persistence.Append {
	return persistence.Append{Stream: stream, Expected: expected, Events: []persistence.Event{{Type: "t"}}}
}

func TestAppendTxCommitsWithTheCaller(t *testing.T) {
	t.Parallel()
	journal, conn := joined(t)
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "INSERT INTO own VALUES (1)")
	require.NoError(t, err)

	outcomes, err := journal.AppendTx(t.Context(), tx, one("s-1", persistence.NoStream), one("s-1", persistence.Exact(1)), one("s-2", persistence.Any))
	require.NoError(t, err)
	_, err = journal.Stream(t.Context(), "s-1")
	require.ErrorIs(t, err, persistence.ErrStreamNotFound, "not before the commit")
	require.NoError(t, tx.Commit(t.Context()))
	journal.Nudge()

	require.NoError(t, journal.Wait(t.Context(), head))
	require.Len(t, outcomes, 3)
	require.Equal(t, persistence.Version(2), outcomes[1].Last)
	require.EqualValues(t, 3, outcomes[2].Position.Offset)
	require.Len(t, readAll(t, journal, "s-1"), 2)
	require.Len(t, readAll(t, journal, "s-2"), 1)
	require.NoError(t, appendOne(t, journal, "s-2", persistence.Exact(1), "after").Err)
}

func TestAppendTxRefusedCannotCommit(t *testing.T) {
	t.Parallel()
	journal, conn := joined(t)
	require.NoError(t, appendOne(t, journal, "s-1", persistence.NoStream, "x").Err)
	named := one("s-1", persistence.Any)
	named.Events[0].ID = persistence.NewEventID()
	outcomes, err := journal.Append(t.Context(), named)
	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	reused := one("s-1", persistence.Any)
	reused.Events[0] = persistence.Event{ID: named.Events[0].ID, Type: "other"}
	for name, refused := range map[string]struct {
		append persistence.Append
		err    error
	}{
		"conflict": {one("s-1", persistence.Exact(1)), &persistence.ConflictError{Stream: "s-1", Expected: persistence.Exact(1), Actual: 2}},
		"reused":   {reused, &persistence.EventIDReusedError{Stream: "s-1", ID: named.Events[0].ID}},
	} {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err, name)
		_, err = tx.Exec(t.Context(), "INSERT INTO own VALUES (1)")
		require.NoError(t, err, name)

		_, err = journal.AppendTx(t.Context(), tx, one("s-9", persistence.Any), refused.append)

		require.Equal(t, refused.err, err, name)
		require.ErrorIs(t, tx.Commit(t.Context()), pgx.ErrTxCommitRollback, name)
	}
	var rows int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM own").Scan(&rows))
	require.Zero(t, rows)
	_, err = journal.Stream(t.Context(), "s-9")
	require.ErrorIs(t, err, persistence.ErrStreamNotFound)
}

// A caller that wants to go on after a refusal begins a nested transaction.
func TestAppendTxGoesOnBehindASavepoint(t *testing.T) {
	t.Parallel()
	journal, conn := joined(t)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)

	err = pgx.BeginFunc(t.Context(), tx, func(nested pgx.Tx) error {
		_, err := journal.AppendTx(t.Context(), nested, one("s-1", persistence.Exact(7)))
		return err
	})
	require.ErrorIs(t, err, persistence.ErrConflict)
	_, err = journal.AppendTx(t.Context(), tx, one("s-1", persistence.NoStream))
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))

	require.Len(t, readAll(t, journal, "s-1"), 1)
}

func TestAppendTxRefusesOtherTransactions(t *testing.T) {
	t.Parallel()
	journal, conn := joined(t)
	stranger, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	defer stranger.Close(t.Context())
	for name, begin := range map[string]func() (pgx.Tx, error){
		"another database": func() (pgx.Tx, error) { return stranger.Begin(t.Context()) },
		"another isolation": func() (pgx.Tx, error) {
			return conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		},
		"ended": func() (pgx.Tx, error) {
			tx, err := conn.Begin(t.Context())
			return tx, errors.Join(err, tx.Rollback(t.Context()))
		},
	} {
		tx, err := begin()
		require.NoError(t, err, name)

		_, err = journal.AppendTx(t.Context(), tx, one("s-1", persistence.Any))

		require.ErrorIs(t, err, persistence.ErrInvalid, name)
		if name != "ended" {
			require.NoError(t, tx.Rollback(t.Context()), name)
		}
	}
	_, err = journal.Stream(t.Context(), "s-1")
	require.ErrorIs(t, err, persistence.ErrStreamNotFound)
}
