package sqlitefile

import "errors"

// ErrLocked is the error of [TryLock] when another process has the lock.
var ErrLocked = errors.New("locked by another")
