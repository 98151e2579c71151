package sqlite

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/stele-es/stele/internal/sqlitefile"
	"github.com/stele-es/stele/persistence"
)

// pulse is the file that says whether the process of a runner lives: that one has a lock on
// it, which the system drops when the process ends, however it ends.
func (t *Target) pulse(node string) string {
	sum := sha256.Sum256([]byte(node))
	return fmt.Sprintf("%s.runner-%x", t.file, sum[:8])
}

// Live fulfils [projections.Mortal].
func (t *Target) Live(node string) (release func() error, err error) {
	path := t.pulse(node)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &persistence.UnavailableError{Reason: "the file that says whether this runner lives cannot be opened for writing beside the target's file", Err: err}
	}
	err = sqlitefile.TryLock(file)
	if err == nil {
		_, err = file.WriteAt([]byte("lives\n"), 0) // the lock is there from now on, see Dead
	}
	if err != nil {
		return nil, errors.Join(&persistence.UnavailableError{Reason: "the file that says whether this runner lives cannot be locked", Err: err}, file.Close())
	}
	return func() error { return errors.Join(sqlitefile.Unlock(file), file.Close(), os.Remove(path)) }, nil
}

// Dead fulfils [projections.Mortal].
func (t *Target) Dead(node string) bool {
	path := t.pulse(node)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false // it has never said that it lives, or has ended in order
	}
	dead := sqlitefile.TryLock(file) == nil
	if dead {
		info, err := file.Stat()
		dead = err == nil && info.Size() > 0 // else it is about to lock it
		_ = sqlitefile.Unlock(file)          // the close does it, too
	}
	if _ = file.Close(); dead {
		_ = os.Remove(path) // what stays behind says the same once more
	}
	return dead
}
