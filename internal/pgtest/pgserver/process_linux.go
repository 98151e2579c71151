package pgserver

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// dieWithParent makes the kernel shut the server down when this process ends, in whatever way.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGQUIT }

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var children []int
	for _, stat := range stats {
		if fields := statFields(stat); len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			children = append(children, child)
		}
	}
	return children
}

// alive reports whether a process runs. One that waits for its parent does not.
func alive(pid int) bool {
	fields := statFields("/proc/" + strconv.Itoa(pid) + "/stat")
	return len(fields) > 0 && string(fields[0]) != "Z"
}

// statFields returns the state, the parent and the fields behind.
func statFields(path string) [][]byte {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	// The name before these fields stands in brackets and may hold anything.
	return bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
}

func worksIn(pid int, directory string) bool {
	at, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
	return err == nil && at == directory
}

// memoryDirectory returns a directory whose files are in memory, where databases are made and
// dropped in a third of the time. It reports whether there is room for many.
func memoryDirectory() (path string, roomy bool) {
	var room syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &room); err != nil {
		return "", false
	}
	return "/dev/shm", room.Bavail*uint64(room.Bsize) > 2<<30
}
