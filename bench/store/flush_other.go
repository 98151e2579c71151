//go:build !linux

package store

import "os"

// flushData waits until the content of a file is on the disk.
func flushData(file *os.File) error { return file.Sync() }
