package sqlite

import (
	"errors"

	"modernc.org/sqlite/lib"

	"github.com/stele-es/stele/persistence"
)

// code is the primary result code of SQLite in err, or 0 when it is not from
// there.
func code(err error) int {
	coded, ok := errors.AsType[interface {
		error
		Code() int
	}](err)
	if !ok {
		return 0
	}
	return coded.Code() & 0xff
}

// undone reports whether a commit that ended in err has surely been rolled
// back. SQLite says so when a lock was missing, and when the disk was full: then
// the frame that would have made the commit valid was not written. Anything else
// at that moment, above all a failed flush, may have left it valid.
func undone(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT:
		return true
	}
	return false
}

// noTransaction reports whether a rollback failed only because SQLite had rolled
// back already, as it does after some errors.
func noTransaction(err error) bool { return code(err) == sqlite3.SQLITE_ERROR }

// definite turns an error of SQLite into one of package persistence, when
// nothing was done.
func definite(err error) error {
	if errors.Is(err, persistence.ErrCorrupt) || errors.Is(err, persistence.ErrReplaced) {
		return err // found by this package itself
	}
	switch code(err) {
	case sqlite3.SQLITE_CORRUPT:
		return &persistence.CorruptError{Reason: "the journal's file is damaged", Err: err}
	case sqlite3.SQLITE_NOTADB:
		return &persistence.CorruptError{Reason: "the journal's file is damaged, or was never one of SQLite", Err: err}
	case sqlite3.SQLITE_FULL:
		return &persistence.UnavailableError{Reason: "the disk is full", Err: err}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &persistence.UnavailableError{Reason: "another program holds the journal's file locked", Err: err}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return &persistence.UnavailableError{Reason: "the journal's file or directory is read-only", Err: err}
	case sqlite3.SQLITE_CANTOPEN:
		return &persistence.UnavailableError{Reason: "the journal's file cannot be opened", Err: err}
	}
	return &persistence.UnavailableError{Reason: "SQLite refused", Err: err}
}

// answer is err itself when it is for the caller, else what it means for the caller.
func answer(err error) error {
	if _, known := persistence.Classify(err); known || err == nil {
		return err
	}
	return definite(err)
}
