package sqlitefile

import "errors"

// ErrLocked is what [TryLock] returns when another has the lock.
var ErrLocked = errors.New("locked by another")
