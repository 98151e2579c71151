package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// AppendTx stores appends in a transaction of the caller, on a connection of the caller
// to the journal's file, so that the caller's rows and the events commit together:
//
//	tx, err := db.BeginTx(ctx, nil)
//	if err != nil { … }
//	defer tx.Rollback()
//	if _, err := journal.AppendTx(ctx, tx, append); err != nil { … }
//	if _, err := tx.ExecContext(ctx, "INSERT INTO …"); err != nil { … }
//	if err := tx.Commit(); err != nil { … }
//	journal.Nudge()
//
// It decides about versions, event ids and positions inside the transaction, which
// from then on is the only one that writes: everybody else waits for it, the
// journal's own appends for 5 s at most. So call it as late as possible, and commit
// soon. A transaction that has read before, without "BEGIN IMMEDIATE", cannot write
// any more if somebody else has written since: AppendTx then is refused with
// [*persistence.UnavailableError], and the caller begins anew. To wait for others
// instead of being refused at once, set PRAGMA busy_timeout on the connection.
//
// The first append that is refused ends the call with its error, a
// [*persistence.ConflictError] for example, and leaves the transaction as it was
// before the call. The caller must roll back: to commit would store the rows without
// the events. Versions and positions are valid once the transaction has been
// committed, and a commit that fails is the caller's to find out about. It is as
// durable as the connection makes it: SQLite's default in this mode, PRAGMA
// synchronous=FULL, flushes.
//
// The journal notices what was committed before its next append. It wakes readers that
// wait when [Journal.Nudge] tells it, or within half a second.
func (j *Journal) AppendTx(ctx context.Context, tx *sql.Tx, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if isClosed(j.closing) {
		return nil, journalkit.Closed()
	}
	items, err := newItems(appends)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, journalkit.CallerLeft(ctx)
	}
	b := borrowed{ctx: ctx, tx: tx, prepared: new([]*sql.Stmt)}
	defer b.close()
	if err := b.lock(j.id); err != nil {
		return nil, answer(err)
	}
	s, err := newEventWriter(b.prepare)
	if err != nil {
		return nil, answer(err)
	}
	var outcomes []persistence.Outcome
	err = b.whole(func() error {
		if err := s.reload(); err != nil {
			return err
		}
		outcomes, err = s.record(items)
		return err
	})
	if err != nil {
		return nil, answer(err)
	}
	return outcomes, nil
}

// borrowed is a transaction of the caller's.
type borrowed struct {
	ctx context.Context //nolint:containedctx // it is that of one call, which borrowed does not outlive
	tx  *sql.Tx
	// prepared are the statements of this call: the transaction may have many.
	prepared *[]*sql.Stmt
}

func (b borrowed) close() {
	for _, statement := range *b.prepared {
		_ = statement.Close() // which only gives it back
	}
}

// lock makes sure that the file is the journal with an id and of this release, and keeps
// others from writing to it.
func (b borrowed) lock(id persistence.JournalID) error {
	var application, have int64
	if err := b.tx.QueryRowContext(b.ctx, "SELECT a.application_id, v.user_version FROM pragma_application_id a, pragma_user_version v").Scan(&application, &have); err != nil {
		return err
	}
	all, err := steps()
	if err != nil {
		return err
	}
	want := int64(len(all))
	switch {
	case application != applicationID:
		return &persistence.InvalidError{Field: "transaction", Reason: "is one of a database that is no journal"}
	case have != want:
		return &persistence.TablesError{Have: have, Want: want, Fix: "sqlite.Open of the same release, which brings the file up to date"}
	}
	var found []byte
	if err := b.tx.QueryRowContext(b.ctx, "SELECT id FROM main.journal").Scan(&found); err != nil {
		return err
	}
	if !bytes.Equal(found, id[:]) {
		return &persistence.InvalidError{Field: "transaction", Reason: "is one of another journal"}
	}
	return b.exec(query("lock"))
}

// whole takes back what fn has done when it fails.
func (b borrowed) whole(fn func() error) error {
	if err := b.exec("SAVEPOINT stele_append"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		undo := errors.Join(b.exec("ROLLBACK TO stele_append"), b.exec("RELEASE stele_append"))
		if undo != nil && code(err) == 0 {
			return undo
		}
		return err // SQLite may have rolled back everything for it
	}
	return b.exec("RELEASE stele_append")
}

func (b borrowed) exec(text string) error {
	_, err := b.tx.ExecContext(b.ctx, text)
	return err
}

func (b borrowed) prepare(text string) (*stmt, error) {
	return &stmt{driver: &borrowedStatement{borrowed: b, text: text}}, nil
}

// borrowedStatement has database/sql run a statement. The context it is given is
// not the caller's, who may leave: nothing is committed here.
type borrowedStatement struct {
	driver.Stmt // none: what it would do is not asked for
	borrowed
	text string
	own  *sql.Stmt // from the first use on
}

func (s *borrowedStatement) Close() error { return nil }

func (s *borrowedStatement) statement() (*sql.Stmt, error) {
	if s.own == nil {
		own, err := s.tx.PrepareContext(s.ctx, s.text)
		if err != nil {
			return nil, err
		}
		s.own = own
		*s.prepared = append(*s.prepared, own)
	}
	return s.own, nil
}

func (s *borrowedStatement) ExecContext(_ context.Context, args []driver.NamedValue) (driver.Result, error) {
	statement, err := s.statement() //nolint:sqlclosecheck // borrowed.close does
	if err != nil {
		return nil, err
	}
	return statement.ExecContext(s.ctx, plainValues(args)...)
}

func (s *borrowedStatement) QueryContext(_ context.Context, args []driver.NamedValue) (driver.Rows, error) {
	statement, err := s.statement() //nolint:sqlclosecheck // borrowed.close does
	if err != nil {
		return nil, err
	}
	rows, err := statement.QueryContext(s.ctx, plainValues(args)...) //nolint:rowserrcheck // borrowedRows.Next does
	if err != nil {
		return nil, err
	}
	columns, err := rows.Columns()
	if err != nil {
		return nil, errors.Join(err, rows.Close()) //nolint:sqlclosecheck // else whoever gets the rows closes them
	}
	return &borrowedRows{Rows: rows, columns: columns}, nil
}

func plainValues(args []driver.NamedValue) []any {
	plain := make([]any, len(args))
	for i := range args {
		plain[i] = args[i].Value
	}
	return plain
}

// borrowedRows are rows of database/sql as the driver would give them.
type borrowedRows struct {
	*sql.Rows
	columns []string
}

func (r *borrowedRows) Columns() []string { return r.columns }

func (r *borrowedRows) Next(row []driver.Value) error {
	if !r.Rows.Next() {
		if err := r.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	found, dest := make([]any, len(row)), make([]any, len(row))
	for i := range found {
		dest[i] = &found[i]
	}
	err := r.Scan(dest...)
	for i := range found {
		row[i] = found[i]
	}
	return err
}
