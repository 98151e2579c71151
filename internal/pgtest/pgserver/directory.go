//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const directoryPrefix = "stele-pg-"

// longestSocket bounds the path of a socket's directory.
const longestSocket = 107 - len("/.s.PGSQL.5432")

// makeDirectory makes the server's directory. It holds a lock in it for as long as this
// process lives, which distinguishes the directory from a leftover.
func (s *Server) makeDirectory() error {
	parents := []string{os.TempDir()}
	if len(parents[0])+1+len(directoryPrefix)+10 > longestSocket {
		parents[0] = "/tmp"
	}
	if memory, roomy := memoryDirectory(); memory != "" {
		parents = append(parents, memory)
		if roomy && !s.options.durable {
			slices.Reverse(parents)
		}
	}
	for _, parent := range parents {
		removeLeftovers(parent)
	}
	directory, err := os.MkdirTemp(parents[0], directoryPrefix)
	if err != nil {
		return err
	}
	s.directory = directory
	// The lock appears under its name only when it is held.
	fresh := filepath.Join(directory, "lock.new")
	if s.lock, err = os.OpenFile(fresh, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := lockFile(s.lock); err != nil {
		return fmt.Errorf("lock the server's directory: %w", err)
	}
	if err := os.Rename(fresh, filepath.Join(directory, "lock")); err != nil {
		return err
	}
	if credential := s.install.credential; credential != nil {
		return os.Chown(directory, int(credential.Uid), int(credential.Gid))
	}
	return nil
}

// lockFile takes the lock that ends with the process, and fails when another one
// holds it.
func lockFile(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// removeLeftovers removes the directories of servers whose owner is dead. It only saves space
// on the disk, so its errors do not matter.
func removeLeftovers(parent string) {
	directories, _ := filepath.Glob(filepath.Join(parent, directoryPrefix+"*"))
	for _, directory := range directories {
		if leftover(directory) {
			_ = os.RemoveAll(directory)
		}
	}
}

// leftover reports whether the directory has no owner any more. It ends a server that still
// runs there.
func leftover(directory string) bool {
	lock, err := os.OpenFile(filepath.Join(directory, "lock"), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		info, err := os.Stat(directory)
		return err == nil && time.Since(info.ModTime()) > time.Hour // its owner died before it held the lock
	}
	if err != nil {
		return false
	}
	defer lock.Close()
	if lockFile(lock) != nil {
		return false // its owner lives
	}
	data := filepath.Join(directory, "data")
	status, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return true
	}
	first, _, _ := strings.Cut(string(status), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 1 || !alive(pid) {
		return true
	}
	// The number may belong to another process by now. The server is a process that works in
	// this directory.
	if !worksIn(pid, data) {
		return true
	}
	_ = syscall.Kill(pid, syscall.SIGQUIT)
	return eventually(5*time.Second, "a leftover server", func() bool { return !alive(pid) }) == nil
}
