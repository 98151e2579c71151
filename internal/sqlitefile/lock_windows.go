package sqlitefile

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// TryLock locks one byte far behind the text: locks are mandatory on Windows,
// and the text must stay readable to those who are refused.
func TryLock(file *os.File) error {
	err := windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, place())
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// Unlock gives up what TryLock took.
func Unlock(file *os.File) error {
	return windows.UnlockFileEx(windows.Handle(file.Fd()), 0, 1, 0, place())
}

func place() *windows.Overlapped { return &windows.Overlapped{OffsetHigh: 1} }
