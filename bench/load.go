package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stele-es/stele/persistence"
)

// load is what was done in how long, and how long single operations took if
// that was asked for.
type load struct {
	count   int
	elapsed time.Duration
	latency *hdrhistogram.Histogram // in nanoseconds; nil when not recorded
	cost    cost                    // where it was metered
}

func (l load) rate() float64 { return float64(l.count) / l.elapsed.Seconds() }

// Costs of one event: microseconds of processors, and bytes of the log.
func (l load) clientTime() float64 { return l.cost.client.Seconds() * 1e6 / float64(l.count) }
func (l load) serverTime() float64 { return l.cost.server.Seconds() * 1e6 / float64(l.count) }
func (l load) logged() float64     { return float64(l.cost.logged) / float64(l.count) }

// micros is a percentile of the latencies in microseconds.
func (l load) micros(percentile float64) float64 {
	return float64(l.latency.ValueAtQuantile(percentile)) / 1e3
}

// middle is the median of the latencies in microseconds.
func (l load) middle() float64 { return l.micros(50) }

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(100, int64(time.Minute), 3)
}

// recorder gathers latencies of many goroutines without one lock for all.
type recorder struct{ shards [8]shard }

type shard struct {
	mu        sync.Mutex // protects histogram
	histogram *hdrhistogram.Histogram
}

func newRecorder() *recorder {
	r := &recorder{}
	for i := range r.shards {
		r.shards[i].histogram = newHistogram()
	}
	return r
}

func (r *recorder) record(who int, took time.Duration) {
	s := &r.shards[who%len(r.shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.histogram.RecordValue(int64(took)) // fails above a minute, which no window allows
}

func (r *recorder) merged() *hdrhistogram.Histogram {
	all := newHistogram()
	for i := range r.shards {
		all.Merge(r.shards[i].histogram)
	}
	return all
}

// work is one operation of one of several callers; i counts those of the caller.
type work func(caller, i int) error

// closedLoop lets callers work for a time, each beginning anew when it is done,
// and at least once. It keeps no latencies: measuring them would slow down what
// is fast.
func closedLoop(callers int, window time.Duration, do work) (load, error) {
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

// once lets callers share a number of operations.
func once(callers, operations int, do func(i int) error) (load, error) {
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
func together(callers int, run func(caller int) (int, error)) (load, error) {
	var group sync.WaitGroup
	counts, errs := make([]int, callers), make([]error, callers)
	start := time.Now()
	for caller := range callers {
		group.Go(func() { counts[caller], errs[caller] = run(caller) }) // awaited below
	}
	group.Wait()
	l := load{elapsed: time.Since(start)}
	for caller := range callers {
		if errs[caller] != nil {
			return l, errs[caller]
		}
		l.count += counts[caller]
	}
	return l, nil
}

// single lets one caller work for a time and keeps its latencies.
func single(window time.Duration, do func(i int) error) (load, error) {
	l := load{latency: newHistogram()}
	start := time.Now()
	for before := start; before.Sub(start) < window || l.count == 0; l.count++ {
		if err := do(l.count); err != nil {
			return l, err
		}
		now := time.Now()
		_ = l.latency.RecordValue(int64(now.Sub(before)))
		before = now
	}
	l.elapsed = time.Since(start)
	return l, nil
}

// beat is how often an open loop hands out work.
const beat = time.Millisecond

// openLoop hands out work at a fixed rate, whether or not what was handed out
// before is done, and measures from the moment it was due: what waits because the
// system is slow counts as slow. Work comes in bursts, one each millisecond.
func openLoop(ctx context.Context, callers int, rate float64, window time.Duration, do work) (load, error) {
	due := make(chan time.Time, int(rate*window.Seconds())+callers)
	go hand(ctx, due, rate, window) // ends with the window
	latencies := newRecorder()
	l, err := together(callers, func(caller int) (count int, err error) {
		for at := range due {
			if err := do(caller, count); err != nil {
				return count, err
			}
			latencies.record(caller, time.Since(at))
			count++
		}
		return count, nil
	})
	l.latency = latencies.merged()
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

// lane is a stream that is appended to by one writer, who waits for each append
// before the next.
type lane struct {
	index   int
	stream  persistence.StreamID
	version persistence.Version
	chain   persistence.Chain

	since   time.Time // submitted; zero before the first
	until   time.Time // settled
	outcome persistence.Outcome
}

func newLanes(prefix string, count int) []*lane {
	lanes := make([]*lane, count)
	for i := range lanes {
		lanes[i] = &lane{index: i, stream: persistence.StreamID(fmt.Sprintf("%s-%d", prefix, i))}
	}
	return lanes
}

// exactly is an append of events that expects what the lane has.
func (l *lane) exactly(events ...persistence.Event) persistence.Append {
	return persistence.Append{Stream: l.stream, Expected: persistence.Exact(l.version), Events: events}
}

// pump keeps one append of every lane in flight, as that many aggregates would,
// but without a goroutine for each. It ends when more has said no for every lane.
func pump(to persistence.Submitter, lanes []*lane, event func(*lane) persistence.Event, more func(*lane) bool) (load, error) {
	p := &pumped{to: to, event: event, more: more, ready: make(chan *lane, len(lanes)), latencies: newRecorder()}
	p.open.Store(int64(len(lanes)))
	for _, l := range lanes {
		l.since = time.Time{}
		p.ready <- l
	}
	if len(lanes) == 0 {
		close(p.ready)
	}
	total, err := together(runtime.GOMAXPROCS(0), p.feed)
	if failed := p.failed.Load(); failed != nil && err == nil {
		err = *failed
	}
	total.latency = p.latencies.merged()
	return total, err
}

type pumped struct {
	to        persistence.Submitter
	event     func(*lane) persistence.Event
	more      func(*lane) bool
	ready     chan *lane // the lanes that have nothing in flight
	open      atomic.Int64
	failed    atomic.Pointer[error]
	latencies *recorder
}

// feed submits for the lanes that are ready until all have ended.
func (p *pumped) feed(feeder int) (count int, _ error) {
	for l := range p.ready {
		if !l.since.IsZero() && p.settled(feeder, l) {
			count++
		}
		if p.failed.Load() != nil || !p.more(l) || !p.submit(l) {
			if p.open.Add(-1) == 0 {
				close(p.ready)
			}
		}
	}
	return count, nil
}

func (p *pumped) settled(feeder int, l *lane) bool {
	if err := l.outcome.Err; err != nil {
		p.failed.CompareAndSwap(nil, &err)
		return false
	}
	l.version = l.outcome.Last
	p.latencies.record(feeder, l.until.Sub(l.since))
	return true
}

func (p *pumped) submit(l *lane) bool {
	l.since = time.Now()
	err := p.to.Submit(l.exactly(p.event(l)), &l.chain, func(o persistence.Outcome) {
		l.outcome, l.until = o, time.Now()
		p.ready <- l
	})
	if err != nil {
		p.failed.CompareAndSwap(nil, &err)
	}
	return err == nil
}

// during says yes for a time from the first question on, and at least once: a machine
// that stands still meanwhile must not leave nothing to divide by.
func during(window time.Duration) func(*lane) bool {
	var over atomic.Bool
	var begun sync.Once
	return func(*lane) bool {
		first := false
		begun.Do(func() {
			first = true
			time.AfterFunc(window, func() { over.Store(true) })
		})
		return first || !over.Load()
	}
}

// upTo says yes until a lane has a version.
func upTo(version persistence.Version) func(*lane) bool {
	return func(l *lane) bool { return l.version < version }
}

// writer is one goroutine that appends to its lanes in turn and waits each time.
type writer struct {
	to      persistence.Submitter
	lanes   []*lane
	next    func(*lane) persistence.Append
	outcome chan persistence.Outcome
	done    func(persistence.Outcome)
}

func newWriter(to persistence.Submitter, lanes []*lane, next func(*lane) persistence.Append) writer {
	outcome := make(chan persistence.Outcome, 1)
	return writer{to: to, lanes: lanes, next: next, outcome: outcome, done: func(o persistence.Outcome) { outcome <- o }}
}

func (w *writer) append(i int) error {
	l := w.lanes[i%len(w.lanes)]
	if err := w.to.Submit(w.next(l), &l.chain, w.done); err != nil {
		return err
	}
	o := <-w.outcome
	l.version = o.Last
	return o.Err
}
