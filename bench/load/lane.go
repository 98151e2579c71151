package load

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Lane is a stream with one writer, which waits for each append before the next.
type Lane struct {
	Index   int
	Stream  persistence.StreamID
	Version persistence.Version
	chain   persistence.Chain

	since   time.Time // submitted; zero before the first
	until   time.Time // settled
	outcome persistence.Outcome
}

// NewLanes returns lanes whose streams do not exist yet.
func NewLanes(prefix string, count int) []*Lane {
	lanes := make([]*Lane, count)
	for i := range lanes {
		lanes[i] = &Lane{Index: i, Stream: persistence.StreamID(fmt.Sprintf("%s-%d", prefix, i))}
	}
	return lanes
}

// Exactly is an append of events that expects what the lane has.
func (l *Lane) Exactly(events ...persistence.Event) persistence.Append {
	return persistence.Append{Stream: l.Stream, Expected: persistence.Exact(l.Version), Events: events}
}

// Pump keeps one append of every lane in flight, as that many aggregates would,
// but without a goroutine for each. Pump ends when more has returned false for every lane.
func Pump(to persistence.Submitter, lanes []*Lane, event func(*Lane) persistence.Event, more func(*Lane) bool) (Result, error) {
	p := &pumped{to: to, event: event, more: more, ready: make(chan *Lane, len(lanes)), latencies: NewRecorder()}
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
	total.Latency = p.latencies.Merged()
	return total, err
}

type pumped struct {
	to        persistence.Submitter
	event     func(*Lane) persistence.Event
	more      func(*Lane) bool
	ready     chan *Lane // the lanes that have nothing in flight
	open      atomic.Int64
	failed    atomic.Pointer[error]
	latencies *Recorder
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

func (p *pumped) settled(feeder int, l *Lane) bool {
	if err := l.outcome.Err; err != nil {
		p.failed.CompareAndSwap(nil, &err)
		return false
	}
	l.Version = l.outcome.Last
	p.latencies.Record(feeder, l.until.Sub(l.since))
	return true
}

func (p *pumped) submit(l *Lane) bool {
	l.since = time.Now()
	err := p.to.Submit(l.Exactly(p.event(l)), &l.chain, func(o persistence.Outcome) {
		l.outcome, l.until = o, time.Now()
		p.ready <- l
	})
	if err != nil {
		p.failed.CompareAndSwap(nil, &err)
	}
	return err == nil
}

// During returns true for a time from the first call on, and at least once: a machine that
// stands still meanwhile must not leave nothing to divide by.
func During(window time.Duration) func(*Lane) bool {
	var over atomic.Bool
	var begun sync.Once
	return func(*Lane) bool {
		first := false
		begun.Do(func() {
			first = true
			time.AfterFunc(window, func() { over.Store(true) })
		})
		return first || !over.Load()
	}
}

// UpTo returns true until a lane has a version.
func UpTo(version persistence.Version) func(*Lane) bool {
	return func(l *Lane) bool { return l.Version < version }
}

// Writer is one goroutine that appends to its lanes in turn and waits each time.
type Writer struct {
	to      persistence.Submitter
	lanes   []*Lane
	Next    func(*Lane) persistence.Append
	outcome chan persistence.Outcome
	Done    func(persistence.Outcome)
}

// NewWriter returns a writer whose appends are those that next makes.
func NewWriter(to persistence.Submitter, lanes []*Lane, next func(*Lane) persistence.Append) Writer {
	outcome := make(chan persistence.Outcome, 1)
	return Writer{to: to, lanes: lanes, Next: next, outcome: outcome, Done: func(o persistence.Outcome) { outcome <- o }}
}

// Append appends to the lane whose turn it is and waits for the outcome.
func (w *Writer) Append(i int) error {
	l := w.lanes[i%len(w.lanes)]
	if err := w.to.Submit(w.Next(l), &l.chain, w.Done); err != nil {
		return err
	}
	o := <-w.outcome
	l.Version = o.Last
	return o.Err
}

// EventsEach is the number of events that [Fill] writes to a stream.
const EventsEach = 10

// wave is the number of streams that are written to at the same time.
const wave = 1000

// Fill writes ten events to every stream. The events of a thousand streams lie between each
// other, as those of aggregates that live at the same time do.
func Fill(to persistence.Submitter, prefix string, streams int, event func(*Lane) persistence.Event) error {
	lanes := NewLanes(prefix, streams)
	for len(lanes) > 0 {
		n := min(wave, len(lanes))
		if _, err := Pump(to, lanes[:n], event, UpTo(EventsEach)); err != nil {
			return err
		}
		lanes = lanes[n:]
	}
	return nil
}

// Each appends one event to each of many streams.
func Each(to persistence.Submitter, prefix string, streams int, event func(*Lane) persistence.Event) error {
	for lanes := NewLanes(prefix, streams); len(lanes) > 0; {
		n := min(wave, len(lanes))
		if _, err := Pump(to, lanes[:n], event, UpTo(1)); err != nil {
			return err
		}
		lanes = lanes[n:]
	}
	return nil
}
