package measure

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// LiveHeap is the number of bytes of the heap that are reachable. Pools give back what they hold in the second
// collection.
func LiveHeap() int64 {
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// ProcessorTimeOf is the processor time of another process with one thread, or 0 where the
// system does not tell.
func ProcessorTimeOf(pid int) time.Duration {
	// The first number is in nanoseconds; /proc/PID/stat knows ticks of 10 ms only.
	schedule, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(schedule), " ")
	running, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(running)
}

// Usage is the memory and the processor time that this process has used. On a machine
// that others use too, processor time tells more than the clock.
type Usage struct {
	Objects, Bytes float64 // that the heap was asked for
	Processor      time.Duration
}

// UsageNow returns the usage since the process began.
func UsageNow() Usage {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return Usage{Objects: float64(stats.Mallocs), Bytes: float64(stats.TotalAlloc), Processor: ProcessorTime()}
}

// Minus is the usage since another one was noted.
func (u Usage) Minus(v Usage) Usage {
	return Usage{u.Objects - v.Objects, u.Bytes - v.Bytes, u.Processor - v.Processor}
}

// Plus adds two usages.
func (u Usage) Plus(v Usage) Usage {
	return Usage{u.Objects + v.Objects, u.Bytes + v.Bytes, u.Processor + v.Processor}
}
