package store

import (
	"os"
	"syscall"
)

// flushData waits until the content of a file is on the disk, as SQLite does.
func flushData(file *os.File) error { return syscall.Fdatasync(int(file.Fd())) }
