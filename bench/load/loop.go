package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result holds what a load did: how many operations in how long, how long each took
// where that was recorded, and what they cost where that was metered.
type Result struct {
	Count   int
	Elapsed time.Duration
	Latency *hdrhistogram.Histogram // in nanoseconds; nil when not recorded
	Cost    Cost                    // where it was metered
}

// Rate is the number of operations divided by the seconds they took.
func (l Result) Rate() float64 { return float64(l.Count) / l.Elapsed.Seconds() }

// ClientTime is the processor time of this process, in microseconds, divided by the
// operations.
func (l Result) ClientTime() float64 { return l.Cost.Client.Seconds() * 1e6 / float64(l.Count) }

// ServerTime is the processor time of the store's own processes, in microseconds, divided
// by the operations.
func (l Result) ServerTime() float64 { return l.Cost.Server.Seconds() * 1e6 / float64(l.Count) }

// Logged is the number of bytes that the store's log grew by, divided by the operations.
func (l Result) Logged() float64 { return float64(l.Cost.Logged) / float64(l.Count) }

// Micros is a percentile of the latencies, in microseconds.
func (l Result) Micros(percentile float64) float64 {
	return float64(l.Latency.ValueAtQuantile(percentile)) / 1e3
}

// Middle is the median of the latencies, in microseconds.
func (l Result) Middle() float64 { return l.Micros(50) }

// Work is one operation of one of several callers; i counts those of the caller.
type Work func(caller, i int) error

// ClosedLoop lets callers work for a time, each beginning anew when it is done,
// and at least once. It keeps no latencies: measuring them would slow down what
// is fast.
func ClosedLoop(callers int, window time.Duration, do Work) (Result, error) {
	var over atomic.Bool
	timer := time.AfterFunc(window, func() { over.Store(true) })
	defer timer.Stop()
	return together(callers, func(caller int) (count int, err error) {
		for {
			if err := do(caller, count); err != nil {
				over.Store(true)
				return count, err
			}
			if count++; over.Load() {
				return count, nil
			}
		}
	})
}

// Once lets callers share a number of operations.
func Once(callers, operations int, do func(i int) error) (Result, error) {
	var next atomic.Int64
	return together(callers, func(int) (count int, err error) {
		for {
			i := int(next.Add(1)) - 1
			if i >= operations {
				return count, nil
			}
			if err := do(i); err != nil {
				next.Store(int64(operations))
				return count, err
			}
			count++
		}
	})
}

// together runs callers side by side and adds up what they did.
func together(callers int, run func(caller int) (int, error)) (Result, error) {
	var group sync.WaitGroup
	counts, errs := make([]int, callers), make([]error, callers)
	start := time.Now()
	for caller := range callers {
		group.Go(func() { counts[caller], errs[caller] = run(caller) }) // awaited below
	}
	group.Wait()
	l := Result{Elapsed: time.Since(start)}
	for caller := range callers {
		if errs[caller] != nil {
			return l, errs[caller]
		}
		l.Count += counts[caller]
	}
	return l, nil
}

// Single lets one caller work for a time and keeps its latencies.
func Single(window time.Duration, do func(i int) error) (Result, error) {
	l := Result{Latency: NewHistogram()}
	start := time.Now()
	for before := start; before.Sub(start) < window || l.Count == 0; l.Count++ {
		if err := do(l.Count); err != nil {
			return l, err
		}
		now := time.Now()
		_ = l.Latency.RecordValue(int64(now.Sub(before)))
		before = now
	}
	l.Elapsed = time.Since(start)
	return l, nil
}

// beat is the time between two bursts of an open loop.
const beat = time.Millisecond

// OpenLoop hands out work at a fixed rate, whether or not earlier work is done, and
// measures each operation from the moment it was due: an operation that waits because the
// system is slow counts as slow. Work comes in bursts, one each millisecond.
func OpenLoop(ctx context.Context, callers int, rate float64, window time.Duration, do Work) (Result, error) {
	due := make(chan time.Time, int(rate*window.Seconds())+callers)
	go hand(ctx, due, rate, window) // ends with the window
	latencies := NewRecorder()
	l, err := together(callers, func(caller int) (count int, err error) {
		for at := range due {
			if err := do(caller, count); err != nil {
				return count, err
			}
			latencies.Record(caller, time.Since(at))
			count++
		}
		return count, nil
	})
	l.Latency = latencies.Merged()
	return l, err
}

// hand fills due and closes it.
func hand(ctx context.Context, due chan<- time.Time, rate float64, window time.Duration) {
	defer close(due)
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	start, handed := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		for target := rate * min(now.Sub(start), window).Seconds(); float64(handed) < target; handed++ {
			due <- now
		}
		if now.Sub(start) >= window {
			return
		}
	}
}
