//go:build unix

package sqlitefile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// TryLock takes an flock, which belongs to the open file: the system drops it
// when the process ends, and another Open in this process does not share it.
func TryLock(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// Unlock does not leave it to the close: a process that is being started at this
// moment has the file too, until it becomes another program.
func Unlock(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_UN) }
