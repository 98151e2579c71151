package sqlite

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite/lib"

	"github.com/stele-es/stele/internal/sqlitefile"
	"github.com/stele-es/stele/persistence"
)

// SQLite goes on with the files it has open and the pages it remembers, whatever
// becomes of them by other hands. So the journal looks, before it stores and before it
// acknowledges: at the names of its files, which costs a thousandth of a flush; at the
// time of the file, which nobody but a checkpoint may change; and, when another
// connection has committed, at what the tables say that they are.

// mark is the last event that is known, position 0 for none. The journal's id and the
// id of that event prove that tables are still those of the journal.
type mark struct {
	position int64
	id       persistence.EventID
}

// standing returns an error unless what is stored is there for those who open the
// journal later. The caller holds writing.
func (j *Journal) standing() error {
	err := j.found()
	if err == nil || j.files.Load().Check() != nil {
		return err
	}
	// What stands in the log alone is copied into the file as long as it is open here.
	saved, failed := j.writer.emptyLog(detached)
	if failed != nil {
		err = errors.Join(err, definite(failed))
	}
	if saved {
		j.config.Logger.Error("the log was taken away beside the journal's file, which holds all of it now", "err", err)
	} else {
		j.config.Logger.Error("the log was taken away beside the journal's file, and could not be copied into it", "err", err)
	}
	return err
}

// untouched returns an error when somebody else than SQLite has written to the file.
// A checkpoint writes to it too, also one of another connection, which the log tells.
// The caller holds writing.
func (j *Journal) untouched() error {
	w := j.writer
	at, size := j.files.Load().Modified()
	if at.Equal(w.modified) && size == w.size {
		return nil
	}
	length, copied, err := w.logLength()
	if err != nil {
		return definite(err)
	}
	if copied != w.copied || length < w.length {
		return notice(w, j.files.Load())
	}
	busy, err := w.passive()
	switch {
	case err != nil && !broken(err):
		return definite(err)
	case busy:
		return nil // somebody is at it
	}
	if err := j.examine(); err != nil {
		j.damaged = &persistence.ReplacedError{
			Reason: "the file was written over while it was open: end the program, restore the file from a backup, without a -wal and a -shm beside it, and start the program again", Err: err,
		}
		return j.damaged
	}
	return notice(w, j.files.Load())
}

// examine looks at the whole file with a connection that remembers nothing.
func (j *Journal) examine() error {
	r, err := openReader(j.file)
	if err != nil {
		return definite(err)
	}
	row, err := r.firstOf("PRAGMA quick_check(1)")
	switch {
	case err != nil:
		err = definite(err)
	case len(row) != 1 || row[0] != "ok":
		err = &persistence.CorruptError{Reason: fmt.Sprintf("quick_check says %v", row)}
	default:
		err = r.prove(j.id, j.mark)
	}
	return errors.Join(err, r.close())
}

// notice remembers the state of the file as it is right.
func notice(w *writer, files *sqlitefile.Files) (err error) {
	// In this order: what a checkpoint does in between counts as one that is new.
	if w.length, w.copied, err = w.logLength(); err != nil {
		return definite(err)
	}
	w.modified, w.size = files.Modified()
	return nil
}

// prove returns an error unless the tables are those of the journal, with all that
// it has stored.
func (c *conn) prove(id persistence.JournalID, last mark) error {
	s, err := c.prepare(query("proof"))
	if err != nil {
		return unproven(err)
	}
	c.stmts = c.stmts[:len(c.stmts)-1]
	row, err := s.first(last.position)
	return unproven(errors.Join(s.driver.Close(), err, proven(row, id, last)))
}

func proven(row []driver.Value, id persistence.JournalID, last mark) error {
	if row == nil {
		return strange("has lost its id")
	}
	found, _ := row[0].([]byte)
	event, _ := row[1].([]byte)
	switch {
	case !bytes.Equal(found, id[:]):
		return strange("is another one than was opened")
	case last.position > 0 && !bytes.Equal(event, last.id[:]):
		return strange(fmt.Sprintf("does not have the event at position %d any more, which was stored there", last.position))
	}
	return nil
}

func strange(what string) error {
	return &persistence.ReplacedError{Reason: "the journal in the file " + what + ", by the doing of another program: end this one, put the file right, and start it again"}
}

// unproven is what an error of SQLite says about the tables: that some are missing.
func unproven(err error) error {
	if err == nil || errors.Is(err, persistence.ErrReplaced) {
		return err
	}
	if code(err) == sqlite3.SQLITE_ERROR {
		return errors.Join(strange("has lost tables"), err)
	}
	return err
}

// broken reports that SQLite cannot make sense of what it reads.
func broken(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR:
		return true
	}
	return false
}
