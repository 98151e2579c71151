//go:build unix && !linux

package pgserver

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent does nothing, because only Linux can do it. Tests stop the server at their end.
func dieWithParent(*syscall.SysProcAttr) {}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	out, _ := exec.Command("ps", "-axo", "pid=,ppid=").Output()
	var children []int
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(fields[0])
			children = append(children, child)
		}
	}
	return children
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// worksIn returns false, because it cannot be found out cheaply: a leftover server is never
// ended here.
func worksIn(int, string) bool { return false }

// memoryDirectory returns nothing, because only Linux has such a directory.
func memoryDirectory() (path string, roomy bool) { return "", false }
