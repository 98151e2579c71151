package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stele-es/stele/internal/sqlitefile"
	"github.com/stele-es/stele/persistence"
)

// fileLock keeps a second process away from the journal's file. It lies in a
// file of its own, because SQLite locks the journal's file itself and any close
// of a descriptor of that one would drop those locks (POSIX). The file stays
// when the lock is gone: deleting it would let two processes lock two files of
// the same name.
type fileLock struct{ file *os.File }

func lock(path string) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &persistence.UnavailableError{Reason: "the lock beside the journal's file cannot be opened for writing", Err: err}
	}
	err = sqlitefile.TryLock(file)
	if errors.Is(err, sqlitefile.ErrLocked) {
		err = &persistence.UnavailableError{Reason: "the journal's file is in use by process " + owner(file) + "; to read it beside that one, open it with Config.ReadOnly"}
		return nil, errors.Join(err, file.Close())
	}
	if err == nil {
		err = sign(file)
	}
	if err != nil {
		err = &persistence.UnavailableError{Reason: "the lock beside the journal's file cannot be taken", Err: err}
		return nil, errors.Join(err, file.Close())
	}
	return &fileLock{file: file}, nil
}

// owner is the id that the process which has the lock wrote into it.
func owner(file *os.File) string {
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "(unknown)" // it has the lock and has not written yet
}

func sign(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// release gives the lock up.
func (l *fileLock) release() error {
	if l == nil {
		return nil // who only reads has none
	}
	return errors.Join(sqlitefile.Unlock(l.file), l.file.Close())
}
