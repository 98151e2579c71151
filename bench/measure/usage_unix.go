//go:build unix

package measure

import (
	"syscall"
	"time"
)

// ProcessorTime is that of all threads of this process, in user and system mode.
func ProcessorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
