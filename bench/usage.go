package main

import (
	"runtime"
	"time"
)

// usage is what this process has used. On a machine that others use too, the
// processor's time tells more than the clock.
type usage struct {
	objects, bytes float64 // that the heap was asked for
	processor      time.Duration
}

func usageNow() usage {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return usage{objects: float64(stats.Mallocs), bytes: float64(stats.TotalAlloc), processor: processorTime()}
}

func (u usage) minus(v usage) usage {
	return usage{u.objects - v.objects, u.bytes - v.bytes, u.processor - v.processor}
}

func (u usage) plus(v usage) usage {
	return usage{u.objects + v.objects, u.bytes + v.bytes, u.processor + v.processor}
}
