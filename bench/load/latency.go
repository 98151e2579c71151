package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// NewHistogram returns an empty histogram of nanoseconds, up to a minute.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(100, int64(time.Minute), 3)
}

// Recorder gathers latencies of many goroutines without one lock for all.
type Recorder struct{ shards [8]shard }

type shard struct {
	mu        sync.Mutex // protects histogram
	histogram *hdrhistogram.Histogram
}

// NewRecorder returns one that has recorded nothing.
func NewRecorder() *Recorder {
	r := &Recorder{}
	for i := range r.shards {
		r.shards[i].histogram = NewHistogram()
	}
	return r
}

// Record notes a latency; who is a caller, of any number.
func (r *Recorder) Record(who int, took time.Duration) {
	s := &r.shards[who%len(r.shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.histogram.RecordValue(int64(took)) // fails above a minute, which no window allows
}

// Merged returns all that was recorded.
func (r *Recorder) Merged() *hdrhistogram.Histogram {
	all := NewHistogram()
	for i := range r.shards {
		all.Merge(r.shards[i].histogram)
	}
	return all
}
